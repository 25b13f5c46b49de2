//! Architectures: recognised by the names and shapes of the tensors alone, and built as [`Graph`]s.
//!
//! Recognition is strict. Every tensor must have its place and its shape, and networks that resemble a supported one
//! but compute something else are refused by name.

mod anti_aliasing;
mod biases;
mod compare;
mod densenet;
mod densenet_detect;
mod densenet_table;
mod extra;
mod foreign;
mod gate;
mod head;
mod majority;
mod norm;
mod outline;
mod properties;
mod regnet;
mod regnet_detect;
mod regnet_table;
mod resnet;
mod resnet_detect;
mod resnet_imagenet;
mod resnet_table;
mod stated;
mod unsupported;
mod variants;

use std::collections::BTreeMap;

pub use biases::{Bias, Biases};
pub use densenet::DenseNet;
pub(crate) use foreign::task;
pub use gate::Gate;
pub use head::{Head, HeadLayer};
pub use norm::Norm;
pub use properties::Properties;
pub use regnet::{RegNet, RegNetBlock};
pub use resnet::{Block, BlockKind, ResNet, Shortcut, Stem};
pub use stated::Property;
pub use unsupported::{Named, check_declared, is_foreign, named};
pub use variants::{
    Attention, Body, Byob, ByobFeatures, ByobGate, ByobPool, ByobStage, Csp, Dla, DlaBlock, HrNet, NormFree,
    NormFreeGate, ResNetV2, Split, TResNet, Unit, Variant,
};

use crate::{Error, Result, graph::Graph, structure::Structure, tensor::Shape};

/// Tensor names and shapes, in torchvision spelling.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// A network without its weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// ResNet, Wide ResNet, ResNeXt and the CIFAR ResNets.
    ResNet(ResNet),
    /// DenseNet and the CIFAR DenseNets.
    DenseNet(DenseNet),
    /// RegNet X, Y, Z and V.
    RegNet(RegNet),
    /// Other ResNet variants: ResNetV2 and BiT, Res2Net, ResNeSt, SKNet, DLA, HRNet, CSPResNet, TResNet, NF-ResNet, the ResNets of byobnet.
    Variant(Variant),
}

impl Architecture {
    /// The architecture of a checkpoint; `model` is its name in messages. Properties that no tensor shows have their usual values: see
    /// [`Properties::usual`] and [`Architecture::detect_stated`].
    ///
    /// # Errors
    /// * [`Error::UnknownArchitecture`] if no supported network has such names or shapes,
    /// * [`Error::MissingTensor`], [`Error::UnexpectedTensor`], [`Error::TensorShape`] if a supported network almost has them.
    pub fn detect(model: &str, shapes: &Shapes) -> Result<Self> {
        let (architecture, extra) = Self::detect_stated(model, shapes, &Structure::default(), &Structure::default())?;
        architecture.refuse_extra(model, &extra)?;
        Ok(architecture)
    }

