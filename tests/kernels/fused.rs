//! Fusions and moves by the plan: concatenations in place, norms in loads, means before convolutions.

use residua::{
    checkpoint::Synthetic,
    executor::{
        gpu::{
            kernels::{KernelId, candidates},
            plan::{Options, Plan},
        },
        reference,
    },
    graph::{Graph, Op, PoolParams, ValueId},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    F32, checkpoint,
    common::{self, executors::machine},
    conv2d::{conv, label},
    exact, outputs, small,
};

/// Repeatedly concatenates a value with a value computed from it: the plan places each concatenation inside the next.
#[test]
fn concatenations_grow_in_place() {
    let machine = machine();
    // Channel counts that fill whole vectors, and channel counts that do not, so that a copy is needed.
    for growth in [8, 6] {
        let mut graph = Graph::new(4);
        let first = conv((2, 4, 9, 7), 12, 3, 1, 1);
        let mut x = first.push(&mut graph, "stem", ValueId(0));
        for (i, channels) in [12, 12 + growth, 12 + 2 * growth].into_iter().enumerate() {
            let narrow = conv((2, channels, 9, 7), 16, 1, 1, 1);
            let wide = conv((2, 16, 9, 7), growth, 3, 1, 1);
            let narrow = narrow.push(&mut graph, &format!("narrow{i}"), x);
            let y = wide.push(&mut graph, &format!("wide{i}"), narrow);
            x = graph.push(format!("concat{i}"), Op::Concat, &[x, y]);
        }
        // Sums of sums soon exceed the integers that f16 holds; sparse weights keep them small.
        let sparse = checkpoint(&graph.tensors(), |i| if i % 11 == 3 { small(i) } else { 0.0 });
        let shape = Shape::new(2, 4, 9, 7);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| small(i + 7)).collect());
        let expected = reference::logits(&graph, &sparse, &input).unwrap();
        assert!(expected.data.iter().all(|v| v.abs() < 2048.0));
        for forced in candidates(machine.device.caps()).map(Some).chain([None]) {
            let options = Options { forced, ..Options::new(StorageType::F32) };
            let network = Network::new(graph.clone(), sparse.clone());
            let copies = Plan::new(&network, shape, &[graph.output()], &options, machine.device.caps()).unwrap();
            let copies = copies.steps.iter().filter(|step| step.name.starts_with("concat")).count();
            assert_eq!(copies, if growth == 8 { 0 } else { 4 }, "growth {growth}: concatenations that copy");
            for (who, got) in outputs(&machine, &graph, &sparse, &input, forced, F32) {
                // Winograd's points are irrational, so its sums are exact only after rounding.
                let rounded: Vec<f32> = got.data.iter().map(|v| v.round()).collect();
                assert_eq!(rounded, expected.data, "growth {growth} {who}");
            }
        }
    }
}

