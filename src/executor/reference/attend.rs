//! Attention pooling.

use crate::tensor::{Shape, Tensor};

/// `[N, keys + C, H, W]` to `[N, C, 1, 1]`: in each head the sum over all pixels, weighted by the softmax of `scale` times the sum of the
/// head's keys.
pub(super) fn attend(x: &Tensor, heads: usize, keys: usize, scale: f32, output: Shape) -> Tensor {
    let pixels = x.shape.pixels();
    let mut data = Vec::with_capacity(output.elements());
    for image in x.data.chunks_exact(x.shape.c * pixels) {
        let planes: Vec<&[f32]> = image.chunks_exact(pixels).collect();
        let (keys, values) = planes.split_at(keys);
        for (keys, values) in keys.chunks_exact(keys.len() / heads).zip(values.chunks_exact(values.len() / heads)) {
            let score = |p: usize| f64::from(scale) * keys.iter().map(|plane| f64::from(plane[p])).sum::<f64>();
            let largest = (0..pixels).map(score).fold(f64::NEG_INFINITY, f64::max);
            let shares: Vec<f64> = (0..pixels).map(|p| (score(p) - largest).exp()).collect();
            let sum: f64 = shares.iter().sum();
            let mean = |plane: &&[f32]| plane.iter().zip(&shares).map(|(v, share)| f64::from(*v) * share).sum::<f64>();
            data.extend(values.iter().map(|plane| (mean(plane) / sum) as f32));
        }
    }
    Tensor::new(output, data)
}

/// `[N, C, H, W]` to `[N, C, 1, 1 + H W]`: the mean of all pixels, followed by the pixels, each with its position embedding added. `weight`
/// has the mean's embedding first, then the pixels', which are resampled from a map of `side` rows and columns.
pub(super) fn tokens(x: &Tensor, weight: &[f32], side: usize, output: Shape) -> Tensor {
    let Shape { c: channels, h, w, .. } = x.shape;
    let position = |row: usize, column: usize, channel: usize| -> f64 {
        let vector = |i: usize, j: usize| f64::from(weight[(1 + i * side + j) * channels + channel]);
        let of_row = |i: usize| (0..side).map(|j| share(side, w, column, j) * vector(i, j)).sum::<f64>();
        (0..side).map(|i| share(side, h, row, i) * of_row(i)).sum()
    };
    let mut data = Vec::with_capacity(output.elements());
    for (i, plane) in x.data.chunks_exact(x.shape.pixels()).enumerate() {
        let channel = i % channels;
        let mean = plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64;
        data.push((mean + f64::from(weight[channel])) as f32);
        data.extend(plane.iter().enumerate().map(|(p, v)| (f64::from(*v) + position(p / w, p % w, channel)) as f32));
    }
    Tensor::new(output, data)
}

/// The share of place `from` of `side` places in place `to` of `extent`: Keys' cubic with parameter -1/2, as wide as the coarser of both
/// grids.
fn share(side: usize, extent: usize, to: usize, from: usize) -> f64 {
    let scale = side as f64 / extent as f64;
    let cubic = |from: usize| {
        let x = ((from as f64 + 0.5 - (to as f64 + 0.5) * scale) / scale.max(1.0)).abs();
        match x {
            0.0..1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            1.0..2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            _ => 0.0,
        }
    };
    cubic(from) / (0..side).map(cubic).sum::<f64>()
}
