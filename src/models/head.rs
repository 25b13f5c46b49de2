//! The classifier behind global average pooling, the same in all families.

use super::{Shapes, tally::rows};
use crate::graph::Op;

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

    /// The linear layer on `channels` features.
    pub(super) fn linear(&self, channels: usize) -> Op {
        Op::Linear {
            weight: format!("{}.weight", self.name),
            bias: Some(format!("{}.bias", self.name)),
            in_features: channels,
            out_features: self.classes,
        }
    }
}
