//! Every operator except convolution, and NaN through all of them.

use residua::{
    checkpoint::Synthetic,
    executor::{
        gpu::{
            kernels::KernelId,
            plan::{self, Options, Plan},
        },
        reference,
    },
    graph::{Activation, Conv2dParams, Graph, Op, Padding, Plain, PoolParams, ValueId},
    network::Network,
    tensor::{PixelBatch, Shape, StorageType, Tensor},
};

use crate::{
    F32, checkpoint,
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

/// Every activation that is a separate operator.
const ACTIVATIONS: [Activation; 18] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu(0.01),
    Activation::LeakyRelu(-0.5),
    Activation::Silu,
    Activation::Mish,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::HardMish,
    Activation::Elu(0.5),
    Activation::Celu(2.0),
    Activation::Selu,
];

/// Vulkan allows exp an error of 3 + 2|x| units in the last place, and division 2.5; formula 7.1.26 of Abramowitz and Stegun is off by
/// 1.5e-7. So 1e-6 relative to the input's magnitude suffices for arguments up to 8; beyond them the exponentials vanish.
#[test]
fn activations_are_those_of_their_definition() {
    let machine = machine();
    let shape = Shape::new(2, 6, 7, 9);
    let data: Vec<f32> = (0..shape.elements()).map(|i| (i as f32 - 378.0) / 40.0).collect();
    let mut input = Tensor::new(shape, data);
    // Zero, tiny arguments, and arguments for which exponentials overflow.
    let special = [0.0, -0.0, 1e-30, -1e-30, 1e-3, -1e-3, 100.0, -100.0, 1e4, -1e4];
    input.data[..special.len()].copy_from_slice(&special);
    for activation in ACTIVATIONS {
        let mut graph = Graph::new(shape.c);
        graph.push("activation", Plain::Activation(activation), &[ValueId(0)]);
        let checkpoint = checkpoint(&[], small);
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, F32) {
            for ((x, got), expected) in input.data.iter().zip(&got.data).zip(&expected.data) {
                let bound = 1e-6 * x.abs().max(1.0);
                assert!((got - expected).abs() <= bound, "{activation} of {x}, {who}: {got}, expected {expected}");
            }
        }
    }
}

/// Channel counts that are not multiples of four, between two convolutions: the second must not read the padding.
#[test]
fn activations_between_convolutions() {
    let machine = machine();
    for function in [Activation::Relu6, Activation::Identity, Activation::LeakyRelu(2.0)] {
        let (first, second) = (conv((2, 5, 4, 3), 6, 3, 1, 1), conv((2, 6, 4, 3), 7, 1, 1, 1));
        let mut graph = Graph::new(5);
        let x = first.push(&mut graph, "first", ValueId(0));
        let x = graph.push("activation", Plain::Activation(function), &[x]);
        second.push(&mut graph, "second", x);
        each_exact(&machine, &format!("{function} between convolutions"), &graph, first.shape());
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

/// Gates that are means of 16 integers are exact, and so are the products.
#[test]
fn gates_scale_each_channel_of_each_image() {
    let machine = machine();
    for channels in [8, 6] {
        let mut graph = Graph::new(channels);
        let input = graph.input();
        let mean = graph.push("mean", Plain::GlobalAvgPool, &[input]);
        let scaled = graph.push("scale", Op::Scale, &[input, mean]);
        let shape = Shape::new(3, channels, 4, 4);
        each_exact(&machine, &format!("gates of {channels} channels"), &graph, shape);
        let sum = graph.push("add", Op::Add, &[scaled, input]);
        graph.push("relu", Op::Relu, &[sum]);
        each_exact(&machine, &format!("gates of {channels} channels, addend and ReLU"), &graph, shape);
        let network = Network::new(graph.clone(), checkpoint(&[], small));
        let plan =
            Plan::new(&network, shape, &[graph.output()], &Options::new(StorageType::F32), machine.device.caps())
                .unwrap();
        assert_eq!(plan.steps.len(), 2, "the mean, and one step for everything else");
    }
}

/// The sum has few terms; the exponential is off by at most 3 + 2|x| units in the last place, and the division by 2.5.
#[test]
fn gates_along_the_channels_are_those_of_the_reference() {
    let machine = machine();
    for (n, channels, kernel) in [(1, 3, 3), (2, 6, 5), (3, 64, 1), (1, 258, 7), (9, 20, 5), (2, 5, 11)] {
        // Gates share a buffer with other values, whose channels must not mix with theirs; a layer that also reads the padding then reads
        // them.
        let mut graph = Graph::new(channels);
        let input = graph.input();
        let first = graph.push("first", Plain::ChannelGate { kernel }.named("first"), &[input]);
        let second = graph.push("second", Plain::ChannelGate { kernel }.named("second"), &[first]);
        let scaled = graph.push("scale", Op::Scale, &[input, second]);
        let both = graph.push("both", Op::Concat, &[scaled, first]);
        let gates = graph.push("gates", Plain::ChannelGate { kernel }.named("gates"), &[both]);
        let linear = Plain::Linear { in_features: 2 * channels, out_features: 5 };
        graph.push("linear", linear.named("linear"), &[gates]);
        let checkpoint = checkpoint(&graph.tensors(), |i| small(i) / 4.0);
        let shape = Shape::new(n, channels, 1, 1);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| small(i + 5)).collect());
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for stored in [StorageType::F32, StorageType::F16] {
            let bound = if stored == StorageType::F16 { 1e-2 } else { 2e-6 };
            for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, &[stored]) {
                common::compare(&got.data, &expected.data, bound)
                    .unwrap_or_else(|error| panic!("{n} x {channels}, {kernel}, {who}: {error}"));
            }
        }
    }
}

