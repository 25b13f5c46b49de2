//! Reads and writes properties as pairs of a key and a value.

use std::{fmt, str::FromStr};

use super::{
    Activation, AntiAliasing, ConvPadding, Dilation, GlobalPool, NormGroups, PoolPadding, StrideIn, Structure,
};
use crate::{Error, Result};

/// All keys, and the values of each.
const KEYS: [(&str, &str); 22] = [
    ("stem-pool", "max or none"),
    ("stem-stride", "1, 2, 3 or 4"),
    ("layer1-stride", "1 or 2"),
    ("stride-in", "1x1 or 3x3"),
    ("dilation", "none, or stages with + between them, such as layer3+layer4"),
    ("output-stride", "8, 16 or 32"),
    ("anti-aliasing", "none, avg or blur"),
    ("global-pool", "avg, max, avgmax, catavgmax, catmaxavg or none"),
    ("norm-eps", "a number from 1e-12 to 1"),
    ("activation", ACTIVATIONS),
    ("block-activation", ACTIVATIONS),
    ("gate-activation", ACTIVATIONS),
    ("head-activation", ACTIVATIONS),
    ("conv-padding", "sides or same"),
    ("pool-padding", "ignored, zeros, same, zeros+same or none"),
    ("shortcut-pool", "mean or none"),
    ("norm-groups", "a number from 1 to 4096, or the channels of a group, such as 16-channels"),
    ("standardised-weights", "yes or no"),
    ("shortcut-input", "norm or block"),
    ("dense-order", "newest-last or newest-first"),
    ("transition-activation", ACTIVATIONS),
    ("head", "none"),
];

const ACTIVATIONS: &str = "relu, relu6, leaky_relu, silu, mish, gelu, gelu_tanh, quick_gelu, sigmoid, tanh, hard_sigmoid, \
     hard_swish, hard_mish, elu, celu, selu or identity; leaky_relu:0.2 gives the slope, elu:0.5 and celu:0.5 the scale";

impl FromStr for Structure {
    type Err = Error;

    /// Reads pairs such as `stem-pool=max,stride-in=1x1`.
    fn from_str(text: &str) -> Result<Self> {
        let mut structure = Structure { stated_in: "option".into(), ..Structure::default() };
        for pair in text.split(',') {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (key, value) = (key.trim(), value.trim());
            let invalid = |expected: &str| Error::config_value("structure", key, value, expected);
            let Some((_, values)) = KEYS.iter().find(|(known, _)| *known == key) else {
                let keys: Vec<&str> = KEYS.iter().map(|(key, _)| *key).collect();
                return Err(invalid(&format!("unknown key; the keys are {}", keys.join(", "))));
            };
            let property = if key == "output-stride" { "dilation" } else { key };
            if structure.states(property) {
                return Err(invalid(&format!("{property} is stated twice")));
            }
            structure.set(key, value).ok_or_else(|| invalid(values))?;
        }
        Ok(structure)
    }
}

impl Structure {
    /// Sets a property. None if the key does not have this value.
    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        let number = |range: std::ops::RangeInclusive<usize>| value.parse().ok().filter(|n| range.contains(n));
        match key {
            "stem-pool" => {
                self.stem_pool = Some(match value {
                    "max" => true,
                    "none" => false,
                    _ => return None,
                });
            }
            "stem-stride" => self.stem_stride = Some(number(1..=4)?),
            "layer1-stride" => self.layer1_stride = Some(number(1..=2)?),
            "stride-in" => {
                self.stride_in = Some(match value {
                    "1x1" => StrideIn::OneByOne,
                    "3x3" => StrideIn::ThreeByThree,
                    _ => return None,
                });
            }
            "dilation" => self.dilation = Some(Dilation::Stages(stages(value)?)),
            "output-stride" => self.dilation = Some(Dilation::OutputStride(output_stride(value.parse().ok()?)?)),
            "anti-aliasing" => self.anti_aliasing = Some(AntiAliasing::parse(value)?),
            "global-pool" => self.global_pool = Some(GlobalPool::parse(value)?),
            "norm-eps" => self.norm_eps = Some(norm_eps(value.parse().ok()?)?),
            "activation" => self.activation = Some(Activation::parse(value)?),
            "block-activation" => self.block_activation = Some(Activation::parse(value)?),
            "gate-activation" => self.gate_activation = Some(Activation::parse(value)?),
            "head-activation" => self.head_activation = Some(Activation::parse(value)?),
            "conv-padding" => self.conv_padding = Some(ConvPadding::parse(value)?),
            "pool-padding" => self.pool_padding = Some(PoolPadding::parse(value)?),
            "shortcut-pool" => {
                self.shortcut_pool = Some(match value {
                    "mean" => true,
                    "none" => false,
                    _ => return None,
                });
            }
            "norm-groups" => self.norm_groups = Some(NormGroups::parse(value)?),
            "standardised-weights" => {
                self.standardised = Some(match value {
                    "yes" => true,
                    "no" => false,
                    _ => return None,
                });
            }
            "shortcut-input" => {
                self.raw_shortcuts = Some(match value {
                    "norm" => false,
                    "block" => true,
                    _ => return None,
                });
            }
            "dense-order" => {
                self.newest_first = Some(match value {
                    "newest-last" => false,
                    "newest-first" => true,
                    _ => return None,
                });
            }
            "transition-activation" => self.transition_activation = Some(Activation::parse(value)?),
            "head" => self.no_head = (value == "none").then_some(true)?,
            _ => return None,
        }
        Some(())
    }
}

