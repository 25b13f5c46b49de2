//! Normalises eight-bit pixels into the network's input.

use bytemuck::{Pod, Zeroable};

use super::{
    Binding, Caps, Dispatch, Kernel, KernelId, KernelKey, Problem, Role, Setting, Shader, Types, Work, in_rows,
};

/// `shaders/pixels.wgsl`: one invocation yields one pixel.
pub const SHADER: Shader = Shader::new(
    "pixels",
    &[include_str!("../../../../shaders/pixels.wgsl")],
    &[Binding::Uniform(size_of::<PixelDims>() as u64), Binding::Read, Binding::Write],
);

/// `pixels.normalise`.
pub const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

const WORKGROUP: usize = 64;

/// Bytes of the table: one f32 for each value of red, green and blue.
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

/// Bytes that the kernel reads: the table, then three bytes per pixel, padded to whole words.
pub const fn source_bytes(pixels: usize) -> usize {
    TABLE_BYTES + (3 * pixels).next_multiple_of(4)
}

pub(super) const KERNEL: Kernel = Kernel::new("pixels.normalise", &[&SHADER], work);

fn work(_: Setting, problem: &Problem, types: Types, _: &Caps) -> Option<Work> {
    let Problem::Pixels(y) = problem else { return None };
    let dims = PixelDims { pixels: y.pixels() as u32, y_stride: y.stride, y_offset: y.offset, pad: 0 };
    let dispatch = Dispatch {
        key: KernelKey { shader: &SHADER, types, consts: Vec::new(), overrides: Vec::new() },
        uniform: bytemuck::bytes_of(&dims).to_vec(),
        grid: in_rows(y.pixels().div_ceil(WORKGROUP)),
        operands: vec![Role::Pixels, Role::Y],
        macs: 0,
    };
    Some(dispatch.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{executor::gpu::kernels::View, tensor::Shape};

    #[test]
    fn every_pixel_has_an_invocation_within_the_limits_of_a_dispatch() {
        for pixels in [1, 64, 65, 32768 * 64, 32768 * 64 + 1, 1 << 27] {
            let problem = Problem::Pixels(View::whole(Shape::new(1, 3, 1, pixels)));
            let work = ID.work(&problem, Types::F32, &Caps::least()).unwrap();
            let [x, y, z] = work.dispatches[0].grid;
            assert!(x <= 32768 && z == 1 && WORKGROUP * (x * y) as usize >= pixels, "{pixels}: {x} x {y}");
        }
    }
}
