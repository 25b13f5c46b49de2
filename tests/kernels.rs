//! Each kernel on the GPU against the naive reference: one operator at a time, shapes of the real models and odd edges.
//!
//! Small integers are compared exactly: every product and partial sum is an integer below 2^11, which f32 and f16 hold
//! exactly, so the order of a sum does not matter and any difference is an indexing error.

mod common;

use std::{collections::HashMap, sync::Arc};

use common::device;
use residua::{
    checkpoint::{Checkpoint, Synthetic},
    gpu::{Device, Executor},
    graph::{Conv2dParams, Graph, Op, PoolParams, ValueId},
    kernels::{
        Activation, Precision, View,
        conv2d::{Conv2d, Residual, Variant},
    },
    plan::{Network, Options},
    reference,
    tensor::{Shape, Tensor},
};

/// A checkpoint of these tensors with `value(flat index)` in each.
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

/// An integer in -2..=2 that looks random.
fn small(i: usize) -> f32 {
    let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
    (mixed % 5) as f32 - 2.0
}

fn on_gpu(device: &Arc<Device>, graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, options: Options) -> Tensor {
    let executor = Executor::new(device.clone(), Network::new(graph.clone(), checkpoint.clone()), options);
    pollster::block_on(executor.run(input)).unwrap()
}

/// Runs a graph on integers, on the GPU and on the reference, and wants the same bits, in both precisions.
fn exact(device: &Arc<Device>, what: &str, graph: &Graph, input: Shape, conv2d: Option<Variant>) {
    let checkpoint = checkpoint(&graph.tensors(), small);
    let input = Tensor::new(input, (0..input.elements()).map(|i| small(i + 7)).collect());
    let expected = reference::logits(graph, &checkpoint, &input).unwrap();
    assert!(expected.data.iter().any(|v| *v != 0.0), "{what}: nothing but zeros proves nothing");
    assert!(expected.data.iter().all(|v| v.abs() < 2048.0), "{what}: not exact in f16");
    for stored in [Precision::F32, Precision::F16] {
        if stored == Precision::F16 && !device.caps().f16 {
            common::say(&format!("SKIPPED f16 part of {what}: {} has no shader-f16", device.info().name));
            continue;
        }
        let got = on_gpu(device, graph, &checkpoint, &input, Options { conv2d, ..Options::new(stored) });
        assert_eq!(got.shape, expected.shape, "{what} {stored}");
        let wrong = (0..got.data.len()).find(|&i| got.data[i] != expected.data[i]);
        if let Some(i) = wrong {
            panic!("{what} {stored} {conv2d:?}: element {i}: got {}, expected {}", got.data[i], expected.data[i]);
        }
    }
}

struct Conv {
    x: (usize, usize, usize, usize),
    out: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
}

impl Conv {
    fn params(&self) -> Conv2dParams {
        let Conv { x: (_, in_channels, ..), out: out_channels, kernel, stride, groups } = *self;
        Conv2dParams { in_channels, out_channels, kernel, stride, padding: kernel / 2, groups }
    }

    /// Whether `variant` computes it.
    fn admits(&self, variant: Variant) -> bool {
        let view = View::whole(self.shape());
        let conv = Conv2d {
            params: self.params(),
            x: view,
            y: view,
            prologue: false,
            residual: Residual::None,
            activation: Activation::None,
        };
        conv.admits(variant, Precision::F32)
    }

    fn push(&self, graph: &mut Graph, name: &str, from: ValueId) -> ValueId {
        let params = self.params();
        let bias = Some(format!("{name}.bias"));
        graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[from])
    }

    fn shape(&self) -> Shape {
        let (n, c, h, w) = self.x;
        Shape::new(n, c, h, w)
    }
}

const fn conv(x: (usize, usize, usize, usize), out: usize, kernel: usize, stride: usize, groups: usize) -> Conv {
    Conv { x, out, kernel, stride, groups }
}

