//! A network as data: nodes in execution order, each yielding one value. It can be printed, and shapes can be inferred for any input size.
//! It names weights but does not hold them, and knows nothing about files, kernels or devices.

mod activation;
mod op;
mod plain;

use std::{collections::BTreeMap, fmt};

pub use activation::Activation;
pub use op::{Conv2dParams, Op, PoolParams};
pub use plain::{Padding, Plain};

use crate::{
    Error, Result,
    tensor::{Rewrite, Shape},
};

/// The largest number of elements of a value. It keeps everything that is computed from shapes within 64 bits.
const MOST_ELEMENTS: u64 = 1 << 44;

/// Name of the stage that marks the features that a head reads.
#[doc(hidden)]
pub const POOLED: &str = "avgpool";

/// The value of the node at the same position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ValueId(pub usize);

/// An operator applied to earlier values.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Name in checkpoint spelling, for example `layer1.0.conv1`.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Its inputs, all from earlier nodes.
    pub inputs: Vec<ValueId>,
}

/// A directed acyclic graph in execution order. The last node yields the logits.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    nodes: Vec<Node>,
    stages: Vec<(String, ValueId)>,
    rewrites: BTreeMap<String, Rewrite>,
}

impl Graph {
    /// A graph with nothing but an input of `channels` channels.
    pub fn new(channels: usize) -> Self {
        let input = Node { name: "input".into(), op: Op::Input { channels }, inputs: Vec::new() };
        Graph { nodes: vec![input], stages: Vec::new(), rewrites: BTreeMap::new() }
    }

    /// The network's input.
    pub fn input(&self) -> ValueId {
        ValueId(0)
    }

    /// Channels of the network's input.
    #[doc(hidden)]
    pub fn channels(&self) -> usize {
        if let Op::Input { channels } = self.nodes[0].op { channels } else { 0 }
    }

    /// Appends a node and returns its value.
    ///
    /// # Panics
    /// If an input does not come from an earlier node, if the operator takes another number of inputs, or if it lacks a weight.
    pub fn push(&mut self, name: impl Into<String>, op: impl Into<Op>, inputs: &[ValueId]) -> ValueId {
        let (name, op) = (name.into(), op.into());
        assert!(inputs.iter().all(|id| id.0 < self.nodes.len()), "{name}: an input comes from a later node");
        let fits = op.takes(inputs.len()) && !matches!(op, Op::Input { .. });
        assert!(fits, "{name}: {} inputs for {op:?}", inputs.len());
        self.nodes.push(Node { name, op, inputs: inputs.to_vec() });
        ValueId(self.nodes.len() - 1)
    }

    /// Marks a value as the output of a named stage (`layer1`, ...), for listings and for comparing layer by layer.
    #[doc(hidden)]
    pub fn mark_stage(&mut self, name: impl Into<String>, value: ValueId) {
        self.stages.push((name.into(), value));
    }

    /// Rewrites the values of the tensor `name` before they are used.
    #[doc(hidden)]
    pub fn rewrite(&mut self, name: impl Into<String>, rewrite: Rewrite) {
        self.rewrites.insert(name.into(), rewrite);
    }

    /// The tensors whose values are rewritten before they are used.
    #[doc(hidden)]
    pub fn rewrites(&self) -> &BTreeMap<String, Rewrite> {
        &self.rewrites
    }

    /// All nodes in execution order; node `i` yields `ValueId(i)`.
    #[doc(hidden)]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The stages that were marked, in order.
    #[doc(hidden)]
    pub fn stages(&self) -> &[(String, ValueId)] {
        &self.stages
    }

    /// The value of the last node.
    pub fn output(&self) -> ValueId {
        ValueId(self.nodes.len() - 1)
    }

