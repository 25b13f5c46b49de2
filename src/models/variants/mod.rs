//! ResNet variants: other families of residual networks, one file each. They share their head and the properties that no tensor shows.
//!
//! Most of these families have few members, all published. [`read`] recognises them by the member that differs least from the tensors, and
//! the caller then compares all tensors with that member. An unpublished network of such a family is therefore refused, with an error that
//! lists the differences.

mod build;
mod byob;
mod byob_table;
mod csp;
mod dla;
mod hrnet;
mod normfree;
mod res2;
mod resnetv2;
mod split;
mod tresnet;

pub use byob::{Attention, Byob, ByobFeatures, ByobGate, ByobPool, ByobStage};
pub use csp::Csp;
pub use dla::{Dla, DlaBlock};
pub use hrnet::HrNet;
pub use normfree::{NormFree, NormFreeGate};
pub use resnetv2::ResNetV2;
pub use split::{Split, Unit};
pub use tresnet::TResNet;

use super::{
    Head, Norm, Properties, Shapes,
    head::{classify, pool_and_classify},
};
use crate::graph::{Activation, Graph, ValueId};
use build::Net;

/// A network of one of these families, without its weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Channels of the image.
    pub inputs: usize,
    /// The layers before the head.
    pub body: Body,
    /// The classifier, if there is one.
    pub head: Option<Head>,
    /// The properties that no tensor shows.
    pub properties: Properties,
}

/// A network up to its last feature map.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Body {
    /// The norm comes before the convolution.
    ResNetV2(ResNetV2),
    /// Blocks split their channels: Res2Net, ResNeSt, SKNet.
    Split(Split),
    /// Deep layer aggregation.
    Dla(Dla),
    /// Feature maps of several resolutions side by side.
    HrNet(HrNet),
    /// Cross-stage partial ResNets.
    Csp(Csp),
    /// ResNets of timm's `byobnet`.
    Byob(Byob),
    /// A stem of blocks of pixels, anti-aliasing, leaky ReLUs.
    TResNet(TResNet),
    /// Standardised weights instead of norms.
    NormFree(NormFree),
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
            Body::TResNet(body) => body.push(net, image),
            Body::NormFree(body) => body.push(net, image),
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
            Body::TResNet(body) => body.channels(),
            Body::NormFree(body) => body.channels(),
        }
    }

    /// How the last map becomes features.
    fn features(&self) -> ByobFeatures {
        if let Body::Byob(body) = self { body.features } else { ByobFeatures::Pooled }
    }

    /// The usual properties.
    fn usual(&self) -> Properties {
        match self {
            Body::ResNetV2(body) => body.usual(),
            Body::Byob(body) => body.usual(),
            Body::Csp(_) => Properties { activation: Activation::LeakyRelu(0.01), ..Properties::usual(false) },
            Body::Split(_) | Body::Dla(_) | Body::HrNet(_) | Body::TResNet(_) | Body::NormFree(_) => {
                Properties::usual(false)
            }
        }
    }

    /// A description of a network without a published name.
    fn describe(&self) -> String {
        let (family, depths): (_, Vec<usize>) = match self {
            Body::ResNetV2(body) => ("resnetv2", body.stages.iter().map(Vec::len).collect()),
            Body::Split(body) => (body.unit.family(), body.depths.into()),
            Body::Dla(_) => ("dla", Vec::new()),
            Body::HrNet(_) => ("hrnet", Vec::new()),
            Body::Csp(_) => ("cspresnet", Vec::new()),
            Body::TResNet(body) => ("tresnet", body.depths.into()),
            Body::NormFree(body) => ("nf_resnet", body.depths.into()),
            Body::Byob(body) => ("byobnet", body.stages.iter().map(|stage| stage.depth).collect()),
        };
        format!("{family} {depths:?} {} channels", self.channels()).replace(", ", ",")
    }
}

impl Variant {
    /// A network with the usual properties.
    fn new(body: Body, inputs: usize, head: Option<Head>) -> Self {
        Variant { inputs, properties: body.usual(), body, head }
    }

    /// The usual properties of the network.
    pub(super) fn usual(&self) -> Properties {
        self.body.usual()
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.body.channels()
    }

    /// The number of stages, if the stem is one 3x3 convolution.
    pub(super) fn small_stages(&self) -> Option<usize> {
        if let Body::ResNetV2(body) = &self.body { body.small_stem.then_some(body.stages.len()) } else { None }
    }

    /// The keys of properties that can be stated.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        let mut parts = match &self.body {
            Body::ResNetV2(body) => body.parts(),
            Body::TResNet(_) => vec!["norm-eps"],
            Body::NormFree(_) => Vec::new(),
            Body::Split(_) | Body::Dla(_) | Body::HrNet(_) | Body::Csp(_) | Body::Byob(_) => {
                vec!["norm-eps", "activation"]
            }
        };
        parts.extend((self.body.features() == ByobFeatures::Pooled).then_some("global-pool"));
        parts
    }

    /// Rows and columns of the input that the network was designed for.
    pub(super) fn default_input(&self) -> usize {
        if let ByobFeatures::Attended(attention) = self.body.features() { 32 * attention.side } else { 224 }
    }

    /// The network's graph.
    pub(super) fn graph(&self) -> Graph {
        let mut net = Net { graph: Graph::new(self.inputs), properties: &self.properties };
        let x = self.body.push(&mut net, self.inputs);
        let features = if let Body::Byob(body) = &self.body { body.push_features(&mut net, x) } else { None };
        let (mut graph, head) = (net.graph, self.head.as_ref());
        match features {
            None => pool_and_classify(&mut graph, &self.properties, head, self.channels(), x),
            Some((features, value)) => classify(&mut graph, &self.properties, head, features, value),
        }
        graph
    }
}