/// Stem, 1x1, 3x3 with and without stride, channel counts that are no multiple of four or of a tile, one pixel, batches,
/// images narrower than the window.
const DENSE: [Conv; 14] = [
    conv((1, 3, 32, 32), 16, 3, 1, 1),
    conv((2, 3, 37, 29), 24, 7, 2, 1),
    conv((1, 16, 9, 9), 16, 3, 1, 1),
    conv((3, 16, 8, 8), 32, 3, 2, 1),
    conv((1, 64, 7, 7), 72, 1, 1, 1),
    conv((2, 32, 9, 7), 40, 1, 2, 1),
    conv((1, 5, 6, 6), 7, 3, 1, 1),
    conv((1, 1, 5, 5), 1, 3, 1, 1),
    conv((1, 8, 1, 1), 8, 3, 1, 1),
    conv((1, 4, 2, 3), 4, 7, 2, 1),
    conv((2, 20, 17, 1), 36, 3, 2, 1),
    conv((5, 68, 3, 3), 132, 3, 1, 1),
    conv((1, 12, 40, 50), 68, 3, 1, 1),
    conv((1, 100, 1, 9), 30, 1, 1, 1),
];

/// Groups as ResNeXt has them (4 to 64 channels each), more outputs than inputs, and groups that are no multiple of four: those are
/// taken together, in the last case all of them.
const GROUPED: [Conv; 9] = [
    conv((2, 32, 9, 7), 32, 3, 1, 8),
    conv((1, 64, 8, 8), 64, 3, 2, 8),
    conv((1, 64, 5, 6), 64, 3, 1, 4),
    conv((1, 128, 4, 3), 128, 3, 1, 4),
    conv((1, 128, 3, 3), 128, 1, 1, 2),
    conv((1, 16, 6, 5), 96, 3, 1, 4),
    conv((1, 48, 5, 5), 48, 3, 1, 8),
    conv((1, 12, 5, 4), 12, 3, 1, 12),
    conv((1, 9, 4, 5), 6, 3, 1, 3),
];

/// Calls `test` for each variant with each convolution that it serves.
fn each_variant(convolutions: &[Conv], test: impl Fn(&Arc<Device>, Variant, &Conv)) {
    let device = device();
    let serves = |variant: Variant, conv: &&Conv| conv.admits(variant);
    for variant in Variant::all(device.caps()) {
        convolutions.iter().filter(|conv| serves(variant, conv)).for_each(|conv| test(&device, variant, conv));
    }
}

/// The same without Winograd, whose sums are not of integers.
fn each_exact_variant(convolutions: &[Conv], test: impl Fn(&Arc<Device>, Variant, &Conv)) {
    each_variant(convolutions, |device, variant, conv| {
        if !variant.is_winograd() {
            test(device, variant, conv);
        }
    });
}

fn label(conv: &Conv) -> String {
    let Conv { out, kernel, stride, groups, .. } = conv;
    format!("{} -> {out}, {kernel}x{kernel} stride {stride}, {groups} groups", conv.shape())
}

#[test]
fn conv2d_is_exact_on_integers() {
    each_exact_variant(&DENSE, |device, variant, conv| {
        let mut graph = Graph::new(conv.x.1);
        let y = conv.push(&mut graph, "conv", ValueId(0));
        graph.push("relu", Op::Relu, &[y]);
        exact(device, &label(conv), &graph, conv.shape(), Some(variant));
    });
}

#[test]
fn grouped_conv2d_is_exact_on_integers() {
    each_exact_variant(&GROUPED, |device, variant, conv| {
        let mut graph = Graph::new(conv.x.1);
        let y = conv.push(&mut graph, "conv", ValueId(0));
        graph.push("relu", Op::Relu, &[y]);
        exact(device, &label(conv), &graph, conv.shape(), Some(variant));
    });
}

