//! Operators on channels: gates, shifts, norms of groups, softmax, attention, and values in other places.

use residua::{
    checkpoint::{Checkpoint, Synthetic},
    executor::{
        gpu::plan::{Options, Plan},
        reference,
    },
    graph::{Conv2dParams, Graph, Op, Padding, Plain, ValueId},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    F32, checkpoint,
    common::{
        self,
        executors::{Machine, machine},
    },
    each_exact, outputs, small,
};

/// Compares every executor with the reference. `bounds` are the largest differences in f32 and in f16.
fn each_close(machine: &Machine, what: &str, graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, bounds: [f32; 2]) {
    let expected = reference::logits(graph, checkpoint, input).unwrap();
    for (stored, bound) in [StorageType::F32, StorageType::F16].into_iter().zip(bounds) {
        for (who, got) in outputs(machine, graph, checkpoint, input, None, &[stored]) {
            common::compare(&got.data, &expected.data, bound).unwrap_or_else(|error| panic!("{what}, {who}: {error}"));
        }
    }
}

/// Numbers that are means of 16 integers are exact, and so are products and sums with them.
#[test]
fn each_channel_of_each_image_is_scaled_or_shifted() {
    let machine = machine();
    for (channels, op) in [(8, Op::Scale), (6, Op::Scale), (8, Op::Shift), (6, Op::Shift)] {
        let mut graph = Graph::new(channels);
        let input = graph.input();
        let mean = graph.push("mean", Plain::GlobalAvgPool, &[input]);
        let scaled = graph.push("gate", op.clone(), &[input, mean]);
        let shape = Shape::new(3, channels, 4, 4);
        each_exact(&machine, &format!("{} of {channels} channels", op.name()), &graph, shape);
        let sum = graph.push("add", Op::Add, &[scaled, input]);
        graph.push("relu", Op::Relu, &[sum]);
        each_exact(&machine, &format!("{} of {channels} channels, addend and ReLU", op.name()), &graph, shape);
        let network = Network::new(graph.clone(), checkpoint(&[], small));
        let plan =
            Plan::new(&network, shape, &[graph.output()], &Options::new(StorageType::F32), machine.device.caps())
                .unwrap();
        assert_eq!(plan.steps.len(), 2, "the mean, and one step for all else");
    }
}

/// The sum has few terms; the exponential is off by at most 3 + 2|x| units in the last place, and the division by 2.5.
#[test]
fn gates_along_the_channels_are_those_of_the_reference() {
    let machine = machine();
    for (n, channels, kernel) in [(1, 3, 3), (2, 6, 5), (3, 64, 1), (1, 258, 7), (9, 20, 5), (2, 5, 11)] {
        // Gates share a buffer with other values, whose channels must not mix with theirs. The last layer also reads the padding.
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
        each_close(&machine, &format!("{n} x {channels}, {kernel}"), &graph, &checkpoint, &input, [2e-6, 1e-2]);
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
        // The input and the output each share their buffer with another value, which must not be read or overwritten.
        let mut graph = Graph::new(c);
        let double = graph.push("double", Op::Add, &[ValueId(0), ValueId(0)]);
        let moved = graph.push("moved", op, &[double]);
        let relu = graph.push("relu", Op::Relu, &[moved]);
        graph.push("both", Op::Concat, &[relu, moved]);
        each_exact(&machine, &format!("{op} {shape:?}"), &graph, Shape::new(n, c, h, w));
    }
}

/// Sums of pixels and channels, of which some are far from zero.
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
        each_close(&machine, &format!("{n}x{channels}x{h}x{w} in {groups}"), &graph, &checkpoint, &input, [1e-5, 1e-2]);
    }
}

