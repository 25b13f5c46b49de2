//! Operators that move or combine values without weights.

use crate::tensor::{Shape, Tensor};

/// `max(x, 0)`; NaN stays NaN.
pub(super) fn relu(x: &Tensor) -> Tensor {
    let data = x.data.iter().map(|v| if *v < 0.0 { 0.0 } else { *v }).collect();
    Tensor { shape: x.shape, data }
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: &Tensor) -> Tensor {
    let data = x.data.iter().map(|v| (1.0 / (1.0 + (-f64::from(*v)).exp())) as f32).collect();
    Tensor { shape: x.shape, data }
}

/// Each pixel together with the number of its image and channel.
pub(super) fn by_channel(x: &Tensor, numbers: &Tensor, of: impl Fn(f32, f32) -> f32) -> Tensor {
    let mut y = x.clone();
    for (plane, number) in y.data.chunks_exact_mut(x.shape.pixels()).zip(&numbers.data) {
        plane.iter_mut().for_each(|v| *v = of(*v, *number));
    }
    y
}

/// Elementwise sum of two values of the same shape.
pub(super) fn add(a: &Tensor, b: &Tensor) -> Tensor {
    let data = a.data.iter().zip(&b.data).map(|(a, b)| a + b).collect();
    Tensor { shape: a.shape, data }
}

/// Every `stride`-th pixel in both directions, after `before` channels of zeros; the remaining channels are zeros too.
pub(super) fn subsample_pad(x: &Tensor, stride: usize, before: usize, output: Shape) -> Tensor {
    let mut y = Tensor::zeros(output);
    for n in 0..x.shape.n {
        for c in 0..x.shape.c {
            for oy in 0..output.h {
                let from = &x.data[((n * x.shape.c + c) * x.shape.h + oy * stride) * x.shape.w..][..x.shape.w];
                let to = &mut y.data[((n * output.c + before + c) * output.h + oy) * output.w..][..output.w];
                for (to, from) in to.iter_mut().zip(from.iter().step_by(stride)) {
                    *to = *from;
                }
            }
        }
    }
    y
}

/// Concatenates the channels of all inputs.
pub(super) fn concat(inputs: &[&Tensor], output: Shape) -> Tensor {
    let mut data = Vec::with_capacity(output.elements());
    for n in 0..output.n {
        for x in inputs {
            data.extend_from_slice(x.image(n));
        }
    }
    Tensor::new(output, data)
}
