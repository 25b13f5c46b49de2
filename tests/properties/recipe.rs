//! Random networks: a recipe is a list of parts that makes a valid graph for any numbers.

use proptest::{collection::vec, prelude::*, sample::select};
use residua::{
    checkpoint::{Checkpoint, Synthetic},
    graph::{self, Conv2dParams, Graph, Op, Padding, Plain, PoolParams, ValueId},
    tensor::{Shape, Tensor},
};

use crate::own_norm::{self, OwnNorm};

/// A network and the shape of its input.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// `[N, C, H, W]`.
    pub(crate) input: [usize; 4],
    pub(crate) parts: Vec<Part>,
    /// Global pooling: 0 mean, 1 maximum, 2 the mean of both, 3 both.
    pub(crate) pool: u8,
    /// Widths of the linear layers after global pooling, with ReLUs between; empty for a network that ends with a feature map.
    pub(crate) head: Vec<usize>,
    /// Seed of the weights and the pixels.
    pub(crate) salt: u8,
}

/// The next part of a network.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// Convolution, then optionally batch norm and activation.
    Conv {
        conv: Window,
        out: usize,
        groups: usize,
        bias: bool,
        norm: bool,
        activation: Activation,
    },
    /// Batch norm and ReLU, then a convolution or pooling: a prologue.
    Prologue(Box<Part>),
    Pool {
        max: bool,
        ceil: bool,
        window: Window,
    },
    Norm,
    /// A norm by statistics of the value itself.
    OwnNorm(OwnNorm),
    Activation(Activation),
    /// Adds the value to itself.
    Twice,
    /// A slice of the value's channels; the numbers count modulo its channels.
    Slice {
        from: usize,
        channels: usize,
    },
    /// Zeros around it.
    Pad(Padding),
    /// Each pixel twice.
    Upsample,
    Residual(Residual),
    /// Dense layers with this number of new channels each, and a bottleneck if its width is not zero.
    Dense {
        layers: usize,
        growth: usize,
        bottleneck: usize,
    },
    /// A concatenation: the value itself this many times, then a convolution of it for each width.
    Branches {
        copies: usize,
        widths: Vec<usize>,
    },
    /// 1x1 convolution, then 2x2 mean.
    Transition {
        out: usize,
    },
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Activation {
    None,
    Relu,
    Sigmoid,
    /// An unfused activation whose magnitude is at most its input's.
    Leaky,
}

/// The gate that scales the channels of a block.
#[derive(Debug, Clone, Copy)]
enum Gate {
    /// Squeeze-and-excitation with this number of channels between its layers.
    Squeeze(usize),
    /// A convolution along the channels, with this number of taps.
    Channels(usize),
    /// One layer, whose outputs are added to the channels.
    Shift,
}

/// A residual block: one or two convolutions, which may be gated, and a shortcut.
#[derive(Debug, Clone)]
pub(crate) struct Residual {
    out: usize,
    stride: usize,
    groups: usize,
    bottleneck: bool,
    gate: Option<Gate>,
    shortcut: Shortcut,
    /// Whether the shortcut is the first addend.
    swapped: bool,
    relu: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Shortcut {
    /// The input, if shapes allow; else as `Padded`.
    Identity,
    Projection,
    /// 2x2 mean, then projection, if the block has stride 2.
    Pooled,
    /// Every `stride`-th pixel, with zero channels before and after.
    Padded,
}

/// A window; it shrinks to fit into its input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window {
    kernel: usize,
    stride: usize,
    padding: usize,
    /// Only for convolutions.
    dilation: usize,
}

impl Window {
    fn fitting(self, shape: Shape) -> Window {
        let span = 1 + (self.kernel - 1) * self.dilation;
        let padding = self.padding.min(span / 2);
        let fits = shape.h.min(shape.w) + 2 * padding >= span;
        if fits { Window { padding, ..self } } else { Window { kernel: 1, padding: 0, dilation: 1, ..self } }
    }
}

/// Numbers of channels: small, mostly not multiples of four.
fn channels() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 1_usize..=10, 3 => select(vec![4, 8, 12, 16, 24]), 1 => select(vec![32, 64, 68])]
}

