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
    kernels::{Precision, conv2d::Variant},
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
}

impl Conv {
    fn push(&self, graph: &mut Graph, name: &str, from: ValueId) -> ValueId {
        let (_, in_channels, ..) = self.x;
        let padding = self.kernel / 2;
        let params = Conv2dParams {
            in_channels,
            out_channels: self.out,
            kernel: self.kernel,
            stride: self.stride,
            padding,
            groups: 1,
        };
        let bias = Some(format!("{name}.bias"));
        graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[from])
    }

    fn shape(&self) -> Shape {
        let (n, c, h, w) = self.x;
        Shape::new(n, c, h, w)
    }
}

/// Stem, 1x1, 3x3 with and without stride, channel counts that are no multiple of four or of a tile, one pixel, batches,
/// images narrower than the window.
const CONVOLUTIONS: [Conv; 14] = [
    Conv { x: (1, 3, 32, 32), out: 16, kernel: 3, stride: 1 },
    Conv { x: (2, 3, 37, 29), out: 24, kernel: 7, stride: 2 },
    Conv { x: (1, 16, 9, 9), out: 16, kernel: 3, stride: 1 },
    Conv { x: (3, 16, 8, 8), out: 32, kernel: 3, stride: 2 },
    Conv { x: (1, 64, 7, 7), out: 72, kernel: 1, stride: 1 },
    Conv { x: (2, 32, 9, 7), out: 40, kernel: 1, stride: 2 },
    Conv { x: (1, 5, 6, 6), out: 7, kernel: 3, stride: 1 },
    Conv { x: (1, 1, 5, 5), out: 1, kernel: 3, stride: 1 },
    Conv { x: (1, 8, 1, 1), out: 8, kernel: 3, stride: 1 },
    Conv { x: (1, 4, 2, 3), out: 4, kernel: 7, stride: 2 },
    Conv { x: (2, 20, 17, 1), out: 36, kernel: 3, stride: 2 },
    Conv { x: (5, 68, 3, 3), out: 132, kernel: 3, stride: 1 },
    Conv { x: (1, 12, 40, 50), out: 68, kernel: 3, stride: 1 },
    Conv { x: (1, 100, 1, 9), out: 30, kernel: 1, stride: 1 },
];

fn each_variant(convolutions: &[Conv], test: impl Fn(&Arc<Device>, Variant, &Conv)) {
    let device = device();
    for variant in Variant::all(device.caps().subgroup) {
        convolutions.iter().for_each(|conv| test(&device, variant, conv));
    }
}

fn label(conv: &Conv) -> String {
    format!("{} -> {}, {}x{} stride {}", conv.shape(), conv.out, conv.kernel, conv.kernel, conv.stride)
}

#[test]
fn conv2d_is_exact_on_integers() {
    each_variant(&CONVOLUTIONS, |device, variant, conv| {
        let mut graph = Graph::new(conv.x.1);
        let y = conv.push(&mut graph, "conv", ValueId(0));
        graph.push("relu", Op::Relu, &[y]);
        exact(device, &label(conv), &graph, conv.shape(), Some(variant));
    });
}

#[test]
fn conv2d_adds_a_residual() {
    each_variant(&CONVOLUTIONS[2..8], |device, variant, conv| {
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
        for variant in Variant::all(device.caps().subgroup) {
            let conv = Conv { x: (2, 6, 9, 8), out: before + 6 + after, kernel: 3, stride: 2 };
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
    each_variant(&CONVOLUTIONS[..6], |device, variant, conv| {
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

#[test]
fn nan_stays_nan_through_relu_and_pooling() {
    // A clamp that turns NaN into zero would make wrong logits look right.
    let device = device();
    let shape = Shape::new(1, 8, 6, 6);
    let mut input = Tensor::new(shape, (0..shape.elements()).map(small).collect());
    input.data[100] = f32::NAN;
    let conv = Conv { x: (1, 8, 6, 6), out: 8, kernel: 3, stride: 1 };
    let check = |what: &str, build: &dyn Fn(&mut Graph), conv2d: Option<Variant>| {
        let mut graph = Graph::new(8);
        build(&mut graph);
        let checkpoint = checkpoint(&graph.tensors(), small);
        let nan = |tensor: Tensor| tensor.data.iter().map(|v| v.is_nan()).collect::<Vec<bool>>();
        let expected = nan(reference::logits(&graph, &checkpoint, &input).unwrap());
        assert!(expected.contains(&true) && expected.contains(&false), "{what}: the case shows nothing");
        let got = on_gpu(&device, &graph, &checkpoint, &input, Options { conv2d, ..Options::new(Precision::F32) });
        assert_eq!(nan(got), expected, "{what} {conv2d:?}");
    };
    for variant in Variant::all(device.caps().subgroup) {
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
