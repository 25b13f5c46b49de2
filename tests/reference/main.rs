//! Compares operators of the reference with results worked out by hand or by PyTorch's definition.

mod norms;

use residua::{
    checkpoint::{Checkpoint, Synthetic},
    executor::reference,
    graph::{Activation, Conv2dParams, Graph, Op, Padding, Plain, PoolParams},
    models::Architecture,
    tensor::{Shape, Tensor},
};

/// A checkpoint of the given tensors.
fn checkpoint(tensors: &[(&str, &[usize], &[f32])]) -> Checkpoint {
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, shape, values) in tensors {
        let start = data.len();
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let end = data.len();
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    Checkpoint::from_bytes("hand-made", bytes).unwrap()
}

/// The output of a single operator for an input that counts up from 1.
fn apply(op: impl Into<Op>, input: Shape, weights: &[(&str, &[usize], &[f32])]) -> Tensor {
    let mut graph = Graph::new(input.c);
    let x = graph.input();
    graph.push("op", op, &[x]);
    let x = Tensor::new(input, (1..=input.elements()).map(|i| i as f32).collect());
    reference::logits(&graph, &checkpoint(weights), &x).unwrap()
}

fn conv(in_channels: usize, out_channels: usize, kernel: usize, stride: usize, padding: usize, groups: usize) -> Op {
    let params = Conv2dParams { in_channels, out_channels, kernel, stride, padding, dilation: 1, groups };
    Op::Conv2d { weight: "w".into(), bias: None, params }
}

#[test]
fn convolution_does_not_flip_the_kernel_and_pads_with_zeros() {
    let kernel: Vec<f32> = (1..=9).map(|i| i as f32).collect();
    let weight: [(&str, &[usize], &[f32]); 1] = [("w", &[1, 1, 3, 3], &kernel)];
    let y = apply(conv(1, 1, 3, 1, 1, 1), Shape::new(1, 1, 2, 3), &weight);
    // Top left: 5*1 + 6*2 + 8*4 + 9*5; the others likewise.
    assert_eq!(y.data, [94.0, 154.0, 106.0, 58.0, 91.0, 58.0].map(|v| v));
}

#[test]
fn convolution_with_stride() {
    let weight: [(&str, &[usize], &[f32]); 1] = [("w", &[1, 1, 1, 1], &[2.0])];
    let y = apply(conv(1, 1, 1, 2, 0, 1), Shape::new(2, 1, 3, 4), &weight);
    assert_eq!((y.shape, y.data), (Shape::new(2, 1, 2, 2), vec![2.0, 6.0, 18.0, 22.0, 26.0, 30.0, 42.0, 46.0]));
}

#[test]
fn groups_do_not_mix() {
    let weight: [(&str, &[usize], &[f32]); 1] = [("w", &[2, 2, 1, 1], &[1.0, 10.0, 100.0, 1000.0])];
    let y = apply(conv(4, 2, 1, 1, 0, 2), Shape::new(1, 4, 1, 2), &weight);
    assert_eq!(y.data, [31.0, 42.0, 7500.0, 8600.0]);
}

