//! Layers: operators together with everything fused into them, independent of the executor.

use serde::{Deserialize, Serialize};

use crate::graph::{Conv2dParams, Plain, PoolParams, ValueId};

/// An operator with all operators fused into it. Its output is the graph value of the last node fused.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of the layer's first node.
    pub name: String,
    /// The operation.
    pub op: LayerOp,
    /// The input values, without the residual, which is in the epilogue.
    pub inputs: Vec<ValueId>,
    /// The output value in the graph.
    pub output: ValueId,
}

/// The operators that kernels compute.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerOp {
    /// Convolution, batch norm folded into its weights, with a prologue and an epilogue.
    Conv2d {
        /// Batch norm and ReLU on the input.
        prologue: Option<Norm>,
        /// Source of the weights.
        weights: ConvWeights,
        /// Parameters of the convolution.
        params: Conv2dParams,
        /// The operations after the sum.
        epilogue: Epilogue,
    },
    /// Two convolutions with these parameters, bias and ReLU, and the input added before the last ReLU. A plan merges the layer before and
    /// this one into it.
    Block {
        /// Number of the layer with the first convolution.
        first: usize,
        /// Parameters of both convolutions.
        params: Conv2dParams,
    },
    /// Maximum (`max`) or mean over a window.
    Pool2d {
        /// Batch norm and ReLU on the input.
        prologue: Option<Norm>,
        /// Maximum if true, else mean.
        max: bool,
        /// Parameters of the pooling.
        params: PoolParams,
    },
    /// An operator on its own.
    Plain {
        /// The operator.
        op: Plain,
        /// Source of the weights, if it has any.
        weights: Option<ConvWeights>,
    },
    /// Batch norm or a second input by channel (if any), addition and activation that could not be fused into a convolution. Without an
    /// input, the sum starts from zero.
    Elementwise {
        /// Scale and shift.
        norm: Option<Norm>,
        /// Use of the second input, `[N, C, 1, 1]`, if there is one.
        gate: Option<Gate>,
        /// The operations after that.
        epilogue: Epilogue,
    },
    /// All inputs concatenated along the channels.
    Concat,
}

/// Use of the second input of an elementwise layer, which has one number for each image and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// The input is multiplied by it.
    Scale,
    /// It is added to the input.
    Shift,
}

/// Names of the tensors from which a layer's weights and bias are computed.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// Weight tensor.
    pub weight: String,
    /// Bias tensor.
    pub bias: Option<String>,
    /// Batch norm that follows.
    pub norm: Option<Norm>,
    /// Parameters of the activation of an [`EvoNorm`](Plain::EvoNorm) or a [`FilterResponseNorm`](Plain::FilterResponseNorm), one for each
    /// channel.
    pub parameters: Option<String>,
}

/// A batch norm by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Prefix of `.weight`, `.bias`, `.running_mean` and `.running_var`.
    pub prefix: String,
    /// Channels.
    pub channels: usize,
    /// Epsilon, added to the variance.
    pub eps: f32,
}

/// Operations on a sum before it is stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Epilogue {
    /// Second addend.
    pub residual: Option<Addend>,
    /// The last operation.
    pub activation: Activation,
}

/// Second addend of an epilogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Addend {
    /// The value.
    pub value: ValueId,
    /// Shortcut A: every `stride`-th pixel of the value after `before` zero channels.
    pub subsample: Option<Subsample>,
}

/// Parameters of a shortcut A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsample {
    /// Stride in rows and columns.
    pub stride: usize,
    /// Zero channels before the value's.
    pub before: usize,
}

/// The last operation on a sum before it is stored. The shaders use the same numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// No operation.
    #[default]
    None = 0,
    /// Clamp at zero.
    Relu = 1,
    /// `1 / (1 + exp(-x))`.
    Sigmoid = 2,
}

impl Layer {
    /// Every value that the layer reads, the residual included.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        let added = if let LayerOp::Block { .. } = self.op { None } else { self.residual() };
        self.inputs.iter().copied().chain(added)
    }

    /// The second addend of the epilogue; a block adds its input.
    pub(crate) fn residual(&self) -> Option<ValueId> {
        match &self.op {
            LayerOp::Conv2d { epilogue, .. } | LayerOp::Elementwise { epilogue, .. } => {
                epilogue.residual.as_ref().map(|addend| addend.value)
            }
            LayerOp::Block { .. } => self.inputs.first().copied(),
            LayerOp::Pool2d { .. } | LayerOp::Plain { .. } | LayerOp::Concat => None,
        }
    }
}

impl LayerOp {
    /// The weights of the layer, its parameters as a convolution, and the shape of the weight tensor.
    pub(crate) fn weights(&self) -> Option<(&ConvWeights, Conv2dParams, Vec<usize>)> {
        match self {
            LayerOp::Conv2d { weights, params, .. } => Some((weights, *params, params.weight_shape().into())),
            LayerOp::Plain { op, weights } => {
                let (_, shape) = op.tensors().into_iter().next()?;
                let [rows, terms @ ..] = &shape[..] else { return None };
                Some((weights.as_ref()?, Conv2dParams::pointwise(terms.iter().product(), *rows), shape))
            }
            LayerOp::Block { .. } | LayerOp::Pool2d { .. } | LayerOp::Elementwise { .. } | LayerOp::Concat => None,
        }
    }

    /// The layer's batch norm, if it is not folded into weights.
    pub(crate) fn norm(&self) -> Option<&Norm> {
        match self {
            LayerOp::Conv2d { prologue: norm, .. }
            | LayerOp::Pool2d { prologue: norm, .. }
            | LayerOp::Elementwise { norm, .. } => norm.as_ref(),
            LayerOp::Block { .. } | LayerOp::Plain { .. } | LayerOp::Concat => None,
        }
    }

    /// Number of the layer with a block's first convolution.
    pub(crate) fn first(&self) -> Option<usize> {
        if let LayerOp::Block { first, .. } = self { Some(*first) } else { None }
    }
}