    /// Like [`Architecture::detect`], with stated properties: `asked` wins over `configured`. Also returns the names of tensors that lie
    /// beside the network (another head, a copy of all weights). A property in `configured` that the network does not have is ignored,
    /// because a library's configuration states every property that the library knows.
    ///
    /// # Errors
    /// The errors of [`Architecture::detect`]; [`Error::ConfigValue`] if a property contradicts the tensors, or if one in `asked` is of a
    /// part that the network does not have. [`Error::UnexpectedTensor`] only for tensors inside the network's modules.
    pub fn detect_stated<'a>(
        model: &str,
        shapes: &'a Shapes,
        asked: &Structure,
        configured: &Structure,
    ) -> Result<(Self, Vec<&'a str>)> {
        let architecture = Self::of_tensors(model, shapes, asked.no_head)?.stated(asked, configured)?;
        let extra = architecture.extra(model, shapes, &architecture.graph())?;
        Ok((architecture, extra))
    }

    /// The architecture of tensors with these names and shapes, with usual properties. `headless` leaves out the head.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`] if no supported network has them.
    pub(crate) fn of_tensors(model: &str, shapes: &Shapes, headless: bool) -> Result<Self> {
        if headless {
            let body = shapes.iter().filter(|(name, _)| !extra::is_head(name));
            return Self::of_tensors(model, &body.map(|(name, shape)| (name.clone(), shape.clone())).collect(), false);
        }
        let unknown = |reason| Error::UnknownArchitecture { model: model.into(), reason };
        if regnet_detect::resembles(shapes) {
            return regnet_detect::read(shapes).map(Architecture::RegNet).map_err(unknown);
        }
        if variants::resembles(shapes) {
            return variants::read(shapes).map(Architecture::Variant).map_err(unknown);
        }
        let ours = densenet_detect::resembles(shapes) || resnet_detect::resembles(shapes);
        let family = if ours { None } else { foreign::family(shapes) };
        if let Some(family) = family {
            return Err(unknown(format!(
                "{family} is not supported; {}; supported are {}",
                sample(shapes),
                supported()
            )));
        }
        if let Some(feature) = unsupported::feature(shapes) {
            return Err(unknown(format!("{feature} is not supported; supported are {}", supported())));
        }
        let architecture = if densenet_detect::resembles(shapes) {
            densenet_detect::read(shapes).map(Architecture::DenseNet)
        } else if resnet_detect::resembles(shapes) {
            resnet_detect::read(shapes).map(Architecture::ResNet)
        } else {
            Err(format!("{}; supported are {}", sample(shapes), supported()))
        };
        architecture.map_err(unknown)
    }

    /// The architecture with this name, one of [`Architecture::names`].
    pub fn by_name(name: &str) -> Option<Self> {
        let densenet = || densenet_table::by_name(name).map(Architecture::DenseNet);
        let regnet = || regnet_table::by_name(name).map(Architecture::RegNet);
        let variant = || variants::by_name(name).map(Architecture::Variant);
        resnet_table::by_name(name).map(Architecture::ResNet).or_else(densenet).or_else(regnet).or_else(variant)
    }

    /// The names for [`Architecture::by_name`].
    pub fn names() -> Vec<String> {
        let others = densenet_table::names().chain(regnet_table::names()).chain(variants::names());
        resnet_table::names().into_iter().chain(others).collect()
    }

    /// The published name, whatever the number of classes, or else a description.
    pub fn name(&self) -> String {
        match self {
            Architecture::ResNet(net) => resnet_table::name(net),
            Architecture::DenseNet(net) => densenet_table::name(net),
            Architecture::RegNet(net) => regnet_table::name(net),
            Architecture::Variant(net) => variants::name(net),
        }
    }

    /// The same network with another number of classes. A network without a head stays without one.
    pub fn with_classes(mut self, classes: usize) -> Self {
        let head = match &mut self {
            Architecture::ResNet(net) => &mut net.head,
            Architecture::DenseNet(net) => &mut net.head,
            Architecture::RegNet(net) => &mut net.head,
            Architecture::Variant(net) => &mut net.head,
        };
        *head = head.take().map(|head| head.with_classes(classes));
        self
    }

    /// The network's graph. Its last node yields the logits `[N, classes, 1, 1]`, or pooled features if there is no head. Stages have the
    /// names of torchvision's modules (`maxpool`, `layer1` to `layer4`, `features.pool0`, `features.denseblock1`, `features.transition1`
    /// and so on, `avgpool`), or timm's (`stem`, `s1` to `s4` in a RegNet).
    pub fn graph(&self) -> Graph {
        match self {
            Architecture::ResNet(net) => resnet::graph(net),
            Architecture::DenseNet(net) => densenet::graph(net),
            Architecture::RegNet(net) => regnet::graph(net),
            Architecture::Variant(net) => net.graph(),
        }
    }

    /// Number of classes. None for a network without a head, which yields features.
    pub fn classes(&self) -> Option<usize> {
        self.head().map(Head::classes)
    }

    /// The classifier, if there is one.
    pub fn head(&self) -> Option<&Head> {
        match self {
            Architecture::ResNet(net) => net.head.as_ref(),
            Architecture::DenseNet(net) => net.head.as_ref(),
            Architecture::RegNet(net) => net.head.as_ref(),
            Architecture::Variant(net) => net.head.as_ref(),
        }
    }

    /// Rows and columns of the input that the network was designed for.
    pub fn default_input(&self) -> (usize, usize) {
        if let Architecture::Variant(net) = self
            && !self.small_stem()
        {
            return (net.default_input(), net.default_input());
        }
        // With stride and pooling, a 3x3 stem serves large images as a 7x7 one does.
        let large = self.properties().stem_pool && self.properties().stem_stride == 2;
        if self.small_stem() && !large { (32, 32) } else { (224, 224) }
    }

    /// The properties that no tensor shows.
    pub fn properties(&self) -> &Properties {
        match self {
            Architecture::ResNet(net) => &net.properties,
            Architecture::DenseNet(net) => &net.properties,
            Architecture::RegNet(net) => &net.properties,
            Architecture::Variant(net) => &net.properties,
        }
    }

    /// Channels of the last feature map.
    pub(crate) fn channels(&self) -> usize {
        match self {
            Architecture::Variant(net) => net.channels(),
            Architecture::ResNet(net) => {
                net.stages.last().and_then(|stage| stage.last()).map_or(net.stem_channels, |block| block.channels)
            }
            Architecture::DenseNet(net) => {
                let before = net.transitions.last().unwrap_or(&net.stem_channels);
                before + net.growth * net.blocks.last().unwrap_or(&0)
            }
            Architecture::RegNet(net) => net.channels(),
        }
    }

    /// Number of trained parameters: all weights except running means and variances.
    pub fn parameters(&self) -> u64 {
        parameters(&self.graph())
    }

    /// Multiply-accumulates of all convolutions and linear layers for one image of `height` x `width`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the input is too small.
    pub fn macs(&self, height: usize, width: usize) -> Result<u64> {
        let graph = self.graph();
        let shapes = graph.infer_shapes(Shape::new(1, graph.channels(), height, width))?;
        Ok(macs(&graph, &shapes))
    }
}

