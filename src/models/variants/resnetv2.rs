//! Residual networks with the norm before the convolution: ResNetV2 and Big Transfer (BiT), as timm and transformers build them.
//!
//! Sources: He et al. 2016, "Identity Mappings in Deep Residual Networks" (figure 4e); Zagoruyko and Komodakis 2016, "Wide Residual
//! Networks" (table 1); Kolesnikov et al. 2019, "Big Transfer (BiT): General Visual Representation Learning" (section 3.2: group
//! normalisation, weight standardisation); Liu et al. 2020, "Evolving Normalization-Activation Layers"; Singh and Krishnan 2019, "Filter
//! Response Normalization Layer".

use super::build::{Net, STEM_POOL, window};
use crate::{
    graph::{Conv2dParams, Op, Padding, Plain, PoolParams, ValueId},
    models::{Gate, Norm, Properties, Shapes, majority::largest_index},
    structure::{ConvPadding, PoolPadding, StrideIn},
    tensor::Rewrite,
};

/// One of these networks without its head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResNetV2 {
    /// Output channels of the first two of three 3x3 convolutions; None if the stem is one 7x7 convolution.
    pub deep_stem: Option<[usize; 2]>,
    /// Whether the stem is one 3x3 convolution, as for CIFAR (He et al. 2016, section 5).
    pub small_stem: bool,
    /// Whether a norm follows this small stem, as in kuangliu's SENets.
    pub stem_norm: bool,
    /// Output channels of the stem.
    pub stem_channels: usize,
    /// Whether norms come before convolutions.
    pub preact: bool,
    /// Whether a norm follows the last block of a network whose norms come before convolutions. kuangliu's PreActResNets have none.
    pub last_norm: bool,
    /// Whether a block has two 3x3 convolutions; otherwise it has 1x1, 3x3 and 1x1.
    pub basic: bool,
    /// The norm of each convolution.
    pub norm: Norm,
    /// Whether convolutions have a bias.
    pub biased: bool,
    /// The factor by which squeeze-and-excitation reduces the channels of each block, if there is any.
    pub reduction: Option<usize>,
    /// Blocks of each stage, each with the channels between its convolutions and its output channels.
    pub stages: Vec<Vec<[usize; 2]>>,
}

impl ResNetV2 {
    /// The usual properties. One 7x7 convolution with group normalisation is BiT's stem: BiT standardises its weights and pads the stem's
    /// pooling with zeros. timm's networks with a deep stem pool in their shortcuts.
    pub(super) fn usual(&self) -> Properties {
        if self.small_stem {
            return Properties::usual(true);
        }
        let bit = self.norm == Norm::Group && self.deep_stem.is_none();
        let pool_padding = if bit { PoolPadding::Zeros } else { PoolPadding::Ignored };
        let shortcut_pool = self.deep_stem.is_some();
        Properties { standardised: bit, pool_padding, shortcut_pool, ..Properties::usual(false) }
    }

