//! Residual blocks in one dispatch.

use residua::{
    checkpoint::{Checkpoint, Synthetic},
    executor::{
        gpu::{
            Executor,
            kernels::{Caps, KernelId, Problem, block_threads, candidates},
            plan::{Options, Plan},
        },
        reference,
    },
    graph::{Graph, Op, ValueId},
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    ALL, F32, checkpoint,
    common::{self, device, executors::machine},
    conv2d::conv,
    magnitudes, outputs, positive, small,
};

/// The blocks of the CIFAR networks, images cut into even and uneven parts, widths and channels that are not multiples of a tile, and an
/// image of one pixel.
const BLOCKS: [(usize, usize, usize, usize); 9] = [
    (1, 16, 32, 32),
    (2, 32, 16, 16),
    (1, 64, 8, 8),
    (3, 16, 41, 29),
    (2, 5, 6, 7),
    (1, 20, 9, 1),
    (2, 8, 1, 1),
    (5, 12, 3, 50),
    (1, 56, 11, 9),
];

/// A block; returns the value between its convolutions.
fn block((n, c, h, w): (usize, usize, usize, usize)) -> (Graph, ValueId) {
    let mut graph = Graph::new(c);
    let (input, layer) = (graph.input(), conv((n, c, h, w), c, 3, 1, 1));
    let first = layer.push(&mut graph, "first", input);
    let middle = graph.push("relu1", Op::Relu, &[first]);
    let second = layer.push(&mut graph, "second", middle);
    let sum = graph.push("add", Op::Add, &[second, input]);
    graph.push("relu2", Op::Relu, &[sum]);
    (graph, middle)
}

fn block_kernels() -> Vec<KernelId> {
    let device = device();
    let block = conv(BLOCKS[0], BLOCKS[0].1, 3, 1, 1).problem();
    let Problem::Conv2d(second) = block else { unreachable!("a convolution") };
    let serves = |kernel: &KernelId| kernel.serves(&Problem::Block(second), StorageType::F32, device.caps());
    let kernels: Vec<KernelId> = candidates(device.caps()).filter(serves).collect();
    assert!(!kernels.is_empty());
    kernels
}

fn plan(graph: &Graph, input: Shape, keep: &[ValueId], options: &Options, caps: &Caps) -> Plan {
    // Planning needs only the shapes of the weights, not their values.
    let nothing = Checkpoint::from_bytes("none", [&2_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    Plan::new(&Network::new(graph.clone(), nothing), input, keep, options, caps).unwrap()
}

fn asked_for(kernel: KernelId, stored: StorageType) -> Options {
    Options { forced: Some(kernel), ..Options::new(stored) }
}

#[test]
fn blocks_are_exact_on_integers() {
    let machine = machine();
    let device = &machine.device;
    for shape @ (n, c, h, w) in BLOCKS {
        let (graph, _) = block(shape);
        // Sparse weights keep the sums of sums among the integers that f16 holds exactly.
        let sparse = checkpoint(&graph.tensors(), |i| if i % 7 == 3 { small(i) } else { 0.0 });
        let shape = Shape::new(n, c, h, w);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| small(i + 7)).collect());
        let expected = reference::logits(&graph, &sparse, &input).unwrap();
        assert!(expected.data.iter().all(|v| v.abs() < 2048.0) && expected.data.iter().any(|v| *v > 2.0), "{shape}");
        for kernel in block_kernels().into_iter().map(Some).chain([None]) {
            for &stored in if kernel.is_some() { ALL } else { &[] } {
                let options = Options { forced: kernel, ..Options::new(stored) };
                assert_eq!(plan(&graph, shape, &[graph.output()], &options, device.caps()).steps.len(), 1, "{shape}");
            }
            for (who, got) in outputs(&machine, &graph, &sparse, &input, kernel, ALL) {
                // The CPU uses Winograd's convolution here, whose points are not integers.
                let bound = if who.starts_with("cpu") { 1e-5 } else { 0.0 };
                let wrong = (0..got.data.len()).find(|&i| (got.data[i] - expected.data[i]).abs() > bound * 2048.0);
                if let Some(i) = wrong {
                    panic!("{shape} {who}: element {i}: got {}, expected {}", got.data[i], expected.data[i]);
                }
            }
        }
    }
}

