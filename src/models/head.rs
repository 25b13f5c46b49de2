//! Global pooling and the head after it, the same for all families.

use super::{Properties, Shapes, majority::rows};
use crate::{
    graph::{Graph, Op, POOLED, Plain, ValueId},
    structure::GlobalPool,
};

/// How to use a network whose head is not supported.
const WITHOUT: &str = "the structure `head=none` leaves the head out, for features alone";

/// The classifier after global pooling: one linear layer, or a sequence of layers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Its layers. The last linear one yields the classes.
    pub layers: Vec<HeadLayer>,
}

/// A layer of a head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HeadLayer {
    /// Fully connected.
    Linear {
        /// Its tensors are `name.weight` and `name.bias`.
        name: String,
        /// Rows of its weight.
        outputs: usize,
        /// Whether it has a bias.
        bias: bool,
    },
    /// Batch normalisation of each feature.
    Norm {
        /// Its tensors are `name.weight`, `name.bias`, `name.running_mean` and `name.running_var`.
        name: String,
        /// Features.
        features: usize,
    },
    /// An activation, in a gap between the numbers of a sequence: [`Properties::head_activation`].
    Activation,
}

impl Head {
    /// One linear layer with bias.
    pub fn linear(name: &str, classes: usize) -> Self {
        Head { layers: vec![HeadLayer::Linear { name: name.into(), outputs: classes, bias: true }] }
    }

    /// Rows of the last linear layer.
    pub fn classes(&self) -> usize {
        self.linears().last().map_or(0, |(_, outputs)| outputs)
    }

    /// The same head with another number of classes.
    #[must_use]
    pub fn with_classes(mut self, classes: usize) -> Self {
        let last = self.layers.iter_mut().rev().find_map(|layer| match layer {
            HeadLayer::Linear { outputs, .. } => Some(outputs),
            HeadLayer::Norm { .. } | HeadLayer::Activation => None,
        });
        if let Some(outputs) = last {
            *outputs = classes;
        }
        self
    }

    /// Whether an activation stands between its linear layers. No tensor shows which.
    pub fn has_activation(&self) -> bool {
        self.layers.contains(&HeadLayer::Activation)
    }

    /// Whether it is the first layer of a sequence. Layers without tensors then follow, because a single linear layer needs no sequence.
    pub fn is_followed(&self) -> bool {
        matches!(&self.layers[..], [HeadLayer::Linear { name, .. }] if name.ends_with(".0"))
    }

    /// Names and rows of its linear layers.
    fn linears(&self) -> impl Iterator<Item = (&str, usize)> {
        self.layers.iter().filter_map(|layer| match layer {
            HeadLayer::Linear { name, outputs, .. } => Some((name.as_str(), *outputs)),
            HeadLayer::Norm { .. } | HeadLayer::Activation => None,
        })
    }

    /// Reads the head from the first of these modules that has a tensor.
    ///
    /// # Errors
    /// A sentence about a layer that is not supported.
    pub(super) fn read(shapes: &Shapes, modules: &[&str]) -> Result<Option<Self>, String> {
        for module in modules {
            let [weight, bias] = ["weight", "bias"].map(|part| format!("{module}.{part}"));
            let has = |name: &String| shapes.contains_key(name);
            if has(&weight) || has(&bias) {
                let outputs = rows(shapes, [weight.clone(), bias.clone()]).next().unwrap_or(0);
                let bias = has(&bias) || !has(&weight);
                return Ok(Some(Head { layers: vec![HeadLayer::Linear { name: (*module).into(), outputs, bias }] }));
            }
            let layers = numbers(shapes, module);
            if !layers.is_empty() {
                return sequence(shapes, module, &layers).map(Some);
            }
        }
        Ok(None)
    }
}