    /// The features `[N, D, 1, 1]` that the classifier head reads: the stage [`POOLED`] if it is marked, otherwise the input of the last
    /// linear layer, or the output of a network without a head.
    #[doc(hidden)]
    pub fn features(&self) -> ValueId {
        if let Some((_, pooled)) = self.stages.iter().find(|(stage, _)| stage == POOLED) {
            return *pooled;
        }
        let last = &self.nodes[self.output().0];
        let is_head = matches!(last.op, Op::Plain { op: Plain::Linear { .. }, .. });
        if is_head { last.inputs[0] } else { self.output() }
    }

    /// The network whose output is the class-activation maps `[N, classes, h, w]`. It applies the head's weights to every pixel of the last
    /// feature map, as a 1x1 convolution without bias; the head itself averages the map first. The mean of a class's map, plus its bias, is
    /// its logit (Zhou et al. 2016, "Learning Deep Features for Discriminative Localization", section 2). `None` if the network does not
    /// end in global average pooling and a linear layer.
    #[doc(hidden)]
    pub fn class_maps(&self) -> Option<Graph> {
        let [before @ .., pool, head] = &self.nodes[..] else { return None };
        let Op::Plain { op: Plain::Linear { in_features, out_features }, weights } = &head.op else { return None };
        if pool.op != Plain::GlobalAvgPool.into() || head.inputs != [ValueId(before.len())] {
            return None;
        }
        let mut graph = Graph { nodes: before.to_vec(), stages: Vec::new(), rewrites: self.rewrites.clone() };
        let (weight, params) = (weights[0].clone(), Conv2dParams::pointwise(*in_features, *out_features));
        graph.push("class_maps", Op::Conv2d { weight, bias: None, params }, &pool.inputs);
        Some(graph)
    }

    /// The same network with a new head: a linear layer of `classes` rows, called `name`.
    #[cfg(feature = "fit")]
    pub(crate) fn with_head(&self, name: &str, in_features: usize, classes: usize) -> Graph {
        let features = self.features();
        let nodes = self.nodes[..=features.0].to_vec();
        let mut graph = Graph { nodes, stages: self.stages.clone(), rewrites: self.rewrites.clone() };
        graph.push(name, Plain::Linear { in_features, out_features: classes }.named(name), &[features]);
        graph
    }

    /// How many nodes read each value.
    #[doc(hidden)]
    pub fn reader_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.nodes.len()];
        for id in self.nodes.iter().flat_map(|node| &node.inputs) {
            counts[id.0] += 1;
        }
        counts
    }

    /// The shape of every value for an input of shape `input`, in node order.
    ///
    /// # Errors
    /// [`Error::Shape`] names the first node that cannot take its input.
    pub fn infer_shapes(&self, input: Shape) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let inputs: Vec<Shape> = node.inputs.iter().map(|id| shapes[id.0]).collect();
            let bounded = |shape: Shape| match shape.elements() {
                0 => Err(format!("{shape} is empty")),
                // Larger numbers become `usize::MAX`.
                n if n == usize::MAX || n as u64 > MOST_ELEMENTS => Err(format!("{shape} has too many elements")),
                _ => Ok(shape),
            };
            let shape = node.op.output(&inputs, input).and_then(bounded);
            shapes.push(shape.map_err(|reason| Error::Shape { node: node.name.clone(), reason })?);
        }
        Ok(shapes)
    }

    /// Names and shapes of all weight tensors before any is rewritten, in node order.
    pub fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let read = |(name, shape): (String, Vec<usize>)| match self.rewrites.get(&name) {
            Some(rewrite) => {
                let other = rewrite.reads(&shape);
                [(name, rewrite.stored_shape(&shape))].into_iter().chain(other).collect()
            }
            None => vec![(name, shape)],
        };
        self.nodes.iter().flat_map(|node| node.op.tensors()).flat_map(read).collect()
    }
}

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            let inputs: Vec<String> = node.inputs.iter().map(|id| format!("%{}", id.0)).collect();
            writeln!(f, "%{i} = {} {}({})", node.name, node.op.name(), inputs.join(", "))?;
        }
        Ok(())
    }
}
