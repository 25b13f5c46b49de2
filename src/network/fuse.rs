//! Fuses a graph into layers. Batch norm, addition and activation are fused into the operator before them if they are its only reader.
//! A batch norm and ReLU that only one convolution or pooling reads (DenseNet) are fused into its loads.

use std::collections::HashMap;

use super::{Activation, Addend, ConvWeights, Epilogue, Gate, Layer, LayerOp, Norm, Subsample};
use crate::graph::{Graph, Op, ValueId};

/// The layers of a network, each after its inputs, and a line for each fusion taken or refused.
#[derive(Debug, Clone, PartialEq)]
pub struct Fused {
    /// In execution order.
    pub layers: Vec<Layer>,
    /// One line per decision.
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
                let (weight, bias) = (weight.clone(), bias.clone());
                let weights = ConvWeights { weight, bias, norm: chain.norm(), parameters: None };
                (LayerOp::Conv2d { prologue, weights, params: *params, epilogue: chain.epilogue() }, inputs)
            }
            Op::MaxPool2d(params) => (LayerOp::Pool2d { prologue, max: true, params: *params }, inputs),
            Op::AvgPool2d(params) => (LayerOp::Pool2d { prologue, max: false, params: *params }, inputs),
            Op::Plain { op, weights } => {
                let mut names = weights.iter().cloned();
                let weights = names.next().map(|weight| {
                    let (bias, parameters) = (names.next(), names.next());
                    ConvWeights { weight, bias, norm: None, parameters }
                });
                (LayerOp::Plain { op: *op, weights }, inputs)
            }
            Op::Concat => (LayerOp::Concat, inputs),
            Op::BatchNorm { prefix, channels, eps } => {
                if let Some(reader) = chain.prologue_of() {
                    let norm = Norm { prefix: prefix.clone(), channels: *channels, eps: *eps };
                    prologues.insert(reader, (norm, node.inputs[0]));
                    continue;
                }
                chain.report.push(format!(
                    "{}: a separate layer: it does not follow a convolution that it could be fused into",
                    node.name
                ));
                let norm = Some(Norm { prefix: prefix.clone(), channels: *channels, eps: *eps });
                (LayerOp::Elementwise { norm, gate: None, epilogue: chain.epilogue() }, inputs)
            }
            op @ (Op::Scale | Op::Shift) => {
                let gate = Some(if *op == Op::Scale { Gate::Scale } else { Gate::Shift });
                (LayerOp::Elementwise { norm: None, gate, epilogue: chain.epilogue() }, inputs)
            }
            op @ (Op::Relu | Op::Sigmoid) => {
                chain.report.push(format!("{}: a separate layer: its input has other readers", node.name));
                let epilogue = Epilogue { residual: None, activation: activation(op) };
                (LayerOp::Elementwise { norm: None, gate: None, epilogue }, inputs)
            }
            Op::Add => {
                chain.report.push(format!(
                    "{}: a separate layer: it does not follow a convolution that it could be fused into",
                    node.name
                ));
                let [first, second] = node.inputs[..] else { continue };
                let (source, addend) = if readers.add_takes(graph, first) { (second, first) } else { (first, second) };
                let residual = Some(chain.addend(addend));
                let epilogue = Epilogue { residual, activation: chain.activation() };
                (LayerOp::Elementwise { norm: None, gate: None, epilogue }, vec![source])
            }
            Op::SubsamplePad { stride, before, .. } => {
                if readers.add_takes(graph, ValueId(i)) {
                    continue;
                }
                let subsample = Some(Subsample { stride: *stride, before: *before });
                let residual = Some(Addend { value: node.inputs[0], subsample });
                let epilogue = Epilogue { residual, activation: Activation::None };
                (LayerOp::Elementwise { norm: None, gate: None, epilogue }, Vec::new())
            }
        };
        let output = ValueId(chain.end);
        layers.push(Layer { name: node.name.clone(), op, inputs, output });
    }
    // A layer runs at the place of its last node, after every value that it reads.
    layers.sort_by_key(|layer| layer.output);
    Fused { layers, report }
}

/// The elementwise operation of an operator, if an epilogue can do it.
fn activation(op: &Op) -> Activation {
    let known = [(Op::Relu, Activation::Relu), (Op::Sigmoid, Activation::Sigmoid)];
    known.into_iter().find(|(known, _)| known == op).map_or(Activation::None, |(_, activation)| activation)
}

/// The readers of each value.
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
        if let [reader] = self.0[value][..] { Some(reader) } else { None }
    }

    /// Whether an addition computes `value`, a shortcut A that nothing else reads.
    fn add_takes(&self, graph: &Graph, value: ValueId) -> bool {
        let is_shortcut = |id: &ValueId| matches!(graph.nodes()[id.0].op, Op::SubsamplePad { .. });
        let reader = self.only_reader(value.0).map(|reader| &graph.nodes()[reader]);
        is_shortcut(&value) && reader.is_some_and(|r| r.op == Op::Add && !r.inputs.iter().all(is_shortcut))
    }
}

/// The chain of nodes to fuse into one layer: each is the only reader of the one before.
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

    /// The only reader of this batch norm's ReLU, if it is a convolution or pooling, which can apply both to its loads.
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
        if let Op::SubsamplePad { stride, before, .. } = node.op
            && self.readers.add_takes(self.graph, value)
        {
            self.taken[value.0] = true;
            return Addend { value: node.inputs[0], subsample: Some(Subsample { stride, before }) };
        }
        Addend { value, subsample: None }
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
