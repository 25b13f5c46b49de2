//! A convolution as a network of its own, to be run and timed.

use super::{Case, Network};
use crate::{
    Result,
    checkpoint::Synthetic,
    graph::{Graph, Op, PoolParams, ValueId},
    tensor::{Shape, Tensor},
};

/// The network of a [`Case`].
#[derive(Debug)]
pub struct Alone {
    /// Batch norm and ReLU where there is a prologue, the convolution, and a layer that reads its value.
    pub network: Network,
    /// The convolution's value, and its reader's: where both are wanted, the first is stored as between layers.
    pub values: [ValueId; 2],
    /// An input of the case's size, numbers in -3..3.
    pub input: Tensor,
}

impl Case {
    /// The case with made-up weights and input.
    ///
    /// # Errors
    /// Those of [`Synthetic::checkpoint`].
    pub fn alone(&self) -> Result<Alone> {
        let mut graph = Graph::new(self.in_channels);
        let mut x = graph.input();
        if self.prologue {
            let norm = Op::BatchNorm { prefix: "norm".into(), channels: self.in_channels, eps: 1e-5 };
            x = graph.push("norm", norm, &[x]);
            x = graph.push("relu", Op::Relu, &[x]);
        }
        let (weight, bias) = ("conv.weight".into(), Some("conv.bias".into()));
        let value = graph.push("conv", Op::Conv2d { weight, bias, params: self.conv().params }, &[x]);
        let window = PoolParams { kernel: 1, stride: 1, padding: 0, ceil: false };
        let reader = graph.push("reader", Op::MaxPool2d(window), &[value]);
        let made_up = Synthetic { salt: "alone".into(), damped: None, damp: 1.0 };
        let checkpoint = made_up.checkpoint("alone", &graph.tensors())?;
        let shape = self.conv().x.shape;
        let Shape { n, c, h, w } = shape;
        let input = Tensor::new(shape, made_up.input([n, c, h, w]));
        Ok(Alone { network: Network::new(graph, checkpoint), values: [value, reader], input })
    }
}
