//! Group normalisation.

use crate::tensor::Tensor;

/// `(x - mean) / sqrt(var + eps) * weight + bias`, where mean and variance are over all pixels of the channels of each of the `groups`
/// (Wu and He 2018, section 3.1).
pub(super) fn group_norm(x: &Tensor, weight: &[f32], bias: &[f32], groups: usize, eps: f32) -> Tensor {
    let mut y = x.clone();
    let (pixels, of_group) = (x.shape.pixels(), x.shape.c / groups);
    for (i, values) in y.data.chunks_exact_mut(of_group * pixels).enumerate() {
        let count = values.len() as f64;
        let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / count;
        let variance = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / count;
        let scale = 1.0 / (variance + f64::from(eps)).sqrt();
        for (j, v) in values.iter_mut().enumerate() {
            let c = i % groups * of_group + j / pixels;
            *v = ((f64::from(*v) - mean) * scale * f64::from(weight[c]) + f64::from(bias[c])) as f32;
        }
    }
    y
}
