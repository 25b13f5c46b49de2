//! Builds a custom network from graph nodes and runs it on the device and on the CPU reference: `cargo run --example own_network`.
//!
//! It has three convolutions, one of them with a shortcut, and a head for ten classes. The weights are synthetic; `Checkpoint::open` reads
//! weights with the same names from a safetensors file.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::error::Error;

use residua::{
    Classifier,
    checkpoint::Synthetic,
    graph::{Conv2dParams, Graph, Op, Plain, ValueId},
    tensor::{Shape, Tensor},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut graph = Graph::new(3);
    let input = graph.input();
    let stem = convolution(&mut graph, "stem", [3, 16], input);
    let stem = graph.push("stem.relu", Op::Relu, &[stem]);
    let long = convolution(&mut graph, "block", [16, 16], stem);
    let sum = graph.push("block.add", Op::Add, &[long, stem]);
    let sum = graph.push("block.relu", Op::Relu, &[sum]);
    let mean = graph.push("mean", Plain::GlobalAvgPool, &[sum]);
    graph.push("head", Plain::Linear { in_features: 16, out_features: 10 }.named("head"), &[mean]);

    let made_up = Synthetic { salt: "example".into(), damped: None, damp: 1.0 };
    let checkpoint = made_up.checkpoint("own", &graph.tensors())?;
    let input = Tensor::new(Shape::new(1, 3, 32, 32), made_up.input([1, 3, 32, 32]));
    let logits = |device: &str| {
        let settings = Classifier::builder().graph(graph.clone()).checkpoint(checkpoint.clone(), None).crop(32);
        settings.device(device).open()?.logits(&input)
    };
    let (here, reference) = (logits("auto")?, logits("reference")?);
    for (class, (here, reference)) in here.data.iter().zip(&reference.data).enumerate() {
        println!("class {class}: {here:9.5} on the device, {reference:9.5} on the reference");
    }
    Ok(())
}

/// A 3x3 convolution with its batch norm.
fn convolution(graph: &mut Graph, name: &str, [in_channels, out_channels]: [usize; 2], x: ValueId) -> ValueId {
    let params = Conv2dParams { in_channels, out_channels, kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1 };
    let x = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[x]);
    let norm = Op::BatchNorm { prefix: format!("{name}.norm"), channels: out_channels, eps: 1e-5 };
    graph.push(format!("{name}.norm"), norm, &[x])
}
