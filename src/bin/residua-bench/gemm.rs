//! Times bare matrix products in the shapes of a network's convolutions: the same arithmetic without windows, epilogues or Winograd.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use residua::{
    Result,
    checkpoint::Synthetic,
    executor::gpu::{Device, Executor, Wanted, plan::Options},
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// Each product with its count in the network and its input.
pub(crate) struct Products(Vec<(u32, Executor, Tensor)>);

impl Products {
    /// The products of `network` for an input of shape `input`: rows are output pixels, columns are output channels, and the sum runs
    /// over the kernel's taps and a group's input channels. Each runs as a 1x1 convolution with the kernel chosen for it.
    pub(crate) fn new(network: &Network, input: Shape, wanted: Wanted, stored: StorageType) -> Result<Self> {
        let device = Arc::new(pollster::block_on(Device::open(wanted, residua::Threads::host()))?);
        let graph = network.graph();
        let shapes = graph.infer_shapes(input)?;
        let mut counts: BTreeMap<[usize; 3], u32> = BTreeMap::new();
        for (node, y) in graph.nodes().iter().zip(&shapes) {
            if let Op::Conv2d { params, .. } = &node.op {
                let terms = params.kernel * params.kernel * params.in_channels / params.groups;
                *counts.entry([terms, params.out_channels, y.n * y.pixels()]).or_default() += 1;
            }
        }
        let product = |([terms, outputs, pixels], count): ([usize; 3], u32)| {
            let mut graph = Graph::new(terms);
            let params = Conv2dParams {
                in_channels: terms,
                out_channels: outputs,
                kernel: 1,
                stride: 1,
                padding: 0,
                dilation: 1,
                groups: 1,
            };
            graph.push("product", Op::Conv2d { weight: "weight".into(), bias: None, params }, &[graph.input()]);
            let made_up = Synthetic { salt: "gemm".into(), damped: None, damp: 1.0 };
            let network = Network::new(graph.clone(), made_up.checkpoint("gemm", &graph.tensors())?);
            let shape = Shape::new(1, terms, 1, pixels);
            let input = Tensor::new(shape, made_up.input([1, terms, 1, pixels]));
            Ok((count, Executor::new(device.clone(), network, Options::new(stored)), input))
        };
        counts.into_iter().map(product).collect::<Result<_>>().map(Products)
    }

    /// The device's time for all products.
    pub(crate) fn time(&self) -> Result<Duration> {
        let mut total = Duration::ZERO;
        for (count, executor, input) in &self.0 {
            let (_, times) = pollster::block_on(executor.profile(input, 1, executor.device().clock()))?;
            total += *count * times.iter().sum::<Duration>();
        }
        Ok(total)
    }
}
