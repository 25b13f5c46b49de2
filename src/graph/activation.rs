//! Activations: functions of one number that follow a convolution and its norm.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An elementwise function. ReLU and the sigmoid are also operators of [`Op`](super::Op), because other operators are fused with them.
///
/// Definitions are PyTorch's (`torch.nn.functional`) unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Activation {
    /// `x`.
    Identity,
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, 0), 6)`.
    Relu6,
    /// `x` if it is at least zero, otherwise this slope times `x`.
    LeakyRelu(f32),
    /// `x * sigmoid(x)`.
    Silu,
    /// `x * tanh(ln(1 + exp(x)))`.
    Mish,
    /// `x * Phi(x)`, where `Phi` is the cumulative distribution function of the standard normal distribution.
    Gelu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3)))`.
    GeluTanh,
    /// `x * sigmoid(1.702 x)`.
    QuickGelu,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// `tanh(x)`.
    Tanh,
    /// `min(max(x + 3, 0), 6) / 6`.
    HardSigmoid,
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x / 2 * min(max(x + 2, 0), 2)`, as timm defines it.
    HardMish,
    /// `x` if it is at least zero, otherwise this number times `exp(x) - 1`.
    Elu(f32),
    /// `x` if it is at least zero, otherwise `a * (exp(x / a) - 1)` for this number `a`.
    Celu(f32),
    /// `1.0507 * x` if `x` is at least zero, otherwise `1.0507 * 1.6733 * (exp(x) - 1)`.
    Selu,
}

impl Activation {
    /// The two constants of [`Activation::Selu`]: the scale, and the factor of the exponential (Klambauer et al. 2017, "Self-Normalizing
    /// Neural Networks", equation 14).
    #[doc(hidden)]
    pub const SELU: [f64; 2] = [1.050_700_987_355_480_5, 1.673_263_242_354_377_2];

    /// The name in timm, for example `leaky_relu`.
    #[doc(hidden)]
    pub fn name(self) -> &'static str {
        match self {
            Activation::Identity => "identity",
            Activation::Relu => "relu",
            Activation::Relu6 => "relu6",
            Activation::LeakyRelu(_) => "leaky_relu",
            Activation::Silu => "silu",
            Activation::Mish => "mish",
            Activation::Gelu => "gelu",
            Activation::GeluTanh => "gelu_tanh",
            Activation::QuickGelu => "quick_gelu",
            Activation::Sigmoid => "sigmoid",
            Activation::Tanh => "tanh",
            Activation::HardSigmoid => "hard_sigmoid",
            Activation::HardSwish => "hard_swish",
            Activation::HardMish => "hard_mish",
            Activation::Elu(_) => "elu",
            Activation::Celu(_) => "celu",
            Activation::Selu => "selu",
        }
    }

    /// The parameter, if the activation has one: slope or scale of the negative side.
    #[doc(hidden)]
    pub fn parameter(self) -> Option<f32> {
        match self {
            Activation::LeakyRelu(number) | Activation::Elu(number) | Activation::Celu(number) => Some(number),
            _ => None,
        }
    }

    /// Parses the name of an activation in timm, torch or transformers, for example `LeakyReLU` or `gelu_new`. A parameter may follow a
    /// colon, as in `leaky_relu:0.2`; the default is PyTorch's.
    #[doc(hidden)]
    pub fn parse(text: &str) -> Option<Self> {
        let (name, number) = text.split_once(':').map_or((text, None), |(name, number)| (name, Some(number)));
        let number = match number {
            Some(number) => Some(number.trim().parse::<f32>().ok().filter(|n| n.is_finite() && n.abs() <= 1e3)?),
            None => None,
        };
        let plain: String = name.trim().to_lowercase().chars().filter(|c| !matches!(c, '_' | '-')).collect();
        let activation = match plain.as_str() {
            "leakyrelu" => Activation::LeakyRelu(number.unwrap_or(0.01)),
            "elu" => Activation::Elu(number.unwrap_or(1.0)),
            "celu" => Activation::Celu(number.unwrap_or(1.0)).some_scale()?,
            _ if number.is_some() => return None,
            "identity" | "linear" => Activation::Identity,
            "relu" => Activation::Relu,
            "relu6" => Activation::Relu6,
            "silu" | "swish" => Activation::Silu,
            "mish" => Activation::Mish,
            "gelu" | "gelupython" => Activation::Gelu,
            "gelutanh" | "gelunew" | "gelufast" | "geluaccurate" | "gelupytorchtanh" | "gelupythontanh" => {
                Activation::GeluTanh
            }
            "quickgelu" => Activation::QuickGelu,
            "sigmoid" => Activation::Sigmoid,
            "tanh" => Activation::Tanh,
            "hardsigmoid" => Activation::HardSigmoid,
            "hardswish" => Activation::HardSwish,
            "hardmish" => Activation::HardMish,
            "selu" => Activation::Selu,
            _ => return None,
        };
        Some(activation)
    }

    /// `None` for a scale of zero, by which CELU would divide.
    fn some_scale(self) -> Option<Self> {
        self.parameter().is_none_or(|scale| scale.abs() > 1e-6).then_some(self)
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        self.parameter().map_or(Ok(()), |number| write!(f, ":{number}"))
    }
}
