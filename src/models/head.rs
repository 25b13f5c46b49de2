//! Global pooling and the classifier after it, the same in all families.

use super::{Properties, Shapes, majority::rows};
use crate::{
    graph::{Graph, Op, Plain, ValueId},
    structure::GlobalPool,
};

/// The classifier after global pooling.
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

/// Global pooling of `x` of `channels` channels, then the classifier, if there is one.
pub(super) fn pool_and_classify(
    graph: &mut Graph,
    properties: &Properties,
    head: Option<&Head>,
    channels: usize,
    x: ValueId,
) {
    let pooled = match properties.global_pool {
        GlobalPool::Avg | GlobalPool::None => graph.push("avgpool", Plain::GlobalAvgPool, &[x]),
        GlobalPool::Max => graph.push("maxpool_all", Plain::GlobalMaxPool, &[x]),
        GlobalPool::AvgMax => graph.push("avgmaxpool", Plain::GlobalAvgMaxPool, &[x]),
        GlobalPool::CatAvgMax => {
            let [mean, max] = [("avgpool", Plain::GlobalAvgPool), ("maxpool_all", Plain::GlobalMaxPool)]
                .map(|(name, op)| graph.push(name, op, &[x]));
            graph.push("catavgmaxpool", Op::Concat, &[mean, max])
        }
    };
    graph.mark_stage("avgpool", pooled);
    if let Some(Head { name, classes }) = head {
        let in_features = channels * properties.features_per_channel();
        let linear = Plain::Linear { in_features, out_features: *classes };
        graph.push(name.clone(), linear.named(name), &[pooled]);
    }
}
