//! Pooling, linear layers, concatenations, separate elementwise layers, and NaN in all of them.

use residua::{
    checkpoint::Synthetic,
    executor::{
        gpu::{
            kernels::KernelId,
            plan::{self, Options},
        },
        reference,
    },
    graph::{Conv2dParams, Graph, Op, Padding, Plain, PoolParams, ValueId},
    network::Network,
    tensor::{PixelBatch, Shape, StorageType, Tensor},
};

use crate::{
    F32,
    activations::ACTIVATIONS,
    checkpoint,
    common::{
        self,
        executors::{machine, output},
    },
    conv2d::conv,
    each_exact, on_gpu, outputs, small,
};

#[test]
fn pooling() {
    let machine = machine();
    for (x, kernel, stride, padding) in
        [((1, 64, 12, 12), 3, 2, 1), ((2, 6, 7, 9), 3, 2, 1), ((1, 4, 1, 1), 3, 2, 1), ((3, 9, 6, 5), 2, 2, 0)]
    {
        let params = PoolParams { kernel, stride, padding, ceil: false };
        let (n, c, h, w) = x;
        let mut graph = Graph::new(c);
        graph.push("max", Op::MaxPool2d(params), &[graph.input()]);
        each_exact(&machine, &format!("max pool {x:?} {params:?}"), &graph, Shape::new(n, c, h, w));
    }
    // Windows that extend beyond the edge hold fewer pixels: 4, 2 and 1 here.
    let over = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: true };
    for op in [Op::MaxPool2d(over), Op::AvgPool2d(over)] {
        let mut graph = Graph::new(6);
        graph.push(op.name(), op.clone(), &[graph.input()]);
        each_exact(&machine, &format!("{} over the edge", op.name()), &graph, Shape::new(2, 6, 7, 5));
    }
    // Means of 2x2 and 4x4 integers are exact in binary.
    for (x, kernel) in [((2, 8, 6, 4), 2), ((1, 5, 8, 8), 4)] {
        let (n, c, h, w) = x;
        let mut graph = Graph::new(c);
        graph.push(
            "mean",
            Op::AvgPool2d(PoolParams { kernel, stride: kernel, padding: 0, ceil: false }),
            &[graph.input()],
        );
        each_exact(&machine, &format!("mean pool {x:?}"), &graph, Shape::new(n, c, h, w));
    }
    for x in [Shape::new(1, 512, 4, 4), Shape::new(3, 10, 8, 2), Shape::new(2, 64, 1, 1)] {
        let mut graph = Graph::new(x.c);
        graph.push("global", Plain::GlobalAvgPool, &[graph.input()]);
        each_exact(&machine, &format!("global mean {x}"), &graph, x);
        for op in [Plain::GlobalMaxPool, Plain::GlobalAvgMaxPool] {
            let mut graph = Graph::new(x.c);
            graph.push(op.name(), op, &[graph.input()]);
            each_exact(&machine, &format!("{} {x}", op.name()), &graph, x);
        }
        let mut graph = Graph::new(x.c);
        let [mean, max] =
            [Plain::GlobalAvgPool, Plain::GlobalMaxPool].map(|op| graph.push(op.name(), op, &[ValueId(0)]));
        graph.push("both", Op::Concat, &[mean, max]);
        each_exact(&machine, &format!("mean and maximum {x}"), &graph, x);
    }
}