#[test]
fn convolution_adds_its_bias() {
    let params =
        Conv2dParams { in_channels: 1, out_channels: 2, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
    let op = Op::Conv2d { weight: "w".into(), bias: Some("b".into()), params };
    let y = apply(op, Shape::new(1, 1, 1, 2), &[("w", &[2, 1, 1, 1], &[1.0, -1.0]), ("b", &[2], &[0.5, 0.25])]);
    assert_eq!(y.data, [1.5, 2.5, -0.75, -1.75]);
}

/// Compares every combination of extents with the definition, element by element.
#[test]
fn convolution_is_its_definition() {
    let synthetic = Synthetic { salt: "conv".into(), damped: None, damp: 1.0 };
    for (c, o, kernel, stride, padding, dilation, groups, h, w) in [
        (3, 4, 7, 2, 3, 1, 1, 11, 8),
        (4, 6, 3, 2, 1, 1, 2, 5, 7),
        (6, 6, 3, 1, 1, 1, 6, 4, 3),
        (2, 2, 1, 2, 0, 1, 1, 6, 5),
        (2, 2, 1, 1, 1, 1, 1, 3, 3),
        (64, 64, 3, 1, 1, 1, 4, 16, 16),
        (4, 6, 3, 1, 2, 2, 2, 6, 9),
        (2, 3, 3, 2, 4, 4, 1, 7, 5),
        (2, 2, 1, 1, 0, 3, 1, 3, 3),
    ] {
        let (params, i) =
            (Conv2dParams { in_channels: c, out_channels: o, kernel, stride, padding, dilation, groups }, c / groups);
        let mut graph = Graph::new(c);
        let input = graph.input();
        graph.push("conv", Op::Conv2d { weight: "w".into(), bias: None, params }, &[input]);
        let weights = synthetic.tensor("w", &params.weight_shape());
        let checkpoint = synthetic.checkpoint("conv", &graph.tensors()).unwrap();
        let x = Tensor::new(Shape::new(2, c, h, w), synthetic.input([2, c, h, w]));
        let y = reference::logits(&graph, &checkpoint, &x).unwrap();
        for (flat, got) in y.data.iter().enumerate() {
            let (ox, oy) = (flat % y.shape.w, flat / y.shape.w % y.shape.h);
            let (oc, n) = (flat / y.shape.pixels() % o, flat / y.shape.pixels() / o);
            let mut sum = 0.0;
            for (ic, ky, kx) in (0..i * kernel * kernel).map(|k| (k / kernel / kernel, k / kernel % kernel, k % kernel))
            {
                let (iy, ix) =
                    [(oy, ky), (ox, kx)].map(|(o, k)| (o * stride + k * dilation).wrapping_sub(padding)).into();
                if iy < h && ix < w {
                    let channel = oc / (o / groups) * i + ic;
                    sum += f64::from(weights[((oc * i + ic) * kernel + ky) * kernel + kx])
                        * f64::from(x.data[((n * c + channel) * h + iy) * w + ix]);
                }
            }
            assert_eq!(*got, sum as f32, "{params:?} at {n} {oc} {oy} {ox}");
        }
    }
}

#[test]
fn batch_norm_is_its_definition() {
    let op = Op::BatchNorm { prefix: "bn".into(), channels: 2, eps: 0.75 };
    let weights: [(&str, &[usize], &[f32]); 4] = [
        ("bn.weight", &[2], &[2.0, -1.0]),
        ("bn.bias", &[2], &[10.0, 0.0]),
        ("bn.running_mean", &[2], &[1.0, 4.0]),
        ("bn.running_var", &[2], &[0.25, 3.25]),
    ];
    let y = apply(op, Shape::new(2, 2, 1, 2), &weights);
    assert_eq!(y.data, [10.0, 12.0, 0.5, 0.0, 18.0, 20.0, -1.5, -2.0]);
}

#[test]
fn activations() {
    let of = |activation| apply(Plain::Activation(activation), Shape::new(1, 3, 1, 1), &[]).data;
    // Of 1, 2 and 3.
    assert_eq!(of(Activation::Silu), [0.731_058_6, 1.761_594_2, 2.857_722_3]);
    assert_eq!(of(Activation::Gelu), [0.841_344_8, 1.954_499_7, 2.995_950_2]);
    assert_eq!(of(Activation::HardSwish), [2.0 / 3.0, 5.0 / 3.0, 3.0]);
    let mut graph = Graph::new(1);
    let x = graph.input();
    let twice = graph.push("leaky", Plain::Activation(Activation::LeakyRelu(0.5)), &[x]);
    graph.push("elu", Plain::Activation(Activation::Elu(2.0)), &[twice]);
    let x = Tensor::new(Shape::new(1, 1, 1, 2), vec![-2.0, 4.0]);
    let values = reference::run(&graph, &checkpoint(&[]), &x).unwrap();
    assert_eq!(values[1].data, [-1.0, 4.0]);
    assert_eq!(values[2].data, [-1.264_241_1, 4.0]);
}

#[test]
fn global_pooling() {
    let of = |op| apply(op, Shape::new(1, 2, 1, 2), &[]).data;
    assert_eq!(of(Plain::GlobalMaxPool), [2.0, 4.0]);
    assert_eq!(of(Plain::GlobalAvgMaxPool), [1.75, 3.75]);
}

#[test]
fn pooling_ignores_its_padding() {
    let window = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };
    let negative = |op: Op| {
        let mut graph = Graph::new(1);
        let x = graph.input();
        graph.push("pool", op, &[x]);
        let x = Tensor::new(Shape::new(1, 1, 3, 4), (1..=12).map(|i| -(i as f32)).collect());
        reference::logits(&graph, &checkpoint(&[]), &x).unwrap().data
    };
    assert_eq!(negative(Op::MaxPool2d(window)), [-1.0, -2.0, -5.0, -6.0]);
    assert_eq!(negative(Op::AvgPool2d(window)), [-3.5, -5.0, -9.5 + 2.0, -9.0].map(|v| v));
    assert_eq!(negative(Plain::GlobalAvgPool.into()), [-6.5]);
}