#[test]
fn blocks_on_floats_are_within_the_bound_of_their_sums() {
    let machine = machine();
    for shape @ (n, c, h, w) in [BLOCKS[0], BLOCKS[2], BLOCKS[4]] {
        let (graph, _) = block(shape);
        let weights = Synthetic { salt: "block".into(), damped: None, damp: 1.0 };
        let input = Tensor::new(Shape::new(n, c, h, w), weights.input([n, c, h, w]));
        let signed = weights.checkpoint("signed", &graph.tensors()).unwrap();
        let expected = reference::logits(&graph, &signed, &input).unwrap();
        let scale = reference::logits(&graph, &magnitudes(&graph, &weights), &positive(&input)).unwrap();
        for kernel in block_kernels().into_iter().map(Some).chain([None]) {
            for (who, got) in outputs(&machine, &graph, &signed, &input, kernel, F32) {
                // With S the sums of magnitudes, |error| <= eps (K + 4) S after the first convolution (Higham 2002, section 3.1). ReLU
                // does not increase it; the second convolution propagates it and adds its own.
                let bound = 2.0 * f32::EPSILON * (9 * c + 4) as f32;
                for i in 0..got.data.len() {
                    let error = (got.data[i] - expected.data[i]).abs();
                    assert!(error <= bound * scale.data[i], "{n}x{c}x{h}x{w} {who}: element {i}: error {error:e}");
                }
            }
        }
    }
}

#[test]
fn a_value_inside_of_a_block_is_computed_where_it_is_wanted() {
    let device = device();
    let (graph, middle) = block(BLOCKS[1]);
    let (n, c, h, w) = BLOCKS[1];
    let weights = Synthetic { salt: "inside".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("inside", &graph.tensors()).unwrap();
    let input = Tensor::new(Shape::new(n, c, h, w), weights.input([n, c, h, w]));
    let wanted = [middle, graph.output()];
    let expected = reference::values(&graph, &checkpoint, &input, &wanted).unwrap();
    let network = Network::new(graph.clone(), checkpoint);
    let executor = Executor::new(device.clone(), network, asked_for(block_threads::ID, StorageType::F32));
    let got = pollster::block_on(executor.values(&input, &wanted)).unwrap();
    for (got, expected) in got.iter().zip(&expected) {
        common::compare(&got.data, &expected.data, 1e-5).unwrap();
    }
    let has_block = |graph: &Graph, keep: &[ValueId]| {
        let plan = plan(graph, input.shape, keep, &executor.options(), device.caps());
        plan.steps.iter().any(|step| step.name.contains(" + "))
    };
    assert!(has_block(&graph, &[graph.output()]) && !has_block(&graph, &wanted));
    let mut read_twice = graph.clone();
    read_twice.push("again", Op::Add, &[graph.output(), middle]);
    assert!(!has_block(&read_twice, &[read_twice.output()]));
    let mut other_shortcut = graph.clone();
    let projected = conv(BLOCKS[1], c, 1, 1, 1).push(&mut other_shortcut, "projection", graph.output());
    let layer = conv(BLOCKS[1], c, 3, 1, 1);
    let first = layer.push(&mut other_shortcut, "third", graph.output());
    let relu = other_shortcut.push("relu3", Op::Relu, &[first]);
    let second = layer.push(&mut other_shortcut, "fourth", relu);
    let sum = other_shortcut.push("sum", Op::Add, &[second, projected]);
    other_shortcut.push("relu4", Op::Relu, &[sum]);
    let steps =
        plan(&other_shortcut, input.shape, &[other_shortcut.output()], &executor.options(), device.caps()).steps;
    assert_eq!(steps.iter().filter(|step| step.name.contains(" + ")).count(), 1);
}

/// Networks of 600 blocks, of which 598 have an identity shortcut.
#[test]
fn resnet1202_is_at_most_700_dispatches() {
    let device = device();
    let software = device.caps();
    let hardware = |subgroup, workgroup_bytes| Caps {
        software: false,
        subgroup,
        registers: 32,
        workgroup_bytes,
        max_binding_bytes: 1 << 30,
        ..software.clone()
    };
    for name in ["cifar_resnet1202a", "cifar_resnet1202b"] {
        let graph = Architecture::by_name(name).unwrap().graph();
        let count = |batch: usize, options: &Options, caps: &Caps| {
            plan(&graph, Shape::new(batch, 3, 32, 32), &[graph.output()], options, caps).steps.len()
        };
        for stored in [StorageType::F32, StorageType::F16] {
            for caps in [hardware(Some(32), 48 << 10), hardware(None, 16 << 10)] {
                assert!(count(1, &Options::new(stored), &caps) <= 700, "{name} {stored}");
                assert!(count(64, &asked_for(block_threads::ID, stored), &caps) <= 700, "{name} {stored}, asked for");
            }
            if device.info().kind.software() {
                assert!(count(1, &Options::new(stored), software) <= 700, "{name} {stored}, software");
            }
        }
    }
}