/// A device that normalises pixels gets the same bits as one that is given numbers, with each pixel in its place.
#[test]
fn pixels_stand_for_the_numbers_of_the_table() {
    let machine = machine();
    let mut graph = Graph::new(3);
    let params =
        Conv2dParams { in_channels: 3, out_channels: 5, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
    graph.push("conv", Op::Conv2d { weight: "w".into(), bias: None, params }, &[graph.input()]);
    let checkpoint = checkpoint(&graph.tensors(), |i| 1.0 + (7 * i % 5) as f32);
    for any in &machine.executors {
        let executor = any.open(&graph, &checkpoint);
        // The last pixels do and do not fill their words; the last shape needs a second row of workgroups.
        for (n, h, w) in [(1, 1, 1), (1, 2, 1), (3, 1, 1), (2, 5, 7), (1, 32, 32), (5, 33, 31), (1, 1500, 1500)] {
            let shape = Shape::new(n, 3, h, w);
            let bytes: Vec<u8> = (0..shape.elements()).map(|i| ((i * 2_654_435_761) >> 7) as u8).collect();
            let table: [[f32; 256]; 3] =
                std::array::from_fn(|c| std::array::from_fn(|v| (v as f32 / 255.0 - 0.4) / (0.2 + 0.1 * c as f32)));
            let last_red = usize::from(bytes[3 * (shape.pixels() - 1)]);
            let pixels = PixelBatch::new(shape, bytes, table);
            let bits = |tensor: Tensor| tensor.data.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            let numbers = pixels.tensor();
            assert_eq!(numbers.data[shape.pixels() - 1], table[0][last_red]);
            let expected = bits(output(&*executor, &numbers));
            assert!(bits(output(&*executor, &pixels)) == expected, "{shape}, {any}");
        }
    }
}

/// A kernel that `verify` finds wrong is not chosen again if another kernel can compute the layer.
#[test]
fn a_faulty_kernel_gives_way_in_other_layers_than_convolutions() {
    let machine = machine();
    let mut linear = Graph::new(24);
    linear.push("fc", Plain::Linear { in_features: 24, out_features: 10 }.named("fc"), &[linear.input()]);
    let mut pooling = Graph::new(24);
    pooling.push("global", Plain::GlobalAvgPool, &[pooling.input()]);
    for (graph, shape) in [(linear, Shape::new(1, 24, 1, 1)), (pooling, Shape::new(2, 24, 8, 8))] {
        let checkpoint = checkpoint(&graph.tensors(), small);
        let network = Network::new(graph.clone(), checkpoint.clone());
        let kernel = |options: &Options| plan::kernels(&network, shape, options, machine.device.caps()).unwrap()[0].1;
        let mut options = Options::new(StorageType::F32);
        let usual = kernel(&options);
        options.faulty = vec![(usual, StorageType::F32)];
        assert_ne!(kernel(&options), usual);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| small(i + 7)).collect());
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        assert_eq!(on_gpu(&machine.device, &graph, &checkpoint, &input, options).data, expected.data);
    }
}

#[test]
fn linear_for_one_image_and_for_batches() {
    let machine = machine();
    for (n, inputs, outputs) in [(1, 64, 10), (1, 512, 100), (2, 9, 7), (7, 64, 1000), (8, 64, 10), (33, 20, 130)] {
        let mut graph = Graph::new(inputs);
        let linear = Plain::Linear { in_features: inputs, out_features: outputs };
        graph.push("fc", linear.named("fc"), &[graph.input()]);
        each_exact(&machine, &format!("linear {n}: {inputs} -> {outputs}"), &graph, Shape::new(n, inputs, 1, 1));
    }
}

/// A linear layer whose outputs a later layer reads, and two whose outputs are concatenated: stored like any value between layers.
#[test]
fn linear_layers_inside_a_network() {
    let machine = machine();
    let linear = |graph: &mut Graph, x: ValueId, in_features: usize, out_features: usize| {
        let name = format!("fc{}", graph.nodes().len());
        let linear = Plain::Linear { in_features, out_features }.named(&name);
        graph.push(name, linear, &[x])
    };
    for n in [1, 3, 9] {
        let mut graph = Graph::new(9);
        let [a, b] = [8, 12].map(|outputs| linear(&mut graph, ValueId(0), 9, outputs));
        let both = graph.push("concat", Op::Concat, &[a, b]);
        linear(&mut graph, both, 20, 7);
        each_exact(&machine, &format!("linear layers inside, {n} images"), &graph, Shape::new(n, 9, 1, 1));
    }
}

