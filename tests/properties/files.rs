//! Random checkpoints: networks of all families, in the types and spellings of real files, and ways to damage a file.

use half::{bf16, f16};
use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
};
use residua::{
    checkpoint::Synthetic,
    models::{
        Architecture, Biases, Block, BlockKind, DenseNet, Gate, Head, Norm, Properties, RegNet, RegNetBlock, ResNet,
        Shortcut, Stem,
    },
    structure::{Activation, StrideIn},
};
use safetensors::{Dtype, tensor::TensorView};

/// A checkpoint as a file.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    pub(crate) architecture: Architecture,
    pub(crate) dtype: Dtype,
    spelling: Spelling,
    /// Whether it has PyTorch's counters of batches.
    counters: bool,
    salt: u8,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Spelling {
    Torchvision,
    /// A prefix of every name.
    Wrapped(&'static str),
    /// `resnet.encoder.stages.0...`; torchvision's spelling for networks other than plain ResNets.
    Transformers,
    /// `layer2.0.shortcut.0.weight`, `denselayer1.norm.1.weight`, and torchvision's names for RegNets.
    Old,
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let wrapper = select(vec!["module.", "model.", "_orig_mod.", "state_dict.module."]);
    let spelling = prop_oneof![
        2 => Just(Spelling::Torchvision),
        1 => wrapper.prop_map(Spelling::Wrapped),
        2 => Just(Spelling::Transformers),
        1 => Just(Spelling::Old),
    ];
    let dtype = select(vec![Dtype::F32, Dtype::F16, Dtype::BF16, Dtype::F64]);
    (prop_oneof![3 => resnet(), 1 => densenet(), 1 => regnet()], dtype, spelling, any::<bool>(), any::<u8>()).prop_map(
        |(architecture, dtype, spelling, counters, salt)| Recipe { architecture, dtype, spelling, counters, salt },
    )
}

fn head(names: &'static [&'static str]) -> impl Strategy<Value = Option<Head>> {
    prop::option::weighted(0.8, (select(names), 1_usize..=12))
        .prop_map(|head| head.map(|(name, classes)| Head::linear(name, classes)))
}

fn resnet() -> impl Strategy<Value = Architecture> {
    let stem = prop_oneof![
        Just(Stem::ImageNet),
        (1_usize..=6, 1_usize..=6).prop_map(|(a, b)| Stem::Deep([a, b])),
        Just(Stem::Cifar),
    ];
    // Numbers of blocks; channels, divided by two; width, divided by the groups.
    let stages = vec((1_usize..=2, 1_usize..=6, 1_usize..=3), 4);
    let squeeze = (1_usize..=4).prop_map(|squeeze| Gate::SqueezeExcite { squeeze, bias: true });
    let eca = select(vec![3, 5, 7]).prop_map(|kernel| Gate::Eca { kernel });
    let gate = prop::option::weighted(0.4, prop_oneof![squeeze, eca]);
    let flags = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let sizes = (stem, 1_usize..=5, stages, 1_usize..=4, 1_usize..=4);
    (sizes, gate, flags, head(&["fc", "linear"])).prop_map(
        |((stem, stem_twos, stages, groups, cifar_stages), gate, (bottleneck, pool_conv, other, legacy), head)| {
            let kind = if bottleneck { BlockKind::Bottleneck } else { BlockKind::Basic };
            let groups = if bottleneck { groups } else { 1 };
            let squeezes = matches!(gate, Some(Gate::SqueezeExcite { .. }));
            let legacy = legacy && squeezes && stem != Stem::Cifar && !pool_conv;
            // A network with shortcut A has no projections, and the channels never decrease.
            let padded = stem == Stem::Cifar && other;
            let change = match other {
                _ if padded => Shortcut::SubsamplePad,
                true if legacy => Shortcut::SpatialProjection,
                true => Shortcut::PooledProjection,
                false => Shortcut::Projection,
            };
            // As in SENet-154.
            let reduced = if legacy && bottleneck && other { 2 } else { 1 };
            let mut inputs = 2 * stem_twos;
            let count = if stem == Stem::Cifar { cifar_stages } else { 4 };
            let mut network = Vec::new();
            for (s, (depth, twos, width)) in stages.into_iter().take(count).enumerate() {
                let channels = if padded { (2 * twos).max(inputs) } else { 2 * twos };
                let block = |b: usize, inputs: usize| {
                    let reshapes = b == 0 && (s > 0 || inputs != channels);
                    let shortcut = if reshapes { change } else { Shortcut::Identity };
                    let first = width * groups;
                    Block { kind, first, width: reduced * first, channels, gate, shortcut }
                };
                network.push((0..depth).map(|b| block(b, if b == 0 { inputs } else { channels })).collect());
                inputs = channels;
            }
            let usual = Properties::usual(stem == Stem::Cifar);
            let in_first = legacy && bottleneck && groups == 1 && reduced == 1;
            let stride_in = if in_first { StrideIn::OneByOne } else { usual.stride_in };
            Architecture::ResNet(ResNet {
                inputs: 3,
                biases: Biases::default(),
                stem,
                stem_channels: 2 * stem_twos,
                stem_pool_conv: pool_conv && stem != Stem::Cifar,
                legacy,
                excitation: false,
                groups,
                first_groups: 1,
                norm: Norm::Batch,
                stages: network,
                head,
                properties: Properties { stride_in, ..usual },
            })
        },
    )
}

