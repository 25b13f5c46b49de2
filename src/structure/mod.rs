//! Properties of a network that no tensor shows, as a configuration or the caller states them.

mod parse;

pub(crate) use parse::{norm_eps, output_stride};

pub use crate::graph::Activation;

/// Properties that change the results of a network, but neither names nor shapes of its tensors. A property that is not stated has its
/// usual value: see [`crate::models::Properties`].
///
/// Parses from pairs of a key and a value, for example `stem-pool=max,stem-stride=1,activation=silu`.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Structure {
    /// Source of the statement, for messages: a file, or `option`.
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
    /// Filter that replaces the strides of convolutions and of the stem's pooling.
    pub anti_aliasing: Option<AntiAliasing>,
    /// Global pooling: how the last feature map becomes features.
    pub global_pool: Option<GlobalPool>,
    /// Epsilon of batch normalisation, added to the variance.
    pub norm_eps: Option<f32>,
    /// Activation after convolutions and their norms in the stem and in blocks, and after the additions of blocks.
    pub activation: Option<Activation>,
    /// Activation inside a block, after each convolution but the last, if it differs from `activation` (transformers' `hidden_act` does not
    /// change it).
    pub block_activation: Option<Activation>,
    /// Activation between the two layers of squeeze-and-excitation. A RegNet uses `activation` if this is not stated.
    pub gate_activation: Option<Activation>,
    /// Activation between the linear layers of a head.
    pub head_activation: Option<Activation>,
    /// Padding of convolutions that stride.
    #[doc(hidden)]
    pub conv_padding: Option<ConvPadding>,
    /// Padding of the stem's pooling.
    #[doc(hidden)]
    pub pool_padding: Option<PoolPadding>,
    /// Whether shortcuts that stride pool.
    #[doc(hidden)]
    pub shortcut_pool: Option<bool>,
    /// Groups of a group normalisation.
    #[doc(hidden)]
    pub norm_groups: Option<NormGroups>,
    /// Whether the weights of convolutions are standardised.
    #[doc(hidden)]
    pub standardised: Option<bool>,
    /// Whether shortcuts read the input of their block instead of its first norm.
    #[doc(hidden)]
    pub raw_shortcuts: Option<bool>,
    /// Whether dense layers put their output before their input.
    #[doc(hidden)]
    pub newest_first: Option<bool>,
    /// Activation between the norm and the convolution of a DenseNet's transition, if it differs from `activation`.
    #[doc(hidden)]
    pub transition_activation: Option<Activation>,
    /// Whether to leave out the head, so that the network ends in its features.
    pub no_head: bool,
    /// Keys of properties that another source states than `stated_in`, each with its source.
    pub(crate) implied: Vec<(&'static str, String)>,
}

/// Keys of the properties that names of files or tensors can imply.
const IMPLIED: [&str; 7] = [
    "global-pool",
    "anti-aliasing",
    "norm-groups",
    "stride-in",
    "shortcut-input",
    "dense-order",
    "transition-activation",
];

/// Which convolution of a bottleneck strides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrideIn {
    /// The first: He et al. 2015, Caffe's models, transformers' `downsample_in_bottleneck`.
    OneByOne,
    /// The second: torchvision and timm ("v1.5").
    ThreeByThree,
}

/// Padding of convolutions that stride.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConvPadding {
    /// The same number on each side.
    Sides,
    /// As many as the windows need; an odd one goes to the bottom and the right (TensorFlow's `SAME`).
    Same,
}

/// Padding of the stem's pooling.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PoolPadding {
    /// One row and column that never yield the maximum.
    Ignored,
    /// One row and column of zeros (BiT's).
    Zeros,
    /// As many zeros as the windows need; an odd one goes to the bottom and the right.
    Same,
    /// `Zeros`, then `Same`.
    ZerosAndSame,
    /// No padding.
    None,
}

/// The groups of a group normalisation.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NormGroups {
    /// This number of groups, whatever the number of channels.
    Groups(usize),
    /// Groups of this number of channels.
    Channels(usize),
}