    /// The keys of properties that can be stated.
    pub(super) fn parts(&self) -> Vec<&'static str> {
        let mut parts = vec!["norm-eps"];
        parts.extend(Some("activation").filter(|_| !self.norm.activates()));
        if self.small_stem {
            parts.extend(["stem-pool", "stem-stride", "shortcut-input"]);
            parts.extend(Some("stride-in").filter(|_| !self.basic));
            parts.extend(self.reduction.map(|_| "gate-activation"));
        } else {
            parts.extend(["pool-padding", "conv-padding", "shortcut-pool"]);
        }
        if matches!(self.norm, Norm::Group | Norm::Evo) {
            parts.push("norm-groups");
        }
        parts.extend(Some("standardised-weights").filter(|_| self.norm == Norm::Group));
        parts
    }

    /// Channels of the last feature map.
    pub(super) fn channels(&self) -> usize {
        self.stages.iter().flatten().last().map_or(self.stem_channels, |[_, channels]| *channels)
    }

    /// Appends the network up to its last feature map, for an image with `image` channels.
    pub(super) fn push(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let mut x = self.stem(net, image);
        let mut inputs = self.stem_channels;
        for (s, blocks) in self.stages.iter().enumerate() {
            for (b, block) in blocks.iter().enumerate() {
                let stride = if s > 0 && b == 0 { 2 } else { 1 };
                x = self.block(net, &format!("stages.{s}.blocks.{b}"), inputs, *block, (b == 0, stride), x);
                inputs = block[1];
            }
            net.graph.mark_stage(format!("stages.{s}"), x);
        }
        if self.last_norm { self.norm_act(net, "norm", inputs, x) } else { x }
    }

    fn stem(&self, net: &mut Net<'_>, image: usize) -> ValueId {
        let (channels, input) = (self.stem_channels, net.graph.input());
        if self.small_stem {
            let mut x = self.conv(net, "stem.conv", window(image, channels, 3, net.properties.stem_stride), input);
            if self.stem_norm {
                x = self.norm_act(net, "stem.norm", channels, x);
            }
            if net.properties.stem_pool {
                x = net.push("stem.pool", Op::MaxPool2d(STEM_POOL), x);
            }
            net.graph.mark_stage("stem", x);
            return x;
        }
        let (mut x, last) = match self.deep_stem {
            Some([a, b]) => {
                let x = self.conv(net, "stem.conv1", window(image, a, 3, 2), input);
                let x = self.norm_act(net, "stem.norm1", a, x);
                let x = self.conv(net, "stem.conv2", window(a, b, 3, 1), x);
                let x = self.norm_act(net, "stem.norm2", b, x);
                (self.conv(net, "stem.conv3", window(b, channels, 3, 1), x), "stem.norm3")
            }
            None => (self.conv(net, "stem.conv", window(image, channels, 7, 2), input), "stem.norm"),
        };
        let padding = net.properties.pool_padding;
        if matches!(padding, PoolPadding::Zeros | PoolPadding::ZerosAndSame) {
            x = net.push("stem.pad", Plain::Pad(Padding::Sides(1)), x);
        }
        if !self.preact {
            x = self.norm_act(net, last, channels, x);
        }
        if matches!(padding, PoolPadding::Same | PoolPadding::ZerosAndSame) {
            x = net.push("stem.pool.pad", Plain::Pad(Padding::Same { kernel: 3, stride: 2 }), x);
        }
        let sides = if padding == PoolPadding::Ignored { 1 } else { 0 };
        let x = net.push("stem.pool", Op::MaxPool2d(PoolParams { padding: sides, ..STEM_POOL }), x);
        net.graph.mark_stage("stem", x);
        x
    }

    /// Appends a block with `inputs` channels.
    fn block(
        &self,
        net: &mut Net<'_>,
        name: &str,
        inputs: usize,
        [width, channels]: [usize; 2],
        (first, stride): (bool, usize),
        x: ValueId,
    ) -> ValueId {
        let part = |part: &str| format!("{name}.{part}");
        let convolutions = if self.basic {
            vec![window(inputs, width, 3, stride), window(width, channels, 3, 1)]
        } else {
            let [one, three] = match net.properties.stride_in {
                StrideIn::OneByOne => [stride, 1],
                StrideIn::ThreeByThree => [1, stride],
            };
            vec![window(inputs, width, 1, one), window(width, width, 3, three), window(width, channels, 1, 1)]
        };
        let normed = if self.preact { self.norm_act(net, &part("norm1"), inputs, x) } else { x };
        // The first bottleneck of a stage always projects.
        let projects = first && (!self.basic || stride > 1 || inputs != channels);
        let source = if net.properties.raw_shortcuts { x } else { normed };
        let around = if projects { self.shortcut(net, name, inputs, channels, stride, source) } else { x };
        let (mut y, last) = (normed, convolutions.len());
        for (i, params) in (1..).zip(convolutions) {
            if self.preact && i > 1 {
                y = self.norm_act(net, &part(&format!("norm{i}")), params.in_channels, y);
            }
            y = self.conv(net, &part(&format!("conv{i}")), params, y);
            if !self.preact {
                y = self.norm(net, &part(&format!("norm{i}")), params.out_channels, y);
                if i < last {
                    y = net.act(part(&format!("act{i}")), y);
                }
            }
        }
        if let Some(reduction) = self.reduction {
            let gate = Gate::SqueezeExcite { squeeze: (channels / reduction.max(1)).max(1), bias: true };
            y = gate.push(&mut net.graph, &part("se"), channels, net.properties.gate_activation, y);
        }
        let sum = net.add(part("add"), y, around);
        if self.preact { sum } else { net.act(part("act3"), sum) }
    }

    fn shortcut(
        &self,
        net: &mut Net<'_>,
        block: &str,
        inputs: usize,
        channels: usize,
        stride: usize,
        mut x: ValueId,
    ) -> ValueId {
        let mut step = stride;
        if net.properties.shortcut_pool && stride > 1 {
            let mean = PoolParams { kernel: 2, stride, padding: 0, ceil: true };
            x = net.push(format!("{block}.downsample.pool"), Op::AvgPool2d(mean), x);
            step = 1;
        }
        x = self.conv(net, &format!("{block}.downsample.conv"), window(inputs, channels, 1, step), x);
        if self.preact { x } else { self.norm(net, &format!("{block}.downsample.norm"), channels, x) }
    }

    /// A convolution, whose weights may be standardised.
    fn conv(&self, net: &mut Net<'_>, name: &str, params: Conv2dParams, mut x: ValueId) -> ValueId {
        if net.properties.standardised {
            // BiT's epsilon.
            net.graph.rewrite(format!("{name}.weight"), Rewrite::Standardise { eps: 1e-8, gain: None });
        }
        if self.biased {
            return net.biased_conv(name, params, x);
        }
        let Conv2dParams { kernel, stride, .. } = params;
        if net.properties.conv_padding == ConvPadding::Same && stride > 1 && kernel > 1 {
            x = net.push(format!("{name}.pad"), Plain::Pad(Padding::Same { kernel, stride }), x);
            return net.conv(name, Conv2dParams { padding: 0, ..params }, x);
        }
        net.conv(name, params, x)
    }

    fn norm(&self, net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
        self.norm.push(&mut net.graph, net.properties, name, channels, x)
    }

    fn norm_act(&self, net: &mut Net<'_>, name: &str, channels: usize, x: ValueId) -> ValueId {
        let x = self.norm(net, name, channels, x);
        if self.norm.activates() { x } else { net.act(format!("{name}.act"), x) }
    }
}

