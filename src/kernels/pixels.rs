//! Eight-bit pixels into the network's input.

use bytemuck::{Pod, Zeroable};

use super::{Binding, KernelKey, Precision, Shader, ShaderId, View};

/// `shaders/pixels.wgsl`: one invocation yields one pixel.
pub const PIXELS: Shader = Shader {
    name: "pixels",
    parts: &[include_str!("../../shaders/pixels.wgsl")],
    bindings: &[Binding::Uniform(size_of::<PixelDims>() as u64), Binding::Read, Binding::Write],
};

const WORKGROUP: usize = 64;

/// Bytes of the table: an f32 for each value of red, green and blue.
const TABLE_BYTES: usize = 3 * 256 * 4;

/// Uniform block of the kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
pub struct PixelDims {
    /// Pixels of the whole batch.
    pub pixels: u32,
    /// Vectors from one pixel of the output to the next.
    pub y_stride: u32,
    /// Vector at which the output's channels start.
    pub y_offset: u32,
    /// Fills the block up to 16 bytes.
    pub pad: u32,
}

/// Bytes of the kernel's source: the table, then three bytes a pixel, up to whole words.
pub const fn source_bytes(pixels: usize) -> usize {
    TABLE_BYTES + (3 * pixels).next_multiple_of(4)
}

/// The kernel's key, uniform block and grid, for the network's input `y`.
pub fn normalise(stored: Precision, y: View) -> (KernelKey, PixelDims, [u32; 3]) {
    let key = KernelKey { shader: ShaderId::Pixels, stored, output: stored, consts: Vec::new(), overrides: Vec::new() };
    let dims = PixelDims { pixels: y.pixels() as u32, y_stride: y.stride, y_offset: y.offset, pad: 0 };
    // A row of workgroups is at most 32768 long, so that any size fits into the limits of a dispatch.
    let groups = y.pixels().div_ceil(WORKGROUP);
    let rows = groups.div_ceil(32768).max(1);
    (key, dims, [groups.div_ceil(rows) as u32, rows as u32, 1])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Shape;

    #[test]
    fn every_pixel_has_an_invocation_within_the_limits_of_a_dispatch() {
        for pixels in [1, 64, 65, 32768 * 64, 32768 * 64 + 1, 1 << 27] {
            let (_, _, [x, y, z]) = normalise(Precision::F32, View::whole(Shape::new(1, 3, 1, pixels)));
            assert!(x <= 32768 && z == 1 && WORKGROUP * (x * y) as usize >= pixels, "{pixels}: {x} x {y}");
        }
    }
}
