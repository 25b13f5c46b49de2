//! The norms of residual networks.

use super::{Properties, Shapes};
use crate::{
    graph::{Graph, Op, Plain, ValueId},
    structure::NormGroups,
};

/// A norm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Batch normalisation.
    Batch,
    /// Group normalisation.
    Group,
}

impl Norm {
    /// The norm of a network with these tensors. Only batch normalisation has running statistics, but a file of trained weights alone may
    /// lack them.
    pub(super) fn read(shapes: &Shapes) -> Self {
        let any = |ends: &[&str]| shapes.keys().any(|name| ends.iter().any(|end| name.ends_with(end)));
        let norms = [".bn1.weight", ".bn.weight", ".norm1.weight"];
        if any(&norms) && !any(&[".running_mean", ".running_var"]) { Norm::Group } else { Norm::Batch }
    }

    /// Appends the norm `name` of this number of channels.
    pub(super) fn push(
        self,
        graph: &mut Graph,
        properties: &Properties,
        name: &str,
        channels: usize,
        x: ValueId,
    ) -> ValueId {
        let eps = properties.norm_eps;
        let op = match (self, properties.norm_groups.unwrap_or(NormGroups::Groups(32))) {
            (Norm::Batch, _) => Op::BatchNorm { prefix: name.into(), channels, eps },
            (Norm::Group, NormGroups::Groups(groups)) => Plain::GroupNorm { channels, groups, eps }.named(name),
            (Norm::Group, NormGroups::Channels(each)) => {
                Plain::GroupNorm { channels, groups: channels / each.max(1), eps }.named(name)
            }
        };
        graph.push(name, op, &[x])
    }
}
