//! Translates the names that libraries and wrappers give to a tensor into torchvision's.
//!
//! | writer | example | becomes |
//! |---|---|---|
//! | DataParallel, `torch.compile`, wrappers, your own classes: any prefix that all tensors of a network share | `module.net.conv1.weight` | `conv1.weight` |
//! | transformers ResNet | `resnet.encoder.stages.0.layers.1.layer.2.convolution.weight` | `layer1.1.conv3.weight` |
//! | `Sequential(*network.children())`, lightly | `backbone.4.0.conv1.weight` | `layer1.0.conv1.weight` |
//! | fastai's learners | `0.4.0.conv1.weight`, `1.8.weight` | `layer1.0.conv1.weight`, `fc.8.weight` |
//! | DenseNet before 2018 | `features.denseblock1.denselayer1.norm.1.weight` | `features.denseblock1.denselayer1.norm1.weight` |
//! | `features` of a DenseNet alone, timm's `features_only` | `denseblock1.denselayer1.norm1.weight`, `features_conv0.weight` | `features.denseblock1.denselayer1.norm1.weight`, `features.conv0.weight` |
//! | transformers BiT | `bit.encoder.stages.0.layers.0.conv1.weight` | `stages.0.blocks.0.conv1.weight` |
//! | CIFAR ResNets with a named shortcut | `layer2.0.shortcut.0.weight` | `layer2.0.downsample.0.weight` |
//! | gates by others (kuangliu, moskomule, the authors of ECA-Net) | `layer1.0.fc1.weight`, `layer1.0.se.fc.0.weight`, `layer1.0.eca.conv.weight` | `layer1.0.se.fc1.weight`, the same, `layer1.0.se.conv.weight` |
//! | weiaicunzai's pytorch-cifar100 | `conv3_x.0.residual_function.3.weight`, `conv3.0.split_transforms.3.weight` | `layer2.0.conv2.weight` |
//! | prlz77's ResNeXts | `stage_2.stage_2_bottleneck_0.conv_conv.weight` | the same |
//! | PreActResNets and Wide ResNets for CIFAR (kuangliu, xternalz, bearpaw, meliketoy, weiaicunzai) | `layer1.0.bn1.weight`, `block1.layer.0.convShortcut.weight` | `stages.0.blocks.0.norm1.weight`, `stages.0.blocks.0.downsample.conv.weight` |
//! | DenseNets for CIFAR (kuangliu, bearpaw, andreasveit, weiaicunzai) | `dense2.0.bn1.weight`, `trans1.conv.weight` | `features.denseblock2.denselayer1.norm1.weight`, `features.transition1.conv.weight` |
//! | OpenAI's CLIP, open_clip | `visual.layer1.0.conv1.weight`, `visual.attnpool.q_proj.weight` | `stages.0.0.conv1_1x1.conv.weight`, `head.q.weight` |
//! | detectron2 | `backbone.res2.0.conv1.norm.weight` | `layer1.0.bn1.weight` |
//! | torchvision's RegNet | `trunk_output.block2.block2-0.f.b.0.weight` | `s2.b1.conv2.conv.weight`, as timm has it |
//! | transformers' RegNet | `regnet.encoder.stages.1.layers.0.layer.1.convolution.weight` | the same |
//! | heads of other names, inside a network or beside it | `backbone.conv1.weight`, `head.fc.weight` | `conv1.weight`, `fc.weight` |
//!
//! If a file has several networks, one is taken; see [`Reading::parts`].

mod cifar;
mod head;
mod regnet;
mod roots;
mod spelling;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

pub(super) use roots::counts;
use roots::{Root, roots};
use spelling::Kind;

use crate::structure::{GlobalPool, Structure};

/// Endings of the names of counters: training batches, and a profiler's operations.
const COUNTERS: [&str; 3] = ["num_batches_tracked", "total_ops", "total_params"];

/// Parses a small number in plain digits.
fn index(text: &str) -> Option<u16> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok().filter(|i| *i < u16::MAX) } else { None }
}

/// How the names of a file's tensors were read.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Reading {
    /// Prefix of the network's tensors in the file.
    pub(crate) prefix: String,
    /// The networks in the file, starting with the one taken. By default that is the one that is not an average or copy of
    /// another: student before teacher, `encoder_q` before `encoder_k`, the model before its EMA.
    pub(crate) parts: Vec<String>,
    /// Whether the caller asked for the part.
    pub(crate) asked: bool,
    /// Why no network is taken, if several are possible.
    pub(crate) undecided: Option<String>,
    /// Names of the tensors beside the network taken that belong to no other network of the file.
    pub(crate) beside: Vec<String>,
    /// Prefix of the head, if it lies beside the network.
    pub(crate) head: Option<String>,
    /// Properties of the network that the spelling implies.
    pub(crate) structure: Structure,
    /// Whether networks in this spelling stride in either convolution of a bottleneck: detectron2's.
    pub(crate) strides_in_either: bool,
    /// Whether it is a network of CLIP in the spelling of its authors.
    pub(crate) clip: bool,
}