#[test]
fn pooling_over_the_edge() {
    let pool = |kernel, stride, padding, h, w| {
        let window = PoolParams { kernel, stride, padding, ceil: true };
        let max = apply(Op::MaxPool2d(window), Shape::new(1, 1, h, w), &[]);
        let mean = apply(Op::AvgPool2d(window), Shape::new(1, 1, h, w), &[]);
        assert_eq!(max.shape, mean.shape);
        (max.shape.h, max.shape.w, max.data, mean.data)
    };
    assert_eq!(pool(2, 2, 0, 3, 2), (2, 1, vec![4.0, 6.0], vec![2.5, 5.5]));
    assert_eq!(pool(2, 2, 0, 1, 1), (1, 1, vec![1.0], vec![1.0]));
    // A window that would start after the last pixel, in the padding, does not count.
    assert_eq!(pool(3, 2, 1, 1, 3), (1, 2, vec![2.0, 3.0], vec![1.5, 2.5]));
    assert_eq!(pool(2, 3, 1, 1, 2), (1, 1, vec![1.0], vec![1.0]));
}

#[test]
fn gates() {
    let y = apply(Op::Sigmoid, Shape::new(1, 3, 1, 1), &[]);
    assert_eq!(y.data, [0.731_058_6, 0.880_797_1, 0.952_574_13]);
    for (op, expected) in [
        (Op::Scale, [2.0, 6.0, 2.0, -0.0, 4.0, 4.0, 0.25, 0.25]),
        (Op::Shift, [3.0, 5.0, -3.0, -1.0, 4.0, 4.0, 1.0, 1.0]),
    ] {
        let mut graph = Graph::new(2);
        let x = graph.input();
        let mean = graph.push("mean", Plain::GlobalAvgPool, &[x]);
        graph.push("gate", op.clone(), &[x, mean]);
        let x = Tensor::new(Shape::new(2, 2, 1, 2), vec![1.0, 3.0, -2.0, 0.0, 2.0, 2.0, 0.5, 0.5]);
        let y = reference::logits(&graph, &checkpoint(&[]), &x).unwrap();
        assert_eq!(y.data, expected);
        let mut graph = Graph::new(2);
        let x = graph.input();
        graph.push("gate", op, &[x, x]);
        assert_eq!(graph.infer_shapes(Shape::new(1, 2, 2, 2)).unwrap_err().code(), "graph.shape");
        assert!(graph.infer_shapes(Shape::new(1, 2, 1, 1)).is_ok());
    }
}

/// So no kernel and no packing of weights needs to handle them.
#[test]
fn layers_without_outputs_are_refused() {
    let params =
        Conv2dParams { in_channels: 2, out_channels: 0, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
    let conv = Op::Conv2d { weight: "w".into(), bias: None, params };
    let linear = Plain::Linear { in_features: 2, out_features: 0 }.named("fc");
    for op in [conv, linear] {
        let mut graph = Graph::new(2);
        graph.push("layer", op, &[graph.input()]);
        assert_eq!(graph.infer_shapes(Shape::new(1, 2, 1, 1)).unwrap_err().code(), "graph.shape");
    }
}

#[test]
fn linear_layer() {
    let op = Op::Plain { op: Plain::Linear { in_features: 2, out_features: 3 }, weights: vec!["w".into(), "b".into()] };
    let weights: [(&str, &[usize], &[f32]); 2] =
        [("w", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 10.0, 100.0]), ("b", &[3], &[0.5, 0.0, -1.0])];
    let y = apply(op, Shape::new(2, 2, 1, 1), &weights);
    assert_eq!(y.data, [1.5, 2.0, 209.0, 3.5, 4.0, 429.0]);
}

