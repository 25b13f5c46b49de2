//! EvoNorm-S0.

use crate::tensor::Tensor;

/// `x * sigmoid(v * x) / sqrt(var + eps) * weight + bias`, where the variance is over all pixels of the channels of each of the `groups`
/// (Liu et al. 2020, table 2).
pub(super) fn evo_norm(x: &Tensor, [weight, bias, v]: [&[f32]; 3], groups: usize, eps: f32) -> Tensor {
    let mut y = x.clone();
    let (pixels, of_group) = (x.shape.pixels(), x.shape.c / groups);
    for (i, values) in y.data.chunks_exact_mut(of_group * pixels).enumerate() {
        let count = values.len() as f64;
        let mean = values.iter().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = values.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / count;
        let deviation = (variance + f64::from(eps)).sqrt();
        for (j, value) in values.iter_mut().enumerate() {
            let (x, c) = (f64::from(*value), i % groups * of_group + j / pixels);
            let sigmoid = 1.0 / (1.0 + (-f64::from(v[c]) * x).exp());
            *value = (x * sigmoid / deviation * f64::from(weight[c]) + f64::from(bias[c])) as f32;
        }
    }
    y
}
