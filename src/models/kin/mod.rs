//! The kin of ResNet: other residual families, each with its own file, which share what lies around a network: its head, and what no
//! tensor shows.
//!
//! A family whose members are few and all published is recognised by its nearest member ([`read`]); the caller compares all tensors with
//! that afterwards. So another member of such a family is refused with what it differs in.

mod build;
mod byob;
mod csp;
mod dla;
mod hrnet;
mod res2;
mod resnetv2;
mod split;

pub use byob::{Attention, Byob, ByobGate, ByobPool, ByobStage};
pub use csp::Csp;
pub use dla::{Dla, DlaBlock};
pub use hrnet::HrNet;
pub use resnetv2::{Norm, ResNetV2};
pub use split::{Split, Unit};

use super::{Head, Properties, Shapes, head::pool_and_classify};
use crate::graph::{Activation, Graph, POOLED, ValueId};
use build::Net;

/// A network of one of these families, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Kin {
    /// Channels of the image.
    pub inputs: usize,
    /// What comes before the head.
    pub body: Body,
    /// The classifier, if there is one.
    pub head: Option<Head>,
    /// What no tensor shows.
    pub properties: Properties,
}

/// A network up to its last feature map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// Norms before convolutions.
    ResNetV2(ResNetV2),
    /// Blocks that split their channels: Res2Net, ResNeSt, SKNet.
    Split(Split),
    /// Deep layer aggregation.
    Dla(Dla),
    /// Maps of several resolutions side by side.
    HrNet(HrNet),
    /// Cross-stage partial ResNets.
    Csp(Csp),
    /// ResNets of timm's `byobnet`.
    Byob(Byob),
}

impl Body {
    fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        match self {
            Body::ResNetV2(body) => body.push(net, image),
            Body::Split(body) => body.push(net, image),
            Body::Dla(body) => body.push(net, image),
            Body::HrNet(body) => body.push(net, image),
            Body::Csp(body) => body.push(net, image),
            Body::Byob(body) => body.push(net, image),
        }
    }

    /// Channels of the last feature map.
    fn channels(&self) -> usize {
        match self {
            Body::ResNetV2(body) => body.channels(),
            Body::Split(body) => body.channels(),
            Body::Dla(body) => body.channels(),
            Body::HrNet(_) => hrnet::CHANNELS,
            Body::Csp(body) => body.channels(),
            Body::Byob(body) => body.channels(),
        }
    }

    /// What is usual of what no tensor shows.
    fn usual(&self) -> Properties {
        match self {
            Body::ResNetV2(body) => body.usual(),
            Body::Byob(body) => body.usual(),
            Body::Csp(_) => Properties { activation: Activation::LeakyRelu(0.01), ..Properties::usual(false) },
            Body::Split(_) | Body::Dla(_) | Body::HrNet(_) => Properties::usual(false),
        }
    }

    /// What it is called if it has no name.
    fn describe(&self) -> String {
        let (family, depths): (_, Vec<usize>) = match self {
            Body::ResNetV2(body) => ("resnetv2", body.stages.iter().map(Vec::len).collect()),
            Body::Split(body) => (body.unit.family(), body.depths.into()),
            Body::Dla(_) => ("dla", Vec::new()),
            Body::HrNet(_) => ("hrnet", Vec::new()),
            Body::Csp(_) => ("cspresnet", Vec::new()),
            Body::Byob(body) => ("byobnet", body.stages.iter().map(|stage| stage.depth).collect()),
        };
        format!("{family} {depths:?} {} channels", self.channels()).replace(", ", ",")
    }
}

impl Kin {
    /// A network with the usual properties and so many classes.
    fn new(body: Body, inputs: usize, head: Option<Head>) -> Self {
        Kin { inputs, properties: body.usual(), body, head }
    }

    /// What is usual of what no tensor shows of it.
    pub(super) fn usual(&self) -> Properties {
        self.body.usual()
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.body.channels()
    }

    /// Keys of what can be stated of it.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        let own = match &self.body {
            Body::ResNetV2(body) => body.parts(),
            Body::Split(_) | Body::Dla(_) | Body::HrNet(_) | Body::Csp(_) | Body::Byob(_) => {
                &["norm-eps", "activation"]
            }
        };
        let pooled = if self.attention().is_some() { None } else { Some("global-pool") };
        own.iter().copied().chain(pooled).collect()
    }

    /// Its attention pooling, which makes the features that a head would read.
    fn attention(&self) -> Option<Attention> {
        if let Body::Byob(body) = &self.body { body.attention } else { None }
    }

    /// Rows and columns of the input that it was made for.
    pub(super) fn default_input(&self) -> usize {
        self.attention().map_or(224, |attention| 32 * attention.side)
    }

    /// The network as nodes.
    pub(super) fn graph(&self) -> Graph {
        let mut net = Net { graph: Graph::new(self.inputs), properties: &self.properties };
        let x = self.body.push(&mut net, self.inputs);
        let mut graph = net.graph;
        if self.attention().is_some() {
            graph.mark_stage(POOLED, x);
            return graph;
        }
        pool_and_classify(&mut graph, &self.properties, self.head.as_ref(), self.channels(), x);
        graph
    }
}