fn window() -> impl Strategy<Value = Window> {
    (select(vec![1, 3, 3, 2, 5, 7]), 1_usize..=3, 0_usize..=3, select(vec![1, 1, 1, 2, 3]))
        .prop_map(|(kernel, stride, padding, dilation)| Window { kernel, stride, padding, dilation })
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![Just(Activation::None), Just(Activation::Relu), Just(Activation::Sigmoid), Just(Activation::Leaky)]
}

fn conv() -> impl Strategy<Value = Part> {
    (window(), channels(), select(vec![1, 1, 2, 3, 4, 8]), any::<bool>(), any::<bool>(), activation()).prop_map(
        |(conv, out, groups, bias, norm, activation)| Part::Conv { conv, out, groups, bias, norm, activation },
    )
}

fn pool() -> impl Strategy<Value = Part> {
    (any::<bool>(), any::<bool>(), window()).prop_map(|(max, ceil, window)| Part::Pool { max, ceil, window })
}

fn residual() -> impl Strategy<Value = Part> {
    let shortcut =
        select(vec![Shortcut::Identity, Shortcut::Identity, Shortcut::Projection, Shortcut::Pooled, Shortcut::Padded]);
    let squeeze = (1_usize..=5).prop_map(Gate::Squeeze);
    let kernel = select(vec![1, 3, 5, 7]).prop_map(Gate::Channels);
    let gate = prop::option::weighted(0.4, prop_oneof![2 => squeeze, 2 => kernel, 1 => Just(Gate::Shift)]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>());
    (channels(), 1_usize..=2, select(vec![1, 1, 2, 4]), gate, shortcut, flags).prop_map(
        |(out, stride, groups, gate, shortcut, (bottleneck, swapped, relu))| {
            Part::Residual(Residual { out, stride, groups, bottleneck, gate, shortcut, swapped, relu })
        },
    )
}

fn moved() -> impl Strategy<Value = Part> {
    let slice = (0_usize..64, 0_usize..64).prop_map(|(from, channels)| Part::Slice { from, channels });
    let sides = (0_usize..=2).prop_map(|side| Part::Pad(Padding::Sides(side)));
    let same = (1_usize..=5, 1_usize..=3).prop_map(|(kernel, stride)| Part::Pad(Padding::Same { kernel, stride }));
    prop_oneof![3 => slice, 1 => sides, 1 => same, 1 => Just(Part::Upsample)]
}

fn part() -> impl Strategy<Value = Part> {
    let bottleneck = prop_oneof![Just(0_usize), 1_usize..=12];
    prop_oneof![
        4 => conv(),
        2 => prop_oneof![conv(), pool()].prop_map(|part| Part::Prologue(Box::new(part))),
        1 => pool(),
        1 => Just(Part::Norm),
        1 => activation().prop_map(Part::Activation),
        1 => Just(Part::Twice),
        1 => moved(),
        4 => residual(),
        2 => (1_usize..=3, channels(), bottleneck)
            .prop_map(|(layers, growth, bottleneck)| Part::Dense { layers, growth, bottleneck }),
        2 => (0_usize..=2, vec(channels(), 1..=3)).prop_map(|(copies, widths)| Part::Branches { copies, widths }),
        1 => channels().prop_map(|out| Part::Transition { out }),
    ]
}

/// Networks of one to six parts for a few small images, often of odd extents; from eight images on, linear layers are matrix products.
pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    of_parts(part())
}

/// As [`recipe`], with norms by statistics of values too. Their rounding errors have no useful bound.
pub(crate) fn recipe_with_norms() -> impl Strategy<Value = Recipe> {
    of_parts(prop_oneof![4 => part(), 1 => own_norm::norms().prop_map(Part::OwnNorm)])
}

fn of_parts(part: impl Strategy<Value = Part>) -> impl Strategy<Value = Recipe> {
    let images = prop_oneof![6 => 1_usize..=3, 1 => Just(9)];
    let input = (images, 1_usize..=9, 1_usize..=11, 1_usize..=11).prop_map(|(n, c, h, w)| [n, c, h, w]);
    let pool = prop_oneof![3 => Just(0_u8), 2 => 1_u8..=3];
    (input, vec(part, 1..=6), pool, vec(1_usize..=40, 0..=2), any::<u8>())
        .prop_map(|(input, parts, pool, head, salt)| Recipe { input, parts, pool, head, salt })
}

impl Recipe {
    pub(crate) fn shape(&self) -> Shape {
        let [n, c, h, w] = self.input;
        Shape::new(n, c, h, w)
    }