#[test]
fn gates_along_the_channels() {
    let sigmoid = |x: f64| (1.0 / (1.0 + (-x).exp())) as f32;
    let gate = |kernel: usize, weight: &[f32]| {
        let weights: [(&str, &[usize], &[f32]); 1] = [("eca.weight", &[1, 1, kernel], weight)];
        apply(Plain::ChannelGate { kernel }.named("eca"), Shape::new(2, 3, 1, 1), &weights).data
    };
    // The images are 1, 2, 3 and 4, 5, 6.
    let sums = [0.5 - 2.0, -0.25 + 1.0 - 3.0, -0.5 + 1.5, 2.0 - 5.0, -1.0 + 2.5 - 6.0, -1.25 + 3.0];
    assert_eq!(gate(3, &[-0.25, 0.5, -1.0]), sums.map(sigmoid));
    assert_eq!(gate(1, &[0.5]), [0.5, 1.0, 1.5, 2.0, 2.5, 3.0].map(sigmoid));
    let sums = [3.0, 0.0, 0.0, 6.0, 0.0, 0.0];
    assert_eq!(gate(7, &[9.0, 0.0, 0.0, 0.0, 0.0, 1.0, 9.0]), sums.map(sigmoid), "wider than the channels");
    for (kernel, x) in [(4, Shape::new(1, 3, 1, 1)), (3, Shape::new(1, 3, 2, 1))] {
        let mut graph = Graph::new(3);
        graph.push("eca", Plain::ChannelGate { kernel }.named("eca"), &[graph.input()]);
        assert_eq!(graph.infer_shapes(x).unwrap_err().code(), "graph.shape");
    }
}