impl Reading {
    /// Whether the prefix has more segments than the names of wrappers.
    pub(crate) fn is_telling(&self) -> bool {
        let mut segments = self.prefix.split('.').filter(|segment| !segment.is_empty());
        segments.any(|segment| !roots::WRAPPERS.contains(&segment))
    }
}

/// The canonical name of each tensor, in the given order, and how the names were read. Counters and tensors beside the network have no
/// canonical name. Takes the network `part`, or the only one that is not an average of another.
///
/// # Errors
/// A sentence, if two tensors get the same name.
pub(super) fn canonical(
    tensors: &[(&str, &[usize])],
    part: Option<&str>,
) -> Result<(Vec<Option<String>>, Reading), String> {
    let shapes: Shapes<'_> = tensors.iter().filter(|(name, _)| !counts(name)).copied().collect();
    let roots = roots(&shapes);
    let mut reading = Reading { asked: part.is_some(), ..Reading::default() };
    let names = match choose(&roots, part) {
        Ok(Some(root)) => {
            let network = Network::new(root, &roots, &shapes, part.is_none());
            reading.parts = [root].into_iter().chain(network.others.iter().copied()).map(Root::name).collect();
            reading.prefix.clone_from(&root.prefix);
            reading.structure = network.structure(&shapes);
            reading.strides_in_either = root.kind == Kind::Detectron;
            reading.clip = root.kind == Kind::Clip;
            let beside = shapes.keys().filter(|name| network.place(name) == Place::Beside);
            reading.beside = beside.map(|name| (*name).to_string()).collect();
            reading.beside.sort_unstable();
            reading.head = network.joined.as_ref().map(|(front, _)| front.clone());
            let features_alone = matches!(root.kind, Kind::BareDenseNet { .. });
            if let Some(head) = reading.head.as_ref().filter(|_| features_alone) {
                // torchvision's stem has max pooling; the stem of fastai's learners may not.
                reading.undecided = Some(format!(
                    "it is unknown whether ReLU stands between the features of its DenseNet, {}, and its head, {head}; the \
                     features alone are a part",
                    reading.prefix
                ));
            }
            spell(tensors, |name| if let Place::Inside(name) = network.place(name) { Some(name) } else { None })?
        }
        undecided => {
            reading.undecided = undecided.err();
            let all_wrapped = shapes.keys().all(|name| unwrapped(name) != *name);
            spell(tensors, |name| Some(if all_wrapped { unwrapped(name) } else { name }.to_string()))?
        }
    };
    Ok((names, reading))
}

/// Shapes by name in the file.
type Shapes<'a> = HashMap<&'a str, &'a [usize]>;

/// Largest number of networks in one file.
const MOST_NETWORKS: usize = 64;

/// The network to take, if the file has one.
fn choose<'a>(roots: &'a [Root], part: Option<&str>) -> Result<Option<&'a Root>, String> {
    if roots.len() > MOST_NETWORKS {
        return Err(format!("it has {} networks, more than {MOST_NETWORKS}", roots.len()));
    }
    let list = || roots.iter().map(Root::name).collect::<Vec<_>>().join(", ");
    if let Some(part) = part {
        let mut called = roots.iter().filter(|root| root.is_called(part));
        return match (called.next(), called.next()) {
            (Some(root), None) => Ok(Some(root)),
            (Some(_), Some(_)) => Err(format!("it has several networks called {part}; give the full prefix of one")),
            (None, _) if roots.is_empty() => Ok(None),
            (None, _) => Err(format!("it has no network called {part}; it has: {}", list())),
        };
    }
    let trained: Vec<&Root> = roots.iter().filter(|root| !root.is_average()).collect();
    match (&trained[..], roots) {
        ([root], _) => Ok(Some(*root)),
        ([], [root]) => Ok(Some(root)),
        ([], []) => Ok(None),
        _ => Err(format!("it has several networks: {}; name one of them as the part", list())),
    }
}