    pub(crate) fn graph(&self) -> Graph {
        let graph = Graph::new(self.input[1]);
        let mut maker = Maker { value: graph.input(), graph, input: self.shape() };
        self.parts.iter().for_each(|part| maker.part(part));
        if !self.head.is_empty() {
            maker.global_pool(self.pool);
        }
        for (i, outputs) in self.head.iter().enumerate() {
            if i > 0 {
                maker.push(Op::Relu);
            }
            let (name, in_features) = (maker.name("linear"), maker.shape().c);
            maker.push(Plain::Linear { in_features, out_features: *outputs }.named(&name));
        }
        maker.graph
    }

    fn synthetic(&self) -> Synthetic {
        Synthetic { salt: self.salt.to_string(), damped: None, damp: 1.0 }
    }

    pub(crate) fn checkpoint(&self, graph: &Graph) -> Checkpoint {
        self.synthetic().checkpoint("recipe", &graph.tensors()).unwrap()
    }

    pub(crate) fn images(&self) -> Tensor {
        Tensor::new(self.shape(), self.synthetic().input(self.input))
    }
}

/// A graph that grows from its last value.
struct Maker {
    graph: Graph,
    value: ValueId,
    input: Shape,
}

impl Maker {
    fn shape(&self) -> Shape {
        self.shape_of(self.value)
    }

    fn shape_of(&self, value: ValueId) -> Shape {
        self.graph.infer_shapes(self.input).unwrap()[value.0]
    }

    /// An unused name for a node.
    fn name(&self, what: &str) -> String {
        format!("{what}{}", self.graph.nodes().len())
    }

    fn push(&mut self, op: impl Into<Op>) -> ValueId {
        let value = self.value;
        self.join(op, &[value])
    }

    fn join(&mut self, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let op = op.into();
        let name = self.name(op.name());
        self.value = self.graph.push(name, op, inputs);
        self.value
    }

    fn conv(&mut self, window: Window, out: usize, groups: usize, bias: bool) -> ValueId {
        let Shape { c, .. } = self.shape();
        let Window { kernel, stride, padding, dilation } = window.fitting(self.shape());
        let groups =
            (1..=groups).rev().find(|groups| c.is_multiple_of(*groups) && out.is_multiple_of(*groups)).unwrap_or(1);
        let params = Conv2dParams { in_channels: c, out_channels: out, kernel, stride, padding, dilation, groups };
        let name = self.name("conv");
        let (weight, bias) = (format!("{name}.weight"), bias.then(|| format!("{name}.bias")));
        self.push(Op::Conv2d { weight, bias, params })
    }

    fn norm(&mut self) {
        let (prefix, channels) = (self.name("norm"), self.shape().c);
        self.push(Op::BatchNorm { prefix, channels, eps: 1e-5 });
    }

    fn norm_relu(&mut self) {
        self.norm();
        self.push(Op::Relu);
    }

    fn activation(&mut self, activation: Activation) {
        match activation {
            Activation::None => {}
            Activation::Relu => {
                self.push(Op::Relu);
            }
            Activation::Sigmoid => {
                self.push(Op::Sigmoid);
            }
            Activation::Leaky => {
                self.push(Plain::Activation(graph::Activation::LeakyRelu(0.5)));
            }
        }
    }

    fn global_pool(&mut self, kind: u8) {
        let map = self.value;
        match kind {
            0 => self.push(Plain::GlobalAvgPool),
            1 => self.push(Plain::GlobalMaxPool),
            2 => self.push(Plain::GlobalAvgMaxPool),
            _ => {
                let [mean, max] = [Plain::GlobalAvgPool, Plain::GlobalMaxPool].map(|op| self.join(op, &[map]));
                self.join(Op::Concat, &[mean, max])
            }
        };
    }