/// `none`, or stages such as `layer3+layer4`.
fn stages(value: &str) -> Option<Vec<usize>> {
    if value == "none" {
        return Some(Vec::new());
    }
    let mut stages = value
        .split('+')
        .map(|stage| stage.trim().strip_prefix("layer")?.parse().ok().filter(|stage| (1..=64).contains(stage)))
        .collect::<Option<Vec<usize>>>()?;
    stages.sort_unstable();
    stages.dedup();
    Some(stages)
}

/// An output stride that timm builds.
pub(crate) fn output_stride(stride: i64) -> Option<usize> {
    [8, 16, 32].contains(&stride).then_some(stride as usize)
}

/// An epsilon in the range that batch normalisation can use.
pub(crate) fn norm_eps(eps: f64) -> Option<f32> {
    (1e-12..=1.0).contains(&eps).then_some(eps as f32)
}

impl GlobalPool {
    /// Reads timm's names. Those that start with `fast` are other implementations of the same pooling.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.strip_prefix("fast").unwrap_or(name) {
            "avg" => Some(GlobalPool::Avg),
            "" if name == "fast" => Some(GlobalPool::Avg),
            "max" => Some(GlobalPool::Max),
            "avgmax" => Some(GlobalPool::AvgMax),
            "catavgmax" => Some(GlobalPool::CatAvgMax),
            "catmaxavg" => Some(GlobalPool::CatMaxAvg),
            "none" if name == "none" => Some(GlobalPool::None),
            _ => None,
        }
    }
}

impl fmt::Display for GlobalPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GlobalPool::Avg => "avg",
            GlobalPool::Max => "max",
            GlobalPool::AvgMax => "avgmax",
            GlobalPool::CatAvgMax => "catavgmax",
            GlobalPool::CatMaxAvg => "catmaxavg",
            GlobalPool::None => "none",
        })
    }
}

impl NormGroups {
    fn parse(value: &str) -> Option<Self> {
        let number = |text: &str| text.parse().ok().filter(|number| (1..=4096).contains(number));
        match value.strip_suffix("-channels") {
            Some(each) => number(each).map(NormGroups::Channels),
            None => number(value).map(NormGroups::Groups),
        }
    }
}

impl fmt::Display for NormGroups {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NormGroups::Groups(groups) => groups.fmt(f),
            NormGroups::Channels(each) => write!(f, "{each}-channels"),
        }
    }
}

impl AntiAliasing {
    /// Reads our names and timm's.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name.to_lowercase().as_str() {
            "none" | "" => Some(AntiAliasing::None),
            "avg" | "avgpool" => Some(AntiAliasing::Avg),
            "blur" | "blurpool" => Some(AntiAliasing::Blur),
            _ => None,
        }
    }
}

impl fmt::Display for AntiAliasing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AntiAliasing::None => "none",
            AntiAliasing::Avg => "avg",
            AntiAliasing::Blur => "blur",
        })
    }
}

impl ConvPadding {
    fn parse(name: &str) -> Option<Self> {
        [ConvPadding::Sides, ConvPadding::Same].into_iter().find(|padding| padding.to_string() == name)
    }
}

impl fmt::Display for ConvPadding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ConvPadding::Sides => "sides",
            ConvPadding::Same => "same",
        })
    }
}

impl PoolPadding {
    fn parse(name: &str) -> Option<Self> {
        use PoolPadding::{Ignored, None, Same, Zeros, ZerosAndSame};
        [Ignored, Zeros, Same, ZerosAndSame, None].into_iter().find(|padding| padding.to_string() == name)
    }
}

impl fmt::Display for PoolPadding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PoolPadding::Ignored => "ignored",
            PoolPadding::Zeros => "zeros",
            PoolPadding::Same => "same",
            PoolPadding::ZerosAndSame => "zeros+same",
            PoolPadding::None => "none",
        })
    }
}

impl fmt::Display for StrideIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StrideIn::OneByOne => "1x1",
            StrideIn::ThreeByThree => "3x3",
        })
    }
}