#[test]
fn conv2d_adds_a_residual() {
    let same: Vec<Conv> = DENSE.into_iter().skip(2).take(6).chain(GROUPED.into_iter().take(2)).collect();
    each_exact_variant(&same, |device, variant, conv| {
        let mut graph = Graph::new(conv.x.1);
        let input = graph.input();
        let main = conv.push(&mut graph, "main", input);
        let shortcut = conv.push(&mut graph, "shortcut", input);
        graph.push("add", Op::Add, &[main, shortcut]);
        exact(device, &format!("residual {}", label(conv)), &graph, conv.shape(), Some(variant));
    });
}

#[test]
fn conv2d_adds_a_subsampled_padded_residual() {
    // Zero channels in front that are and are not a multiple of four.
    for (before, after) in [(8, 8), (3, 2), (0, 5)] {
        let device = device();
        for variant in Variant::all(device.caps()) {
            let conv = conv((2, 6, 9, 8), before + 6 + after, 3, 2, 1);
            if !conv.admits(variant) {
                continue;
            }
            let mut graph = Graph::new(6);
            let main = conv.push(&mut graph, "main", ValueId(0));
            let shortcut = graph.push("shortcut", Op::SubsamplePad { stride: 2, before, after }, &[graph.input()]);
            let sum = graph.push("add", Op::Add, &[main, shortcut]);
            graph.push("relu", Op::Relu, &[sum]);
            exact(&device, &format!("shortcut A, {before} before"), &graph, conv.shape(), Some(variant));
        }
    }
}

#[test]
fn conv2d_on_floats_is_within_the_bound_of_its_sum() {
    // |error| <= eps (K + 4) sum |x||w|: K products and sums, bias, and the folding of the weights (Higham 2002, section 3.1).
    each_exact_variant(&DENSE[..6], |device, variant, conv| {
        let mut graph = Graph::new(conv.x.1);
        conv.push(&mut graph, "conv", ValueId(0));
        let weights = Synthetic { salt: "float".into(), damped: None, damp: 1.0 };
        let shape = conv.shape();
        let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
        let signed = weights.checkpoint("signed", &graph.tensors()).unwrap();
        let expected = reference::logits(&graph, &signed, &input).unwrap();
        let magnitudes = |name: &str, shape: &Vec<usize>| {
            weights.tensor(name, shape).into_iter().map(f32::abs).collect::<Vec<f32>>()
        };
        let tensors: HashMap<String, Vec<f32>> =
            graph.tensors().iter().map(|(name, shape)| (name.clone(), magnitudes(name, shape))).collect();
        let views = graph.tensors().into_iter().map(|(name, shape)| {
            let bytes = bytemuck::cast_slice(&tensors[&name]);
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytes).unwrap())
        });
        let absolute = Checkpoint::from_bytes("absolute", safetensors::serialize(views, None).unwrap()).unwrap();
        let positive = Tensor::new(shape, input.data.iter().map(|v| v.abs()).collect());
        let scale = reference::logits(&graph, &absolute, &positive).unwrap();
        let got =
            on_gpu(device, &graph, &signed, &input, Options { conv2d: Some(variant), ..Options::new(Precision::F32) });
        let terms = (conv.x.1 * conv.kernel * conv.kernel + 4) as f32;
        for i in 0..got.data.len() {
            let bound = f32::EPSILON * terms * scale.data[i];
            let error = (got.data[i] - expected.data[i]).abs();
            assert!(error <= bound, "{} {variant:?}: element {i}: error {error:e}, bound {bound:e}", label(conv));
        }
    });
}

