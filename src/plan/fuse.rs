//! Graph to layers: batch norm, addition and activation go into the operator before them, wherever they are its only reader. A batch norm
//! and ReLU that stand before one convolution or pooling alone (DenseNet) go into that one's loads.

use std::collections::HashMap;

use crate::{
    graph::{self, Conv2dParams, Graph, Op, PoolParams, ValueId},
    kernels::{Activation, conv2d::pointwise},
};

/// An operator with everything that was fused into it. It yields the graph value of the last node it took in.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    /// Name of the node it started from.
    pub name: String,
    /// What it computes.
    pub op: LayerOp,
    /// The values it reads first-hand (the residual is in its epilogue).
    pub inputs: Vec<ValueId>,
    /// The graph value it yields.
    pub output: ValueId,
}

/// The operators that kernels serve.
#[derive(Debug, Clone, PartialEq)]
pub enum LayerOp {
    /// Convolution, batch norm folded into its weights, with a prologue and an epilogue.
    Conv2d {
        /// Batch norm and ReLU on what it reads.
        prologue: Option<Norm>,
        /// Where its weights come from.
        weights: ConvWeights,
        /// Extents.
        params: Conv2dParams,
        /// What follows the sum.
        epilogue: Epilogue,
    },
    /// Two convolutions of these extents with bias and ReLU, and the input added before the last ReLU: made by [`super::Network::plan`] out of
    /// this layer and the one before.
    Block {
        /// Number of the layer that is the first of them.
        first: usize,
        /// Extents.
        params: Conv2dParams,
    },
    /// Maximum (`max`) or mean over a window.
    Pool2d {
        /// Batch norm and ReLU on what it reads.
        prologue: Option<Norm>,
        /// Maximum, else mean.
        max: bool,
        /// Extents.
        params: PoolParams,
    },
    /// Mean over all pixels.
    GlobalAvgPool,
    /// Maximum over all pixels, or the mean of that and the mean over all pixels.
    GlobalMaxPool {
        /// The latter.
        mean: bool,
    },
    /// A function of each element that no other layer takes in.
    Activation(graph::Activation),
    /// Fully connected layer.
    Linear {
        /// Where its weights come from.
        weights: ConvWeights,
        /// Input features.
        inputs: usize,
        /// Output features.
        outputs: usize,
    },
    /// Batch norm or gate (if any), addition and activation that found no convolution to go into. Without an input it starts from zero.
    Elementwise {
        /// Scale and shift.
        norm: Option<Norm>,
        /// Whether the second input is a gate, `[N, C, 1, 1]`, which scales the first.
        gated: bool,
        /// What follows.
        epilogue: Epilogue,
    },
    /// All inputs side by side along the channels.
    Concat,
}

/// Names of the tensors that make a convolution's or linear layer's folded weights and bias.
#[derive(Debug, Clone, PartialEq)]
pub struct ConvWeights {
    /// Weight tensor.
    pub weight: String,
    /// Bias tensor.
    pub bias: Option<String>,
    /// Batch norm that follows.
    pub norm: Option<Norm>,
}

/// A batch norm by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Norm {
    /// Name before `.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub prefix: String,
    /// Channels.
    pub channels: usize,
    /// Added to the variance.
    pub eps: f32,
}

/// What happens to a sum before it is stored.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Epilogue {
    /// Second addend.
    pub residual: Option<Addend>,
    /// What happens last.
    pub activation: Activation,
}

/// Second addend of an epilogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Addend {
    /// The value.
    pub value: ValueId,
    /// Shortcut A: every `stride`-th pixel of it behind `before` zero channels.
    pub subsample: Option<Subsample>,
}

/// Extents of a shortcut A.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subsample {
    /// Step in rows and columns.
    pub stride: usize,
    /// Zero channels in front.
    pub before: usize,
}

/// The layers of a network, each after those whose values it reads, and a line for each fusion taken or refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// In execution order.
    pub layers: Vec<Layer>,
    /// One line a decision.
    pub report: Vec<String>,
}

