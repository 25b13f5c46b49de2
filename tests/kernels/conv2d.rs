//! Convolutions: each kernel with each shape that it supports.

use residua::{
    checkpoint::Synthetic,
    executor::{
        gpu::{
            Device,
            kernels::{KernelId, Problem, Residual, View, candidates, conv2d::Conv2d},
        },
        reference,
    },
    graph::{Conv2dParams, Graph, Op, ValueId},
    network::Activation,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    F32,
    common::{
        device,
        executors::{Machine, machine},
    },
    exact, magnitudes, outputs, positive,
};

pub(crate) struct Conv {
    pub(crate) x: (usize, usize, usize, usize),
    pub(crate) out: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) groups: usize,
    pub(crate) dilation: usize,
}

impl Conv {
    pub(crate) fn params(&self) -> Conv2dParams {
        let Conv { x: (_, in_channels, ..), out: out_channels, kernel, stride, groups, dilation } = *self;
        let padding = kernel / 2 * dilation;
        Conv2dParams { in_channels, out_channels, kernel, stride, padding, dilation, groups }
    }

    /// The layer as a problem for kernels.
    pub(crate) fn problem(&self) -> Problem {
        let params = self.params();
        let Shape { n, h, w, .. } = self.shape();
        let [oh, ow] = [h, w].map(|extent| (extent + 2 * params.padding - params.span()) / params.stride + 1);
        let (x, y) = (View::whole(self.shape()), View::whole(Shape::new(n, params.out_channels, oh, ow)));
        let (residual, activation) = (Residual::None, Activation::None);
        Problem::Conv2d(Conv2d { params, x, y, prologue: false, residual, activation })
    }

    /// The kernels that compute it in f32.
    pub(crate) fn kernels(&self, device: &Device) -> Vec<KernelId> {
        let serves = |kernel: &KernelId| kernel.serves(&self.problem(), StorageType::F32, device.caps());
        candidates(device.caps()).filter(serves).collect()
    }

    pub(crate) fn push(&self, graph: &mut Graph, name: &str, from: ValueId) -> ValueId {
        let params = self.params();
        let bias = Some(format!("{name}.bias"));
        graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias, params }, &[from])
    }

    pub(crate) fn shape(&self) -> Shape {
        let (n, c, h, w) = self.x;
        Shape::new(n, c, h, w)
    }
}

pub(crate) const fn conv(
    x: (usize, usize, usize, usize),
    out: usize,
    kernel: usize,
    stride: usize,
    groups: usize,
) -> Conv {
    Conv { x, out, kernel, stride, groups, dilation: 1 }
}

/// Stem, fewer than four input channels, 1x1, 3x3 with and without stride, channel counts that are not multiples of four or of a tile, one
/// pixel, batches, images narrower than the window.
const DENSE: [Conv; 15] = [
    conv((1, 3, 32, 32), 16, 3, 1, 1),
    conv((2, 3, 37, 29), 24, 7, 2, 1),
    conv((1, 16, 9, 9), 16, 3, 1, 1),
    conv((3, 16, 8, 8), 32, 3, 2, 1),
    conv((1, 64, 7, 7), 72, 1, 1, 1),
    conv((2, 32, 9, 7), 40, 1, 2, 1),
    conv((1, 5, 6, 6), 7, 3, 1, 1),
    conv((1, 1, 5, 5), 1, 3, 1, 1),
    conv((1, 2, 5, 4), 6, 3, 1, 1),
    conv((1, 8, 1, 1), 8, 3, 1, 1),
    conv((1, 4, 2, 3), 4, 7, 2, 1),
    conv((2, 20, 17, 1), 36, 3, 2, 1),
    conv((5, 68, 3, 3), 132, 3, 1, 1),
    conv((1, 12, 40, 50), 68, 3, 1, 1),
    conv((1, 100, 1, 9), 30, 1, 1, 1),
];

/// Groups as in ResNeXt (4 to 64 channels each), more outputs than inputs, and groups whose sizes are not multiples of four: these are
/// merged, in the last case all of them.
const GROUPED: [Conv; 11] = [
    conv((2, 32, 9, 7), 32, 3, 1, 8),
    conv((1, 64, 8, 8), 64, 3, 2, 8),
    conv((1, 64, 5, 6), 64, 3, 1, 4),
    conv((1, 128, 4, 3), 128, 3, 1, 4),
    conv((1, 128, 3, 3), 128, 1, 1, 2),
    conv((1, 16, 6, 5), 96, 3, 1, 4),
    conv((1, 48, 5, 5), 48, 3, 1, 8),
    conv((1, 12, 5, 4), 12, 3, 1, 12),
    conv((1, 36, 7, 6), 36, 5, 2, 36),
    conv((2, 40, 9, 7), 40, 3, 2, 20),
    conv((1, 9, 4, 5), 6, 3, 1, 3),
];

/// Calls `test` for each convolution without a kernel, which means every executor, and with each kernel that supports it except
/// Winograd's, whose sums are not integers.
fn each_exact_kernel(convolutions: &[Conv], test: impl Fn(&Machine, Option<KernelId>, &Conv)) {
    let machine = machine();
    for conv in convolutions {
        let kernels = conv.kernels(&machine.device);
        assert!(!kernels.is_empty(), "{}", label(conv));
        let exact = kernels.into_iter().filter(|kernel| kernel.is_exact());
        exact.map(Some).chain([None]).for_each(|kernel| test(&machine, kernel, conv));
    }
}

pub(crate) fn label(conv: &Conv) -> String {
    let Conv { out, kernel, stride, groups, .. } = conv;
    format!("{} -> {out}, {kernel}x{kernel} stride {stride}, {groups} groups", conv.shape())
}