/// All bodies that have a name.
fn table() -> impl Iterator<Item = (&'static str, Body)> {
    let preact = resnetv2::table().map(|(name, body)| (name, Body::ResNetV2(body)));
    let split = split::table().map(|(name, body)| (name, Body::Split(body)));
    let dla = dla::table().map(|(name, body)| (name, Body::Dla(body)));
    let hrnet = hrnet::table().map(|(name, body)| (name, Body::HrNet(body)));
    let csp = csp::table().map(|(name, body)| (name, Body::Csp(body)));
    let byob = byob::table().map(|(name, body)| (name, Body::Byob(body)));
    preact.chain(split).chain(dla).chain(hrnet).chain(csp).chain(byob)
}

/// The names of these networks.
pub(super) fn names() -> impl Iterator<Item = String> {
    table().map(|(name, _)| name.to_string())
}

/// The network of a name.
pub(super) fn by_name(name: &str) -> Option<Kin> {
    let (_, body) = table().find(|(known, _)| *known == name)?;
    let attends = matches!(&body, Body::Byob(body) if body.attention.is_some());
    let head = if attends { None } else { Some(Head::linear("fc", 1000)) };
    Some(Kin::new(body, 3, head))
}

/// The name of a network, whatever its head, or a description.
pub(super) fn name(net: &Kin) -> String {
    let known = table().find(|(_, body)| *body == net.body);
    known.map_or_else(|| net.body.describe(), |(name, _)| name.to_string())
}

/// Whether the names are of one of these families.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    resnetv2::resembles(shapes) || family(shapes).is_some()
}

/// Whether a body is of the family that the tensors show.
type IsOfFamily = fn(&Body) -> bool;

/// The family whose members are all named that these tensors are of.
fn family(shapes: &Shapes) -> Option<IsOfFamily> {
    let any = |parts: &[&str]| shapes.keys().any(|name| parts.iter().any(|part| name.contains(part)));
    let has = |start: &str| shapes.range(start.to_string()..).next().is_some_and(|(name, _)| name.starts_with(start));
    if has("level2.tree1.") {
        Some(|body| matches!(body, Body::Dla(_)))
    } else if has("stage2.0.fuse_layers.") {
        Some(|body| matches!(body, Body::HrNet(_)))
    } else if has("stages.0.conv_exp.") {
        Some(|body| matches!(body, Body::Csp(_)))
    } else if has("stages.0.0.conv1_1x1.") || has("stages.0.0.conv1_kxk.") {
        Some(|body| matches!(body, Body::Byob(_)))
    } else if has("layer1.0.") && any(&[".convs.0.", ".conv2.bn0.", ".attn.fc_select."]) {
        Some(|body| matches!(body, Body::Split(_)))
    } else {
        None
    }
}

/// The network that has these tensors.
///
/// # Errors
/// A sentence about what is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<Kin, String> {
    let head = Head::read(shapes, &["fc"])?;
    let stems = [
        "stem.conv.weight",
        "stem.conv1.weight",
        "stem.conv1.conv.weight",
        "conv1.weight",
        "conv1.0.weight",
        "base_layer.0.weight",
    ];
    let image = stems.iter().find_map(|stem| match shapes.get(*stem)?.as_slice() {
        [_, image, _, _] => Some(*image),
        _ => None,
    });
    let inputs = image.filter(|image| (1..=super::majority::MOST_CHANNELS).contains(image)).unwrap_or(3);
    if shapes.keys().any(|name| name.contains(".attn.conv_attn.")) {
        return Err("global context between convolutions (gcresnet) is not supported".into());
    }
    let body = match family(shapes) {
        None => Body::ResNetV2(resnetv2::read(shapes)?),
        Some(is_of_family) => nearest(shapes, inputs, is_of_family)?,
    };
    Ok(Kin::new(body, inputs, head))
}

/// The named network of a family from which the tensors differ least.
fn nearest(shapes: &Shapes, inputs: usize, is_of_family: IsOfFamily) -> Result<Body, String> {
    let differences = |body: &Body| {
        let tensors = Kin::new(body.clone(), inputs, None).graph().tensors();
        let fitting = tensors.iter().filter(|(name, shape)| shapes.get(name) == Some(shape)).count();
        tensors.len() + shapes.len() - 2 * fitting
    };
    let members = table().map(|(_, body)| body).filter(is_of_family);
    members.min_by_key(differences).ok_or_else(|| "its family has no known members".into())
}