impl NormGroups {
    /// The groups of timm's network of this name, such as `resnet50_gn`. None if the name does not say that it has group normalisation. The
    /// networks of Big Transfer have it too: `resnetv2_50x1_bit`.
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
    /// These stages; 1 is `layer1`. An empty list dilates none.
    Stages(Vec<usize>),
}

/// Filter that shrinks the map where 3x3 convolutions and the stem's pooling would stride; these then keep its size (timm's `aa_layer`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AntiAliasing {
    /// No filter: they stride.
    None,
    /// 2x2 average pooling with stride 2, which also replaces the stem's pooling.
    Avg,
    /// A 3x3 binomial filter with stride 2, over a map that is reflected at its edges (Zhang 2019, "Making Convolutional Networks
    /// Shift-Invariant Again", section 3).
    Blur,
}

impl AntiAliasing {
    /// Parts of the names of timm's networks with anti-aliasing, whose tensors equal those of networks without it.
    const NAMES: [(&str, &str, AntiAliasing); 4] = [
        ("resnetblur", "resnet", AntiAliasing::Blur),
        ("densenetblur", "densenet", AntiAliasing::Blur),
        ("resnetaa", "resnet", AntiAliasing::Avg),
        ("resnextaa", "resnext", AntiAliasing::Avg),
    ];

    /// The anti-aliasing of timm's network of this name, such as `resnetaa50d`, and the name of the same network without it: `resnet50d`.
    #[doc(hidden)]
    pub fn of_network(name: &str) -> Option<(Self, String)> {
        let (mark, plain, kind) = Self::NAMES.iter().find(|(mark, ..)| name.contains(mark))?;
        Some((*kind, name.replacen(mark, plain, 1)))
    }
}

/// Global pooling of the last feature map (timm's `global_pool`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum GlobalPool {
    /// The mean over all pixels.
    Avg,
    /// The maximum over all pixels.
    Max,
    /// The mean of both.
    AvgMax,
    /// The mean, then the maximum: twice as many features.
    CatAvgMax,
    /// The maximum, then the mean: fastai's `AdaptiveConcatPool2d`.
    CatMaxAvg,
    /// The network has no head. Its features are the means.
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
            "shortcut-input" => self.raw_shortcuts.is_some(),
            "dense-order" => self.newest_first.is_some(),
            "transition-activation" => self.transition_activation.is_some(),
            "head" => self.no_head,
            _ => false,
        }
    }

    /// Takes the missing properties from `other`, among those that names of files or tensors imply.
    #[must_use]
    pub(crate) fn or(self, other: &Structure) -> Self {
        let missing = IMPLIED.into_iter().filter(|key| !self.states(key) && other.states(key));
        let implied = missing.map(|key| (key, other.source(key).to_string())).collect();
        Structure {
            global_pool: self.global_pool.or(other.global_pool),
            anti_aliasing: self.anti_aliasing.or(other.anti_aliasing),
            norm_groups: self.norm_groups.or(other.norm_groups),
            stride_in: self.stride_in.or(other.stride_in),
            raw_shortcuts: self.raw_shortcuts.or(other.raw_shortcuts),
            newest_first: self.newest_first.or(other.newest_first),
            transition_activation: self.transition_activation.or(other.transition_activation),
            implied: [self.implied, implied].concat(),
            ..self
        }
    }

    /// The source of the property of this key, if it is stated.
    pub(crate) fn source(&self, key: &str) -> &str {
        self.implied.iter().find(|(implied, _)| *implied == key).map_or(&self.stated_in, |(_, source)| source)
    }

    /// Whether these properties decide the property of this key. `activation` also decides `block-activation` and
    /// `transition-activation`.
    #[doc(hidden)]
    pub fn decides(&self, key: &str) -> bool {
        self.states(key) || matches!(key, "block-activation" | "transition-activation") && self.activation.is_some()
    }
}