fn densenet() -> impl Strategy<Value = Architecture> {
    let blocks = vec((1_usize..=3, 1_usize..=9), 1..=3);
    let bottleneck = prop::option::of(1_usize..=9);
    let norm = select(vec!["norm5", "norm4", "norm_final"]);
    (any::<bool>(), 1_usize..=9, 1_usize..=6, bottleneck, blocks, norm, head(&["classifier"])).prop_map(
        |(pooled_stem, stem_channels, growth, bottleneck, blocks, norm, head)| {
            let transitions = blocks[1..].iter().map(|(_, outputs)| *outputs).collect();
            let blocks = blocks.into_iter().map(|(layers, _)| layers).collect();
            let last_norm = norm.into();
            Architecture::DenseNet(DenseNet {
                inputs: 3,
                biases: Biases::default(),
                pooled_stem,
                deep_stem: None,
                stem_channels,
                growth,
                bottleneck,
                blocks,
                transitions,
                last_norm,
                head,
                properties: Properties::usual(!pooled_stem),
            })
        },
    )
}

fn regnet() -> impl Strategy<Value = Architecture> {
    // Numbers of blocks; channels and inner width, divided by the groups' width.
    let stages = vec((1_usize..=2, 1_usize..=4, 1_usize..=3), 1..=4);
    let squeeze = prop::option::of(1_usize..=4);
    let form = select(vec![(false, false), (false, true), (true, false)]);
    let sizes = (1_usize..=9, 1_usize..=4, stages, prop::option::of(1_usize..=9));
    (sizes, form, squeeze, any::<bool>(), head(&["head.fc"])).prop_map(
        |((stem_channels, per_group, stages, last), (preactivated, linear), squeeze, pooled, head)| {
            let change = if pooled { Shortcut::PooledProjection } else { Shortcut::Projection };
            let gate = squeeze.map(|squeeze| Gate::SqueezeExcite { squeeze, bias: true });
            let block = |b: usize, groups: usize, width: usize| RegNetBlock {
                width: width * per_group,
                channels: groups * per_group,
                groups: width,
                gate,
                shortcut: match b {
                    0 if linear => None,
                    0 => Some(change),
                    _ => Some(Shortcut::Identity),
                },
            };
            let stages = stages.into_iter();
            let activation = if preactivated || linear { Activation::Silu } else { Activation::Relu };
            let (block_activation, gate_activation) = (activation, activation);
            let usual = Properties::usual(false);
            Architecture::RegNet(RegNet {
                inputs: 3,
                stem_channels,
                preactivated,
                linear,
                norm: Norm::Batch,
                stages: stages
                    .map(|(depth, groups, width)| (0..depth).map(|b| block(b, groups, width)).collect())
                    .collect(),
                final_channels: last.filter(|_| linear),
                biases: Biases::default(),
                head,
                properties: Properties {
                    stem_pool: false,
                    layer1_stride: 2,
                    activation,
                    block_activation,
                    gate_activation,
                    ..usual
                },
            })
        },
    )
}

