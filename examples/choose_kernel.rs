//! Times every kernel for a convolution on this device: `cargo run --example choose_kernel`.
//!
//! Kernels are part of the crate, because a plan must know their grids and their packing of weights (see the documentation of
//! `residua::executor::gpu::kernels`). A program can overrule the choice of a kernel, as this one does.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::{error::Error, sync::Arc, time::Instant};

use residua::{
    checkpoint::Synthetic,
    executor::gpu::{Device, Executor, kernels::candidates, plan::Options},
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

fn main() -> Result<(), Box<dyn Error>> {
    let channels = 128;
    let mut graph = Graph::new(channels);
    let params = Conv2dParams {
        in_channels: channels,
        out_channels: channels,
        kernel: 3,
        stride: 1,
        padding: 1,
        dilation: 1,
        groups: 1,
    };
    let input = graph.input();
    graph.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[input]);
    let made_up = Synthetic { salt: "example".into(), damped: None, damp: 1.0 };
    let checkpoint = made_up.checkpoint("one convolution", &graph.tensors())?;
    let shape = Shape::new(1, channels, 28, 28);
    let image = Tensor::new(shape, made_up.input([1, channels, 28, 28]));

    let device = Arc::new(pollster::block_on(Device::open("auto", residua::Threads::host()))?);
    let usual = Executor::new(device.clone(), Network::new(graph, checkpoint), Options::new(StorageType::F32));
    let expected = pollster::block_on(usual.run(&image))?;
    for kernel in candidates(device.caps()) {
        let executor = usual.with_options(Options { forced: Some(kernel), ..Options::new(StorageType::F32) });
        let step = executor.plan(shape)?.steps.remove(0);
        if step.reason != "asked for".into() {
            continue;
        }
        let values = pollster::block_on(executor.run(&image))?;
        let start = Instant::now();
        pollster::block_on(executor.run(&image))?;
        let milliseconds = 1e3 * start.elapsed().as_secs_f64();
        let differences = values.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs());
        println!("{milliseconds:8.2} ms, largest difference {:.1e}: {kernel}", differences.fold(0.0, f32::max));
    }
    Ok(())
}