/// As above, with exponentials that are off by a few units of their last place. The inputs of the second norm are not negative, and many
/// are zero or the threshold.
#[test]
fn norms_with_an_activation_are_those_of_the_reference() {
    let machine = machine();
    for (n, channels, groups, h, w) in [
        (2, 64, 32, 9, 7),
        (1, 32, 32, 5, 5),
        (2, 24, 3, 12, 12),
        (1, 18, 6, 20, 21),
        (3, 10, 2, 1, 1),
        (1, 7, 1, 3, 4),
    ] {
        let eps = 1e-5;
        for norm in [Plain::EvoNorm { channels, groups, eps }, Plain::FilterResponseNorm { channels, eps }] {
            let mut graph = Graph::new(channels);
            let first = graph.push("first", norm.named("first"), &[ValueId(0)]);
            let relu = graph.push("relu", Op::Relu, &[first]);
            let second = graph.push("second", norm.named("second"), &[relu]);
            let both = graph.push("both", Op::Concat, &[first, second]);
            let params = Conv2dParams::pointwise(2 * channels, 3);
            graph.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[both]);
            let weights = Synthetic { salt: "norms".into(), damped: None, damp: 1.0 };
            let checkpoint = weights.checkpoint("norms", &graph.tensors()).unwrap();
            let mut input = Tensor::new(Shape::new(n, channels, h, w), weights.input([n, channels, h, w]));
            input.data.iter_mut().enumerate().for_each(|(i, x)| *x += (i / (h * w) % 5) as f32 * 3.0 - 4.0);
            each_close(&machine, &format!("{norm}, {n}x{channels}x{h}x{w}"), &graph, &checkpoint, &input, [1e-5, 1e-2]);
        }
    }
}

#[test]
fn a_channel_far_from_zero_keeps_its_digits_in_a_norm_of_groups() {
    let machine = machine();
    let shape = Shape::new(1, 8, 16, 16);
    let (channels, groups, eps) = (8, 4, 1e-5);
    for norm in [Plain::GroupNorm { channels, groups, eps }, Plain::EvoNorm { channels, groups, eps }] {
        let mut graph = Graph::new(channels);
        graph.push("norm", norm.named("norm"), &[ValueId(0)]);
        let checkpoint = checkpoint(&graph.tensors(), |_| 1.0);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| 1000.0 + small(i)).collect());
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, F32) {
            // The mean is off by half a unit in the last place: 1/32768 here.
            common::compare(&got.data, &expected.data, 1e-4).unwrap_or_else(|error| panic!("{norm}, {who}: {error}"));
        }
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
        // One logit is so large that its exponential is beyond f32.
        let data = (0..shape.elements()).map(|i| if i == 1 { 200.0 } else { small(i + 5) }).collect();
        let input = Tensor::new(shape, data);
        each_close(&machine, &format!("{n}x{channels}, {outer}x{groups}"), &graph, &checkpoint, &input, [4e-6, 1e-2]);
    }
}

/// Sums of few terms, and exponentials that are off by a few units of their last place.
#[test]
fn attention_is_that_of_the_reference() {
    let machine = machine();
    for (n, channels, heads, keys, side, [h, w]) in [
        (1, 16, 1, 1, 5, [5, 5]),
        (2, 24, 2, 8, 3, [3, 3]),
        (1, 64, 4, 64, 7, [7, 7]),
        (2, 6, 3, 3, 1, [1, 1]),
        (1, 10, 1, 1, 20, [20, 20]),
        (3, 40, 2, 4, 9, [9, 9]),
        // Positions for more and for fewer pixels than there are.
        (2, 12, 1, 1, 7, [2, 3]),
        (1, 8, 2, 4, 7, [9, 16]),
        (1, 6, 1, 1, 1, [3, 1]),
    ] {
        // The tokens of a map; the keys and values of all tokens, and the query of the mean.
        let mut graph = Graph::new(channels);
        let tokens = Plain::Tokens { channels, side }.named("tokens");
        let tokens = graph.push("tokens", tokens, &[ValueId(0)]);
        let conv = |graph: &mut Graph, name: &str, outputs| {
            let params = Conv2dParams::pointwise(channels, outputs);
            graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[tokens])
        };
        let key = conv(&mut graph, "key", keys);
        let value = conv(&mut graph, "value", channels);
        let first = Op::SubsamplePad { stride: h * w + 1, before: 0, after: 0 };
        let mean = graph.push("mean", first, &[tokens]);
        let query = Plain::Linear { in_features: channels, out_features: keys }.named("query");
        let query = graph.push("query", query, &[mean]);
        let asked = graph.push("asked", Op::Scale, &[key, query]);
        let both = graph.push("both", Op::Concat, &[asked, value]);
        graph.push("attend", Plain::Attend { heads, keys, scale: 0.5 }, &[both]);
        let weights = Synthetic { salt: "attend".into(), damped: None, damp: 1.0 };
        let checkpoint = weights.checkpoint("attend", &graph.tensors()).unwrap();
        let input = Tensor::new(Shape::new(n, channels, h, w), weights.input([n, channels, h, w]));
        each_close(
            &machine,
            &format!("{n}x{channels}, {heads} of {keys}, {side} for {h}x{w}"),
            &graph,
            &checkpoint,
            &input,
            [2e-5, 2e-2],
        );
    }
}