/// The output is a concatenation, in f32 since no layer reads it; its buffer also holds a value that another layer reads.
#[test]
fn a_concatenation_at_the_end_is_of_one_type() {
    let (machine, first) = (machine(), conv((2, 5, 4, 3), 8, 3, 1, 1));
    let mut graph = Graph::new(5);
    let a = first.push(&mut graph, "a", ValueId(0));
    let b = conv((2, 8, 4, 3), 4, 1, 1, 1).push(&mut graph, "b", a);
    graph.push("concat", Op::Concat, &[a, b]);
    each_exact(&machine, "a concatenation at the end", &graph, first.shape());
}

#[test]
fn what_cannot_fuse_stands_alone() {
    let machine = machine();
    let shape = Shape::new(2, 6, 5, 4);
    let alone = |what: &str, build: &dyn Fn(&mut Graph) -> ValueId| {
        let mut graph = Graph::new(6);
        build(&mut graph);
        each_exact(&machine, what, &graph, shape);
    };
    alone("relu", &|g| g.push("relu", Op::Relu, &[g.input()]));
    alone("an addition of a value to itself", &|g| g.push("add", Op::Add, &[g.input(), g.input()]));
    alone("shortcut A", &|g| g.push("pad", Op::SubsamplePad { stride: 2, before: 3, after: 1 }, &[g.input()]));
    alone("shortcut A as the first addend", &|g| {
        let relu = g.push("relu", Op::Relu, &[g.input()]);
        let pad = g.push("pad", Op::SubsamplePad { stride: 1, before: 0, after: 0 }, &[g.input()]);
        g.push("add", Op::Add, &[pad, relu])
    });
    alone("a sum of two shortcuts A", &|g| {
        let op = Op::SubsamplePad { stride: 2, before: 1, after: 1 };
        let a = g.push("a", op.clone(), &[g.input()]);
        let b = g.push("b", op, &[g.input()]);
        g.push("add", Op::Add, &[a, b])
    });
    alone("channels side by side", &|g| {
        let relu = g.push("relu", Op::Relu, &[g.input()]);
        g.push("concat", Op::Concat, &[g.input(), relu, g.input()])
    });
}

/// Concatenations compete for their inputs: each value can be in place in only one of them.
#[test]
fn what_two_concatenations_read_is_in_both() {
    let machine = machine();
    // Channel counts that do and do not fill whole vectors of every executor.
    for channels in [16, 6] {
        for order in 0..4 {
            let mut graph = Graph::new(channels);
            let a = graph.push("a", Op::Relu, &[graph.input()]);
            let b = graph.push("b", Op::Relu, &[a]);
            let inner = graph.push("inner", Op::Concat, &[a, b]);
            let parts = match order {
                0 => vec![inner, a],
                1 => vec![a, inner],
                2 => vec![inner, b, inner],
                _ => vec![inner, graph.push("other", Op::Concat, &[b, a])],
            };
            graph.push("outer", Op::Concat, &parts);
            let what = format!("concatenations of values with other readers, {channels} channels, order {order}");
            each_exact(&machine, &what, &graph, Shape::new(2, channels, 3, 2));
        }
    }
}

#[test]
fn a_batch_norm_of_its_own() {
    let machine = machine();
    let mut graph = Graph::new(6);
    graph.push("norm", Op::BatchNorm { prefix: "norm".into(), channels: 6, eps: 1e-5 }, &[graph.input()]);
    graph.push("relu", Op::Relu, &[ValueId(1)]);
    let weights = Synthetic { salt: "norm".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("norm", &graph.tensors()).unwrap();
    let input = Tensor::new(Shape::new(2, 6, 5, 7), weights.input([2, 6, 5, 7]));
    let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
    // One product, one sum, and folded constants are off by a few units in the last place of the largest value.
    for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, F32) {
        common::compare(&got.data, &expected.data, 4.0 * f32::EPSILON).unwrap_or_else(|e| panic!("{who}: {e}"));
    }
}

