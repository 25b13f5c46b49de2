//! Applies the stated properties to a network, and checks them against its tensors.

use super::{Architecture, Gate, Head, Norm, Properties, RegNet, ResNet, Shortcut};
use crate::{
    Error, Result,
    structure::{AntiAliasing, GlobalPool, StrideIn, Structure},
};

/// A property of a network that no tensor shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Property {
    /// Its key in a [`Structure`], for example `stem-pool`.
    pub key: &'static str,
    /// Its value, as a [`Structure`] parses it.
    pub value: String,
    /// Whether this is the usual value.
    pub usual: bool,
    /// Where it is stated. None if it is not: then the usual value is assumed.
    pub stated_in: Option<String>,
}

impl Architecture {
    /// The same network with the stated properties.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if a property contradicts the tensors, or is of a part that the network does not have.
    pub fn with_structure(self, stated: &Structure) -> Result<Self> {
        self.stated(stated, &Structure::default())
    }

    /// The same network with the stated properties: `asked` wins over `configured`. A property in `asked` of a part that the network does
    /// not have is an error.
    pub(crate) fn stated(mut self, asked: &Structure, configured: &Structure) -> Result<Self> {
        if let Some((key, reason)) = self.missing_part(asked) {
            return Err(refused(asked, key, value_of(asked, key), reason));
        }
        let (properties, stages) = match &mut self {
            Architecture::ResNet(net) => (&mut net.properties, net.stages.len()),
            Architecture::DenseNet(net) => (&mut net.properties, 4),
            Architecture::RegNet(net) => (&mut net.properties, net.stages.len()),
            Architecture::Variant(net) => (&mut net.properties, 4),
        };
        for stated in [configured, asked] {
            properties.state(stated, stages);
        }
        if let Architecture::RegNet(net) = &mut self {
            // Its gates have the activation of its blocks.
            for stated in [configured, asked] {
                let gate = stated.gate_activation.or(stated.activation);
                net.properties.gate_activation = gate.unwrap_or(net.properties.gate_activation);
            }
        }
        if self.properties().norm_groups.is_none() {
            let reason = "its norms have no running statistics: either they are group normalisation, of 32 groups as a rule, or the \
                          statistics of batch normalisation were not saved, and it computes nothing without them";
            return Err(Error::config_value("the structure", "norm-groups", "not stated", reason));
        }
        match self.contradiction() {
            Some((key, reason)) => {
                let place = if asked.states(key) { asked } else { configured };
                Err(refused(place, key, value_in(self.properties(), key), reason))
            }
            None => Ok(self),
        }
    }

    /// A stated property of a part that the network does not have, with the reason.
    fn missing_part(&self, stated: &Structure) -> Option<(&'static str, String)> {
        let parts = self.parts();
        let key = KEYS.into_iter().find(|key| stated.states(key) && !parts.contains(key))?;
        let reason = match key {
            "stem-pool" if matches!(self, Architecture::RegNet(_)) => "the stem of a RegNet does not pool",
            "stride-in" if matches!(self, Architecture::RegNet(_)) => "the 3x3 convolution of a RegNet's block strides",
            "stem-pool" => "the tensors show a convolution instead of this pooling",
            "stride-in" => "the network has no bottlenecks",
            "block-activation" => "the network has no residual blocks",
            "anti-aliasing" => "the network has no pooling in its stem, and timm has no such network",
            "gate-activation" => "the network has no squeeze-and-excitation",
            "head-activation" => "the tensors show no activation in the head",
            "norm-groups" => "it has no group normalisation",
            "conv-padding" | "pool-padding" | "shortcut-pool" | "standardised-weights" | "shortcut-input" => {
                "only a ResNetV2 with such parts has this property"
            }
            "dense-order" | "transition-activation" => "only a DenseNet with such parts has this property",
            _ if matches!(self, Architecture::Variant(_)) => "networks of this family always have the same value",
            _ => "the network has no such stages",
        };
        Some((key, reason.into()))
    }

