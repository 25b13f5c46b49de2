//! The rules that choose kernels for layers that were not measured. All assumptions about devices and sizes are here.

use super::Options;
use crate::{
    executor::gpu::kernels::{
        Applied, Caps, KernelId, Problem, block_broadcast, block_threads, broadcast, candidates,
        conv2d::Conv2d,
        cooperative, elementwise, gemv, grouped, grouped_rows, kernel_groups, pixels, registers, sliced,
        tiled::{self, Tile},
        winograd, winograd_tile, winograd_tiled,
    },
    graph::Plain,
};

/// A kernel, and why.
type Rule = (KernelId, &'static str);

/// From this batch size on, reading a linear layer's weights once for several images is faster.
const GEMM_BATCH: usize = 8;

/// The kernel that should be the fastest; `None` for a residual block that is faster as two convolutions.
pub(super) fn rule(problem: &Problem, options: &Options, caps: &Caps) -> Option<Rule> {
    Some(match problem {
        Problem::Conv2d(conv) => convolution(conv, problem, options, caps),
        Problem::Block(conv) => return block(conv, problem, options, caps),
        Problem::Plain(Applied { op: Plain::Linear { .. }, x, .. }) => match problem.convolution() {
            Some(conv) if x.shape.n >= GEMM_BATCH => convolution(&conv, problem, options, caps),
            Some(_) | None => {
                let [whole, sliced] = gemv::SLICES;
                (gemv::id(if caps.software { whole } else { sliced }), "few images: matrix-vector product")
            }
        },
        Problem::Pool2d(_) | Problem::Plain(_) => return first(problem, options, caps),
        Problem::Elementwise(work) if work.channels != [0, work.y.shape.c] => (elementwise::ID, "copied"),
        Problem::Elementwise(_) => (elementwise::ID, "nothing to fuse it into"),
        Problem::Pixels(_) => (pixels::ID, "the input comes in eight bits a channel"),
    })
}

/// The first kernel of the catalogue that serves the problem.
fn first(problem: &Problem, options: &Options, caps: &Caps) -> Option<Rule> {
    let kernel = candidates(caps).find(|kernel| kernel.serves(problem, options.stored, caps))?;
    Some((kernel, "the first kernel that serves it"))
}

/// Largest number of multiply-accumulates of each of a block's convolutions for which one dispatch for both is faster. Measured
/// on llvmpipe: it is one image of the CIFAR networks; more images keep the CPU busy without recomputing rows. Counted for
/// hardware: a dispatch takes 2 to 4 us, but the block recomputes a third of one convolution, with a kernel that keeps less in
/// registers than the tiled one.
const SOFTWARE_BLOCK: u64 = 1 << 22;
const HARDWARE_BLOCK: u64 = 1 << 25;

fn block(conv: &Conv2d, problem: &Problem, options: &Options, caps: &Caps) -> Option<Rule> {
    let (most, rule) = match caps.lanes().filter(|_| caps.software) {
        Some(lanes) => {
            let reason = "software adapter, few pixels: a dispatch costs more than recomputing rows";
            (SOFTWARE_BLOCK, (block_broadcast::id(lanes), reason))
        }
        None => (HARDWARE_BLOCK, (block_threads::ID, "few pixels: a dispatch costs more than recomputing rows")),
    };
    (conv.macs() <= most && rule.0.serves(problem, options.stored, caps)).then_some(rule)
}

/// The kernel for a convolution, or for a linear layer as one.
fn convolution(conv: &Conv2d, problem: &Problem, options: &Options, caps: &Caps) -> Rule {
    let fits = |kernel: KernelId| kernel.fits(problem, options.stored, caps);
    if kernel_groups(&conv.params) > 1 {
        let filled = |lanes: &u32| caps.software && 2 * conv.dims().group_oc4 >= *lanes;
        let broadcast = caps.lanes().filter(filled).map(broadcast::id);
        return if let Some(broadcast) = broadcast.filter(|broadcast| fits(*broadcast)) {
            (broadcast, "wide groups, software adapter: a broadcast is cheaper than a load")
        } else if caps.software && fits(grouped_rows::ID) {
            (grouped_rows::ID, "groups, software adapter: each input of a row is loaded once")
        } else {
            (grouped::ID, "groups: neighbours read neighbouring channels")
        };
    }
    if caps.software {
        return software(conv, caps, fits);
    }
    if caps.cooperative
        && cooperative::ID.serves(problem, options.stored, caps)
        && !options.is_faulty(cooperative::ID)
        && cooperative::workgroups(conv) >= enough(caps) / 4
    {
        return (cooperative::ID, "tensor cores");
    }
    hardware(conv, caps, fits)
}

/// Number of workgroups that keep the device busy: two for each processor.
fn enough(caps: &Caps) -> u32 {
    2 * caps.processors()
}

/// Smallest number of terms for a slice of a sum, and number of terms that slicing must save each workgroup to pay for the second
/// dispatch (2 to 4 us; a step of the kernel is 32 terms, and is taken to last 0.2 us).
const SLICE: u32 = 256;
const SAVED: u32 = 512;
/// When Winograd pays on hardware. From this many multiply-accumulates on, its two extra dispatches (2 to 4 us each) cost less
/// than the three quarters that it saves (20 us at 20 TFLOP/s). From this many channels on, moving its arrays, 4.5 times the
/// input and output, costs less too.
const HARDWARE_WINOGRAD: (u64, usize) = (1 << 28, 64);

/// Rules from counts; they have not been measured on a GPU.
fn hardware(conv: &Conv2d, caps: &Caps, fits: impl Fn(KernelId) -> bool) -> Rule {
    let (macs, channels) = HARDWARE_WINOGRAD;
    let product = winograd_tiled::product(conv);
    let (tile, _) = tile(&product, winograd_tile::Tile::Four.points() as u32, caps);
    if conv.macs() >= macs
        && conv.x.shape.c.min(conv.y.shape.c) >= channels
        && product.pixels() >= tile.pixels as usize
        && fits(winograd_tiled::id(tile))
    {
        return (winograd_tiled::id(tile), "many channels and tiles: a quarter of the multiplications");
    }
    let (tile, reason) = self::tile(conv, 1, caps);
    let terms = (conv.params.kernel * conv.params.kernel * conv.params.in_channels) as u32;
    let slices = (enough(caps) / tile.workgroups(conv)).min(terms / SLICE).min(8);
    if slices > 1 && terms - terms / slices >= SAVED && fits(sliced::id(tile, slices)) {
        return (sliced::id(tile, slices), "few pixels, long sums: slices of the sums fill the processors");
    }
    (tiled::id(tile), reason)
}

/// The largest tile that gives enough workgroups for `count` products like `conv`.
fn tile(conv: &Conv2d, count: u32, caps: &Caps) -> (Tile, &'static str) {
    let (channels, enough) = (conv.y.shape.c, enough(caps));
    let wide: &[Tile] = match channels {
        0..=32 => &[Tile::P128C32],
        33..=64 => &[Tile::P128C64],
        _ => &[Tile::P128C128, Tile::P128C64],
    };
    let fill =
        |tile: &Tile, enough: u32| conv.pixels() >= tile.pixels as usize && count * tile.workgroups(conv) >= enough;
    let held = wide.iter().find(|tile| tile.on(caps).is_some());
    match held.filter(|tile| fill(tile, enough)) {
        Some(&tile) if tile == wide[0] => (tile, "many pixels: the largest tile of this width"),
        Some(&tile) => (tile, "many pixels: the largest tile whose sums fit into the registers"),
        None if channels > 32 && fill(&Tile::P64C64, enough / 2) => match held {
            Some(_) => (Tile::P64C64, "the largest tile would leave processors idle"),
            None => (Tile::P64C64, "the largest tile whose sums fit into the registers"),
        },
        None => (Tile::P32C32, "few pixels: the smallest tile, each sum shared out in the workgroup"),
    }
}

/// When Winograd pays on llvmpipe, as measured. From this many channels on, its transforms cost less than they save; from this
/// many 4x4 tiles on, they are faster than 2x2 tiles.
const WINOGRAD_CHANNELS: usize = 64;
const WINOGRAD_TILES: u32 = 16;

fn software(conv: &Conv2d, caps: &Caps, fits: impl Fn(KernelId) -> bool) -> Rule {
    let Some(lanes) = caps.lanes() else {
        return (registers::ID, "software adapter: workgroup memory gains nothing");
    };
    use winograd_tile::Tile::{Four, Two};
    let tiles = [
        (Four, "software adapter, many channels and tiles: a quarter of the multiplications"),
        (Two, "software adapter, many channels, few pixels: 4/9 of the multiplications"),
    ];
    let many = winograd::dims(conv, Four).tiles >= WINOGRAD_TILES;
    for (tile, reason) in tiles.into_iter().skip(usize::from(!many)) {
        let winograd = winograd::id(tile, lanes);
        if conv.x.shape.c.min(conv.y.shape.c) >= WINOGRAD_CHANNELS && fits(winograd) {
            return (winograd, reason);
        }
    }
    (broadcast::id(lanes), "software adapter: a broadcast is cheaper than a load")
}
