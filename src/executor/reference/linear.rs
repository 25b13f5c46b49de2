//! The fully connected layer.

use super::threads;
use crate::tensor::{Shape, Tensor};

/// `y[n, o] = bias[o] + sum over i of weight[o, i] * x[n, i]`; weight is `[out, in]`.
pub(super) fn linear(x: &Tensor, weight: &[f32], bias: Option<&[f32]>, output: Shape) -> Tensor {
    let mut y = Tensor::zeros(output);
    let features = x.shape.c;
    for (n, row) in y.data.chunks_exact_mut(output.c).enumerate() {
        let x = x.image(n);
        threads::split(row, 1, weight.len(), |first, part| {
            for (o, y) in (first..).zip(part) {
                let start = bias.map_or(0.0, |bias| f64::from(bias[o]));
                let weights = &weight[o * features..(o + 1) * features];
                *y = weights.iter().zip(x).fold(start, |sum, (w, x)| sum + f64::from(*w) * f64::from(*x)) as f32;
            }
        });
    }
    y
}
