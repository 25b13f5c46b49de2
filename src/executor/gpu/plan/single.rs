//! A single layer as a network, to run and time it.

use super::Case;
use crate::{
    Result,
    checkpoint::Synthetic,
    executor::gpu::kernels::{Applied, Elementwise, Problem, conv2d::Conv2d},
    graph::{Graph, Op, PoolParams, ValueId},
    network::Network,
    tensor::{Shape, Tensor},
};

/// The network of a [`Case`].
#[derive(Debug)]
pub struct SingleLayer {
    /// Batch norm and ReLU if there is a prologue, then the layer, then a layer that reads its value.
    pub network: Network,
    /// The values of the layer and of its reader. If both are wanted, the first is stored as it is between layers.
    pub values: [ValueId; 2],
    /// An input of the case's size, with values in -3..3.
    pub input: Tensor,
}

impl SingleLayer {
    /// Builds the case with made-up weights and input.
    ///
    /// # Errors
    /// The errors of [`Synthetic::checkpoint`].
    pub fn new(case: &Case) -> Result<Self> {
        let (weight, bias) = (String::from("layer.weight"), Some("layer.bias".into()));
        let (op, prologue, x) = match case.problem {
            Problem::Conv2d(conv) => (Op::Conv2d { weight, bias, params: conv.params }, conv.prologue, conv.x),
            Problem::Pool2d(pool) if pool.max => (Op::MaxPool2d(pool.params), pool.prologue, pool.x),
            Problem::Pool2d(pool) => (Op::AvgPool2d(pool.params), pool.prologue, pool.x),
            Problem::Plain(Applied { op, x, .. }) => (op.named("layer"), false, x),
            // `Case::of` makes no case of these.
            Problem::Block(Conv2d { y, .. }) | Problem::Elementwise(Elementwise { y, .. }) | Problem::Pixels(y) => {
                (Op::Relu, false, y)
            }
        };
        let shape = x.shape;
        let mut graph = Graph::new(shape.c);
        let mut x = graph.input();
        if prologue {
            let norm = Op::BatchNorm { prefix: "norm".into(), channels: shape.c, eps: 1e-5 };
            x = graph.push("norm", norm, &[x]);
            x = graph.push("relu", Op::Relu, &[x]);
        }
        let value = graph.push("layer", op, &[x]);
        let window = PoolParams { kernel: 1, stride: 1, padding: 0, ceil: false };
        let reader = graph.push("reader", Op::MaxPool2d(window), &[value]);
        let made_up = Synthetic { salt: "single".into(), damped: None, damp: 1.0 };
        let checkpoint = made_up.checkpoint("single", &graph.tensors())?;
        let Shape { n, c, h, w } = shape;
        let input = Tensor::new(shape, made_up.input([n, c, h, w]));
        Ok(SingleLayer { network: Network::new(graph, checkpoint), values: [value, reader], input })
    }
}