/// Gives the tensors their names.
fn spell(
    tensors: &[(&str, &[usize])],
    name_of: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Option<String>>, String> {
    let mut taken = HashMap::new();
    let canonical = |(name, _): &(&str, &[usize])| {
        let canonical = if counts(name) { None } else { name_of(name) };
        let Some(canonical) = canonical else { return Ok(None) };
        match taken.insert(canonical.clone(), name.to_string()) {
            Some(other) => Err(format!("{other} and {name} both mean {canonical}")),
            None => Ok(Some(canonical)),
        }
    };
    tensors.iter().map(canonical).collect()
}

/// Where a tensor lies.
#[derive(PartialEq)]
enum Place {
    /// In the network, with this canonical name.
    Inside(String),
    /// In another network of the file.
    Elsewhere,
    /// In no network.
    Beside,
}

/// The network taken, among the others of its file.
struct Network<'a> {
    root: &'a Root,
    others: Vec<&'a Root>,
    /// The head inside it, if its name is not torchvision's.
    inside: Option<&'static str>,
    /// Prefix of a head outside it, and the module that it becomes.
    joined: Option<(String, &'static str)>,
}

impl<'a> Network<'a> {
    fn new(root: &'a Root, roots: &'a [Root], shapes: &Shapes<'_>, joins: bool) -> Self {
        let others = roots.iter().filter(|other| *other != root).collect();
        let mut network = Network { root, others, inside: None, joined: None };
        let own: Shapes<'_> = shapes
            .iter()
            .filter(|(name, _)| network.place(name) != Place::Elsewhere)
            .map(|(name, shape)| (*name, *shape))
            .collect();
        let usual = |head: &&str| own.keys().any(|name| network.is_in(name, head));
        let has_usual = root.kind.heads().iter().any(usual) || root.kind.has_own_head();
        let inside = if has_usual { None } else { head::module(&root.prefix, &own) };
        let numbered =
            own.keys().any(|name| matches!(network.place(name), Place::Inside(name) if name.starts_with("fc.")));
        let joined = if joins && inside.is_none() && !has_usual && !numbered { head::beside(root, &own) } else { None };
        (network.inside, network.joined) = (inside, joined);
        network
    }

    /// Whether a tensor belongs to this module of the network.
    fn is_in(&self, name: &str, module: &str) -> bool {
        let rest = name.strip_prefix(&self.root.prefix).and_then(|rest| rest.strip_prefix(module));
        rest.is_some_and(|rest| rest.starts_with('.'))
    }

    fn place(&self, name: &str) -> Place {
        let prefix = self.root.prefix.as_str();
        let elsewhere = |other: &&Root| match branch(prefix, &other.prefix) {
            Some(branch) => name.starts_with(branch),
            None => name.starts_with(&other.prefix) && !name.starts_with(prefix),
        };
        if self.others.iter().any(elsewhere) {
            return Place::Elsewhere;
        }
        let Some(rest) = name.strip_prefix(prefix) else {
            let joined = self.joined.as_ref().and_then(|(front, to)| Some((name.strip_prefix(front)?, to)));
            return joined.map_or(Place::Beside, |(tail, to)| Place::Inside(format!("{to}.{tail}")));
        };
        let tail = self.inside.and_then(|head| rest.strip_prefix(head)?.strip_prefix('.'));
        Place::Inside(match tail {
            Some(tail) => format!("{}.{tail}", self.root.kind.head()),
            None => self.root.kind.spell(rest),
        })
    }

    /// Properties of the network that the spelling implies. The heads of fastai's learners read the maximum and the mean of each channel.
    fn structure(&self, shapes: &Shapes<'_>) -> Structure {
        if let Kind::Cifar(repository) = self.root.kind {
            return repository.structure(&self.root.prefix, shapes);
        }
        let mut structure = Structure::default();
        let numbered = self.root.prefix.trim_end_matches('.').rsplit('.').next().and_then(index).is_some();
        if let Some((front, _)) = self.joined.as_ref().filter(|_| numbered) {
            let in_body = shapes.iter().filter(|(name, shape)| shape.len() == 1 && name.starts_with(&self.root.prefix));
            let widest = in_body.filter_map(|(_, shape)| shape.first()).max();
            let layers = shapes.iter().filter_map(|(name, shape)| {
                let number = name.strip_prefix(front.as_str())?.strip_suffix(".weight")?;
                Some((index(number)?, shape.last()?))
            });
            let read = layers.min_by_key(|(number, _)| *number).map(|(_, inputs)| inputs);
            if widest.is_some_and(|widest| read == Some(&(2 * widest))) {
                structure.stated_in = "fastai's spelling".into();
                structure.global_pool = Some(GlobalPool::CatMaxAvg);
            }
        }
        structure
    }
}

/// `other` up to and including the first segment in which it differs from `prefix`. `None` if `prefix` begins with `other`.
fn branch<'a>(prefix: &str, other: &'a str) -> Option<&'a str> {
    let ends = other.match_indices('.').map(|(at, _)| at + 1);
    ends.map(|end| &other[..end]).find(|front| !prefix.starts_with(front))
}

/// The name without any wrapper's prefix.
fn unwrapped(mut name: &str) -> &str {
    while let Some((_, inner)) = name.split_once('.').filter(|(segment, _)| roots::WRAPPERS.contains(segment)) {
        name = inner;
    }
    name
}