/// Whether the names belong to this family.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    let has = |start: &str| shapes.range(start.to_string()..).next().is_some_and(|(name, _)| name.starts_with(start));
    (has("stem.conv.weight") || has("stem.conv1.weight"))
        && has("stages.0.blocks.0.norm1.")
        && has("stages.0.blocks.0.conv1.weight")
}

/// The network with these tensors.
///
/// # Errors
/// A sentence about the feature that is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<ResNetV2, String> {
    let rows = |name: String| shapes.get(&name).and_then(|shape| shape.first()).copied();
    let stem = |conv: &str| rows(format!("stem.{conv}.weight")).ok_or_else(|| format!("its stem has no {conv}"));
    let deep_stem = match shapes.contains_key("stem.conv1.weight") {
        true => Some([stem("conv1")?, stem("conv2")?]),
        false => None,
    };
    let stem_channels = stem(if deep_stem.is_some() { "conv3" } else { "conv" })?;
    let norm = read_norm(shapes)?;
    let small_stem = matches!(shapes.get("stem.conv.weight").map(Vec::as_slice), Some([_, _, 3, 3]));
    let basic = !shapes.keys().any(|name| name.starts_with("stages.") && name.ends_with(".conv3.weight"));
    let last = if basic { "conv2" } else { "conv3" };
    let (mut stages, mut inputs) = (Vec::new(), stem_channels);
    while let Some(end) = largest_index(shapes, &format!("stages.{}.blocks.", stages.len()))? {
        let mut blocks: Vec<[usize; 2]> = Vec::new();
        for b in 0..=end {
            let conv = |conv: &str| rows(format!("stages.{}.blocks.{b}.{conv}.weight", stages.len()));
            let before = blocks.last().copied();
            let width = conv("conv1").or(before.map(|[width, _]| width)).unwrap_or(inputs);
            let channels = conv(last).or(before.map(|[_, channels]| channels)).unwrap_or(inputs);
            blocks.push([width, channels]);
            inputs = channels;
        }
        stages.push(blocks);
    }
    let biased = small_stem && shapes.contains_key("stem.conv.bias");
    let squeezed = shapes.iter().find_map(|(name, shape)| {
        let block = name.strip_suffix(".se.fc1.weight")?;
        let channels = shapes.get(&format!("{block}.{last}.weight"))?.first()?;
        shape.first().map(|squeeze| channels / (*squeeze).max(1))
    });
    let reduction = squeezed.filter(|_| small_stem);
    let last_norm = shapes.keys().any(|name| name.starts_with("norm."));
    let preact = last_norm || small_stem;
    if !preact && basic {
        return Err("basic blocks with norms after convolutions are not supported in a ResNetV2".into());
    }
    if !preact && norm.activates() {
        return Err("EvoNorm and filter response normalisation after convolutions are not supported".into());
    }
    Ok(ResNetV2 {
        deep_stem,
        small_stem,
        stem_norm: small_stem && shapes.keys().any(|name| name.starts_with("stem.norm.")),
        stem_channels,
        preact,
        last_norm,
        basic,
        norm,
        biased,
        reduction,
        stages,
    })
}