#[test]
fn moved_values_are_in_their_places() {
    let machine = machine();
    let same = |kernel, stride| Plain::Pad(Padding::Same { kernel, stride });
    for (shape, op) in [
        ((2, 40, 5, 7), Plain::Slice { from: 0, channels: 16 }),
        ((1, 40, 5, 7), Plain::Slice { from: 16, channels: 24 }),
        ((2, 40, 3, 2), Plain::Slice { from: 13, channels: 14 }),
        ((1, 104, 4, 4), Plain::Slice { from: 78, channels: 26 }),
        ((1, 5, 1, 1), Plain::Slice { from: 4, channels: 1 }),
        ((2, 6, 4, 5), Plain::Pad(Padding::Sides(1))),
        ((1, 19, 3, 4), same(3, 2)),
        ((1, 3, 8, 9), same(7, 2)),
        ((1, 3, 8, 9), same(1, 2)),
        ((2, 18, 3, 2), Plain::Upsample { factor: 4 }),
    ] {
        let (n, c, h, w) = shape;
        // Reads from and writes to buffers that hold another value first: neither value may be read or written in the other's place.
        let mut graph = Graph::new(c);
        let double = graph.push("double", Op::Add, &[ValueId(0), ValueId(0)]);
        let moved = graph.push("moved", op, &[double]);
        let relu = graph.push("relu", Op::Relu, &[moved]);
        graph.push("both", Op::Concat, &[relu, moved]);
        each_exact(&machine, &format!("{op} {shape:?}"), &graph, Shape::new(n, c, h, w));
    }
}

/// Sums over pixels and channels, some with a mean far from zero.
#[test]
fn group_norms_are_those_of_the_reference() {
    let machine = machine();
    for (n, channels, groups, h, w) in [
        (2, 64, 32, 9, 7),
        (1, 32, 32, 5, 5),
        (2, 24, 3, 12, 12),
        (1, 18, 6, 20, 21),
        (3, 10, 2, 1, 1),
        (1, 256, 32, 4, 4),
    ] {
        let mut graph = Graph::new(channels);
        let norm = Plain::GroupNorm { channels, groups, eps: 1e-5 };
        let first = graph.push("first", norm.named("first"), &[ValueId(0)]);
        let relu = graph.push("relu", Op::Relu, &[first]);
        let second = graph.push("second", norm.named("second"), &[relu]);
        let both = graph.push("both", Op::Concat, &[relu, second]);
        let params = Conv2dParams::pointwise(2 * channels, 3);
        graph.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[both]);
        let weights = Synthetic { salt: "groups".into(), damped: None, damp: 1.0 };
        let checkpoint = weights.checkpoint("groups", &graph.tensors()).unwrap();
        let mut input = Tensor::new(Shape::new(n, channels, h, w), weights.input([n, channels, h, w]));
        input.data.iter_mut().enumerate().for_each(|(i, x)| *x += (i / (h * w) % 5) as f32 * 3.0);
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for stored in [StorageType::F32, StorageType::F16] {
            let bound = if stored == StorageType::F16 { 1e-2 } else { 1e-5 };
            for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, &[stored]) {
                common::compare(&got.data, &expected.data, bound)
                    .unwrap_or_else(|error| panic!("{n}x{channels}x{h}x{w} in {groups}, {who}: {error}"));
            }
        }
    }
}

