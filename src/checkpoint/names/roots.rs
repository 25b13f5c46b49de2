//! Finds the networks in a file, by the prefixes of their blocks.

use std::collections::{BTreeMap, HashMap};

use super::{COUNTERS, cifar::Repository, regnet::Writer, spelling::Kind};

/// Beginnings of tensor names in the first block of timm's ResNet variants, below the network's prefix.
const VARIANTS: [&str; 6] = [
    "stages.0.0.conv1.gain",
    "stages.0.blocks.0.conv1.weight",
    "stages.0.blocks.0.conv1.conv.weight",
    "stages.0.0.conv1_1x1.",
    "stages.0.0.conv1_kxk.",
    "level2.tree1.",
];

/// Segments of a prefix that name a wrapper instead of a network.
pub(super) const WRAPPERS: [&str; 12] = [
    "module",
    "_orig_mod",
    "model",
    "backbone",
    "timm_model",
    "state_dict",
    "model_state_dict",
    "net",
    "network",
    "params",
    "weights",
    "_model",
];

/// Segments of a prefix that mark a network as an average or a follower of another, not trained itself.
const AVERAGES: [&str; 16] = [
    "averaged",
    "ema",
    "ema_model",
    "encoder_k",
    "key_encoder",
    "model_ema",
    "momentum",
    "momentum_encoder",
    "net_ema",
    "params_ema",
    "state_dict_ema",
    "swa_model",
    "target",
    "target_encoder",
    "target_network",
    "teacher",
];

/// Beginnings and endings of further such segments.
const AVERAGE_STARTS: [&str; 4] = ["ema_", "momentum_", "target_", "teacher_"];
const AVERAGE_ENDS: [&str; 5] = ["_ema", "_momentum", "_target", "_teacher", "_swa"];

/// Number of segments of a name to look at: no network lies deeper.
const DEEPEST: usize = 16;

/// A network in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    /// Prefix of its tensors, with the last dot.
    pub(super) prefix: String,
    pub(super) kind: Kind,
}

impl Root {
    /// The network's name: the prefix without wrappers, or the whole prefix if nothing else is left.
    pub(super) fn name(&self) -> String {
        let segments: Vec<&str> = self.prefix.split('.').filter(|segment| !segment.is_empty()).collect();
        let telling: Vec<&str> = segments.iter().filter(|segment| !WRAPPERS.contains(segment)).copied().collect();
        match (telling.is_empty(), segments.is_empty()) {
            (false, _) => telling.join("."),
            (true, false) => segments.join("."),
            (true, true) => "main".into(),
        }
    }

    pub(super) fn is_average(&self) -> bool {
        self.prefix.split('.').any(|segment| {
            AVERAGES.contains(&segment)
                || AVERAGE_STARTS.iter().any(|start| segment.starts_with(start))
                || AVERAGE_ENDS.iter().any(|end| segment.ends_with(end))
        })
    }

    /// Whether `part` is a name of this network: its name, its whole prefix, or one segment of the prefix.
    pub(super) fn is_called(&self, part: &str) -> bool {
        self.name() == part || self.prefix.trim_end_matches('.') == part
    }
}

/// Whether a tensor is a counter: of training batches, or of a profiler's operations.
pub(in crate::checkpoint) fn counts(name: &str) -> bool {
    COUNTERS.iter().any(|counter| name.ends_with(counter))
}

/// The networks among tensors with these names and shapes, by prefix. A network without a first convolution counts only if no network has
/// one.
pub(super) fn roots(shapes: &HashMap<&str, &[usize]>) -> Vec<Root> {
    let mut found: BTreeMap<String, Kind> = BTreeMap::new();
    let mut first_stage: BTreeMap<&str, usize> = BTreeMap::new();
    for name in shapes.keys() {
        for at in boundaries(name) {
            let (prefix, rest) = name.split_at(at);
            if let Some((end, kind)) = mark(prefix, rest, shapes) {
                found.insert(prefix[..end].to_string(), kind);
            } else if let Some(stage) = numbered_stage(rest)
                && starts_sequential(prefix, shapes)
            {
                first_stage.entry(prefix).and_modify(|first| *first = stage.min(*first)).or_insert(stage);
            }
        }
    }
    let counted = first_stage.into_iter().filter(|(prefix, first)| stem_ends_before(prefix, *first, shapes));
    found.extend(counted.map(|(prefix, first)| (prefix.to_string(), Kind::Sequential { first })));
    let all: Vec<Root> = found.into_iter().map(|(prefix, kind)| Root { prefix, kind }).collect();
    let whole: Vec<Root> = all.iter().filter(|root| root.kind.has_stem(&root.prefix, shapes)).cloned().collect();
    if whole.is_empty() { all } else { whole }
}