/// The norm of a network with these tensors. The parameters of activations tell norms that include one.
///
/// # Errors
/// A sentence about EvoNorm-B0, the norm with running statistics and an activation.
fn read_norm(shapes: &Shapes) -> Result<Norm, String> {
    let any = |end: &str| shapes.keys().find(|name| name.starts_with("stages.") && name.ends_with(end));
    let (norm, parameter) = match (any(".v"), any(".tau")) {
        (Some(v), _) => (Norm::Evo, v),
        (None, Some(tau)) => (Norm::FilterResponse, tau),
        (None, None) => return Ok(Norm::read(shapes)),
    };
    match any(".running_var") {
        None => Ok(norm),
        Some(variance) => Err(format!("a norm with {parameter} and {variance} (such as EvoNorm-B0) is not supported")),
    }
}

/// Name, bottlenecks in each stage, and factor of the width.
const BIT: [(&str, [usize; 4], usize); 6] = [
    ("resnetv2_50x1_bit", [3, 4, 6, 3], 1),
    ("resnetv2_50x3_bit", [3, 4, 6, 3], 3),
    ("resnetv2_101x1_bit", [3, 4, 23, 3], 1),
    ("resnetv2_101x3_bit", [3, 4, 23, 3], 3),
    ("resnetv2_152x2_bit", [3, 8, 36, 3], 2),
    ("resnetv2_152x4_bit", [3, 8, 36, 3], 4),
];

type BatchRow = (&'static str, bool, [usize; 4], Option<[usize; 2]>);

/// Name, whether its blocks are basic, blocks in each stage, channels of a deep stem.
const BATCH: [BatchRow; 11] = [
    ("resnetv2_18", true, [2, 2, 2, 2], None),
    ("resnetv2_18d", true, [2, 2, 2, 2], Some([32, 32])),
    ("resnetv2_34", true, [3, 4, 6, 3], None),
    ("resnetv2_34d", true, [3, 4, 6, 3], Some([32, 32])),
    ("resnetv2_50", false, [3, 4, 6, 3], None),
    ("resnetv2_50d", false, [3, 4, 6, 3], Some([32, 32])),
    ("resnetv2_50t", false, [3, 4, 6, 3], Some([24, 32])),
    ("resnetv2_101", false, [3, 4, 23, 3], None),
    ("resnetv2_101d", false, [3, 4, 23, 3], Some([32, 32])),
    ("resnetv2_152", false, [3, 8, 36, 3], None),
    ("resnetv2_152d", false, [3, 8, 36, 3], Some([32, 32])),
];

/// The networks of `resnetv2_50d` with other norms.
const OTHERS: [(&str, Norm); 3] =
    [("resnetv2_50d_gn", Norm::Group), ("resnetv2_50d_evos", Norm::Evo), ("resnetv2_50d_frn", Norm::FilterResponse)];

/// The named networks.
pub(super) fn table() -> impl Iterator<Item = (&'static str, ResNetV2)> {
    let stages = |depths: [usize; 4], first: [usize; 2]| {
        (0..).zip(depths).map(move |(s, depth)| vec![first.map(|channels| channels << s); depth]).collect()
    };
    let bit = BIT.into_iter().map(move |(name, depths, wide)| {
        let stages = stages(depths, [64 * wide, 256 * wide]);
        let net = ResNetV2 { norm: Norm::Group, ..network(None, 64 * wide, false, stages) };
        (name, net)
    });
    let batch = BATCH.into_iter().map(move |(name, basic, depths, deep)| {
        (name, network(deep, 64, basic, stages(depths, [64, if basic { 64 } else { 256 }])))
    });
    let others = OTHERS.into_iter().map(move |(name, norm)| {
        let net = network(Some([32, 32]), 64, false, stages([3, 4, 6, 3], [64, 256]));
        (name, ResNetV2 { norm, ..net })
    });
    bit.chain(batch).chain(others)
}

fn network(deep_stem: Option<[usize; 2]>, stem_channels: usize, basic: bool, stages: Vec<Vec<[usize; 2]>>) -> ResNetV2 {
    ResNetV2 {
        deep_stem,
        small_stem: false,
        stem_norm: false,
        stem_channels,
        preact: true,
        last_norm: true,
        basic,
        norm: Norm::Batch,
        biased: false,
        reduction: None,
        stages,
    }
}
