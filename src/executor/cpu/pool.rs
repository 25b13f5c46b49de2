//! Pooling.

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{
    lanes::{LANES, Lanes, Source, Target, blocks},
    simd::{larger, relu},
    threads::Threads,
    weights::Affine,
};
use crate::graph::PoolParams;

/// Takes the maximum (`max`) or mean over each window. With a `prologue`, batch norm and ReLU are applied to the input first. Padding is
/// never the maximum, and does not count in a mean; NaN always wins.
pub(super) fn run(
    arch: Arch,
    threads: &Threads,
    max: bool,
    window: &PoolParams,
    prologue: Option<&Affine>,
    x: Source<'_>,
    y: Target<'_>,
) {
    let (shape, blocks) = (y.view.shape, blocks(y.view.shape.c));
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (image, block) = (i / blocks, i % blocks);
        let affine = prologue.map(|affine| [&affine.scale[block], &affine.shift[block]]);
        let (width, height) = (x.view.shape.w, x.view.shape.h);
        arch.dispatch(Plane { max, window, affine, x: x.plane(image, block), width, height, columns: shape.w, plane });
    });
}

struct Plane<'a, 'b> {
    max: bool,
    window: &'a PoolParams,
    affine: Option<[&'a Lanes; 2]>,
    x: &'a [[f32; LANES]],
    width: usize,
    height: usize,
    /// Number of output columns.
    columns: usize,
    plane: &'b mut [Lanes],
}

impl WithSimd for Plane<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let vectors = LANES / S::F32_LANES;
        let affine = self.affine.map(|parts| parts.map(|lanes| S::as_simd_f32s(&lanes.0).0));
        for (oy, line) in self.plane.chunks_exact_mut(self.columns).enumerate() {
            let rows = inside(oy, self.window, self.height);
            for (ox, y) in line.iter_mut().enumerate() {
                let columns = inside(ox, self.window, self.width);
                let count = (rows.len() * columns.len()) as f32;
                for v in 0..vectors {
                    let mut result = simd.splat_f32s(if self.max { f32::NEG_INFINITY } else { 0.0 });
                    for row in rows.clone() {
                        for x in &self.x[row * self.width..][columns.clone()] {
                            let mut x = S::as_simd_f32s(x).0[v];
                            if let Some([scale, shift]) = affine {
                                x = relu(simd, simd.mul_add_e_f32s(x, scale[v], shift[v]));
                            }
                            result = if self.max { larger(simd, result, x) } else { simd.add_f32s(result, x) };
                        }
                    }
                    let result = if self.max { result } else { simd.div_f32s(result, simd.splat_f32s(count)) };
                    S::as_mut_simd_f32s(&mut y.0).0[v] = result;
                }
            }
        }
    }
}

/// The part of window `position` that lies in `0..extent`.
fn inside(position: usize, window: &PoolParams, extent: usize) -> Range<usize> {
    let start = position * window.stride;
    start.saturating_sub(window.padding)..(start + window.kernel).saturating_sub(window.padding).min(extent)
}

/// Pooling of all pixels of a channel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Global {
    Mean,
    Max,
    /// The mean of the mean and the maximum.
    MeanAndMax,
}

/// Pools all pixels of each channel. Sums each row first, then the rows.
pub(super) fn global(threads: &Threads, global: Global, x: Source<'_>, y: Target<'_>) {
    let (shape, blocks) = (x.view.shape, blocks(x.view.shape.c));
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (mut sum, mut max) = ([0.0_f32; LANES], [f32::NEG_INFINITY; LANES]);
        for row in x.plane(i / blocks, i % blocks).chunks_exact(shape.w) {
            let mut of_row = [0.0_f32; LANES];
            for pixel in row {
                for lane in 0..LANES {
                    of_row[lane] += pixel[lane];
                    let larger = pixel[lane] > max[lane] || pixel[lane].is_nan();
                    max[lane] = if larger { pixel[lane] } else { max[lane] };
                }
            }
            sum.iter_mut().zip(&of_row).for_each(|(sum, row)| *sum += row);
        }
        let mean = sum.map(|sum| sum / shape.pixels() as f32);
        plane[0].0 = match global {
            Global::Mean => mean,
            Global::Max => max,
            Global::MeanAndMax => std::array::from_fn(|lane| 0.5 * (mean[lane] + max[lane])),
        };
    });
}