/// Fuses `graph`.
pub fn fuse(graph: &Graph) -> Fused {
    let readers = Readers::new(graph);
    let mut taken = vec![false; graph.nodes().len()];
    let mut layers = Vec::new();
    let mut report = Vec::new();
    let mut prologues: HashMap<usize, (Norm, ValueId)> = HashMap::new();
    for (i, node) in graph.nodes().iter().enumerate() {
        if taken[i] || matches!(node.op, Op::Input { .. }) {
            continue;
        }
        let mut chain = Chain { graph, readers: &readers, taken: &mut taken, report: &mut report, end: i };
        let (prologue, inputs) = match prologues.remove(&i) {
            Some((norm, input)) => (Some(norm), vec![input]),
            None => (None, node.inputs.clone()),
        };
        let (op, inputs) = match &node.op {
            Op::Input { .. } => continue,
            Op::Conv2d { weight, bias, params } => {
                let weights = ConvWeights { weight: weight.clone(), bias: bias.clone(), norm: chain.norm() };
                (LayerOp::Conv2d { prologue, weights, params: *params, epilogue: chain.epilogue() }, inputs)
            }
            Op::Linear { weight, bias, in_features, out_features } => {
                let weights = ConvWeights { weight: weight.clone(), bias: bias.clone(), norm: None };
                (LayerOp::Linear { weights, inputs: *in_features, outputs: *out_features }, inputs)
            }
            Op::MaxPool2d(params) => (LayerOp::Pool2d { prologue, max: true, params: *params }, inputs),
            Op::AvgPool2d(params) => (LayerOp::Pool2d { prologue, max: false, params: *params }, inputs),
            Op::GlobalAvgPool => (LayerOp::GlobalAvgPool, inputs),
            Op::GlobalMaxPool => (LayerOp::GlobalMaxPool { mean: false }, inputs),
            Op::GlobalAvgMaxPool => (LayerOp::GlobalMaxPool { mean: true }, inputs),
            Op::Activation(activation) => (LayerOp::Activation(*activation), inputs),
            Op::Concat => (LayerOp::Concat, inputs),
            Op::BatchNorm { prefix, channels, eps } => {
                if let Some(reader) = chain.prologue_of() {
                    let norm = Norm { prefix: prefix.clone(), channels: *channels, eps: *eps };
                    prologues.insert(reader, (norm, node.inputs[0]));
                    continue;
                }
                chain.report.push(format!("{}: stands alone, no convolution of its own before it", node.name));
                let norm = Some(Norm { prefix: prefix.clone(), channels: *channels, eps: *eps });
                (LayerOp::Elementwise { norm, gated: false, epilogue: chain.epilogue() }, inputs)
            }
            Op::Scale => (LayerOp::Elementwise { norm: None, gated: true, epilogue: chain.epilogue() }, inputs),
            op @ (Op::Relu | Op::Sigmoid) => {
                chain.report.push(format!("{}: stands alone, other readers need the value before it", node.name));
                let epilogue = Epilogue { residual: None, activation: activation(op) };
                (LayerOp::Elementwise { norm: None, gated: false, epilogue }, inputs)
            }
            Op::Add => {
                chain.report.push(format!("{}: stands alone, neither addend is a convolution for it alone", node.name));
                let [first, second] = node.inputs[..] else { continue };
                let (source, addend) = if readers.add_takes(graph, first) { (second, first) } else { (first, second) };
                let residual = Some(chain.addend(addend));
                let epilogue = Epilogue { residual, activation: chain.activation() };
                (LayerOp::Elementwise { norm: None, gated: false, epilogue }, vec![source])
            }
            Op::SubsamplePad { stride, before, .. } => {
                if readers.add_takes(graph, ValueId(i)) {
                    continue;
                }
                let subsample = Some(Subsample { stride: *stride, before: *before });
                let residual = Some(Addend { value: node.inputs[0], subsample });
                let epilogue = Epilogue { residual, activation: Activation::None };
                (LayerOp::Elementwise { norm: None, gated: false, epilogue }, Vec::new())
            }
        };
        let output = ValueId(chain.end);
        layers.push(Layer { name: node.name.clone(), op, inputs, output });
    }
    // A layer runs where its last node stood, which is after every value it reads.
    layers.sort_by_key(|layer| layer.output);
    Fused { layers, report }
}