/// The numbers of the layers of a sequence that hold tensors, in order.
fn numbers(shapes: &Shapes, module: &str) -> Vec<u16> {
    let start = format!("{module}.");
    let tails = shapes.range(start.clone()..).map_while(|(name, _)| name.strip_prefix(&start));
    let mut numbers: Vec<u16> = tails.filter_map(|tail| tail.split_once('.')?.0.parse().ok()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

/// A sequence of layers. Layers without tensors between two linear ones are one activation and dropout; the activation stands in the first
/// gap after a linear layer. Layers without tensors before the first linear layer are pooling, flattening and dropout.
fn sequence(shapes: &Shapes, module: &str, numbers: &[u16]) -> Result<Head, String> {
    let (mut layers, mut last) = (Vec::new(), None);
    let mut open = false;
    for number in numbers {
        let name = format!("{module}.{number}");
        let shape = |part: &str| shapes.get(&format!("{name}.{part}"));
        let gap = last.is_some_and(|last: u16| number - last > 1);
        if open && gap {
            layers.push(HeadLayer::Activation);
            open = false;
        }
        let rank = shape("weight").map(Vec::len);
        if shape("running_mean").is_some() || shape("running_var").is_some() {
            if shape("weight").is_none() && shape("bias").is_none() {
                return Err(format!(
                    "a head whose batch normalisation {name} has no weights is not supported; {WITHOUT}"
                ));
            }
            let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
            let features = super::majority::most_frequent(rows(shapes, parts)).unwrap_or(0);
            layers.push(HeadLayer::Norm { name, features });
        } else if rank == Some(1) {
            return Err(format!("a head with {name}, whose weight is a vector, is not supported; {WITHOUT}"));
        } else {
            let outputs = rows(shapes, ["weight", "bias"].map(|part| format!("{name}.{part}"))).next().unwrap_or(0);
            let bias = shape("bias").is_some() || rank.is_none();
            layers.push(HeadLayer::Linear { name, outputs, bias });
            open = true;
        }
        last = Some(*number);
    }
    Ok(Head { layers })
}

/// Appends global pooling of `x` with `channels` channels, and the head, if there is one.
pub(super) fn pool_and_classify(
    graph: &mut Graph,
    properties: &Properties,
    head: Option<&Head>,
    channels: usize,
    x: ValueId,
) {
    let mut cat = |pools: [(&str, Plain); 2], name: &str| {
        let pooled = pools.map(|(name, op)| graph.push(name, op, &[x]));
        graph.push(name, Op::Concat, &pooled)
    };
    let (mean, max) = (("avgpool", Plain::GlobalAvgPool), ("maxpool_all", Plain::GlobalMaxPool));
    let value = match properties.global_pool {
        GlobalPool::CatAvgMax => cat([mean, max], "catavgmaxpool"),
        GlobalPool::CatMaxAvg => cat([max, mean], "catmaxavgpool"),
        GlobalPool::Avg | GlobalPool::None => graph.push(mean.0, mean.1, &[x]),
        GlobalPool::Max => graph.push(max.0, max.1, &[x]),
        GlobalPool::AvgMax => graph.push("avgmaxpool", Plain::GlobalAvgMaxPool, &[x]),
    };
    classify(graph, properties, head, channels * properties.features_per_channel(), value);
}

/// Appends the head, if there is one, to this number of features.
pub(super) fn classify(
    graph: &mut Graph,
    properties: &Properties,
    head: Option<&Head>,
    mut features: usize,
    mut value: ValueId,
) {
    graph.mark_stage(POOLED, value);
    for layer in head.iter().flat_map(|head| &head.layers) {
        value = match layer {
            HeadLayer::Linear { name, outputs, bias } => {
                let linear = Plain::Linear { in_features: features, out_features: *outputs };
                features = *outputs;
                let parts: &[&str] = if *bias { &["weight", "bias"] } else { &["weight"] };
                let weights = parts.iter().map(|part| format!("{name}.{part}")).collect();
                graph.push(name.clone(), Op::Plain { op: linear, weights }, &[value])
            }
            HeadLayer::Norm { name, .. } => {
                let norm = Op::BatchNorm { prefix: name.clone(), channels: features, eps: properties.norm_eps };
                graph.push(name.clone(), norm, &[value])
            }
            HeadLayer::Activation => match Op::activation(properties.head_activation) {
                Some(op) => {
                    let name = format!("{}.activation", graph.nodes()[value.0].name);
                    graph.push(name, op, &[value])
                }
                None => value,
            },
        };
    }
}
