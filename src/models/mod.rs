//! Architectures: recognised by the names and shapes of the tensors alone, and built as [`Graph`]s.
//!
//! Recognition is strict. Every tensor must have its place and its shape, and networks that resemble a supported one
//! but compute something else are refused by name.

mod densenet;
mod densenet_detect;
mod densenet_table;
mod head;
mod look_alike;
mod resnet;
mod resnet_detect;
mod resnet_table;
mod tally;

use std::collections::BTreeMap;

pub use densenet::DenseNet;
pub use head::Head;
pub use look_alike::check_declared;
pub use resnet::{Block, BlockKind, ResNet, Shortcut, Stem};

use crate::{Error, Result, graph::Graph, tensor::Shape};

/// Tensor names and shapes, in torchvision spelling.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// How many names an error lists.
const LISTED: usize = 10;

/// A network without its weights.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Architecture {
    /// ResNet, Wide ResNet, ResNeXt and the CIFAR ResNets.
    ResNet(ResNet),
    /// DenseNet and the CIFAR DenseNets.
    DenseNet(DenseNet),
}

impl Architecture {
    /// The architecture of a checkpoint; `model` is its name in messages. Where a bottleneck strides cannot be seen in
    /// the tensors: it is taken to be the 3x3 convolution, see [`Architecture::downsample_in_bottleneck`].
    ///
    /// # Errors
    /// * [`Error::UnknownArchitecture`] if the names or shapes are of no supported network,
    /// * [`Error::MissingTensor`], [`Error::UnexpectedTensor`], [`Error::TensorShape`] if they are nearly of one.
    pub fn detect(model: &str, shapes: &Shapes) -> Result<Self> {
        let (architecture, extra) = Self::detect_within(model, shapes)?;
        if extra.is_empty() {
            return Ok(architecture);
        }
        Err(Error::UnexpectedTensor {
            model: model.into(),
            architecture: architecture.name(),
            count: extra.len(),
            names: list(&extra),
        })
    }

