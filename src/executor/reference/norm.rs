//! Batch normalisation at inference.

use crate::tensor::Tensor;

/// The tensors of a batch normalisation, each `[C]`.
pub(super) struct Statistics<'a> {
    pub(super) weight: &'a [f32],
    pub(super) bias: &'a [f32],
    pub(super) mean: &'a [f32],
    pub(super) var: &'a [f32],
    pub(super) eps: f32,
}

/// `(x - mean) / sqrt(var + eps) * weight + bias` per channel (Ioffe and Szegedy 2015, algorithm 2).
pub(super) fn batch_norm(x: &Tensor, s: &Statistics) -> Tensor {
    let mut y = x.clone();
    for (i, plane) in y.data.chunks_exact_mut(x.shape.pixels()).enumerate() {
        let c = i % x.shape.c;
        let scale = f64::from(s.weight[c]) / (f64::from(s.var[c]) + f64::from(s.eps)).sqrt();
        let (mean, bias) = (f64::from(s.mean[c]), f64::from(s.bias[c]));
        for v in plane {
            *v = ((f64::from(*v) - mean) * scale + bias) as f32;
        }
    }
    y
}
