//! A graph made ready for a device, as data: `commute` and `fuse` make layers out of nodes, `select` chooses a kernel for each layer
//! with a reason, by measurements (`candidates`, `timings`) or by `rules`, `block` makes one layer of two where one dispatch serves both,
//! `place` gives every value a place in a buffer of `memory`, `lower` turns layers into dispatches, `pixels` puts one in front for photos,
//! `packing` fills the arrays of weights. Nothing here touches a device, so a plan can be printed and tested without one.

mod block;
mod candidates;
mod commute;
mod fuse;
mod lower;
mod memory;
mod network;
mod options;
mod packing;
mod pixels;
mod place;
mod problem;
mod rules;
mod select;
mod single;
mod timings;
mod types;

pub use candidates::Candidates;
pub use fuse::{Addend, ConvWeights, Epilogue, Fused, Layer, LayerOp, Norm, Subsample, fuse};
pub use memory::{Footprint, Layout, Lifetime, assign, live};
pub use network::Network;
pub use options::Options;
pub use single::SingleLayer;
pub use timings::{Case, Reason, Table, Timing, bucket, shipped};
pub(crate) use types::RUNS;
use types::limit;
pub use types::{Operand, Placed, Plan, Step, WeightsId};
