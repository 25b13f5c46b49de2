//! The classifier behind global average pooling, the same in all families.

use super::{Shapes, tally::rows};
use crate::graph::{Graph, Op, ValueId};

/// The classifier behind global average pooling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Name of the linear layer: `fc`, `linear` or `classifier`.
    pub name: String,
    /// Rows of its weight.
    pub classes: usize,
}

impl Head {
    /// The first of these layers that has a tensor.
    pub(super) fn read(shapes: &Shapes, names: &[&str]) -> Option<Self> {
        let part = |name: &str, part: &str| format!("{name}.{part}");
        let there = |name: &&&str| ["weight", "bias"].iter().any(|p| shapes.contains_key(&part(name, p)));
        let name = names.iter().find(there)?;
        let classes = rows(shapes, ["weight", "bias"].map(|p| part(name, p))).next().unwrap_or(0);
        Some(Head { name: (*name).into(), classes })
    }
}

/// Global average pooling of `x` of `channels` channels, then the classifier, if there is one.
pub(super) fn pool_and_classify(graph: &mut Graph, head: Option<&Head>, channels: usize, x: ValueId) {
    let x = graph.push("avgpool", Op::GlobalAvgPool, &[x]);
    graph.mark_stage("avgpool", x);
    if let Some(Head { name, classes }) = head {
        let (weight, bias) = (format!("{name}.weight"), Some(format!("{name}.bias")));
        graph.push(name.clone(), Op::Linear { weight, bias, in_features: channels, out_features: *classes }, &[x]);
    }
}
