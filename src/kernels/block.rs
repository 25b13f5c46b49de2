//! A residual block in one dispatch: both 3x3 convolutions of a basic block with identity shortcut (He et al. 2015, "Deep Residual Learning
//! for Image Recognition", figure 5 left), the value between them in workgroup memory. Workgroups recompute the rows at their edges.

use super::{
    Caps, KernelKey, Precision, Shader, ShaderId,
    conv2d::{BINDINGS, Conv2d, Conv2dDims, Dispatch, Role, SHARED, Variant},
};

const SHARED_BLOCK: &str = include_str!("../../shaders/lib/block.wgsl");

/// `shaders/block_broadcast.wgsl`: a subgroup whose lanes share inputs by broadcast.
pub const BROADCAST: Shader = Shader {
    name: "block_broadcast",
    parts: &[SHARED, SHARED_BLOCK, include_str!("../../shaders/block_broadcast.wgsl")],
    bindings: BINDINGS,
};

/// `shaders/block_threads.wgsl`: threads of four pixels and an output vector each.
pub const THREADS: Shader = Shader {
    name: "block_threads",
    parts: &[SHARED, SHARED_BLOCK, include_str!("../../shaders/block_threads.wgsl")],
    bindings: BINDINGS,
};

/// Threads of a workgroup of `block_threads`: as many as every WebGPU device has.
const WORKGROUP: u32 = 256;

/// How an image is cut into the parts that workgroups yield.
struct Parts {
    /// Output rows of a part.
    rows: u32,
    /// Parts of an image.
    count: u32,
}

impl Parts {
    /// As few parts as fit into workgroup memory, but enough for the device's processors: at least two workgroups where it is a CPU, one for
    /// each processor of a large GPU, though of no less than two rows. Nothing where not even a row fits.
    fn new(conv: &Conv2d, stored: Precision, caps: &Caps) -> Option<Self> {
        let [n, h, w] = [conv.x.shape.n, conv.x.shape.h, conv.x.shape.w].map(|extent| extent as u32);
        let pixels = caps.workgroup_bytes / (4 * conv.x.c4() * stored.bytes() as u32);
        let most = (pixels.checked_sub(2)? / w).checked_sub(4).filter(|&rows| rows > 0)?;
        let wanted = if caps.software { 2_u32 } else { 132 };
        let count = h.div_ceil(most).max(wanted.div_ceil(n).min(h.div_ceil(2)));
        let rows = h.div_ceil(count);
        Some(Parts { rows, count: h.div_ceil(rows) })
    }
}

/// Whether `variant` computes the block whose second convolution is `conv`, the first having the same extents.
pub fn admits(conv: &Conv2d, variant: Variant, stored: Precision, caps: &Caps) -> bool {
    let c4 = match variant {
        Variant::Block => WORKGROUP,
        Variant::BlockBroadcast { .. } => 16,
        _ => 0,
    };
    let parts = Parts::new(conv, stored, caps);
    conv.x.c4() <= c4 && parts.is_some_and(|parts| conv.x.shape.n as u32 * parts.count <= caps.max_workgroups)
}

/// The dispatch of a block, which `variant` [`admits`].
pub fn dispatch(
    conv: &Conv2d,
    variant: Variant,
    stored: Precision,
    output: Precision,
    caps: &Caps,
) -> Option<Dispatch> {
    let Parts { rows, count } = Parts::new(conv, stored, caps)?;
    let dims = Conv2dDims { tiles_h: count, slice: rows, ..conv.dims() };
    let mut consts = vec![("SPACE", ((rows + 4) * dims.w + 2) * dims.c4)];
    let (shader, overrides) = match variant {
        Variant::BlockBroadcast { lanes } => {
            let vectors = dims.c4.next_power_of_two().max(4);
            let first = (rows + 2.min(count - 1)).min(dims.h) * dims.w;
            consts.extend([("GROUPS", groups(vectors, [first, rows * dims.w])), ("VECTORS", vectors)]);
            (ShaderId::BlockBroadcast, vec![("LANES", lanes)])
        }
        _ => {
            consts.push(("THREADS", WORKGROUP));
            (ShaderId::BlockThreads, Vec::new())
        }
    };
    Some(Dispatch {
        key: KernelKey { shader, stored, output, consts, overrides },
        dims,
        grid: [conv.x.shape.n as u32 * count, 1, 1],
        operands: [Role::X, Role::BlockWeights, Role::BlockBias, Role::Residual, Role::Unused, Role::Y],
        macs: 2 * conv.macs(),
    })
}

/// Pixels that `block_broadcast` sums up at a time, in eights, for two convolutions of `pixels` pixels each. What that costs, in tenths of
/// a load of a vector from storage: the weights, and for each eight pixels a load from workgroup memory and the products.
fn groups(vectors: u32, pixels: [u32; 2]) -> u32 {
    let (most, weights) = if vectors == 16 { (5, 80) } else { (7, 40) };
    let cost = |groups: &u32| {
        let times: u32 = pixels.iter().map(|pixels| pixels.div_ceil(8 * groups)).sum();
        times * (weights + groups * (3 + 2 * vectors))
    };
    (1..=most).min_by_key(cost).unwrap_or(1)
}