    fn pool(&mut self, max: bool, ceil: bool, window: Window) {
        let Window { kernel, stride, padding, .. } = Window { dilation: 1, ..window }.fitting(self.shape());
        let params = PoolParams { kernel, stride, padding, ceil };
        self.push(if max { Op::MaxPool2d(params) } else { Op::AvgPool2d(params) });
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Conv { conv, out, groups, bias, norm, activation } => {
                self.conv(*conv, *out, *groups, *bias);
                if *norm {
                    self.norm();
                }
                self.activation(*activation);
            }
            Part::Prologue(part) => {
                self.norm_relu();
                self.part(part);
            }
            Part::Pool { max, ceil, window } => self.pool(*max, *ceil, *window),
            Part::Norm => self.norm(),
            Part::OwnNorm(norm) => {
                let op = norm.of(self.shape().c);
                let name = self.name(op.name());
                self.push(op.named(&name));
            }
            Part::Activation(activation) => self.activation(*activation),
            Part::Twice => {
                self.join(Op::Add, &[self.value; 2]);
            }
            Part::Slice { from, channels } => {
                let Shape { c, .. } = self.shape();
                let from = from % c;
                self.push(Plain::Slice { from, channels: 1 + channels % (c - from) });
            }
            Part::Pad(padding) => {
                self.push(Plain::Pad(*padding));
            }
            // Limits the size of values, and so the time of a test.
            Part::Upsample if self.shape().pixels() <= 400 => {
                self.push(Plain::Upsample { factor: 2 });
            }
            Part::Upsample => {}
            Part::Residual(block) => self.residual(block),
            Part::Dense { layers, growth, bottleneck } => {
                (0..*layers).for_each(|_| self.dense_layer(*growth, *bottleneck));
            }
            Part::Branches { copies, widths } => {
                let from = self.value;
                let mut branches = vec![from; *copies];
                for width in widths {
                    self.value = from;
                    branches.push(self.conv(THREE, *width, 1, true));
                }
                self.join(Op::Concat, &branches);
            }
            Part::Transition { out } => {
                self.conv(ONE, *out, 1, false);
                self.pool(false, false, Window { kernel: 2, stride: 2, padding: 0, dilation: 1 });
            }
        }
    }

    fn dense_layer(&mut self, growth: usize, bottleneck: usize) {
        let before = self.value;
        if bottleneck > 0 {
            self.norm_relu();
            self.conv(ONE, bottleneck, 1, false);
        }
        self.norm_relu();
        let grown = self.conv(THREE, growth, 1, false);
        self.join(Op::Concat, &[before, grown]);
    }

    fn residual(&mut self, block: &Residual) {
        let (from, inputs) = (self.value, self.shape().c);
        let stride = block.stride;
        let grown = matches!(block.shortcut, Shortcut::Padded | Shortcut::Identity);
        // Shortcut A cannot reduce the channels.
        let out = if grown { block.out.max(inputs) } else { block.out };
        if block.bottleneck {
            self.conv(ONE, out, 1, false);
            self.norm_relu();
        }
        self.conv(Window { stride, ..THREE }, out, block.groups, false);
        self.norm();
        if let Some(kind) = block.gate {
            let value = self.value;
            self.push(Plain::GlobalAvgPool);
            let gate = match kind {
                Gate::Squeeze(squeeze) => {
                    self.conv(ONE, squeeze, 1, true);
                    self.push(Op::Relu);
                    self.conv(ONE, out, 1, true);
                    self.push(Op::Sigmoid)
                }
                Gate::Channels(kernel) => {
                    let name = self.name("gate");
                    self.push(Plain::ChannelGate { kernel }.named(&name))
                }
                Gate::Shift => self.conv(ONE, out, 1, true),
            };
            let op = if matches!(kind, Gate::Shift) { Op::Shift } else { Op::Scale };
            self.join(op, &[value, gate]);
        }
        let long = self.value;
        self.value = from;
        match block.shortcut {
            Shortcut::Identity if self.shape() == self.shape_of(long) => {}
            Shortcut::Identity | Shortcut::Padded => {
                let before = (out - inputs) / 2;
                self.push(Op::SubsamplePad { stride, before, after: out - inputs - before });
            }
            Shortcut::Pooled if stride == 2 => {
                self.pool(false, true, Window { kernel: 2, stride, padding: 0, dilation: 1 });
                self.conv(ONE, out, 1, false);
                self.norm();
            }
            Shortcut::Pooled | Shortcut::Projection => {
                self.conv(Window { stride, ..ONE }, out, 1, false);
                self.norm();
            }
        }
        let addends = if block.swapped { [self.value, long] } else { [long, self.value] };
        self.join(Op::Add, &addends);
        if block.relu {
            self.push(Op::Relu);
        }
    }
}

const ONE: Window = Window { kernel: 1, stride: 1, padding: 0, dilation: 1 };
const THREE: Window = Window { kernel: 3, stride: 1, padding: 1, dilation: 1 };
