//! Random norms by statistics of the value itself.

use proptest::prelude::*;
use residua::graph::Plain;

/// A norm of groups of channels, or of each channel. The number of groups is the largest that divides the channels and is at most this.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OwnNorm {
    Group(usize),
    Evo(usize),
    FilterResponse,
}

pub(crate) fn norms() -> impl Strategy<Value = OwnNorm> {
    prop_oneof![
        (1_usize..=8).prop_map(OwnNorm::Group),
        (1_usize..=8).prop_map(OwnNorm::Evo),
        Just(OwnNorm::FilterResponse)
    ]
}

impl OwnNorm {
    /// The norm of this number of channels.
    pub(crate) fn of(self, channels: usize) -> Plain {
        let eps = 1e-5;
        let divides = |most: usize| (1..=most).rev().find(|groups| channels.is_multiple_of(*groups)).unwrap_or(1);
        match self {
            OwnNorm::Group(most) => Plain::GroupNorm { channels, groups: divides(most), eps },
            OwnNorm::Evo(most) => Plain::EvoNorm { channels, groups: divides(most), eps },
            OwnNorm::FilterResponse => Plain::FilterResponseNorm { channels, eps },
        }
    }
}