#[test]
fn a_channel_far_from_zero_keeps_its_digits_in_a_group_norm() {
    let machine = machine();
    let shape = Shape::new(1, 8, 16, 16);
    let mut graph = Graph::new(8);
    graph.push("norm", Plain::GroupNorm { channels: 8, groups: 4, eps: 1e-5 }.named("norm"), &[ValueId(0)]);
    let checkpoint = checkpoint(&graph.tensors(), |_| 1.0);
    let input = Tensor::new(shape, (0..shape.elements()).map(|i| 1000.0 + small(i)).collect());
    let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
    for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, F32) {
        // The mean is off by half a unit in the last place, which is 1/16384 here.
        common::compare(&got.data, &expected.data, 1e-4).unwrap_or_else(|error| panic!("{who}: {error}"));
    }
}

#[test]
fn shares_of_what_competes_are_those_of_the_reference() {
    let machine = machine();
    for (n, channels, outer, groups) in [(1, 6, 1, 2), (2, 24, 2, 4), (3, 128, 1, 2), (1, 9, 3, 3), (9, 40, 2, 5)] {
        let mut graph = Graph::new(channels);
        let softmax = Plain::Softmax { outer, groups };
        let first = graph.push("first", softmax, &[ValueId(0)]);
        let second = graph.push("second", softmax, &[first]);
        let both = graph.push("both", Op::Concat, &[first, second]);
        let linear = Plain::Linear { in_features: 2 * channels, out_features: 5 };
        graph.push("linear", linear.named("linear"), &[both]);
        let checkpoint = checkpoint(&graph.tensors(), |i| small(i) / 4.0);
        let shape = Shape::new(n, channels, 1, 1);
        // One logit is so large that its exponential overflows f32.
        let data = (0..shape.elements()).map(|i| if i == 1 { 200.0 } else { small(i + 5) }).collect();
        let input = Tensor::new(shape, data);
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for stored in [StorageType::F32, StorageType::F16] {
            let bound = if stored == StorageType::F16 { 1e-2 } else { 4e-6 };
            for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, &[stored]) {
                common::compare(&got.data, &expected.data, bound)
                    .unwrap_or_else(|error| panic!("{n}x{channels}, {outer}x{groups}, {who}: {error}"));
            }
        }
    }
}

/// Sums of few terms, and exponentials that are off by a few units of their last place.
#[test]
fn attention_is_that_of_the_reference() {
    let machine = machine();
    for (n, channels, heads, keys, side) in
        [(1, 16, 1, 1, 5), (2, 24, 2, 8, 3), (1, 64, 4, 64, 7), (2, 6, 3, 3, 1), (1, 10, 1, 1, 20), (3, 40, 2, 4, 9)]
    {
        // Tokens of a map; then their keys and values side by side, and the mean's token alone.
        let mut graph = Graph::new(channels);
        let tokens = Plain::Tokens { channels, side }.named("tokens");
        let tokens = graph.push("tokens", tokens, &[ValueId(0)]);
        let conv = |graph: &mut Graph, name: &str, outputs| {
            let params = Conv2dParams::pointwise(channels, outputs);
            graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[tokens])
        };
        let key = conv(&mut graph, "key", keys);
        let value = conv(&mut graph, "value", channels);
        let first = Op::SubsamplePad { stride: side * side + 1, before: 0, after: 0 };
        let mean = graph.push("mean", first, &[tokens]);
        let query = Plain::Linear { in_features: channels, out_features: keys }.named("query");
        let query = graph.push("query", query, &[mean]);
        let asked = graph.push("asked", Op::Scale, &[key, query]);
        let both = graph.push("both", Op::Concat, &[asked, value]);
        graph.push("attend", Plain::Attend { heads, keys, scale: 0.5 }, &[both]);
        let weights = Synthetic { salt: "attend".into(), damped: None, damp: 1.0 };
        let checkpoint = weights.checkpoint("attend", &graph.tensors()).unwrap();
        let input = Tensor::new(Shape::new(n, channels, side, side), weights.input([n, channels, side, side]));
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for stored in [StorageType::F32, StorageType::F16] {
            let bound = if stored == StorageType::F16 { 2e-2 } else { 2e-5 };
            for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, &[stored]) {
                common::compare(&got.data, &expected.data, bound)
                    .unwrap_or_else(|error| panic!("{n}x{channels}, {heads} of {keys}, {side}, {who}: {error}"));
            }
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
    let norm = |graph: &mut Graph| {
        graph.push("norm", Plain::GroupNorm { channels: 8, groups: 4, eps: 1e-5 }.named("norm"), &[ValueId(0)]);
    };
    check("group norm", &norm, None);
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
