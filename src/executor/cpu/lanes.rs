//! The layout of values in memory: channels in blocks of sixteen, `[N][C / 16][H][W][16]`, which oneDNN calls `nChw16c`. The last block is
//! padded with channels whose values have no meaning: their weights are zero, or nothing reads them.

use bytemuck::{Pod, Zeroable};

use super::threads::Threads;
use crate::{
    Error, Result,
    tensor::{Shape, Tensor},
};

/// Channels of a block: a cache line of f32, and a vector of AVX-512.
pub(super) const LANES: usize = 16;

/// The channels of a block at one pixel.
#[repr(C, align(64))]
#[derive(Debug, Clone, Copy, Default, PartialEq, Pod, Zeroable)]
pub(super) struct Lanes(pub(super) [f32; LANES]);

/// The error for too little memory for `len` lanes of `what`.
pub(super) fn out_of_memory(what: &str, len: usize) -> Error {
    let mib = len as f64 * size_of::<Lanes>() as f64 / f64::from(1 << 20);
    Error::GpuMemory { device: "cpu".into(), reason: format!("{mib:.1} MiB of {what}") }
}

/// The sixteen channels from channel `first` on of two blocks.
#[inline(always)]
pub(super) fn window(two: [[f32; LANES]; 2], first: usize) -> [f32; LANES] {
    two.as_flattened()[first..][..LANES].try_into().expect("sixteen channels")
}

/// Number of blocks that hold `channels` channels.
pub(super) fn blocks(channels: usize) -> usize {
    channels.div_ceil(LANES)
}

/// The place of a value in a buffer that it may share, along the channels, with other values: the buffer has `stride` blocks for
/// each image, and the value starts at block `first`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct View {
    pub(super) shape: Shape,
    pub(super) stride: usize,
    pub(super) first: usize,
}

impl View {
    /// The view of a value that has a buffer to itself.
    pub(super) fn whole(shape: Shape) -> Self {
        View { shape, stride: blocks(shape.c), first: 0 }
    }

    /// Number of lanes in the buffer.
    pub(super) fn buffer_len(&self) -> usize {
        self.shape.n * self.stride * self.shape.pixels()
    }
}

/// A value to read: planes of `[f32; C]`. `C`, the channels in a plane, is 16 or 1.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a, const C: usize = LANES> {
    pub(super) data: &'a [[f32; C]],
    pub(super) view: View,
}

impl<'a> Source<'a> {
    /// The value that `view` describes in a buffer.
    pub(super) fn new(buffer: &'a [Lanes], view: View) -> Self {
        Source { data: bytemuck::cast_slice(buffer), view }
    }
}

impl<'a> Source<'a, 1> {
    /// A tensor; its planes have one channel each.
    pub(super) fn planar(tensor: &'a Tensor) -> Self {
        let view = View { shape: tensor.shape, stride: tensor.shape.c, first: 0 };
        Source { data: bytemuck::cast_slice(&tensor.data), view }
    }
}

impl<'a, const C: usize> Source<'a, C> {
    /// All planes of image `n`, one after the other.
    pub(super) fn image(&self, n: usize) -> &'a [[f32; C]] {
        let pixels = self.view.shape.pixels();
        let start = (n * self.view.stride + self.view.first) * pixels;
        &self.data[start..][..self.view.shape.c.div_ceil(C) * pixels]
    }

    /// A plane of image `n`.
    pub(super) fn plane(&self, n: usize, block: usize) -> &'a [[f32; C]] {
        let pixels = self.view.shape.pixels();
        &self.image(n)[block * pixels..][..pixels]
    }
}

/// A value to write.
#[derive(Debug)]
pub(super) struct Target<'a> {
    pub(super) data: &'a mut [Lanes],
    pub(super) view: View,
}

impl<'a> Target<'a> {
    /// The planes, image by image.
    pub(super) fn planes(self) -> impl Iterator<Item = &'a mut [Lanes]> {
        let View { shape, stride, first } = self.view;
        let of_value = first..first + blocks(shape.c);
        let planes = self.data.chunks_exact_mut(shape.pixels()).take(shape.n * stride).enumerate();
        planes.filter(move |(i, _)| of_value.contains(&(i % stride))).map(|(_, plane)| plane)
    }
}

/// Writes a tensor into blocks. Channels that pad the last one become zeros.
pub(super) fn to_blocks(threads: &Threads, tensor: &Tensor, target: Target<'_>) {
    let Shape { c, .. } = tensor.shape;
    let pixels = tensor.shape.pixels();
    threads.each(target.planes().enumerate().collect(), |(i, plane)| {
        let (n, first) = (i / blocks(c), i % blocks(c) * LANES);
        let image = tensor.image(n);
        for (pixel, lanes) in plane.iter_mut().enumerate() {
            let value = |lane: usize| if first + lane < c { image[(first + lane) * pixels + pixel] } else { 0.0 };
            lanes.0 = std::array::from_fn(value);
        }
    });
}

/// Reads a tensor from blocks.
///
/// # Errors
/// [`Error::GpuMemory`] if there is no memory for it.
pub(super) fn to_tensor(source: Source<'_>) -> Result<Tensor> {
    let shape = source.view.shape;
    let mut data = Vec::new();
    let failed = |_| out_of_memory("results", shape.elements().div_ceil(LANES));
    data.try_reserve_exact(shape.elements()).map_err(failed)?;
    for n in 0..shape.n {
        for c in 0..shape.c {
            data.extend(source.plane(n, c / LANES).iter().map(|lanes| lanes[c % LANES]));
        }
    }
    Ok(Tensor::new(shape, data))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tensor_comes_back_out_of_the_blocks_between_others() {
        let shape = Shape::new(2, 19, 3, 2);
        let tensor = Tensor::new(shape, (0..shape.elements()).map(|i| i as f32).collect());
        let view = View { shape, stride: 5, first: 2 };
        let mut buffer = vec![Lanes([-1.0; LANES]); view.buffer_len()];
        to_blocks(&Threads::shared(2), &tensor, Target { data: &mut buffer, view });
        assert_eq!(to_tensor(Source::new(&buffer, view)).unwrap(), tensor);
        assert_eq!(buffer.iter().filter(|lanes| lanes.0 == [-1.0; LANES]).count(), 2 * 3 * 6, "the others' planes");
    }
}
