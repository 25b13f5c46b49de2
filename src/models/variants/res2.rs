//! The middle of a Res2Net block (Gao et al. 2019, "Res2Net: A New Multi-scale Backbone Architecture", figure 2b). It splits the channels
//! into parts, and adds the output of each part to the next one before its convolution.

use super::build::{Net, grouped, window};
use crate::graph::{Op, ValueId};

/// Parameters of the middle of a block.
pub(super) struct Parts {
    /// Channels of a part.
    pub(super) width: usize,
    /// Number of parts.
    pub(super) scale: usize,
    /// Groups of each convolution.
    pub(super) groups: usize,
    /// Stride of the convolutions.
    pub(super) stride: usize,
    /// Whether the parts stay independent and the last one is pooled, as in the first block of a stage.
    pub(super) apart: bool,
}

impl Parts {
    /// Convolves the parts of `x`, and concatenates them.
    pub(super) fn push(&self, net: &mut Net<'_>, block: &str, x: ValueId) -> ValueId {
        let Parts { width, scale, groups, stride, apart } = *self;
        let parts = net.split(block, scale, width, x);
        let mut outputs: Vec<ValueId> = Vec::with_capacity(scale);
        for (i, part) in parts[..scale - 1].iter().enumerate() {
            let y = match outputs.last() {
                Some(before) if !apart => net.add(format!("{block}.add{i}"), *before, *part),
                _ => *part,
            };
            let params = grouped(window(width, width, 3, stride), groups);
            outputs.push(net.conv_norm_act(&format!("{block}.convs.{i}"), &format!("{block}.bns.{i}"), params, y));
        }
        let last = parts[scale - 1];
        outputs.push(if apart { net.zero_padded_mean(&format!("{block}.pool"), stride, last) } else { last });
        net.graph.push(format!("{block}.concat"), Op::Concat, &outputs)
    }
}