#[test]
fn nan_stays_nan_through_relu_and_pooling() {
    // A clamp that turns NaN into zero would make wrong logits look right.
    let machine = machine();
    let shape = Shape::new(1, 8, 6, 6);
    let mut input = Tensor::new(shape, (0..shape.elements()).map(small).collect());
    input.data[100] = f32::NAN;
    let conv = conv((1, 8, 6, 6), 8, 3, 1, 1);
    let check = |what: &str, build: &dyn Fn(&mut Graph), forced: Option<KernelId>| {
        let mut graph = Graph::new(8);
        build(&mut graph);
        let checkpoint = checkpoint(&graph.tensors(), small);
        let nan = |tensor: Tensor| tensor.data.iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
        let expected = nan(reference::logits(&graph, &checkpoint, &input).unwrap());
        assert!(expected.contains(&true) && expected.contains(&false), "{what}: the case proves nothing");
        for (who, got) in outputs(&machine, &graph, &checkpoint, &input, forced, F32) {
            let got = nan(got);
            if forced.is_some_and(|kernel| !kernel.is_exact()) {
                // All outputs of a tile share their sums.
                assert!(expected.iter().zip(&got).all(|(expected, got)| *got || !expected), "{what} {who}");
            } else {
                assert_eq!(got, expected, "{what} {who}");
            }
        }
    };
    for kernel in conv.kernels(&machine.device) {
        let convolution = |graph: &mut Graph| {
            let y = conv.push(graph, "conv", ValueId(0));
            graph.push("relu", Op::Relu, &[y]);
        };
        check("conv2d and relu", &convolution, Some(kernel));
    }
    let relu = |graph: &mut Graph| {
        graph.push("relu", Op::Relu, &[ValueId(0)]);
    };
    check("relu", &relu, None);
    let pool = |graph: &mut Graph| {
        graph.push("max", Op::MaxPool2d(PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false }), &[ValueId(0)]);
    };
    check("max pool", &pool, None);
    for op in [Plain::GlobalMaxPool, Plain::GlobalAvgMaxPool] {
        let global = |graph: &mut Graph| {
            graph.push("global", op, &[ValueId(0)]);
        };
        check(op.name(), &global, None);
    }
    let gates = |graph: &mut Graph| {
        let max = graph.push("max", Plain::GlobalMaxPool, &[ValueId(0)]);
        graph.push("gates", Plain::ChannelGate { kernel: 3 }.named("gates"), &[max]);
    };
    check("channel gates", &gates, None);
    let (channels, groups, eps) = (8, 4, 1e-5);
    for op in [
        Plain::GroupNorm { channels, groups, eps },
        Plain::EvoNorm { channels, groups, eps },
        Plain::FilterResponseNorm { channels, eps },
    ] {
        let norm = |graph: &mut Graph| {
            graph.push("norm", op.named("norm"), &[ValueId(0)]);
        };
        check(op.name(), &norm, None);
    }
    let shares = |graph: &mut Graph| {
        let max = graph.push("max", Plain::GlobalMaxPool, &[ValueId(0)]);
        graph.push("shares", Plain::Softmax { outer: 1, groups: 2 }, &[max]);
    };
    check("shares", &shares, None);
    let attend = |graph: &mut Graph| {
        graph.push("attend", Plain::Attend { heads: 1, keys: 1, scale: 1.0 }, &[ValueId(0)]);
    };
    check("attention", &attend, None);
    for op in [Plain::Slice { from: 1, channels: 5 }, Plain::Pad(Padding::Sides(1)), Plain::Upsample { factor: 2 }] {
        let moved = |graph: &mut Graph| {
            graph.push("moved", op, &[ValueId(0)]);
        };
        check(op.name(), &moved, None);
    }
    for activation in ACTIVATIONS {
        let activate = |graph: &mut Graph| {
            graph.push("activation", Plain::Activation(activation), &[ValueId(0)]);
        };
        check(activation.name(), &activate, None);
    }
}
