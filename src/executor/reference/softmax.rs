//! Softmax over groups of channels.

use crate::tensor::Tensor;

/// `[N, outer, groups, inner]` to `[N, groups, outer, inner]`: each value is `exp(x) / sum over groups of exp(x)`.
pub(super) fn softmax(x: &Tensor, outer: usize, groups: usize) -> Tensor {
    let inner = x.shape.c / (outer * groups);
    let mut y = x.clone();
    for (x, y) in x.data.chunks_exact(x.shape.c).zip(y.data.chunks_exact_mut(x.shape.c)) {
        for (o, i) in (0..outer).flat_map(|o| (0..inner).map(move |i| (o, i))) {
            let logit = |g: usize| f64::from(x[(o * groups + g) * inner + i]);
            let largest = (0..groups).map(logit).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..groups).map(|g| (logit(g) - largest).exp()).sum();
            (0..groups).for_each(|g| y[(g * outer + o) * inner + i] = ((logit(g) - largest).exp() / sum) as f32);
        }
    }
    y
}