#[test]
fn pooling() {
    let device = device();
    for (x, kernel, stride, padding) in
        [((1, 64, 12, 12), 3, 2, 1), ((2, 6, 7, 9), 3, 2, 1), ((1, 4, 1, 1), 3, 2, 1), ((3, 9, 6, 5), 2, 2, 0)]
    {
        let params = PoolParams { kernel, stride, padding, ceil: false };
        let (n, c, h, w) = x;
        let mut graph = Graph::new(c);
        graph.push("max", Op::MaxPool2d(params), &[graph.input()]);
        exact(&device, &format!("max pool {x:?} {params:?}"), &graph, Shape::new(n, c, h, w), None);
    }
    // Windows that hang over the edge hold fewer pixels: 4, 2 and 1 here.
    let over = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: true };
    for op in [Op::MaxPool2d(over), Op::AvgPool2d(over)] {
        let mut graph = Graph::new(6);
        graph.push(op.name(), op.clone(), &[graph.input()]);
        exact(&device, &format!("{} over the edge", op.name()), &graph, Shape::new(2, 6, 7, 5), None);
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
        exact(&device, &format!("mean pool {x:?}"), &graph, Shape::new(n, c, h, w), None);
    }
    for x in [Shape::new(1, 512, 4, 4), Shape::new(3, 10, 8, 2), Shape::new(2, 64, 1, 1)] {
        let mut graph = Graph::new(x.c);
        graph.push("global", Op::GlobalAvgPool, &[graph.input()]);
        exact(&device, &format!("global mean {x}"), &graph, x, None);
    }
}

#[test]
fn linear_for_one_image_and_for_batches() {
    let device = device();
    for (n, inputs, outputs) in [(1, 64, 10), (1, 512, 100), (2, 9, 7), (7, 64, 1000), (8, 64, 10), (33, 20, 130)] {
        let (weight, bias) = ("fc.weight".into(), Some("fc.bias".into()));
        let mut graph = Graph::new(inputs);
        graph.push("fc", Op::Linear { weight, bias, in_features: inputs, out_features: outputs }, &[graph.input()]);
        exact(&device, &format!("linear {n}: {inputs} -> {outputs}"), &graph, Shape::new(n, inputs, 1, 1), None);
    }
}