/// A tensor in a file.
#[derive(Clone)]
pub(crate) struct Stored {
    pub(crate) name: String,
    pub(crate) dtype: Dtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

impl Recipe {
    /// Name in torchvision's spelling, shape and values of all tensors; the values are exact in the file's type.
    pub(crate) fn tensors(&self) -> Vec<(String, Vec<usize>, Vec<f32>)> {
        let weights = Synthetic { salt: self.salt.to_string(), damped: None, damp: 1.0 };
        let rounded = |x: f32| match self.dtype {
            Dtype::F16 => f16::from_f32(x).to_f32(),
            Dtype::BF16 => bf16::from_f32(x).to_f32(),
            _ => x,
        };
        let tensors = self.architecture.graph().tensors().into_iter();
        tensors
            .map(|(name, shape)| {
                let values = weights.tensor(&name, &shape).into_iter().map(rounded).collect();
                (name, shape, values)
            })
            .collect()
    }

    /// The tensors in the file's spelling.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        let mut stored = Vec::new();
        for (name, shape, values) in self.tensors() {
            let bytes = values.iter().flat_map(|x| encode(*x, self.dtype)).collect();
            let name = self.spelled(&name);
            if let Some(prefix) = name.strip_suffix("running_var").filter(|_| self.counters) {
                let name = format!("{prefix}num_batches_tracked");
                stored.push(Stored { name, dtype: Dtype::I64, shape: vec![], bytes: vec![7, 0, 0, 0, 0, 0, 0, 0] });
            }
            stored.push(Stored { name, dtype: self.dtype, shape, bytes });
        }
        stored
    }

    fn spelled(&self, name: &str) -> String {
        match self.spelling {
            Spelling::Torchvision => name.into(),
            Spelling::Wrapped(prefix) => format!("{prefix}{name}"),
            Spelling::Transformers => self.transformers(name).unwrap_or_else(|| name.into()),
            Spelling::Old => self.old(name),
        }
    }

    /// The name in transformers' spelling, if transformers has this network.
    fn transformers(&self, name: &str) -> Option<String> {
        let net = match &self.architecture {
            Architecture::ResNet(net) => net,
            Architecture::RegNet(net) => return regnet_of_transformers(net, name),
            _ => return None,
        };
        let blocks = || net.stages.iter().flatten();
        let plain = blocks().all(|b| b.gate.is_none() && b.shortcut != Shortcut::PooledProjection);
        if !(plain && net.stem == Stem::ImageNet && !net.stem_pool_conv) {
            return None;
        }
        let (place, part) = name.rsplit_once('.')?;
        let layer = |kind: &str| if kind.starts_with("bn") { "normalization" } else { "convolution" };
        Some(match place.split('.').collect::<Vec<_>>()[..] {
            ["conv1" | "bn1"] => format!("resnet.embedder.embedder.{}.{part}", layer(place)),
            ["fc"] => format!("classifier.1.{part}"),
            [stage, block, "downsample", which] => {
                let kind = if which == "0" { "convolution" } else { "normalization" };
                format!("resnet.encoder.stages.{}.layers.{block}.shortcut.{kind}.{part}", number(stage) - 1)
            }
            [stage, block, kind] => {
                let (stage, position) = (number(stage) - 1, number(kind) - 1);
                format!("resnet.encoder.stages.{stage}.layers.{block}.layer.{position}.{}.{part}", layer(kind))
            }
            _ => name.into(),
        })
    }

    fn old(&self, name: &str) -> String {
        if let Architecture::RegNet(net) = &self.architecture {
            return regnet_of_torchvision(net, name).unwrap_or_else(|| name.into());
        }
        let Architecture::ResNet(net) = &self.architecture else {
            let layers = ["norm1", "conv1", "norm2", "conv2"].into_iter().filter(|_| name.contains(".denselayer"));
            return layers.fold(name.into(), |name: String, layer| {
                let (kind, position) = layer.split_at(4);
                name.replace(&format!(".{layer}."), &format!(".{kind}.{position}."))
            });
        };
        // In a pooled shortcut, the pooling is in place 0.
        let pooled = net.stages.iter().flatten().any(|block| block.shortcut == Shortcut::PooledProjection);
        if pooled { name.into() } else { name.replace(".downsample.", ".shortcut.") }
    }
}

