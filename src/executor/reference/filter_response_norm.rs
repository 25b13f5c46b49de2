//! Filter response normalisation with a thresholded linear unit.

use crate::tensor::Tensor;

/// `max(x / sqrt(mean(x^2) + eps) * weight + bias, tau)`, where the mean is over all pixels of a channel (Singh and Krishnan 2019,
/// equations 1, 2 and 4). NaN stays NaN.
pub(super) fn filter_response_norm(x: &Tensor, [weight, bias, tau]: [&[f32]; 3], eps: f32) -> Tensor {
    let mut y = x.clone();
    for (i, values) in y.data.chunks_exact_mut(x.shape.pixels()).enumerate() {
        let c = i % x.shape.c;
        let mean = values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / values.len() as f64;
        let root = (mean + f64::from(eps)).sqrt();
        for value in values {
            let normed = (f64::from(*value) / root * f64::from(weight[c]) + f64::from(bias[c])) as f32;
            *value = if normed < tau[c] { tau[c] } else { normed };
        }
    }
    y
}
