//! The properties of a network that no tensor shows, each with its value.

use crate::{
    graph::Activation,
    structure::{AntiAliasing, ConvPadding, Dilation, GlobalPool, NormGroups, PoolPadding, StrideIn, Structure},
};

/// The properties of a network that no tensor shows: the stated values, or else the usual ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Properties {
    /// Whether 3x3 max pooling with stride 2 follows the stem's convolutions.
    pub stem_pool: bool,
    /// Stride of the stem's first convolution.
    pub stem_stride: usize,
    /// Stride of the first stage of blocks.
    pub layer1_stride: usize,
    /// Which convolution of a bottleneck strides.
    pub stride_in: StrideIn,
    /// Stages, from 1, that dilate their convolutions in place of striding.
    pub dilated: Vec<usize>,
    /// Filter that replaces strides.
    pub anti_aliasing: AntiAliasing,
    /// Global pooling of the last feature map.
    pub global_pool: GlobalPool,
    /// Epsilon of batch normalisation, added to the variance.
    pub norm_eps: f32,
    /// Activation after convolutions and their norms in the stem, and after the additions of blocks.
    pub activation: Activation,
    /// Activation inside a block, after each convolution but the last.
    pub block_activation: Activation,
    /// Activation between the two layers of squeeze-and-excitation.
    pub gate_activation: Activation,
    /// Activation between the linear layers of a head.
    pub head_activation: Activation,
    /// Padding of convolutions that stride.
    pub conv_padding: ConvPadding,
    /// Padding of the stem's pooling.
    pub pool_padding: PoolPadding,
    /// Whether shortcuts that stride pool, in a ResNetV2. In other networks the tensors show it.
    pub shortcut_pool: bool,
    /// Groups of a group normalisation. None if it is unknown whether the norm is one.
    pub norm_groups: Option<NormGroups>,
    /// Whether the weights of convolutions are standardised.
    pub standardised: bool,
    /// Whether shortcuts read the input of their block instead of its first norm, in a ResNetV2 with a small stem.
    pub raw_shortcuts: bool,
    /// Whether dense layers put their output before their input.
    pub newest_first: bool,
    /// Activation between the norm and the convolution of a DenseNet's transition, if it is not `activation`.
    pub transition_activation: Option<Activation>,
}

impl Properties {
    /// The values that torchvision and timm use. The stem has stride 2 and max pooling; a `small` stem, one 3x3 convolution, has neither.
    /// Bottlenecks stride in their 3x3 convolution. Nothing is dilated, global pooling is the mean, epsilon is 1e-5, and the activation is
    /// ReLU.
    pub fn usual(small: bool) -> Self {
        Properties {
            stem_pool: !small,
            stem_stride: if small { 1 } else { 2 },
            layer1_stride: 1,
            stride_in: StrideIn::ThreeByThree,
            dilated: Vec::new(),
            anti_aliasing: AntiAliasing::None,
            global_pool: GlobalPool::Avg,
            norm_eps: 1e-5,
            activation: Activation::Relu,
            block_activation: Activation::Relu,
            gate_activation: Activation::Relu,
            head_activation: Activation::Relu,
            conv_padding: ConvPadding::Sides,
            pool_padding: PoolPadding::Ignored,
            shortcut_pool: false,
            norm_groups: Some(NormGroups::Groups(32)),
            standardised: false,
            raw_shortcuts: false,
            newest_first: false,
            transition_activation: None,
        }
    }

    /// Features that the head reads for each channel of the last map.
    pub(crate) fn features_per_channel(&self) -> usize {
        if matches!(self.global_pool, GlobalPool::CatAvgMax | GlobalPool::CatMaxAvg) { 2 } else { 1 }
    }

    /// Takes over the stated values, for a network of this number of stages.
    pub(super) fn state(&mut self, stated: &Structure, stages: usize) {
        self.stem_pool = stated.stem_pool.unwrap_or(self.stem_pool);
        self.stem_stride = stated.stem_stride.unwrap_or(self.stem_stride);
        self.layer1_stride = stated.layer1_stride.unwrap_or(self.layer1_stride);
        self.stride_in = stated.stride_in.unwrap_or(self.stride_in);
        self.anti_aliasing = stated.anti_aliasing.unwrap_or(self.anti_aliasing);
        self.global_pool = stated.global_pool.unwrap_or(self.global_pool);
        self.norm_eps = stated.norm_eps.unwrap_or(self.norm_eps);
        self.activation = stated.activation.unwrap_or(self.activation);
        self.block_activation = stated.block_activation.or(stated.activation).unwrap_or(self.block_activation);
        self.gate_activation = stated.gate_activation.unwrap_or(self.gate_activation);
        self.head_activation = stated.head_activation.unwrap_or(self.head_activation);
        self.conv_padding = stated.conv_padding.unwrap_or(self.conv_padding);
        self.pool_padding = stated.pool_padding.unwrap_or(self.pool_padding);
        self.shortcut_pool = stated.shortcut_pool.unwrap_or(self.shortcut_pool);
        self.norm_groups = stated.norm_groups.or(self.norm_groups);
        self.standardised = stated.standardised.unwrap_or(self.standardised);
        self.raw_shortcuts = stated.raw_shortcuts.unwrap_or(self.raw_shortcuts);
        self.newest_first = stated.newest_first.unwrap_or(self.newest_first);
        let transition = stated.transition_activation.or(self.transition_activation);
        self.transition_activation = transition.filter(|activation| *activation != self.activation);
        match &stated.dilation {
            None => {}
            Some(Dilation::Stages(dilated)) => self.dilated.clone_from(dilated),
            // The stem and the first stage shrink the map by 4, and each further stage halves it.
            Some(Dilation::OutputStride(most)) => {
                self.dilated = (2..=stages).filter(|stage| 4_usize << (stage - 1).min(16) > *most).collect();
            }
        }
    }

    /// Key and value of each property, as [`Structure`] parses them.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let dilated: Vec<String> = self.dilated.iter().map(|stage| format!("layer{stage}")).collect();
        vec![
            ("stem-pool", if self.stem_pool { "max".into() } else { "none".into() }),
            ("stem-stride", self.stem_stride.to_string()),
            ("layer1-stride", self.layer1_stride.to_string()),
            ("stride-in", self.stride_in.to_string()),
            ("dilation", if dilated.is_empty() { "none".into() } else { dilated.join("+") }),
            ("anti-aliasing", self.anti_aliasing.to_string()),
            ("global-pool", self.global_pool.to_string()),
            ("norm-eps", format!("{:e}", self.norm_eps)),
            ("activation", self.activation.to_string()),
            ("block-activation", self.block_activation.to_string()),
            ("gate-activation", self.gate_activation.to_string()),
            ("head-activation", self.head_activation.to_string()),
            ("conv-padding", self.conv_padding.to_string()),
            ("pool-padding", self.pool_padding.to_string()),
            ("shortcut-pool", if self.shortcut_pool { "mean".into() } else { "none".into() }),
            ("norm-groups", self.norm_groups.map_or_else(|| "unknown".into(), |groups| groups.to_string())),
            ("standardised-weights", if self.standardised { "yes".into() } else { "no".into() }),
            ("shortcut-input", if self.raw_shortcuts { "block".into() } else { "norm".into() }),
            ("dense-order", if self.newest_first { "newest-first".into() } else { "newest-last".into() }),
            ("transition-activation", self.transition_activation.unwrap_or(self.activation).to_string()),
        ]
    }
}
