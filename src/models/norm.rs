//! The norms of residual networks.

use super::{Properties, Shapes};
use crate::{
    graph::{Graph, Op, Plain, ValueId},
    structure::NormGroups,
};

/// A norm, maybe with an activation of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// Batch normalisation.
    Batch,
    /// Group normalisation.
    Group,
    /// EvoNorm-S0.
    Evo,
    /// Filter response normalisation with a thresholded linear unit.
    FilterResponse,
}

impl Norm {
    /// The norm of a network with these tensors. Only batch normalisation has running statistics, but a file of trained weights alone may
    /// lack them.
    pub(super) fn read(shapes: &Shapes) -> Self {
        let any = |ends: &[&str]| shapes.keys().any(|name| ends.iter().any(|end| name.ends_with(end)));
        let norms = [".bn1.weight", ".bn.weight", ".norm1.weight"];
        if any(&norms) && !any(&[".running_mean", ".running_var"]) { Norm::Group } else { Norm::Batch }
    }

    /// Whether it includes an activation.
    pub(super) fn activates(self) -> bool {
        matches!(self, Norm::Evo | Norm::FilterResponse)
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
        let groups = match properties.norm_groups.unwrap_or(NormGroups::Groups(32)) {
            NormGroups::Groups(groups) => groups,
            NormGroups::Channels(each) => channels / each.max(1),
        };
        let op = match self {
            Norm::Batch => Op::BatchNorm { prefix: name.into(), channels, eps },
            Norm::Group => Plain::GroupNorm { channels, groups, eps }.named(name),
            Norm::Evo => Plain::EvoNorm { channels, groups, eps }.named(name),
            Norm::FilterResponse => Plain::FilterResponseNorm { channels, eps }.named(name),
        };
        graph.push(name, op, &[x])
    }
}
