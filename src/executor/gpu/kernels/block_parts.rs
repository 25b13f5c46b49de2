//! Residual blocks in one dispatch: both 3x3 convolutions of a basic block with identity shortcut (He et al. 2015, "Deep Residual Learning
//! for Image Recognition", figure 5 left), the value between them in workgroup memory. Workgroups recompute the rows at their edges.

use super::{
    Array, Caps, Dispatch, KernelKey, Packing, Problem, Role, Shader, Types,
    conv2d::{Conv2d, Conv2dDims},
};

pub(super) const SHARED_BLOCK: &str = include_str!("../../../../shaders/lib/block.wgsl");

/// A block, cut into the parts that workgroups yield.
pub(super) struct Parts {
    conv: Conv2d,
    /// The uniform block.
    pub(super) dims: Conv2dDims,
    /// Output rows of a part.
    pub(super) rows: u32,
    /// Number of parts of an image.
    pub(super) count: u32,
}

impl Parts {
    /// Cuts a block into as few parts as fit into workgroup memory and keep the device's processors busy; each has at least two
    /// rows, if two fit. `None` if not even one row fits, or if there are more than `most_vectors` channel vectors.
    pub(super) fn new(problem: &Problem, types: Types, caps: &Caps, most_vectors: u32) -> Option<Self> {
        let Problem::Block(conv) = *problem else { return None };
        if conv.params.dilation != 1 {
            return None;
        }
        let [n, h, w] = [conv.x.shape.n, conv.x.shape.h, conv.x.shape.w].map(|extent| extent as u32);
        let pixels = caps.workgroup_bytes / (4 * conv.x.c4() * types.stored.bytes() as u32);
        let most = (pixels.checked_sub(2)? / w).checked_sub(4).filter(|&rows| rows > 0)?;
        let count = h.div_ceil(most).max(caps.processors().div_ceil(n).min(h.div_ceil(2)));
        let rows = h.div_ceil(count);
        let count = h.div_ceil(rows);
        let dims = Conv2dDims { tiles_h: count, slice: rows, ..conv.dims() };
        (dims.c4 <= most_vectors && n.saturating_mul(count) <= caps.max_workgroups).then_some(Parts {
            conv,
            dims,
            rows,
            count,
        })
    }

    /// The dispatch of `shader` with these constants.
    pub(super) fn dispatch(
        &self,
        shader: &'static Shader,
        types: Types,
        consts: &[(&'static str, u32)],
        overrides: Vec<(&'static str, u32)>,
    ) -> Dispatch {
        let Conv2dDims { w, c4, .. } = self.dims;
        let consts = [&[("SPACE", ((self.rows + 4) * w + 2) * c4)], consts].concat();
        let [weights, bias] = [Array::Weights(Packing::Rows), Array::Bias].map(Role::Both);
        Dispatch {
            key: KernelKey { shader, types, consts, overrides },
            uniform: bytemuck::bytes_of(&self.dims).to_vec(),
            grid: [self.conv.x.shape.n as u32 * self.count, 1, 1],
            operands: vec![Role::X, weights, bias, Role::Residual, Role::Unused, Role::Y],
            macs: 2 * self.conv.macs(),
        }
    }
}
