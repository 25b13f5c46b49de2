//! What is stated of a network whose tensors do not show it, checked against what they do show.

use super::{Architecture, BlockKind, Head, Properties, Shortcut};
use crate::{
    Error, Result,
    structure::{GlobalPool, Structure},
};

/// A property of a network that none of its tensors shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// Its key in a [`Structure`], for example `stem-pool`.
    pub key: &'static str,
    /// Its value, as a [`Structure`] parses it.
    pub value: String,
    /// Whether that is the usual value.
    pub usual: bool,
    /// Where it is stated; nothing for the usual value, which is then assumed.
    pub stated_in: Option<String>,
}

impl Architecture {
    /// The same network with what is stated of it.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] for what contradicts the tensors, and for what is stated of a part that the network does not have.
    pub fn with_structure(self, stated: &Structure) -> Result<Self> {
        self.stated(stated, &Structure::default())
    }

    /// The same network with what is stated: `asked` wins over `configured`. What is `asked` of a part that it does not have is an
    /// error.
    pub(crate) fn stated(mut self, asked: &Structure, configured: &Structure) -> Result<Self> {
        if let Some((key, reason)) = self.missing_part(asked) {
            return Err(refused(asked, key, value_of(asked, key), reason));
        }
        let (properties, stages) = match &mut self {
            Architecture::ResNet(net) => (&mut net.properties, net.stages.len()),
            Architecture::DenseNet(net) => (&mut net.properties, 4),
            Architecture::Kin(net) => (&mut net.properties, 4),
        };
        properties.state(configured, stages);
        properties.state(asked, stages);
        match self.contradiction() {
            Some((key, reason)) => {
                let place = if asked.states(key) { asked } else { configured };
                Err(refused(place, key, value_in(self.properties(), key), reason))
            }
            None => Ok(self),
        }
    }

    /// What is stated of a part that the network does not have.
    fn missing_part(&self, stated: &Structure) -> Option<(&'static str, String)> {
        let parts = self.parts();
        let key = KEYS.into_iter().find(|key| stated.states(key) && !parts.contains(key))?;
        let reason = match key {
            "stem-pool" => "a convolution stands in the place of the pooling, as the tensors show",
            "stride-in" => "the network has no bottlenecks",
            "block-activation" => "the network has no residual blocks",
            "head-activation" => "the head has no such layers, as the tensors show",
            "conv-padding" | "pool-padding" | "shortcut-pool" | "norm-groups" | "standardised-weights" => {
                "it is no ResNetV2 with such parts"
            }
            _ if matches!(self, Architecture::Kin(_)) => "in its family that is always the same",
            _ => "the network has no such stages",
        };
        Some((key, reason.into()))
    }

    /// The keys of what the network has.
    fn parts(&self) -> Vec<&'static str> {
        let has = |key: &&str| match (self, *key) {
            (Architecture::ResNet(net), "stem-pool") => !net.stem_pool_conv,
            (Architecture::ResNet(net), "stride-in") => net.kind == BlockKind::Bottleneck,
            (Architecture::Kin(net), key) if key != "head-activation" => net.parts().contains(&key),
            (_, "conv-padding" | "pool-padding" | "shortcut-pool" | "norm-groups" | "standardised-weights") => false,
            (_, "head-activation") => self.head().is_some_and(Head::has_activation),
            (Architecture::DenseNet(_), "layer1-stride" | "stride-in" | "dilation" | "block-activation") => false,
            _ => true,
        };
        KEYS.into_iter().filter(has).collect()
    }

    /// What contradicts the tensors.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        if self.properties().global_pool == GlobalPool::None && self.classes().is_some() {
            return Some(("global-pool", "the network has a head, which reads pooled features".into()));
        }
        let Properties { layer1_stride, dilated, .. } = self.properties();
        let Architecture::ResNet(net) = self else {
            let reason = "it has no stages that could be dilated";
            return (!dilated.is_empty()).then(|| ("dilation", reason.into()));
        };
        let stages = net.stages.len();
        if let Some(stage) = dilated.iter().find(|stage| !(2..=stages).contains(*stage)) {
            return Some(("dilation", format!("layer{stage} is none of layer2 to layer{stages}, which stride")));
        }
        // Each doubles the distance between taps.
        if dilated.len() > 8 {
            return Some(("dilation", "at most 8 stages can be dilated".into()));
        }
        let first = |stage: usize| net.stages.get(stage - 1)?.first();
        if *layer1_stride > 1 && first(1).is_none_or(|block| block.shortcut == Shortcut::Identity) {
            return Some((
                "layer1-stride",
                "no convolution is in the shortcut of layer1.0, so that cannot stride".into(),
            ));
        }
        let pooled = |stage: &&usize| first(**stage).is_some_and(|block| block.shortcut == Shortcut::PooledProjection);
        let stage = dilated.iter().find(pooled)?;
        Some(("dilation", format!("layer{stage} pools in its shortcut, and dilation there is not supported")))
    }

    /// What none of the tensors shows of the network, in a fixed order; `stated` tells where a key is stated, if it is.
    pub fn unseen(&self, stated: impl Fn(&str) -> Option<String>) -> Vec<Property> {
        let parts = self.parts();
        let usual = self.usual().rows();
        let rows = self.properties().rows().into_iter().zip(usual);
        let property = |((key, value), (_, usual)): ((_, String), (_, String))| {
            let usual = value == usual;
            Property { key, value, usual, stated_in: stated(key) }
        };
        rows.map(property).filter(|property| parts.contains(&property.key)).collect()
    }

    /// Whether pooling after the stem is as common as none with these tensors, unless `stated` says that the key `stem-pool` is stated.
    /// Then it is taken that there is none.
    pub(crate) fn assumes_stem_pool(&self, stated: impl Fn(&str) -> bool) -> bool {
        // With three stages they are the networks of He et al. 2015, section 4.2.
        matches!(self, Architecture::ResNet(net) if net.small_stem() && net.stages.len() != 3) && !stated("stem-pool")
    }

    /// Whether the stem is one 3x3 convolution.
    pub(super) fn small_stem(&self) -> bool {
        match self {
            Architecture::ResNet(net) => net.small_stem(),
            Architecture::DenseNet(net) => !net.pooled_stem,
            Architecture::Kin(_) => false,
        }
    }

    /// What is usual of what no tensor shows.
    fn usual(&self) -> Properties {
        match self {
            Architecture::Kin(net) => net.usual(),
            _ => Properties::usual(self.small_stem()),
        }
    }
}

const KEYS: [&str; 15] = [
    "stem-pool",
    "stem-stride",
    "layer1-stride",
    "stride-in",
    "dilation",
    "global-pool",
    "norm-eps",
    "activation",
    "block-activation",
    "head-activation",
    "conv-padding",
    "pool-padding",
    "shortcut-pool",
    "norm-groups",
    "standardised-weights",
];

fn value_in(properties: &Properties, key: &str) -> String {
    properties.rows().into_iter().find(|(known, _)| *known == key).map_or_else(String::new, |(_, value)| value)
}

/// The value of what is stated, as if all the rest were the usual.
fn value_of(stated: &Structure, key: &str) -> String {
    let mut properties = Properties::usual(false);
    properties.state(stated, 4);
    value_in(&properties, key)
}

fn refused(stated: &Structure, key: &str, value: String, expected: String) -> Error {
    Error::config_value(&*stated.stated_in, key, value, expected)
}