/// What an operator does to each element alone, where an epilogue can do it.
fn activation(op: &Op) -> Activation {
    match op {
        Op::Relu => Activation::Relu,
        Op::Sigmoid => Activation::Sigmoid,
        Op::Input { .. }
        | Op::Conv2d { .. }
        | Op::BatchNorm { .. }
        | Op::Activation(_)
        | Op::Add
        | Op::Scale
        | Op::MaxPool2d(_)
        | Op::AvgPool2d(_)
        | Op::GlobalAvgPool
        | Op::GlobalMaxPool
        | Op::GlobalAvgMaxPool
        | Op::Linear { .. }
        | Op::SubsamplePad { .. }
        | Op::Concat => Activation::None,
    }
}

/// Who reads each value.
struct Readers(Vec<Vec<usize>>);

impl Readers {
    fn new(graph: &Graph) -> Self {
        let mut readers = vec![Vec::new(); graph.nodes().len()];
        for (i, node) in graph.nodes().iter().enumerate() {
            for id in &node.inputs {
                readers[id.0].push(i);
            }
        }
        Readers(readers)
    }

    fn only_reader(&self, value: usize) -> Option<usize> {
        match self.0[value][..] {
            [reader] => Some(reader),
            _ => None,
        }
    }

    /// Whether `value` is a shortcut A that is computed in the addition that alone reads it.
    fn add_takes(&self, graph: &Graph, value: ValueId) -> bool {
        let is_shortcut = |id: &ValueId| matches!(graph.nodes()[id.0].op, Op::SubsamplePad { .. });
        let reader = self.only_reader(value.0).map(|reader| &graph.nodes()[reader]);
        is_shortcut(&value) && reader.is_some_and(|r| r.op == Op::Add && !r.inputs.iter().all(is_shortcut))
    }
}

/// The nodes that a layer takes in, one after the other, as long as each is the only reader of the one before.
struct Chain<'a> {
    graph: &'a Graph,
    readers: &'a Readers,
    taken: &'a mut [bool],
    report: &'a mut Vec<String>,
    /// The last node of the layer so far.
    end: usize,
}

impl Chain<'_> {
    fn next(&self) -> Option<usize> {
        self.readers.only_reader(self.end).filter(|&reader| !self.taken[reader])
    }

    fn take(&mut self, node: usize) {
        self.report.push(format!(
            "{}: fused into {}",
            self.graph.nodes()[node].name,
            self.graph.nodes()[self.end].name
        ));
        self.taken[node] = true;
        self.end = node;
    }

    fn norm(&mut self) -> Option<Norm> {
        let next = self.next()?;
        let Op::BatchNorm { prefix, channels, eps } = &self.graph.nodes()[next].op else { return None };
        let norm = Norm { prefix: prefix.clone(), channels: *channels, eps: *eps };
        self.take(next);
        Some(norm)
    }

    /// The convolution or pooling that alone reads this batch norm's ReLU, both of which then happen as it loads.
    fn prologue_of(&mut self) -> Option<usize> {
        let nodes = self.graph.nodes();
        let relu = self.next().filter(|&next| nodes[next].op == Op::Relu)?;
        let reader = self.readers.only_reader(relu)?;
        if !matches!(nodes[reader].op, Op::Conv2d { .. } | Op::MaxPool2d(_) | Op::AvgPool2d(_)) {
            return None;
        }
        self.report.push(format!(
            "{}, {}: fused into the loads of {}",
            nodes[self.end].name, nodes[relu].name, nodes[reader].name
        ));
        (self.taken[self.end], self.taken[relu]) = (true, true);
        Some(reader)
    }

    fn epilogue(&mut self) -> Epilogue {
        let residual = self.residual();
        Epilogue { residual, activation: self.activation() }
    }

    fn residual(&mut self) -> Option<Addend> {
        let next = self.next()?;
        let node = &self.graph.nodes()[next];
        if node.op != Op::Add {
            return None;
        }
        let other = if node.inputs[0].0 == self.end { node.inputs[1] } else { node.inputs[0] };
        let addend = self.addend(other);
        self.take(next);
        Some(addend)
    }

    fn addend(&mut self, value: ValueId) -> Addend {
        let node = &self.graph.nodes()[value.0];
        match node.op {
            Op::SubsamplePad { stride, before, .. } if self.readers.add_takes(self.graph, value) => {
                self.taken[value.0] = true;
                Addend { value: node.inputs[0], subsample: Some(Subsample { stride, before }) }
            }
            _ => Addend { value, subsample: None },
        }
    }

    fn activation(&mut self) -> Activation {
        let Some(next) = self.next() else { return Activation::None };
        let activation = activation(&self.graph.nodes()[next].op);
        if activation != Activation::None {
            self.take(next);
        }
        activation
    }
}