/// All named bodies.
fn table() -> impl Iterator<Item = (&'static str, Body)> {
    let preact = resnetv2::table().map(|(name, body)| (name, Body::ResNetV2(body)));
    let split = split::table().map(|(name, body)| (name, Body::Split(body)));
    let dla = dla::table().map(|(name, body)| (name, Body::Dla(body)));
    let hrnet = hrnet::table().map(|(name, body)| (name, Body::HrNet(body)));
    let csp = csp::table().map(|(name, body)| (name, Body::Csp(body)));
    let byob = byob_table::table().map(|(name, body)| (name, Body::Byob(body)));
    let tresnet = tresnet::table().map(|(name, body)| (name, Body::TResNet(body)));
    let normfree = normfree::table().map(|(name, body)| (name, Body::NormFree(body)));
    preact.chain(split).chain(dla).chain(hrnet).chain(csp).chain(byob).chain(tresnet).chain(normfree)
}

/// The names of these networks.
pub(super) fn names() -> impl Iterator<Item = String> {
    table().map(|(name, _)| name.to_string())
}

/// The network with this name.
pub(super) fn by_name(name: &str) -> Option<Variant> {
    let (_, body) = table().find(|(known, _)| *known == name)?;
    let attends = matches!(body.features(), ByobFeatures::Attended(_));
    let head = if attends { None } else { Some(Head::linear("fc", 1000)) };
    Some(Variant::new(body, 3, head))
}

/// The network's name, whatever its head, or else a description.
pub(super) fn name(net: &Variant) -> String {
    let classifying =
        |body: &Body| matches!(body, Body::Byob(body) if Body::Byob(body.clone().classifying()) == net.body);
    let known = table().find(|(_, body)| *body == net.body || classifying(body));
    known.map_or_else(|| net.body.describe(), |(name, _)| name.to_string())
}

/// Whether the names belong to one of these families.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    resnetv2::resembles(shapes) || family(shapes).is_some()
}

/// Whether a body is of the family that the tensors show.
type IsOfFamily = fn(&Body) -> bool;

/// The family of these tensors, if all its members are named.
fn family(shapes: &Shapes) -> Option<IsOfFamily> {
    let any = |parts: &[&str]| shapes.keys().any(|name| parts.iter().any(|part| name.contains(part)));
    let has = |start: &str| shapes.range(start.to_string()..).next().is_some_and(|(name, _)| name.starts_with(start));
    if tresnet::resembles(shapes) {
        Some(|body| matches!(body, Body::TResNet(_)))
    } else if has("stages.0.0.conv1.gain") {
        Some(|body| matches!(body, Body::NormFree(_)))
    } else if has("level2.tree1.") {
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

/// The network with these tensors.
///
/// # Errors
/// A sentence about the feature that is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<Variant, String> {
    if shapes.keys().any(|name| name.contains(".attn.ba.")) {
        return Err("bilinear attention (bat_resnext26ts) is not supported".into());
    }
    let head = Head::read(shapes, &["fc"])?;
    let stems = [
        "stem.conv.weight",
        "stem.conv1.weight",
        "stem.conv1.conv.weight",
        "conv1.weight",
        "conv1.0.weight",
        "base_layer.0.weight",
        "body.conv1.conv.weight",
    ];
    let image = stems.iter().find_map(|stem| match shapes.get(*stem)?.as_slice() {
        // TResNet's stem reads 16 pixels of a block as channels.
        [_, channels, _, _] if tresnet::resembles(shapes) => Some(channels / 16),
        [_, image, _, _] => Some(*image),
        _ => None,
    });
    let inputs = image.filter(|image| (1..=super::majority::MOST_CHANNELS).contains(image)).unwrap_or(3);
    let body = match family(shapes) {
        None => Body::ResNetV2(resnetv2::read(shapes)?),
        Some(is_of_family) => nearest(shapes, inputs, is_of_family)?,
    };
    let (body, head) = attended(shapes, body, head);
    let mut net = Variant::new(body, inputs, head);
    if matches!(&net.body, Body::ResNetV2(body) if body.norm == Norm::Group) {
        net.properties.norm_groups = None;
    }
    Ok(net)
}

/// A network with attention pooling whose last layer has another number of outputs than the published one's has classes: that layer is its
/// head.
fn attended(shapes: &Shapes, body: Body, head: Option<Head>) -> (Body, Option<Head>) {
    let outputs = shapes.get(&format!("{}.weight", byob::PROJECTION)).and_then(|shape| shape.first()).copied();
    match (body, outputs) {
        (Body::Byob(body), Some(outputs)) if matches!(body.features, ByobFeatures::Attended(Attention { outputs: usual, .. }) if usual != Some(outputs)) => {
            (Body::Byob(body.classifying()), Some(Head::linear(byob::PROJECTION, outputs)))
        }
        (body, _) => (body, head),
    }
}

/// The named network of a family that differs least from the tensors.
fn nearest(shapes: &Shapes, inputs: usize, is_of_family: IsOfFamily) -> Result<Body, String> {
    let differences = |body: &Body| {
        let tensors = Variant::new(body.clone(), inputs, None).graph().tensors();
        let fitting = tensors.iter().filter(|(name, shape)| shapes.get(name) == Some(shape)).count();
        tensors.len() + shapes.len() - 2 * fitting
    };
    let members = table().map(|(_, body)| body).filter(is_of_family);
    members.min_by_key(differences).ok_or_else(|| "its family has no known members".into())
}