#[test]
fn what_cannot_fuse_stands_alone() {
    let device = device();
    let shape = Shape::new(2, 6, 5, 4);
    let alone = |what: &str, build: &dyn Fn(&mut Graph) -> ValueId| {
        let mut graph = Graph::new(6);
        build(&mut graph);
        exact(&device, what, &graph, shape, None);
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

/// Gates that are means of 16 integers are exact, and so are the products.
#[test]
fn gates_scale_each_channel_of_each_image() {
    let device = device();
    for channels in [8, 6] {
        let mut graph = Graph::new(channels);
        let input = graph.input();
        let mean = graph.push("mean", Op::GlobalAvgPool, &[input]);
        let scaled = graph.push("scale", Op::Scale, &[input, mean]);
        let shape = Shape::new(3, channels, 4, 4);
        exact(&device, &format!("gates of {channels} channels"), &graph, shape, None);
        let sum = graph.push("add", Op::Add, &[scaled, input]);
        graph.push("relu", Op::Relu, &[sum]);
        exact(&device, &format!("gates of {channels} channels, addend and ReLU"), &graph, shape, None);
        let network = Network::new(graph.clone(), checkpoint(&[], small));
        let plan = network.plan(shape, &[graph.output()], &Options::new(Precision::F32), device.caps()).unwrap();
        assert_eq!(plan.steps.len(), 2, "mean, and all else in one");
    }
}

#[test]
fn sigmoid_alone_and_behind_a_convolution() {
    let device = device();
    let pointwise = conv((2, 36, 3, 5), 20, 1, 1, 1);
    let mut alone = Graph::new(36);
    alone.push("sigmoid", Op::Sigmoid, &[alone.input()]);
    let mut behind = Graph::new(36);
    let y = pointwise.push(&mut behind, "conv", ValueId(0));
    behind.push("sigmoid", Op::Sigmoid, &[y]);
    for (what, graph, options) in [
        ("alone", &alone, vec![None]),
        ("behind", &behind, Variant::all(device.caps()).into_iter().map(Some).collect()),
    ] {
        let checkpoint = checkpoint(&graph.tensors(), |i| 0.25 * small(i));
        let input = Tensor::new(pointwise.shape(), (0..pointwise.shape().elements()).map(|i| 2.0 * small(i)).collect());
        let expected = reference::logits(graph, &checkpoint, &input).unwrap();
        assert!(expected.data.iter().any(|v| *v < 0.1) && expected.data.iter().any(|v| *v > 0.9), "{what}");
        for conv2d in options.into_iter().filter(|v| v.is_none_or(|v| pointwise.admits(v))) {
            let got = on_gpu(&device, graph, &checkpoint, &input, Options { conv2d, ..Options::new(Precision::F32) });
            for (got, expected) in got.data.iter().zip(&expected.data) {
                // The sums are exact. WGSL allows exp 3 + 2|x| units in the last place and a division 2.5; what exp is off by is
                // damped by sigmoid * (1 - sigmoid), which leaves less than one unit of the largest value, 1.
                assert!((got - expected).abs() <= 5.0 * f32::EPSILON, "{what} {conv2d:?}: {got}, expected {expected}");
            }
        }
    }
}

/// A value and what is computed from it side by side, again and again: the plan lays each concatenation into the next.
#[test]
fn concatenations_grow_in_place() {
    let device = device();
    // Channels that fill whole vectors, and channels that do not and are copied.
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
        // Sums of sums soon leave the integers that f16 holds: sparse weights keep them small.
        let sparse = checkpoint(&graph.tensors(), |i| if i % 11 == 3 { small(i) } else { 0.0 });
        let shape = Shape::new(2, 4, 9, 7);
        let input = Tensor::new(shape, (0..shape.elements()).map(|i| small(i + 7)).collect());
        let expected = reference::logits(&graph, &sparse, &input).unwrap();
        assert!(expected.data.iter().all(|v| v.abs() < 2048.0));
        for variant in Variant::all(device.caps()) {
            let options = Options { conv2d: Some(variant), ..Options::new(Precision::F32) };
            let network = Network::new(graph.clone(), sparse.clone());
            let copies = network.plan(shape, &[graph.output()], &options, device.caps()).unwrap();
            let copies = copies.steps.iter().filter(|step| step.name.starts_with("concat")).count();
            assert_eq!(copies, if growth == 8 { 0 } else { 4 }, "growth {growth}: concatenations that copy");
            let got = on_gpu(&device, &graph, &sparse, &input, options);
            // Winograd's points are irrational, so its sums are not exact; rounded they are.
            let rounded: Vec<f32> = got.data.iter().map(|v| v.round()).collect();
            assert_eq!(rounded, expected.data, "growth {growth} {variant:?}");
        }
    }
}

#[test]
fn a_batch_norm_of_its_own() {
    let device = device();
    let mut graph = Graph::new(6);
    graph.push("norm", Op::BatchNorm { prefix: "norm".into(), channels: 6, eps: 1e-5 }, &[graph.input()]);
    graph.push("relu", Op::Relu, &[ValueId(1)]);
    let weights = Synthetic { salt: "norm".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("norm", &graph.tensors()).unwrap();
    let input = Tensor::new(Shape::new(2, 6, 5, 7), weights.input([2, 6, 5, 7]));
    let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
    let got = on_gpu(&device, &graph, &checkpoint, &input, Options::new(Precision::F32));
    // One product, one sum, and folded constants: a few units in the last place of the largest value.
    common::compare(&got.data, &expected.data, 4.0 * f32::EPSILON).unwrap();
}

/// DenseNet's batch norm and ReLU go into the loads of the convolution or pooling behind them.
#[test]
fn a_batch_norm_and_relu_before_a_convolution_or_pooling() {
    let device = device();
    let check = |what: &str, shape: Shape, variant: Option<Variant>, build: &dyn Fn(&mut Graph, ValueId)| {
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
        let options = Options { conv2d: variant, ..Options::new(Precision::F32) };
        let network = Network::new(graph.clone(), checkpoint.clone());
        let steps = network.plan(shape, &[graph.output()], &options, device.caps()).unwrap().steps.len();
        let own = if let Some(Variant::Sliced { .. }) = variant { 2 } else { 1 };
        assert_eq!(steps, own, "{what}: no dispatch for the batch norm");
        let got = on_gpu(&device, &graph, &checkpoint, &input, options);
        // Sums of at most 9 * 36 terms of about the same size: eps times their number.
        common::compare(&got.data, &expected.data, 324.0 * f32::EPSILON).unwrap_or_else(|e| panic!("{what}: {e}"));
    };
    for conv in [conv((2, 36, 7, 5), 20, 1, 1, 1), conv((1, 12, 6, 9), 12, 3, 1, 1), conv((1, 32, 6, 5), 32, 3, 2, 4)] {
        let serves = |variant: &Variant| conv.admits(*variant) && !variant.is_winograd();
        for variant in Variant::all(device.caps()).into_iter().filter(serves) {
            let build = |graph: &mut Graph, x| {
                conv.push(graph, "conv", x);
            };
            check(&format!("{} {variant:?}", label(&conv)), conv.shape(), Some(variant), &build);
        }
    }
    let window = PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false };
    for op in [Op::AvgPool2d(window), Op::MaxPool2d(window)] {
        check(op.name(), Shape::new(2, 10, 6, 8), None, &|graph, x| {
            graph.push("pool", op.clone(), &[x]);
        });
    }
}

/// A 1x1 convolution before a mean is done after it, on a quarter of the pixels.
#[test]
fn a_mean_moves_before_a_1x1_convolution() {
    let device = device();
    let transition = conv((2, 12, 6, 8), 20, 1, 1, 1);
    let mut graph = Graph::new(12);
    let y = transition.push(&mut graph, "conv", ValueId(0));
    graph.push("pool", Op::AvgPool2d(PoolParams { kernel: 2, stride: 2, padding: 0, ceil: false }), &[y]);
    exact(&device, "transition", &graph, transition.shape(), None);
    let network = Network::new(graph.clone(), checkpoint(&graph.tensors(), small));
    let plan =
        network.plan(transition.shape(), &[graph.output()], &Options::new(Precision::F32), device.caps()).unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.macs).sum::<u64>(), 2 * 12 * 12 * 20);
}

