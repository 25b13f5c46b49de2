//! Compares each executor, and each kernel on the GPU, with the reference: one operator at a time, in shapes of real models and edge cases.
//!
//! Small integers are compared exactly: every product and partial sum is an integer below 2^11, which f32 and f16 hold
//! exactly. So the order of a sum does not matter, and any difference is an indexing error.

mod activations;
mod block;
mod channels;
#[path = "../common/mod.rs"]
mod common;
mod conv2d;
mod fused;
mod operators;
mod winograd;

use std::{collections::HashMap, sync::Arc};

use common::executors::Machine;
use residua::{
    checkpoint::{Checkpoint, Synthetic},
    executor::{
        gpu::{
            Device, Executor,
            kernels::{KernelId, candidates},
            plan::{Options, Plan},
        },
        reference,
    },
    graph::Graph,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// A checkpoint with these tensors, each filled with `value(flat index)`.
fn checkpoint(tensors: &[(String, Vec<usize>)], value: impl Fn(usize) -> f32) -> Checkpoint {
    let bytes: HashMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|(name, shape)| {
            let values: Vec<f32> = (0..shape.iter().product()).map(&value).collect();
            (name.as_str(), bytemuck::cast_slice(&values).to_vec())
        })
        .collect();
    let views = tensors.iter().map(|(name, shape)| {
        let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), &bytes[name.as_str()]);
        (name, view.unwrap())
    });
    Checkpoint::from_bytes("test", safetensors::serialize(views, None).unwrap()).unwrap()
}

/// The synthetic tensors of `graph`, with each value replaced by its magnitude.
fn magnitudes(graph: &Graph, weights: &Synthetic) -> Checkpoint {
    let tensors: HashMap<String, Vec<f32>> = graph
        .tensors()
        .into_iter()
        .map(|(name, shape)| {
            let values = weights.tensor(&name, &shape).into_iter().map(f32::abs).collect();
            (name, values)
        })
        .collect();
    let views = graph.tensors().into_iter().map(|(name, shape)| {
        let bytes = bytemuck::cast_slice(&tensors[&name]);
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap())
    });
    Checkpoint::from_bytes("magnitudes", safetensors::serialize(views, None).unwrap()).unwrap()
}

/// The magnitudes of `tensor`.
fn positive(tensor: &Tensor) -> Tensor {
    Tensor::new(tensor.shape, tensor.data.iter().map(|v| v.abs()).collect())
}

/// A pseudo-random integer in -2..=2.
fn small(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (mixed % 5) as f32 - 2.0
}

fn on_gpu(device: &Arc<Device>, graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, options: Options) -> Tensor {
    let executor = Executor::new(device.clone(), Network::new(graph.clone(), checkpoint.clone()), options);
    pollster::block_on(executor.run(input)).unwrap()
}

/// The storage precisions.
const ALL: &[StorageType] = &[StorageType::F32, StorageType::F16];
const F32: &[StorageType] = &[StorageType::F32];

/// The outputs for `input` of every executor with one of these `precisions`, or of the machine's device if a kernel is `forced`, each with
/// the executor's name.
fn outputs(
    machine: &Machine,
    graph: &Graph,
    checkpoint: &Checkpoint,
    input: &Tensor,
    forced: Option<KernelId>,
    precisions: &[StorageType],
) -> Vec<(String, Tensor)> {
    let Some(kernel) = forced else {
        let among = machine.executors.iter().filter(|executor| precisions.contains(&executor.stored));
        return among.map(|executor| (executor.to_string(), executor.output(graph, checkpoint, input))).collect();
    };
    let there = common::precisions(&machine.device, "kernels").into_iter().filter(|stored| precisions.contains(stored));
    let on = |stored| {
        let options = Options { forced, ..Options::new(stored) };
        (format!("{kernel} in {stored}"), on_gpu(&machine.device, graph, checkpoint, input, options))
    };
    there.map(on).collect()
}

/// Runs a graph on integers, on every executor or with one kernel in each precision, and requires the reference's bits.
fn exact(machine: &Machine, what: &str, graph: &Graph, input: Shape, forced: Option<KernelId>) {
    let checkpoint = checkpoint(&graph.tensors(), small);
    let input = Tensor::new(input, (0..input.elements()).map(|i| small(i + 7)).collect());
    let expected = reference::logits(graph, &checkpoint, &input).unwrap();
    assert!(expected.data.iter().any(|v| *v != 0.0), "{what}: an output of only zeros proves nothing");
    assert!(expected.data.iter().all(|v| v.abs() < 2048.0), "{what}: not exact in f16");
    for (who, got) in outputs(machine, graph, &checkpoint, &input, forced, ALL) {
        assert_eq!(got.shape, expected.shape, "{what} {who}");
        let wrong = (0..got.data.len()).find(|&i| got.data[i] != expected.data[i]);
        if let Some(i) = wrong {
            panic!("{what}, {who}: element {i}: got {}, expected {}", got.data[i], expected.data[i]);
        }
    }
}

/// Calls [`exact`] for every executor, and for every exact kernel that can compute a layer of the graph.
fn each_exact(machine: &Machine, what: &str, graph: &Graph, input: Shape) {
    exact(machine, what, graph, input, None);
    let network = Network::new(graph.clone(), checkpoint(&graph.tensors(), small));
    let caps = machine.device.caps();
    for kernel in candidates(caps).filter(|kernel| kernel.is_exact()) {
        let options = Options { forced: Some(kernel), ..Options::new(StorageType::F32) };
        let plan = Plan::new(&network, input, &[graph.output()], &options, caps).unwrap();
        if plan.steps.iter().any(|step| step.kernel == kernel) {
            exact(machine, what, graph, input, Some(kernel));
        }
    }
}