/// The supported networks, for messages.
fn supported() -> String {
    let (resnets, regnets) = (resnet_table::SUPPORTED, regnet_table::SUPPORTED);
    format!(
        "{resnets}, DenseNet, {regnets}, ResNetV2 and BiT, Res2Net, ResNeSt, SKNet, DLA, HRNet, CSPResNet, TResNet, NF-ResNet and the ResNets of byobnet, in the spellings of torchvision, timm and transformers, and the CIFAR ResNets and DenseNets"
    )
}

/// Number of trained parameters of a network.
pub(crate) fn parameters(graph: &Graph) -> u64 {
    let tensors = graph.tensors();
    let trained = tensors.iter().filter(|(name, _)| !name.contains(".running_"));
    trained.map(|(_, shape)| shape.iter().map(|extent| *extent as u64).product::<u64>()).sum()
}

/// Multiply-accumulates of all convolutions and linear layers of a network with these value shapes.
pub(crate) fn macs(graph: &Graph, shapes: &[Shape]) -> u64 {
    let of_nodes = graph.nodes().iter().zip(shapes).map(|(node, output)| node.op.macs(*output));
    of_nodes.fold(0, u64::saturating_add)
}

/// Five of the names, evenly spread.
fn sample(shapes: &Shapes) -> String {
    if shapes.is_empty() {
        return "it holds no tensors".into();
    }
    let step = shapes.len().div_ceil(5);
    let names: Vec<&str> = shapes.keys().step_by(step).map(String::as_str).collect();
    format!("no known network has its {} tensors: {}", shapes.len(), names.join(", "))
}
