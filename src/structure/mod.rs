//! What no tensor shows of a network, as far as somebody states it: a configuration, or who opens the model.

mod parse;

pub(crate) use parse::{norm_eps, output_stride};

pub use crate::graph::Activation;

/// Properties that change what a network computes and neither names nor shapes of its tensors. What is not stated is
/// assumed to be the usual: see [`crate::models::Properties`].
///
/// It parses from pairs of a key and a value, for example `stem-pool=max,stem-stride=1,activation=silu`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Structure {
    /// Where it is stated, for messages: a file, or `option`.
    pub stated_in: String,
    /// Whether 3x3 max pooling with stride 2 follows the stem's convolutions.
    pub stem_pool: Option<bool>,
    /// Stride of the stem's first convolution.
    pub stem_stride: Option<usize>,
    /// Stride of the first stage of blocks (transformers' `downsample_in_first_stage` is 2).
    pub layer1_stride: Option<usize>,
    /// Which convolution of a bottleneck strides.
    pub stride_in: Option<StrideIn>,
    /// Stages that dilate their convolutions in place of striding.
    pub dilation: Option<Dilation>,
    /// What stands where a convolution or a pooling strides, in its place.
    pub anti_aliasing: Option<AntiAliasing>,
    /// What becomes of the last feature map.
    pub global_pool: Option<GlobalPool>,
    /// What batch normalisation adds to the variance.
    pub norm_eps: Option<f32>,
    /// What follows convolutions and their norms, in the stem, in blocks and after their additions.
    pub activation: Option<Activation>,
    /// What follows the convolutions of a block but the last, where it is another function (transformers' `hidden_act` does not
    /// change that one).
    pub block_activation: Option<Activation>,
    /// What stands between the two layers of squeeze-and-excitation. In a RegNet that is `activation` where it is not stated.
    pub gate_activation: Option<Activation>,
    /// What stands between the linear layers of a head.
    pub head_activation: Option<Activation>,
    /// Where convolutions that stride have their zeros.
    #[doc(hidden)]
    pub conv_padding: Option<ConvPadding>,
    /// What lies around the image in the stem's pooling.
    #[doc(hidden)]
    pub pool_padding: Option<PoolPadding>,
    /// Whether shortcuts pool where they stride.
    #[doc(hidden)]
    pub shortcut_pool: Option<bool>,
    /// Groups of a group normalisation.
    #[doc(hidden)]
    pub norm_groups: Option<NormGroups>,
    /// Whether the weights of convolutions are standardised.
    #[doc(hidden)]
    pub standardised: Option<bool>,
    /// Whether the head is left out, so that the network ends in its features.
    pub no_head: bool,
}

/// Which convolution of a bottleneck strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrideIn {
    /// The first: He et al. 2015, Caffe's models, transformers' `downsample_in_bottleneck`.
    OneByOne,
    /// The second: torchvision and timm ("v1.5").
    ThreeByThree,
}

/// Where convolutions that stride have their zeros.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvPadding {
    /// The same number on each side.
    Sides,
    /// As many as the windows need, the odd one behind (TensorFlow's `SAME`).
    Same,
}

/// What lies around the image in the stem's pooling.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolPadding {
    /// One row and column that are never the maximum.
    Ignored,
    /// One row and column of zeros (BiT's).
    Zeros,
    /// As many zeros as the windows need, the odd one behind.
    Same,
    /// Both.
    ZerosAndSame,
    /// Nothing.
    None,
}

/// The groups of a group normalisation.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NormGroups {
    /// So many, whatever the channels.
    Groups(usize),
    /// As many as there are of so many channels.
    Channels(usize),
}

impl NormGroups {
    /// Those of the network of this name in timm, such as `resnet50_gn`, if it has group normalisation. The networks of Big Transfer have
    /// it too: `resnetv2_50x1_bit`.
    #[doc(hidden)]
    pub fn of_network(name: &str) -> Option<Self> {
        let network = name.split('.').next()?;
        network.split('_').skip(1).find_map(|part| match part {
            "gn" | "bit" | "bitm" => Some(NormGroups::Groups(32)),
            "sgn" => Some(NormGroups::Channels(16)),
            _ => None,
        })
    }
}

