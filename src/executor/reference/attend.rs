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

/// `[N, C, H, W]` to `[N, C, 1, 1 + H W]`: the mean of all pixels, then the pixels, each plus `weight[token][channel]`.
pub(super) fn tokens(x: &Tensor, weight: &[f32], output: Shape) -> Tensor {
    let channels = x.shape.c;
    let mut data = Vec::with_capacity(output.elements());
    for (i, plane) in x.data.chunks_exact(x.shape.pixels()).enumerate() {
        let mean = plane.iter().map(|v| f64::from(*v)).sum::<f64>() / plane.len() as f64;
        let values = [mean].into_iter().chain(plane.iter().map(|v| f64::from(*v)));
        data.extend(values.enumerate().map(|(t, v)| (v + f64::from(weight[t * channels + i % channels])) as f32));
    }
    Tensor::new(output, data)
}