    /// The keys of the parts that the network has.
    fn parts(&self) -> Vec<&'static str> {
        let has = |key: &&str| match (self, *key) {
            (Architecture::ResNet(net), "stem-pool") => !net.stem_pool_conv,
            (Architecture::Variant(net), key) if key != "head-activation" => net.parts().contains(&key),
            (Architecture::ResNet(ResNet { norm, .. }) | Architecture::RegNet(RegNet { norm, .. }), "norm-groups") => {
                *norm == Norm::Group
            }
            (_, "conv-padding" | "pool-padding" | "shortcut-pool" | "norm-groups" | "standardised-weights") => false,
            (Architecture::DenseNet(_), "dense-order") => true,
            (Architecture::DenseNet(net), "transition-activation") => !net.transitions.is_empty(),
            (_, "shortcut-input" | "dense-order" | "transition-activation") => false,
            (Architecture::RegNet(_), "stem-pool" | "stride-in") => false,
            (Architecture::RegNet(_), "anti-aliasing") => false,
            (Architecture::DenseNet(net), "anti-aliasing") => net.pooled_stem,
            (_, "gate-activation") => self.has_squeezes(),
            (Architecture::ResNet(net), "stride-in") => net.has_bottlenecks(),
            (_, "head-activation") => self.head().is_some_and(Head::has_activation),
            (Architecture::DenseNet(_), "layer1-stride" | "stride-in" | "dilation" | "block-activation") => false,
            _ => true,
        };
        KEYS.into_iter().filter(has).collect()
    }

    /// A property that contradicts the tensors, with the reason.
    fn contradiction(&self) -> Option<(&'static str, String)> {
        if self.properties().global_pool == GlobalPool::None && self.classes().is_some() {
            return Some(("global-pool", "the network has a head, which reads pooled features".into()));
        }
        let Properties { layer1_stride, dilated, .. } = self.properties();
        if let Some(reason) = self.contradicts_anti_aliasing() {
            return Some(("anti-aliasing", reason.into()));
        }
        // The shortcut of the first block of each stage.
        let around: Vec<Option<Shortcut>> = match self {
            Architecture::ResNet(net) => {
                net.stages.iter().map(|stage| stage.first().map(|block| block.shortcut)).collect()
            }
            Architecture::RegNet(net) => {
                net.stages.iter().map(|stage| stage.first().and_then(|block| block.shortcut)).collect()
            }
            Architecture::DenseNet(_) | Architecture::Variant(_) => {
                let reason = "the network has no stages that can be dilated";
                return (!dilated.is_empty()).then(|| ("dilation", reason.into()));
            }
        };
        let stages = around.len();
        if let Some(stage) = dilated.iter().find(|stage| !(2..=stages).contains(*stage)) {
            return Some(("dilation", format!("layer{stage} does not stride; only layer2 to layer{stages} do")));
        }
        // Each dilated stage doubles the distance between taps.
        if dilated.len() > 8 {
            return Some(("dilation", "at most 8 stages can be dilated".into()));
        }
        let first = |stage: usize| around.get(stage - 1).copied().flatten();
        let linear = matches!(self, Architecture::RegNet(net) if net.linear);
        if linear && *layer1_stride == 1 {
            return Some(("layer1-stride", "the tensors do not show whether s1.b1 then has a shortcut".into()));
        }
        if *layer1_stride > 1 && !linear && first(1).is_none_or(|shortcut| shortcut == Shortcut::Identity) {
            return Some((
                "layer1-stride",
                "the shortcut of the first block has no convolution, so it cannot stride".into(),
            ));
        }
        let around = |stage: &&usize| first(**stage);
        if let Some(stage) = dilated.iter().find(|stage| around(stage) == Some(Shortcut::SpatialProjection)) {
            return Some((
                "dilation",
                format!("layer{stage} has a 3x3 convolution in its shortcut, which cannot be dilated"),
            ));
        }
        let pooled = |stage: &&usize| around(stage) == Some(Shortcut::PooledProjection);
        let stage = dilated.iter().find(pooled)?;
        Some(("dilation", format!("layer{stage} pools in its shortcut, which cannot be dilated")))
    }

    /// Why the network cannot have the stated anti-aliasing: timm has no such network.
    fn contradicts_anti_aliasing(&self) -> Option<&'static str> {
        let Properties { anti_aliasing, stem_pool, stride_in, dilated, .. } = self.properties();
        match (anti_aliasing, self) {
            (AntiAliasing::None, _) => None,
            _ if !dilated.is_empty() => Some("anti-aliasing and dilation together are not supported"),
            (AntiAliasing::Avg, Architecture::DenseNet(_)) => Some("a DenseNet has the value none or blur"),
            (_, Architecture::ResNet(net)) if net.stem_pool_conv || !stem_pool => {
                Some("it replaces the stem's pooling, which the network does not have")
            }
            (_, Architecture::ResNet(net)) if net.legacy => Some("no legacy SENet has it"),
            (_, Architecture::ResNet(net)) if net.has_bottlenecks() && *stride_in == StrideIn::OneByOne => {
                Some("it follows 3x3 convolutions that stride, but here the 1x1 convolutions stride")
            }
            _ => None,
        }
    }

    /// All properties that no tensor shows, in a fixed order; `stated` returns where a key is stated, if it is.
    pub fn unseen(&self, stated: impl Fn(&str) -> Option<String>) -> Vec<Property> {
        let parts = self.parts();
        let usual = self.usual().rows();
        let stated = |key: &str| {
            let follows = key == "gate-activation" && matches!(self, Architecture::RegNet(_));
            stated(key).or_else(|| if follows { stated("activation") } else { None })
        };
        let rows = self.properties().rows().into_iter().zip(usual);
        let property = |((key, value), (_, usual)): ((_, String), (_, String))| {
            let usual = value == usual;
            Property { key, value, usual, stated_in: stated(key) }
        };
        rows.map(property).filter(|property| parts.contains(&property.key)).collect()
    }

    /// Whether the tensors fit networks with and without pooling after the stem, and `stated` does not have the key `stem-pool`. No pooling
    /// is then assumed.
    pub(crate) fn assumes_stem_pool(&self, stated: impl Fn(&str) -> bool) -> bool {
        // With three stages they are the networks of He et al. 2015, section 4.2, which do not pool.
        let stages = match self {
            Architecture::ResNet(net) if net.small_stem() => Some(net.stages.len()),
            Architecture::Variant(net) => net.small_stages(),
            _ => None,
        };
        stages.is_some_and(|stages| stages != 3) && !stated("stem-pool")
    }

    /// Whether the stem is one 3x3 convolution.
    pub(super) fn small_stem(&self) -> bool {
        match self {
            Architecture::ResNet(net) => net.small_stem(),
            Architecture::DenseNet(net) => !net.pooled_stem,
            Architecture::RegNet(_) => false,
            Architecture::Variant(net) => net.small_stages().is_some(),
        }
    }

    /// The usual properties of the network.
    fn usual(&self) -> Properties {
        match self {
            Architecture::ResNet(net) => net.usual(),
            Architecture::RegNet(net) => net.usual(),
            Architecture::Variant(net) => net.usual(),
            Architecture::DenseNet(_) => Properties::usual(self.small_stem()),
        }
    }

    /// Whether any block has squeeze-and-excitation.
    fn has_squeezes(&self) -> bool {
        let squeezes = |gate: Option<Gate>| matches!(gate, Some(Gate::SqueezeExcite { .. }));
        match self {
            Architecture::ResNet(net) => net.stages.iter().flatten().any(|block| squeezes(block.gate)),
            Architecture::RegNet(net) => net.stages.iter().flatten().any(|block| squeezes(block.gate)),
            Architecture::DenseNet(_) | Architecture::Variant(_) => false,
        }
    }
}

const KEYS: [&str; 20] = [
    "stem-pool",
    "stem-stride",
    "layer1-stride",
    "stride-in",
    "dilation",
    "anti-aliasing",
    "global-pool",
    "norm-eps",
    "activation",
    "block-activation",
    "gate-activation",
    "head-activation",
    "conv-padding",
    "pool-padding",
    "shortcut-pool",
    "norm-groups",
    "standardised-weights",
    "shortcut-input",
    "dense-order",
    "transition-activation",
];

fn value_in(properties: &Properties, key: &str) -> String {
    properties.rows().into_iter().find(|(known, _)| *known == key).map_or_else(String::new, |(_, value)| value)
}

/// The value of a stated property, with usual values for all others.
fn value_of(stated: &Structure, key: &str) -> String {
    let mut properties = Properties::usual(false);
    properties.state(stated, 4);
    value_in(&properties, key)
}

fn refused(stated: &Structure, key: &str, value: String, expected: String) -> Error {
    Error::config_value(stated.source(key), key, value, expected)
}