    /// As [`Architecture::detect`], beside the tensors that it has no place for.
    ///
    /// # Errors
    /// Those of [`Architecture::detect`] but [`Error::UnexpectedTensor`].
    pub fn detect_within<'a>(model: &str, shapes: &'a Shapes) -> Result<(Self, Vec<&'a str>)> {
        let unknown = |reason| Error::UnknownArchitecture { model: model.into(), reason };
        if let Some(feature) = look_alike::feature(shapes) {
            return Err(unknown(format!("{feature} is not supported; supported are {SUPPORTED}")));
        }
        let architecture = if densenet_detect::resembles(shapes) {
            densenet_detect::read(shapes).map(Architecture::DenseNet)
        } else if resnet_detect::resembles(shapes) {
            resnet_detect::read(shapes).map(Architecture::ResNet)
        } else {
            Err(format!("{}; supported are {SUPPORTED}", sample(shapes)))
        };
        let architecture = architecture.map_err(unknown)?;
        let extra = architecture.check(model, shapes)?;
        Ok((architecture, extra))
    }

    /// The architecture of a name out of [`Architecture::names`].
    pub fn by_name(name: &str) -> Option<Self> {
        let densenet = || densenet_table::by_name(name).map(Architecture::DenseNet);
        resnet_table::by_name(name).map(Architecture::ResNet).or_else(densenet)
    }

    /// The names that [`Architecture::by_name`] knows.
    pub fn names() -> Vec<String> {
        resnet_table::names().into_iter().chain(densenet_table::names()).collect()
    }

    /// The name, if it is a known one whatever the classes; otherwise a description.
    pub fn name(&self) -> String {
        match self {
            Architecture::ResNet(net) => resnet_table::name(net),
            Architecture::DenseNet(net) => densenet_table::name(net),
        }
    }

    /// The same network with the stride of its bottlenecks in the first, 1x1 convolution (`true`: He et al. 2015, and
    /// transformers' `downsample_in_bottleneck`) or in the 3x3 convolution (`false`: torchvision and timm, "v1.5").
    pub fn downsample_in_bottleneck(mut self, first: bool) -> Self {
        if let Architecture::ResNet(net) = &mut self {
            net.downsample_in_bottleneck = first;
        }
        self
    }

    /// The same network for another number of classes. A network without a head stays without.
    pub fn with_classes(mut self, classes: usize) -> Self {
        let head = match &mut self {
            Architecture::ResNet(net) => &mut net.head,
            Architecture::DenseNet(net) => &mut net.head,
        };
        if let Some(head) = head {
            head.classes = classes;
        }
        self
    }

    /// The network as nodes; the last one yields the logits `[N, classes, 1, 1]`, or the pooled features if there is
    /// no head. Stages are marked under the names of torchvision's modules: `maxpool`, `layer1` to `layer4` or
    /// `features.pool0`, `features.denseblock1`, `features.transition1` and so on, and `avgpool`.
    pub fn graph(&self) -> Graph {
        match self {
            Architecture::ResNet(net) => resnet::graph(net),
            Architecture::DenseNet(net) => densenet::graph(net),
        }
    }

    /// Number of classes; nothing for a network without a head, whose output are features.
    pub fn classes(&self) -> Option<usize> {
        let head = match self {
            Architecture::ResNet(net) => &net.head,
            Architecture::DenseNet(net) => &net.head,
        };
        head.as_ref().map(|head| head.classes)
    }

    /// Rows and columns of the input that the network was made for.
    pub fn default_input(&self) -> (usize, usize) {
        let small = match self {
            Architecture::ResNet(net) => net.stem == Stem::Cifar,
            Architecture::DenseNet(net) => !net.pooled_stem,
        };
        if small { (32, 32) } else { (224, 224) }
    }

    /// Number of trained parameters: all weights but running means and variances.
    pub fn parameters(&self) -> u64 {
        let tensors = self.graph().tensors();
        let trained = tensors.iter().filter(|(name, _)| !name.contains(".running_"));
        trained.map(|(_, shape)| shape.iter().map(|extent| *extent as u64).product::<u64>()).sum()
    }

    /// Multiply-accumulates of all convolutions and linear layers for one image of `height` x `width`.
    ///
    /// # Errors
    /// [`Error::Shape`] if the input is too small.
    pub fn macs(&self, height: usize, width: usize) -> Result<u64> {
        let graph = self.graph();
        let shapes = graph.infer_shapes(Shape::new(1, 3, height, width))?;
        let of_nodes = graph.nodes().iter().zip(&shapes).map(|(node, output)| node.op.macs(*output));
        Ok(of_nodes.fold(0, u64::saturating_add))
    }

    /// Compares what the graph reads with what the checkpoint has, and gives the names of what it has beside that.
    fn check<'a>(&self, model: &str, shapes: &'a Shapes) -> Result<Vec<&'a str>> {
        let expected: Shapes = self.graph().tensors().into_iter().collect();
        let missing: Vec<&str> =
            expected.keys().filter(|name| !shapes.contains_key(*name)).map(String::as_str).collect();
        if !missing.is_empty() {
            return Err(Error::MissingTensor {
                model: model.into(),
                architecture: self.name(),
                count: missing.len(),
                names: list(&missing),
            });
        }
        for (name, expected) in &expected {
            if let Some(got) = shapes.get(name).filter(|got| *got != expected) {
                return Err(Error::TensorShape {
                    model: model.into(),
                    tensor: name.clone(),
                    expected: expected.clone(),
                    got: got.clone(),
                });
            }
        }
        if let Some((name, shape)) = expected.iter().find(|(_, shape)| shape.contains(&0)) {
            let reason = format!("tensor {name} of shape {shape:?} holds nothing");
            return Err(Error::UnknownArchitecture { model: model.into(), reason });
        }
        Ok(shapes.keys().filter(|name| !expected.contains_key(*name)).map(String::as_str).collect())
    }
}

/// For messages.
const SUPPORTED: &str = "ResNet (plain, wide, -C, -D, -S, -T, -RS), ResNeXt, SE-ResNet, SE-ResNeXt and DenseNet in the \
     spellings of torchvision, timm and transformers, and the CIFAR ResNets and DenseNets";

fn list(names: &[&str]) -> String {
    let more = if names.len() > LISTED { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(LISTED)].join(", "))
}

/// Five of the names, spread over all of them.
fn sample(shapes: &Shapes) -> String {
    if shapes.is_empty() {
        return "it holds no tensors".into();
    }
    let step = shapes.len().div_ceil(5);
    let names: Vec<&str> = shapes.keys().step_by(step).map(String::as_str).collect();
    format!("its {} tensors are those of no known network: {}", shapes.len(), names.join(", "))
}
