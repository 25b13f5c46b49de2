//! Gates of residual blocks: what scales each channel of each image before the addition.
//!
//! Source: Hu et al. 2017, "Squeeze-and-Excitation Networks" (figure 3).

use super::{
    Shapes,
    tally::{most_frequent, rows},
};
use crate::graph::{Conv2dParams, Graph, Op, Plain, ValueId};

/// How the gates of a block are computed from the means of its channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Gate {
    /// Two layers with ReLU between them and a sigmoid after them.
    SqueezeExcite {
        /// Channels between the two layers.
        squeeze: usize,
    },
}

impl Gate {
    /// Squeeze-and-excitation of `channels` channels, with about one squeezed channel for each `reduction` of them, as timm rounds: to
    /// the next multiple of 8, at least 8.
    pub(super) fn squeeze_excite(channels: usize, reduction: usize) -> Self {
        Gate::SqueezeExcite { squeeze: ((channels / reduction + 4) / 8 * 8).max(8) }
    }

    /// Appends the gate of a `block` to its value `x` of so many channels.
    pub(super) fn push(self, graph: &mut Graph, block: &str, channels: usize, x: ValueId) -> ValueId {
        let part = |part: &str| format!("{block}.se.{part}");
        let mean = graph.push(part("mean"), Plain::GlobalAvgPool, &[x]);
        let gate = match self {
            Gate::SqueezeExcite { squeeze } => {
                let y = pointwise(graph, part("fc1"), Conv2dParams::pointwise(channels, squeeze), mean);
                let y = graph.push(part("relu"), Op::Relu, &[y]);
                let y = pointwise(graph, part("fc2"), Conv2dParams::pointwise(squeeze, channels), y);
                graph.push(part("gate"), Op::Sigmoid, &[y])
            }
        };
        graph.push(part("scale"), Op::Scale, &[x, gate])
    }

    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Gate::SqueezeExcite { .. } => "squeeze-and-excitation",
        }
    }
}

/// The gates that the tensors of a network show.
pub(super) struct Gates<'a>(&'a Shapes);

impl<'a> Gates<'a> {
    /// Those that these tensors show.
    pub(super) fn read(shapes: &'a Shapes) -> Self {
        Gates(shapes)
    }

    /// The gate of the block of this name, which yields so many channels.
    pub(super) fn of(&self, block: &str, channels: usize) -> Option<Gate> {
        let module = format!("{block}.se.");
        let first = self.0.range(module.clone()..).next();
        first.filter(|(name, _)| name.starts_with(&module))?;
        let part = |part: &str| format!("{module}{part}");
        let columns = self.0.get(&part("fc2.weight")).and_then(|shape| shape.get(1).copied());
        let squeezes = rows(self.0, [part("fc1.weight"), part("fc1.bias")]).chain(columns);
        let squeeze = most_frequent(squeezes).map(|squeeze| Gate::SqueezeExcite { squeeze });
        Some(squeeze.unwrap_or_else(|| Gate::squeeze_excite(channels, 16)))
    }
}

/// A convolution with bias.
fn pointwise(graph: &mut Graph, name: String, params: Conv2dParams, x: ValueId) -> ValueId {
    let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
    graph.push(name, Op::Conv2d { weight, bias, params }, &[x])
}

/// The gates that tensors show and that are not supported.
pub(super) const UNSUPPORTED: [(&[&str], &str); 2] = [
    (&[".se_layer."], "squeeze-and-excitation of another spelling than timm's se.fc1 and se.fc2"),
    (&[".se.conv.", ".eca."], "efficient channel attention (ecaresnet)"),
];