/// Positions at which the segments of a name start.
pub(super) fn boundaries(name: &str) -> impl DoubleEndedIterator<Item = usize> {
    let starts: Vec<usize> = name.match_indices('.').map(|(at, _)| at + 1).take(DEEPEST).collect();
    [0].into_iter().chain(starts)
}

/// The network whose first block has the tensor `prefix` + `rest`: the end of its prefix, and its kind.
fn mark(prefix: &str, rest: &str, shapes: &HashMap<&str, &[usize]>) -> Option<(usize, Kind)> {
    let above = |module: &str| prefix.strip_suffix(module).filter(|rest| rest.is_empty() || rest.ends_with('.'));
    if rest.starts_with("res2.0.") && shapes.contains_key(format!("{prefix}stem.conv1.norm.weight").as_str()) {
        return Some((prefix.len(), Kind::Detectron));
    }
    if rest.starts_with("layer1.0.") {
        if shapes.contains_key(format!("{prefix}attnpool.q_proj.weight").as_str()) {
            return Some((prefix.len(), Kind::Clip));
        }
        // TResNet's stem lies in the same module.
        if let Some(above) = above("body.")
            && shapes.contains_key(format!("{prefix}conv1.conv.weight").as_str())
        {
            return Some((above.len(), Kind::Variant));
        }
        return Some((prefix.len(), Repository::mark(prefix, rest, shapes).map_or(Kind::ResNet, Kind::Cifar)));
    }
    if let Some(repository) = Repository::mark(prefix, rest, shapes) {
        return Some((prefix.len(), Kind::Cifar(repository)));
    }
    if rest.starts_with("denseblock1.denselayer1.") {
        return Some(match above("features.") {
            Some(above) => (above.len(), Kind::DenseNet),
            None => (prefix.len(), Kind::BareDenseNet { before: "" }),
        });
    }
    if rest.starts_with("features_denseblock1.denselayer1.") {
        return Some((prefix.len(), Kind::BareDenseNet { before: "features_" }));
    }
    if rest.starts_with("s1.b1.") {
        return Some((prefix.len(), Kind::RegNet(Writer::Timm)));
    }
    if rest.starts_with("trunk_output.block1.block1-0.") {
        return Some((prefix.len(), Kind::RegNet(Writer::Torchvision)));
    }
    if VARIANTS.iter().any(|start| rest.starts_with(start)) {
        return Some((prefix.len(), Kind::Variant));
    }
    if rest.starts_with("encoder.stages.0.layers.0.conv1.") {
        return Some((above("bit.").map_or(prefix.len(), str::len), Kind::Bit));
    }
    if rest.starts_with("encoder.stages.0.layers.0.") {
        let stem = format!("{prefix}embedder.embedder.convolution.weight");
        let end = |module: &str| above(module).map_or(prefix.len(), str::len);
        // The kernel of the stem distinguishes ResNet (7x7) from RegNet (3x3). ConvNeXt has such names too, with another kernel.
        return match shapes.get(stem.as_str()) {
            Some([_, _, 7, 7]) => Some((end("resnet."), Kind::Transformers)),
            Some([_, _, 3, 3]) => Some((end("regnet."), Kind::RegNet(Writer::Transformers))),
            _ => None,
        };
    }
    None
}

/// The number of a stage in `Sequential(*network.children())`: 4 for `4.0.conv1.weight`.
fn numbered_stage(rest: &str) -> Option<usize> {
    let (number, block) = rest.split_once('.')?;
    block.starts_with("0.conv1.").then(|| number.parse().ok()).flatten()
}

/// Whether the modules before `first`, the first stage, show the stem. For ImageNet it is convolution, norm, ReLU and pooling. For CIFAR,
/// functions may take the place of the modules after the norm.
fn stem_ends_before(prefix: &str, first: usize, shapes: &HashMap<&str, &[usize]>) -> bool {
    let small = matches!(shapes.get(format!("{prefix}0.weight").as_str()), Some([_, _, 3, 3]));
    if small { (2..=4).contains(&first) } else { first == 4 }
}

/// Whether the first of the numbered modules is a convolution or a sequence of them.
fn starts_sequential(prefix: &str, shapes: &HashMap<&str, &[usize]>) -> bool {
    ["0.weight", "0.0.weight"]
        .iter()
        .any(|first| shapes.get(format!("{prefix}{first}").as_str()).is_some_and(|shape| shape.len() == 4))
}
