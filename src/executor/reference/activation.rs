//! Activations, in f64.

use crate::{graph::Activation, tensor::Tensor};

/// `activation` of each element; NaN stays NaN.
pub(super) fn activate(x: &Tensor, activation: Activation) -> Tensor {
    let data = x.data.iter().map(|v| if v.is_nan() { *v } else { value(f64::from(*v), activation) as f32 }).collect();
    Tensor { shape: x.shape, data }
}

fn value(x: f64, activation: Activation) -> f64 {
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let six = |x: f64| x.clamp(0.0, 6.0);
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => six(x),
        Activation::LeakyRelu(slope) => {
            if x < 0.0 {
                f64::from(slope) * x
            } else {
                x
            }
        }
        Activation::Silu => x * sigmoid(x),
        Activation::Mish => x * x.exp().ln_1p().tanh(),
        Activation::Gelu => 0.5 * x * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        }
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid => six(x + 3.0) / 6.0,
        Activation::HardSwish => x * six(x + 3.0) / 6.0,
        Activation::HardMish => 0.5 * x * (x + 2.0).clamp(0.0, 2.0),
        Activation::Elu(a) => {
            if x < 0.0 {
                f64::from(a) * x.exp_m1()
            } else {
                x
            }
        }
        Activation::Celu(a) => {
            if x < 0.0 {
                f64::from(a) * (x / f64::from(a)).exp_m1()
            } else {
                x
            }
        }
        Activation::Selu => {
            let [scale, a] = Activation::SELU;
            scale * if x < 0.0 { a * x.exp_m1() } else { x }
        }
    }
}