#[test]
fn conv2d_is_exact_on_integers() {
    each_exact_kernel(&DENSE, |machine, kernel, conv| {
        let mut graph = Graph::new(conv.x.1);
        let y = conv.push(&mut graph, "conv", ValueId(0));
        graph.push("relu", Op::Relu, &[y]);
        exact(machine, &label(conv), &graph, conv.shape(), kernel);
    });
}

/// Enough pixels for more than one row of workgroups in the grid, for kernels that make rows.
#[test]
fn a_million_pixels() {
    let many = [conv((1, 1, 1025, 1025), 1, 1, 1, 1)];
    each_exact_kernel(&many, |machine, kernel, conv| {
        let mut graph = Graph::new(1);
        conv.push(&mut graph, "conv", ValueId(0));
        exact(machine, &label(conv), &graph, conv.shape(), kernel);
    });
}

#[test]
fn grouped_conv2d_is_exact_on_integers() {
    each_exact_kernel(&GROUPED, |machine, kernel, conv| {
        let mut graph = Graph::new(conv.x.1);
        let y = conv.push(&mut graph, "conv", ValueId(0));
        graph.push("relu", Op::Relu, &[y]);
        exact(machine, &label(conv), &graph, conv.shape(), kernel);
    });
}

/// Dilations of two to four, some wider than the image, dense and in groups, with a stride, and with a residual.
#[test]
fn dilated_conv2d_is_exact_on_integers() {
    let dilated = |conv: Conv, dilation: usize| Conv { dilation, ..conv };
    let convolutions = [
        dilated(conv((2, 16, 9, 11), 24, 3, 1, 1), 2),
        dilated(conv((1, 6, 13, 7), 10, 3, 1, 1), 4),
        dilated(conv((1, 64, 3, 3), 32, 3, 1, 1), 4),
        dilated(conv((2, 8, 9, 8), 8, 3, 2, 1), 2),
        dilated(conv((1, 64, 8, 9), 64, 3, 1, 8), 2),
        dilated(conv((2, 12, 7, 9), 12, 3, 1, 12), 3),
    ];
    let device = device();
    let mut kernels = convolutions.iter().flat_map(|conv| conv.kernels(&device));
    assert!(kernels.all(KernelId::is_exact), "Winograd's kernels do not support dilation");
    each_exact_kernel(&convolutions, |machine, kernel, conv| {
        let mut graph = Graph::new(conv.x.1);
        let first = conv.push(&mut graph, "first", ValueId(0));
        let relu = graph.push("relu", Op::Relu, &[first]);
        if (conv.stride, conv.out) == (1, conv.x.1) {
            let second = conv.push(&mut graph, "second", relu);
            graph.push("add", Op::Add, &[second, graph.input()]);
        }
        exact(machine, &format!("dilated by {}, {}", conv.dilation, label(conv)), &graph, conv.shape(), kernel);
    });
}

#[test]
fn conv2d_adds_a_residual() {
    let same: Vec<Conv> = DENSE.into_iter().skip(2).take(6).chain(GROUPED.into_iter().take(2)).collect();
    each_exact_kernel(&same, |machine, kernel, conv| {
        let mut graph = Graph::new(conv.x.1);
        let input = graph.input();
        let main = conv.push(&mut graph, "main", input);
        let shortcut = conv.push(&mut graph, "shortcut", input);
        graph.push("add", Op::Add, &[main, shortcut]);
        exact(machine, &format!("residual {}", label(conv)), &graph, conv.shape(), kernel);
    });
}

#[test]
fn conv2d_adds_a_subsampled_padded_residual() {
    // Numbers of leading zero channels that are and are not multiples of four.
    for (before, after) in [(8, 8), (3, 2), (0, 5)] {
        let machine = machine();
        let conv = conv((2, 6, 9, 8), before + 6 + after, 3, 2, 1);
        for kernel in conv.kernels(&machine.device).into_iter().map(Some).chain([None]) {
            let mut graph = Graph::new(6);
            let main = conv.push(&mut graph, "main", ValueId(0));
            let shortcut = graph.push("shortcut", Op::SubsamplePad { stride: 2, before, after }, &[graph.input()]);
            let sum = graph.push("add", Op::Add, &[main, shortcut]);
            graph.push("relu", Op::Relu, &[sum]);
            exact(&machine, &format!("shortcut A, {before} before"), &graph, conv.shape(), kernel);
        }
    }
}

#[test]
fn conv2d_on_floats_is_within_the_bound_of_its_sum() {
    // |error| <= eps (K + 4) sum |x||w|, from K products and sums, bias, and the folding of the weights (Higham 2002, section 3.1).
    each_exact_kernel(&DENSE[..6], |machine, kernel, conv| {
        let mut graph = Graph::new(conv.x.1);
        conv.push(&mut graph, "conv", ValueId(0));
        let weights = Synthetic { salt: "float".into(), damped: None, damp: 1.0 };
        let shape = conv.shape();
        let input = Tensor::new(shape, weights.input([shape.n, shape.c, shape.h, shape.w]));
        let signed = weights.checkpoint("signed", &graph.tensors()).unwrap();
        let expected = reference::logits(&graph, &signed, &input).unwrap();
        let scale = reference::logits(&graph, &magnitudes(&graph, &weights), &positive(&input)).unwrap();
        let terms = (conv.x.1 * conv.kernel * conv.kernel + 4) as f32;
        for (who, got) in outputs(machine, &graph, &signed, &input, kernel, F32) {
            for i in 0..got.data.len() {
                let bound = f32::EPSILON * terms * scale.data[i];
                let error = (got.data[i] - expected.data[i]).abs();
                assert!(error <= bound, "{} {who}: element {i}: error {error:e}, bound {bound:e}", label(conv));
            }
        }
    });
}
