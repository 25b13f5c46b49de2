//! The sizes of a network in the terms of transformers' configurations, to compare the two.

use super::{Architecture, regnet_table};

/// The sizes that transformers' configuration states.
pub(crate) struct Outline {
    /// `embedding_size`.
    pub(crate) stem_channels: usize,
    /// `depths` and `hidden_sizes`.
    pub(crate) stages: Vec<(usize, usize)>,
    /// `layer_type`.
    pub(crate) block: &'static str,
}

impl Architecture {
    /// The outline of a network that transformers supports.
    pub(crate) fn outline(&self) -> Option<Outline> {
        match self {
            Architecture::ResNet(net) => Some(Outline {
                stem_channels: net.stem_channels,
                stages: stages(&net.stages, |block| block.channels),
                block: if net.has_bottlenecks() { "bottleneck" } else { "basic" },
            }),
            Architecture::RegNet(net) => Some(Outline {
                stem_channels: net.stem_channels,
                stages: stages(&net.stages, |block| block.channels),
                block: if regnet_table::form(net) == "regnetx" { "x" } else { "y" },
            }),
            Architecture::DenseNet(_) | Architecture::Variant(_) => None,
        }
    }
}

/// Blocks and channels of each stage.
fn stages<Block>(stages: &[Vec<Block>], channels: impl Fn(&Block) -> usize) -> Vec<(usize, usize)> {
    stages.iter().map(|blocks| (blocks.len(), blocks.last().map_or(0, &channels))).collect()
}