impl Layer {
    /// Every value that the layer reads, the residual included.
    pub fn reads(&self) -> impl Iterator<Item = ValueId> + '_ {
        let added = if let LayerOp::Block { .. } = self.op { None } else { self.residual() };
        self.inputs.iter().copied().chain(added)
    }

    /// The second addend of its epilogue; a block adds its input.
    pub(super) fn residual(&self) -> Option<ValueId> {
        match &self.op {
            LayerOp::Conv2d { epilogue, .. } | LayerOp::Elementwise { epilogue, .. } => {
                epilogue.residual.as_ref().map(|addend| addend.value)
            }
            LayerOp::Block { .. } => self.inputs.first().copied(),
            LayerOp::Pool2d { .. }
            | LayerOp::GlobalAvgPool
            | LayerOp::GlobalMaxPool { .. }
            | LayerOp::Activation(_)
            | LayerOp::Linear { .. }
            | LayerOp::Concat => None,
        }
    }
}

impl LayerOp {
    /// The weights that it multiplies by, their extents as those of a convolution, and the shape of the tensor.
    pub(super) fn weights(&self) -> Option<(&ConvWeights, Conv2dParams, Vec<usize>)> {
        match self {
            LayerOp::Conv2d { weights, params, .. } => Some((weights, *params, params.weight_shape().into())),
            LayerOp::Linear { weights, inputs, outputs } => {
                Some((weights, pointwise(*inputs, *outputs), vec![*outputs, *inputs]))
            }
            LayerOp::Block { .. }
            | LayerOp::Pool2d { .. }
            | LayerOp::GlobalAvgPool
            | LayerOp::GlobalMaxPool { .. }
            | LayerOp::Activation(_)
            | LayerOp::Elementwise { .. }
            | LayerOp::Concat => None,
        }
    }

    /// A batch norm that is not folded into weights.
    pub(super) fn norm(&self) -> Option<&Norm> {
        match self {
            LayerOp::Conv2d { prologue: norm, .. }
            | LayerOp::Pool2d { prologue: norm, .. }
            | LayerOp::Elementwise { norm, .. } => norm.as_ref(),
            LayerOp::Block { .. }
            | LayerOp::GlobalAvgPool
            | LayerOp::GlobalMaxPool { .. }
            | LayerOp::Activation(_)
            | LayerOp::Linear { .. }
            | LayerOp::Concat => None,
        }
    }

    /// Number of the layer that is the first convolution of a block.
    pub(super) fn first(&self) -> Option<usize> {
        if let LayerOp::Block { first, .. } = self { Some(*first) } else { None }
    }
}