#[test]
fn values_in_other_places() {
    let y = apply(Plain::Slice { from: 1, channels: 2 }, Shape::new(2, 4, 1, 1), &[]);
    assert_eq!((y.shape, y.data), (Shape::new(2, 2, 1, 1), vec![2.0, 3.0, 6.0, 7.0]));
    let y = apply(Plain::Pad(Padding::Sides(1)), Shape::new(1, 1, 1, 2), &[]);
    assert_eq!(
        (y.shape, y.data),
        (Shape::new(1, 1, 3, 4), vec![0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    );
    // Along the columns, two windows of three with stride two need five; along the rows, two windows need three. So one zero column and one
    // zero row follow.
    let y = apply(Plain::Pad(Padding::Same { kernel: 3, stride: 2 }), Shape::new(1, 1, 2, 4), &[]);
    assert_eq!(y.shape, Shape::new(1, 1, 3, 5));
    assert_eq!(y.data, [1.0, 2.0, 3.0, 4.0, 0.0, 5.0, 6.0, 7.0, 8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    let y = apply(Plain::Pad(Padding::Same { kernel: 3, stride: 2 }), Shape::new(1, 1, 3, 1), &[]);
    assert_eq!(
        (y.shape, y.data[4]),
        (Shape::new(1, 1, 5, 3), 1.0),
        "odd extents have equally many zeros on both sides"
    );
    let y = apply(Plain::Upsample { factor: 2 }, Shape::new(1, 1, 1, 2), &[]);
    assert_eq!((y.shape, y.data), (Shape::new(1, 1, 2, 4), vec![1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0]));
    for op in [
        Plain::Slice { from: 3, channels: 2 },
        Plain::Upsample { factor: 0 },
        Plain::Slice { from: usize::MAX, channels: 2 },
    ] {
        let mut graph = Graph::new(4);
        graph.push("op", op, &[graph.input()]);
        assert_eq!(graph.infer_shapes(Shape::new(1, 4, 1, 1)).unwrap_err().code(), "graph.shape");
    }
}

#[test]
fn groups_that_compete() {
    let share = |difference: f64| (1.0 / (1.0 + difference.exp())) as f32;
    // Channels 1 and 3 compete, and 2 and 4; with two blocks, 1 and 2, and 3 and 4.
    let y = apply(Plain::Softmax { outer: 1, groups: 2 }, Shape::new(1, 4, 1, 1), &[]);
    assert_eq!(y.data, [share(2.0), share(2.0), share(-2.0), share(-2.0)]);
    let y = apply(Plain::Softmax { outer: 2, groups: 2 }, Shape::new(1, 4, 1, 1), &[]);
    assert_eq!(y.data, [share(1.0), share(1.0), share(-1.0), share(-1.0)]);
}

#[test]
fn attention_over_all_pixels() {
    // Keys 1 and 2, then values 3 and 4, and 5 and 6.
    let y = apply(Plain::Attend { heads: 1, keys: 1, scale: 2.0 }, Shape::new(1, 3, 1, 2), &[]);
    let second = 1.0 / (1.0 + (-2.0_f64).exp());
    assert_eq!((y.shape, y.data), (Shape::new(1, 2, 1, 1), vec![(3.0 + second) as f32, (5.0 + second) as f32]));
    let weight: [(&str, &[usize], &[f32]); 1] =
        [("t.weight", &[5, 2], &[1.0, 2.0, 10.0, 20.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1.0])];
    let y = apply(Plain::Tokens { channels: 2, side: 2 }.named("t"), Shape::new(1, 2, 2, 2), &weight);
    assert_eq!(y.shape, Shape::new(1, 2, 1, 5));
    assert_eq!(y.data, [3.5, 11.0, 2.0, 3.0, 4.0, 8.5, 25.0, 6.0, 7.0, 7.0]);
    // Positions as PyTorch 2.15 resamples them, for fewer pixels and for more.
    let weight: [(&str, &[usize], &[f32]); 1] =
        [("t.weight", &[10, 1], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 10.0])];
    for (extents, expected) in [
        ([2, 2], vec![2.240_775_6, 3.593_495_8, 6.354_330_5, 8.183_439]),
        ([1, 4], vec![3.947_761, 4.535_242, 5.557_001_6, 6.372_485]),
    ] {
        let y =
            apply(Plain::Tokens { channels: 1, side: 3 }.named("t"), Shape::new(1, 1, extents[0], extents[1]), &weight);
        let near = |(i, (y, position)): (usize, (&f32, &f32))| (y - position - (i + 1) as f32).abs() < 1e-6 * y.abs();
        assert!(y.data[1..].iter().zip(&expected).enumerate().all(near), "{:?}", y.data);
    }
    for (op, x) in [
        (Plain::Attend { heads: 2, keys: 3, scale: 1.0 }, Shape::new(1, 5, 2, 2)),
        (Plain::Attend { heads: 1, keys: 5, scale: 1.0 }, Shape::new(1, 5, 2, 2)),
        (Plain::Tokens { channels: 4, side: 2 }, Shape::new(1, 5, 2, 3)),
        (Plain::Tokens { channels: 5, side: 0 }, Shape::new(1, 5, 2, 3)),
    ] {
        let mut graph = Graph::new(5);
        graph.push("op", op.named("op"), &[graph.input()]);
        assert_eq!(graph.infer_shapes(x).unwrap_err().code(), "graph.shape");
    }
}

#[test]
fn shortcut_without_weights() {
    let y = apply(Op::SubsamplePad { stride: 2, before: 1, after: 2 }, Shape::new(1, 1, 3, 3), &[]);
    assert_eq!(y.shape, Shape::new(1, 4, 2, 2));
    assert_eq!(y.data[..4], [0.0; 4]);
    assert_eq!(y.data[4..8], [1.0, 3.0, 7.0, 9.0]);
    assert_eq!(y.data[8..], [0.0; 8]);
}

#[test]
fn joins() {
    let mut graph = Graph::new(1);
    let x = graph.input();
    let double = graph.push("double", Op::Add, &[x, x]);
    graph.push("both", Op::Concat, &[double, x]);
    let x = Tensor::new(Shape::new(2, 1, 1, 2), vec![1.0, -2.0, 3.0, 4.0]);
    let values = reference::run(&graph, &checkpoint(&[]), &x).unwrap();
    assert_eq!(values.len(), 3);
    assert_eq!(values[1].data, [2.0, -4.0, 6.0, 8.0]);
    assert_eq!(values[2].data, [2.0, -4.0, 1.0, -2.0, 6.0, 8.0, 3.0, 4.0]);
}

#[test]
fn nan_is_never_hidden() {
    let pool = Op::MaxPool2d(PoolParams { kernel: 2, stride: 1, padding: 0, ceil: false });
    let silu = Plain::Activation(Activation::Silu);
    let leaky = Plain::Activation(Activation::LeakyRelu(0.1));
    let plain = [silu, leaky, Plain::GlobalMaxPool, Plain::GlobalAvgMaxPool].map(Op::from);
    for op in [Op::Relu, Op::Sigmoid, pool].into_iter().chain(plain) {
        let mut graph = Graph::new(1);
        let x = graph.input();
        graph.push("op", op, &[x]);
        let x = Tensor::new(Shape::new(1, 1, 2, 2), vec![f32::NAN, 1.0, 2.0, -3.0]);
        assert!(reference::logits(&graph, &checkpoint(&[]), &x).unwrap().data[0].is_nan());
    }
}

#[test]
fn logits_values_and_run_agree() {
    let architecture = Architecture::by_name("cifar_resnet20a").unwrap();
    let graph = architecture.graph();
    let synthetic = Synthetic { salt: "same".into(), damped: None, damp: 1.0 };
    let checkpoint = synthetic.checkpoint("same", &graph.tensors()).unwrap();
    let x = Tensor::new(Shape::new(1, 3, 16, 20), synthetic.input([1, 3, 16, 20]));
    let all = reference::run(&graph, &checkpoint, &x).unwrap();
    assert_eq!(all.len(), graph.nodes().len());
    assert_eq!(reference::logits(&graph, &checkpoint, &x).unwrap(), all[graph.output().0]);
    let wanted = [graph.output(), graph.input(), graph.output()];
    let values = reference::values(&graph, &checkpoint, &x, &wanted).unwrap();
    assert_eq!(values, wanted.map(|id| all[id.0].clone()));
}

#[test]
fn errors_are_those_of_the_graph_and_the_checkpoint() {
    let architecture = Architecture::by_name("resnet18").unwrap();
    let x = Tensor::zeros(Shape::new(1, 1, 64, 64));
    assert_eq!(reference::logits(&architecture.graph(), &checkpoint(&[]), &x).unwrap_err().code(), "graph.shape");
    let x = Tensor::zeros(Shape::new(1, 3, 64, 64));
    assert_eq!(
        reference::logits(&architecture.graph(), &checkpoint(&[]), &x).unwrap_err().code(),
        "model.missing_tensor"
    );
}

#[test]
fn extents_that_no_operator_has_are_errors() {
    let params =
        Conv2dParams { in_channels: 8, out_channels: 8, kernel: 3, stride: 1, padding: 1, dilation: 1, groups: 1 };
    let convolution = |params| Op::Conv2d { weight: "weight".into(), bias: None, params };
    let window = PoolParams { kernel: 3, stride: 2, padding: 1, ceil: false };
    let wrong = [
        convolution(Conv2dParams { kernel: 0, ..params }),
        convolution(Conv2dParams { stride: 0, ..params }),
        convolution(Conv2dParams { dilation: 0, ..params }),
        convolution(Conv2dParams { groups: 0, ..params }),
        convolution(Conv2dParams { groups: 3, ..params }),
        convolution(Conv2dParams { out_channels: 10, groups: 4, ..params }),
        Op::MaxPool2d(PoolParams { kernel: 0, padding: 0, ..window }),
        Op::MaxPool2d(PoolParams { stride: 0, ..window }),
        Op::AvgPool2d(PoolParams { padding: 3, ..window }),
        Op::SubsamplePad { stride: 0, before: 0, after: 0 },
    ];
    for op in wrong {
        let mut graph = Graph::new(8);
        graph.push("op", op.clone(), &[graph.input()]);
        assert!(graph.tensors().len() <= 1);
        let error = reference::logits(&graph, &checkpoint(&[]), &Tensor::zeros(Shape::new(1, 8, 5, 5)));
        assert_eq!(error.unwrap_err().code(), "graph.shape", "{op:?}");
    }
}
