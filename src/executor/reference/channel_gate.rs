//! The gates of efficient channel attention.

use crate::tensor::Tensor;

/// `y[n, c] = sigmoid(sum over t of weight[t] * x[n, c + t - K / 2])` where `x` is zero outside its channels and `K` the length of
/// `weight`, which is odd.
pub(super) fn channel_gate(x: &Tensor, weight: &[f32]) -> Tensor {
    let mut y = x.clone();
    for (x, y) in x.data.chunks_exact(x.shape.c).zip(y.data.chunks_exact_mut(x.shape.c)) {
        for (c, y) in y.iter_mut().enumerate() {
            let value = |tap: usize| (c + tap).checked_sub(weight.len() / 2).and_then(|channel| x.get(channel));
            let terms = weight.iter().enumerate().filter_map(|(t, w)| Some(f64::from(*w) * f64::from(*value(t)?)));
            *y = (1.0 / (1.0 + (-terms.sum::<f64>()).exp())) as f32;
        }
    }
    y
}
