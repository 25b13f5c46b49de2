//! The largest allowed difference of a value from the reference: the error bound of its sums, propagated through the network.
//!
//! To first order, a computed sum of `k` products is off by at most `k u` times the sum of their magnitudes, where `u` is half a unit in
//! the last place (Higham 2002, "Accuracy and Stability of Numerical Algorithms", section 3.1). Inputs that are off by `j u` times
//! their own bound of magnitudes add `j u` times that sum. So after any path of additions and products, a value is off by at most
//! `roundings * u * magnitude`, where `magnitude` is the network's value with every weight and pixel replaced by its magnitude.

use residua::{
    checkpoint::Checkpoint,
    executor::reference,
    graph::{Graph, Op, Plain},
    tensor::{Shape, StorageType, Tensor},
};

use crate::common;

/// Error bounds for the values of `graph`, one tensor per node, if no convolution uses Winograd's algorithm.
pub(crate) fn bounds(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, stored: StorageType) -> Vec<Tensor> {
    let shapes = graph.infer_shapes(input.shape).unwrap();
    let (absolute, weights) = magnitudes(graph, checkpoint, &shapes);
    let pixels = Tensor { shape: input.shape, data: input.data.iter().map(|x| magnitude(*x)).collect() };
    let mut values = reference::run(&absolute, &weights, &pixels).unwrap();
    for (value, roundings) in values.iter_mut().zip(roundings(graph, &shapes)) {
        let unit = match stored {
            StorageType::F32 => (roundings.sums + roundings.stores) * 2_f64.powi(-24),
            StorageType::F16 => roundings.sums * 2_f64.powi(-24) + roundings.stores * 2_f64.powi(-11),
        };
        value.data.iter_mut().for_each(|x| *x = (f64::from(*x) * unit) as f32);
    }
    values
}

/// The magnitude of `x`, or f16's smallest normal number if larger: below that, f16's errors do not get smaller.
fn magnitude(x: f32) -> f32 {
    x.abs().max(2_f32.powi(-14))
}

/// The network of magnitudes. A batch norm `1 + x/4` replaces the sigmoid, which is bounded by its value at zero and its steepest slope,
/// `1/2 + x/4`.
fn magnitudes(graph: &Graph, checkpoint: &Checkpoint, shapes: &[Shape]) -> (Graph, Checkpoint) {
    let mut out = Graph::new(shapes[0].c);
    let mut tensors: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for (name, shape) in graph.tensors() {
        let values = checkpoint.tensor(&name, &shape).unwrap();
        // The mean is subtracted, so its magnitude needs the opposite sign.
        let sign = if name.ends_with("running_mean") { -1.0 } else { 1.0 };
        tensors.push((name, shape, values.iter().map(|x| sign * magnitude(*x)).collect()));
    }
    for (node, shape) in graph.nodes().iter().zip(shapes).skip(1) {
        let op = if node.op == Op::Sigmoid {
            let (prefix, channels) = (format!("{}.bound", node.name), shape.c);
            for (part, value) in [("weight", 0.25), ("bias", 1.0), ("running_mean", 0.0), ("running_var", 1.0)] {
                tensors.push((format!("{prefix}.{part}"), vec![channels], vec![value; channels]));
            }
            Op::BatchNorm { prefix, channels, eps: 0.0 }
        } else {
            node.op.clone()
        };
        out.push(node.name.clone(), op, &node.inputs);
    }
    (out, Checkpoint::from_bytes("magnitudes", common::safetensors(&tensors)).unwrap())
}

/// Roundings on the way to a value: of sums, in f32, and of stored weights and values.
#[derive(Clone, Copy, Default)]
struct Roundings {
    sums: f64,
    stores: f64,
}

fn roundings(graph: &Graph, shapes: &[Shape]) -> Vec<Roundings> {
    let mut all: Vec<Roundings> = Vec::with_capacity(shapes.len());
    for node in graph.nodes() {
        let inputs = || node.inputs.iter().map(|id| all[id.0]);
        let longest = Roundings {
            sums: inputs().map(|r| r.sums).fold(0.0, f64::max),
            stores: inputs().map(|r| r.stores).fold(0.0, f64::max),
        };
        let before = match node.op {
            // Errors of both factors add up.
            Op::Scale => inputs()
                .fold(Roundings::default(), |a, b| Roundings { sums: a.sums + b.sums, stores: a.stores + b.stores }),
            _ => longest,
        };
        let terms = match &node.op {
            Op::Conv2d { params, .. } => params.weight_shape()[1..].iter().product(),
            Op::AvgPool2d(window) => window.kernel * window.kernel,
            Op::Plain { op: Plain::Linear { in_features, .. }, .. } => *in_features,
            Op::Plain { op: Plain::GlobalAvgPool | Plain::GlobalAvgMaxPool, .. } => shapes[node.inputs[0].0].pixels(),
            Op::Plain { op: Plain::ChannelGate { kernel }, .. } => *kernel + 16,
            // Vulkan's exp is off by at most 3 + 2|x| units, its division by 2.5.
            Op::Sigmoid => 16,
            _ => 0,
        };
        // Scale, shift and bias are each rounded once or twice before use.
        all.push(Roundings { sums: before.sums + terms as f64 + 8.0, stores: before.stores + 3.0 });
    }
    all
}