/// Stages that dilate their convolutions in place of striding (torchvision's `replace_stride_with_dilation`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dilation {
    /// All stages that would make the map smaller than the input by more than this factor: 8, 16 or 32 (timm's
    /// `output_stride`).
    OutputStride(usize),
    /// These stages, from 1, which is the one that is called `layer1`; none of them if it is empty.
    Stages(Vec<usize>),
}

/// What makes the map smaller where the 3x3 convolutions and the stem's pooling would stride, which they then do not (timm's `aa_layer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AntiAliasing {
    /// Nothing: they stride.
    None,
    /// 2x2 average pooling with stride 2. It takes the place of the stem's pooling too.
    Avg,
    /// A 3x3 binomial filter with stride 2, over a map that is reflected at its edges (Zhang 2019, "Making Convolutional Networks
    /// Shift-Invariant Again", section 3).
    Blur,
}

impl AntiAliasing {
    /// Parts of the names of timm's networks that have it: their tensors are those of networks that have not.
    const NAMES: [(&str, &str, AntiAliasing); 4] = [
        ("resnetblur", "resnet", AntiAliasing::Blur),
        ("densenetblur", "densenet", AntiAliasing::Blur),
        ("resnetaa", "resnet", AntiAliasing::Avg),
        ("resnextaa", "resnext", AntiAliasing::Avg),
    ];

    /// That of the network of this name in timm, such as `resnetaa50d`, with the name of the network without it: `resnet50d`.
    #[doc(hidden)]
    pub fn of_network(name: &str) -> Option<(Self, String)> {
        let (mark, plain, kind) = Self::NAMES.iter().find(|(mark, ..)| name.contains(mark))?;
        Some((*kind, name.replacen(mark, plain, 1)))
    }
}

/// What becomes of the last feature map (timm's `global_pool`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobalPool {
    /// The mean over all pixels.
    Avg,
    /// The maximum over all pixels.
    Max,
    /// The mean of both.
    AvgMax,
    /// The mean, and after it the maximum: twice as many features.
    CatAvgMax,
    /// The maximum, and after it the mean: fastai's `AdaptiveConcatPool2d`.
    CatMaxAvg,
    /// Nothing: the network has no head. Its features are the means all the same.
    None,
}

impl Structure {
    /// Whether the property of this key is stated.
    #[doc(hidden)]
    pub fn states(&self, key: &str) -> bool {
        match key {
            "stem-pool" => self.stem_pool.is_some(),
            "stem-stride" => self.stem_stride.is_some(),
            "layer1-stride" => self.layer1_stride.is_some(),
            "stride-in" => self.stride_in.is_some(),
            "dilation" => self.dilation.is_some(),
            "anti-aliasing" => self.anti_aliasing.is_some(),
            "global-pool" => self.global_pool.is_some(),
            "norm-eps" => self.norm_eps.is_some(),
            "activation" => self.activation.is_some(),
            "block-activation" => self.block_activation.is_some(),
            "gate-activation" => self.gate_activation.is_some(),
            "head-activation" => self.head_activation.is_some(),
            "conv-padding" => self.conv_padding.is_some(),
            "pool-padding" => self.pool_padding.is_some(),
            "shortcut-pool" => self.shortcut_pool.is_some(),
            "norm-groups" => self.norm_groups.is_some(),
            "standardised-weights" => self.standardised.is_some(),
            "head" => self.no_head,
            _ => false,
        }
    }

    /// What is stated here, and the pooling, anti-aliasing and groups of norms that `other` states if none are.
    #[must_use]
    pub(crate) fn or(self, other: &Structure) -> Self {
        let stated_in = if self.stated_in.is_empty() { &other.stated_in } else { &self.stated_in }.clone();
        Structure {
            global_pool: self.global_pool.or(other.global_pool),
            anti_aliasing: self.anti_aliasing.or(other.anti_aliasing),
            norm_groups: self.norm_groups.or(other.norm_groups),
            stated_in,
            ..self
        }
    }

    /// Whether what is stated here decides the property of this key: `activation` is that of blocks too.
    #[doc(hidden)]
    pub fn decides(&self, key: &str) -> bool {
        self.states(key) || key == "block-activation" && self.activation.is_some()
    }
}