/// The name of a RegNet's tensor in transformers' spelling, if transformers has that form.
fn regnet_of_transformers(net: &RegNet, name: &str) -> Option<String> {
    let projected = net.stages.iter().flatten().all(|block| block.shortcut != Some(Shortcut::PooledProjection));
    if net.preactivated || net.linear || !projected {
        return None;
    }
    let gated = net.stages.iter().flatten().any(|block| block.gate.is_some());
    let (place, part) = name.rsplit_once('.')?;
    let kind = |layer: &str| if layer == "bn" { "normalization" } else { "convolution" };
    Some(match place.split('.').collect::<Vec<_>>()[..] {
        ["stem", layer] => format!("regnet.embedder.embedder.{}.{part}", kind(layer)),
        ["head", "fc"] => format!("classifier.1.{part}"),
        [stage, block, ref rest @ ..] => {
            let front = format!("regnet.encoder.stages.{}.layers.{}", number(stage) - 1, number(block) - 1);
            match rest {
                ["downsample", layer] => format!("{front}.shortcut.{}.{part}", kind(layer)),
                ["se", layer] => format!("{front}.layer.2.attention.{}.{part}", if *layer == "fc1" { 0 } else { 2 }),
                ["conv3", layer] if gated => format!("{front}.layer.3.{}.{part}", kind(layer)),
                [conv, layer] => format!("{front}.layer.{}.{}.{part}", number(conv) - 1, kind(layer)),
                _ => name.into(),
            }
        }
        _ => name.into(),
    })
}

/// The same in torchvision's.
fn regnet_of_torchvision(net: &RegNet, name: &str) -> Option<String> {
    let projected = net.stages.iter().flatten().all(|block| block.shortcut != Some(Shortcut::PooledProjection));
    if net.preactivated || net.linear || !projected {
        return None;
    }
    let (place, part) = name.rsplit_once('.')?;
    let kind = |layer: &str| usize::from(layer == "bn");
    Some(match place.split('.').collect::<Vec<_>>()[..] {
        ["stem", layer] => format!("stem.{}.{part}", kind(layer)),
        ["head", "fc"] => format!("fc.{part}"),
        [stage, block, module, layer] => {
            let stage = number(stage);
            let front = format!("trunk_output.block{stage}.block{stage}-{}", number(block) - 1);
            match module {
                "downsample" => format!("{front}.proj.{}.{part}", kind(layer)),
                "se" => format!("{front}.f.se.{layer}.{part}"),
                conv => format!("{front}.f.{}.{}.{part}", ["a", "b", "c"][number(conv) - 1], kind(layer)),
            }
        }
        _ => name.into(),
    })
}

/// The number at the end of a text.
fn number(text: &str) -> usize {
    text.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap()
}

fn encode(x: f32, dtype: Dtype) -> Vec<u8> {
    match dtype {
        Dtype::F16 => f16::from_f32(x).to_le_bytes().to_vec(),
        Dtype::BF16 => bf16::from_f32(x).to_le_bytes().to_vec(),
        Dtype::F64 => f64::from(x).to_le_bytes().to_vec(),
        _ => x.to_le_bytes().to_vec(),
    }
}

/// The bytes of a file with these tensors.
pub(crate) fn file(tensors: &[Stored]) -> Vec<u8> {
    let views = tensors.iter().map(|t| (&t.name, TensorView::new(t.dtype, t.shape.clone(), &t.bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

/// A way to damage a file.
#[derive(Debug, Clone)]
pub(crate) enum Damage {
    /// A tensor other than the head's bias is missing.
    Drop(Index),
    /// One character of a tensor's name is changed.
    Rename(Index, Index, char),
    /// A tensor has another shape with the same number of elements: reversed, flat, or with an additional extent of one.
    Reshape(Index, u8),
    /// A tensor has one more row.
    Grow(Index),
    /// A tensor's type is not a type for weights.
    Retype(Index),
    /// A value is replaced by one that is not finite.
    NotFinite(Index, Index, f64),
    /// A running variance is negative.
    NegativeVariance(Index, Index),
    /// The file has a tensor that no network has.
    Extra(String),
    /// A byte of the length or the header is changed.
    Header(Index, u8),
    /// The file ends early.
    Cut(Index),
    /// Bytes follow the last tensor.
    Trailing(Vec<u8>),
}

pub(crate) fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        1 => index().prop_map(Damage::Drop),
        1 => (index(), index(), prop::char::range('!', '~')).prop_map(|(t, at, c)| Damage::Rename(t, at, c)),
        1 => (index(), 0_u8..3).prop_map(|(t, how)| Damage::Reshape(t, how)),
        1 => index().prop_map(Damage::Grow),
        1 => index().prop_map(Damage::Retype),
        1 => (index(), index(), select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY]))
            .prop_map(|(t, at, value)| Damage::NotFinite(t, at, value)),
        1 => (index(), index()).prop_map(|(t, at)| Damage::NegativeVariance(t, at)),
        1 => "[a-z]{1,8}(\\.[a-z0-9]{1,8}){0,3}".prop_map(Damage::Extra),
        4 => (index(), 1_u8..).prop_map(|(at, bits)| Damage::Header(at, bits)),
        2 => index().prop_map(Damage::Cut),
        1 => vec(any::<u8>(), 1..40).prop_map(Damage::Trailing),
    ]
}