/// DenseNet's batch norm and ReLU are fused into the loads of the next convolution or pooling.
#[test]
fn a_batch_norm_and_relu_before_a_convolution_or_pooling() {
    let machine = machine();
    let check = |what: &str, shape: Shape, kernel: Option<KernelId>, build: &dyn Fn(&mut Graph, ValueId)| {
        let mut graph = Graph::new(shape.c);
        let input = graph.input();
        let norm = Op::BatchNorm { prefix: "norm".into(), channels: shape.c, eps: 1e-5 };
        let norm = graph.push("norm", norm, &[input]);
        let relu = graph.push("relu", Op::Relu, &[norm]);
        build(&mut graph, relu);
        let weights = Synthetic { salt: "prologue".into(), damped: None, damp: 1.0 };
        let checkpoint = weights.checkpoint("prologue", &graph.tensors()).unwrap();
        let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        let options = Options { forced: kernel, ..Options::new(StorageType::F32) };
        let network = Network::new(graph.clone(), checkpoint.clone());
        let steps = Plan::new(&network, shape, &[graph.output()], &options, machine.device.caps()).unwrap().steps.len();
        let own = if kernel.is_some_and(|kernel| kernel.to_string().starts_with("conv2d.sliced")) { 2 } else { 1 };
        assert_eq!(steps, own, "{what}: the batch norm needs no dispatch");
        for (who, got) in outputs(&machine, &graph, &checkpoint, &input, kernel, F32) {
            // Sums of at most 9 * 36 terms of about the same size are off by eps times their number.
            let compared = common::compare(&got.data, &expected.data, 324.0 * f32::EPSILON);
            compared.unwrap_or_else(|e| panic!("{what}, {who}: {e}"));
        }
    };
    for conv in [conv((2, 36, 7, 5), 20, 1, 1, 1), conv((1, 12, 6, 9), 12, 3, 1, 1), conv((1, 32, 6, 5), 32, 3, 2, 4)] {
        for kernel in conv.kernels(&machine.device).into_iter().filter(|kernel| kernel.is_exact()) {
            let build = |graph: &mut Graph, x| {
                conv.push(graph, "conv", x);
            };
            check(&format!("{} {kernel}", label(&conv)), conv.shape(), Some(kernel), &build);
        }
    }
    let window = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false };
    for op in [Op::AvgPool2d(window), Op::MaxPool2d(window)] {
        check(op.name(), Shape::new(2, 10, 6, 8), None, &|graph, x| {
            graph.push("pool", op.clone(), &[x]);
        });
    }
}

/// A 1x1 convolution before a mean is moved after it, where it has a quarter of the pixels.
#[test]
fn a_mean_moves_before_a_1x1_convolution() {
    let machine = machine();
    let transition = conv((2, 12, 6, 8), 20, 1, 1, 1);
    let mut graph = Graph::new(12);
    let y = transition.push(&mut graph, "conv", ValueId(0));
    graph.push("pool", Op::AvgPool2d(PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false }), &[y]);
    exact(&machine, "transition", &graph, transition.shape(), None);
    let network = Network::new(graph.clone(), checkpoint(&graph.tensors(), small));
    let plan = Plan::new(
        &network,
        transition.shape(),
        &[graph.output()],
        &Options::new(StorageType::F32),
        machine.device.caps(),
    )
    .unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.macs).sum::<u64>(), 2 * 12 * 12 * 20);
}

#[test]
fn sigmoid_alone_and_behind_a_convolution() {
    let machine = machine();
    let pointwise = conv((2, 36, 3, 5), 20, 1, 1, 1);
    let mut alone = Graph::new(36);
    alone.push("sigmoid", Op::Sigmoid, &[alone.input()]);
    let mut behind = Graph::new(36);
    let y = pointwise.push(&mut behind, "conv", ValueId(0));
    behind.push("sigmoid", Op::Sigmoid, &[y]);
    for (what, graph, options) in [
        ("alone", &alone, vec![None]),
        ("behind", &behind, pointwise.kernels(&machine.device).into_iter().map(Some).chain([None]).collect()),
    ] {
        let checkpoint = checkpoint(&graph.tensors(), |i| 0.25 * small(i));
        let input = Tensor::new(pointwise.shape(), (0..pointwise.shape().elements()).map(|i| 2.0 * small(i)).collect());
        let expected = reference::logits(graph, &checkpoint, &input).unwrap();
        assert!(expected.data.iter().any(|v| *v < 0.1) && expected.data.iter().any(|v| *v > 0.9), "{what}");
        for forced in options {
            for (who, got) in outputs(&machine, graph, &checkpoint, &input, forced, F32) {
                for (got, expected) in got.data.iter().zip(&expected.data) {
                    // The sums are exact. WGSL allows exp an error of 3 + 2|x| units in the last place, and a division 2.5. The slope
                    // sigmoid * (1 - sigmoid) damps the error of exp to less than one unit of the largest value, 1.
                    assert!((got - expected).abs() <= 5.0 * f32::EPSILON, "{what} {who}: {got}, expected {expected}");
                }
            }
        }
    }
}