#[test]
fn nan_stays_nan_through_relu_and_pooling() {
    // A clamp that turns NaN into zero would make wrong logits look right.
    let device = device();
    let shape = Shape::new(1, 8, 6, 6);
    let mut input = Tensor::new(shape, (0..shape.elements()).map(small).collect());
    input.data[100] = f32::NAN;
    let conv = conv((1, 8, 6, 6), 8, 3, 1, 1);
    let check = |what: &str, build: &dyn Fn(&mut Graph), conv2d: Option<Variant>| {
        let mut graph = Graph::new(8);
        build(&mut graph);
        let checkpoint = checkpoint(&graph.tensors(), small);
        let nan = |tensor: Tensor| tensor.data.iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
        let expected = nan(reference::logits(&graph, &checkpoint, &input).unwrap());
        assert!(expected.contains(&true) && expected.contains(&false), "{what}: the case shows nothing");
        let got = on_gpu(&device, &graph, &checkpoint, &input, Options { conv2d, ..Options::new(Precision::F32) });
        let got = nan(got);
        if conv2d.is_some_and(Variant::is_winograd) {
            // A tile's outputs share their sums.
            assert!(expected.iter().zip(&got).all(|(expected, got)| *got || !expected), "{what} {conv2d:?}");
        } else {
            assert_eq!(got, expected, "{what} {conv2d:?}");
        }
    };
    for variant in Variant::all(device.caps()) {
        let convolution = |graph: &mut Graph| {
            let y = conv.push(graph, "conv", ValueId(0));
            graph.push("relu", Op::Relu, &[y]);
        };
        check("conv2d and relu", &convolution, Some(variant));
    }
    let relu = |graph: &mut Graph| {
        graph.push("relu", Op::Relu, &[ValueId(0)]);
    };
    check("relu", &relu, None);
    let pool = |graph: &mut Graph| {
        graph.push("max", Op::MaxPool2d(PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false }), &[ValueId(0)]);
    };
    check("max pool", &pool, None);
}