impl Damage {
    /// The damaged file, and whether the damage may be harmless: then the output must be the same.
    pub(crate) fn apply(&self, mut tensors: Vec<Stored>) -> (Vec<u8>, bool) {
        let weights: Vec<usize> = (0..tensors.len()).filter(|i| tensors[*i].dtype != Dtype::I64).collect();
        let variances: Vec<usize> =
            weights.iter().copied().filter(|i| tensors[*i].name.ends_with("running_var")).collect();
        let mut harmless = false;
        match self {
            Damage::Drop(t) => {
                // A head may have no bias.
                let is_norm = |bias: &str| tensors.iter().any(|tensor| tensor.name == format!("{bias}running_mean"));
                let needed = |at: &&usize| tensors[**at].name.strip_suffix("bias").is_none_or(is_norm);
                let needed: Vec<usize> = weights.iter().filter(needed).copied().collect();
                tensors.remove(*t.get(&needed));
            }
            Damage::Rename(t, at, c) => {
                let name = &mut tensors[*t.get(&weights)].name;
                let at = at.index(name.len());
                harmless = name.as_bytes()[at] == *c as u8;
                name.replace_range(at..=at, &c.to_string());
            }
            Damage::Reshape(t, how) => {
                let shape = &mut tensors[*t.get(&weights)].shape;
                let before = shape.clone();
                match how {
                    0 => shape.reverse(),
                    1 => *shape = vec![shape.iter().product()],
                    _ => shape.push(1),
                }
                harmless = *shape == before;
            }
            Damage::Grow(t) => {
                let tensor = &mut tensors[*t.get(&weights)];
                let row = tensor.bytes.len() / tensor.shape[0];
                tensor.shape[0] += 1;
                tensor.bytes.extend_from_within(..row);
            }
            Damage::Retype(t) => {
                let tensor = &mut tensors[*t.get(&weights)];
                tensor.dtype = match tensor.dtype {
                    Dtype::F16 | Dtype::BF16 => Dtype::I16,
                    Dtype::F64 => Dtype::U64,
                    _ => Dtype::I32,
                };
            }
            Damage::NotFinite(t, at, value) => tensors[*t.get(&weights)].replace(*at, *value as f32),
            Damage::NegativeVariance(t, at) => tensors[*t.get(&variances)].replace(*at, -0.5),
            Damage::Extra(name) => {
                tensors.push(Stored { name: name.clone(), dtype: Dtype::F32, shape: vec![1], bytes: vec![0; 4] });
            }
            Damage::Header(..) | Damage::Cut(_) | Damage::Trailing(_) => {}
        }
        let mut bytes = file(&tensors);
        match self {
            Damage::Header(at, bits) => {
                let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
                bytes[at.index(8 + length)] ^= bits;
                harmless = true;
            }
            Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Damage::Trailing(more) => bytes.extend(more),
            _ => {}
        }
        (bytes, harmless)
    }
}

impl Stored {
    fn replace(&mut self, at: Index, value: f32) {
        let bytes = encode(value, self.dtype);
        let at = at.index(self.bytes.len() / bytes.len()) * bytes.len();
        self.bytes[at..at + bytes.len()].copy_from_slice(&bytes);
    }
}
