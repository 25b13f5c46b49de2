//! A network compiled for a device, as data. Passes, in order: `block` joins two layers if one dispatch can compute both;
//! `select` chooses a kernel for each layer, with a reason, by measurements (`candidates`, `timings`) or by `rules`; `place`
//! gives every value a place in a buffer of `executor::memory`; `lower` turns layers into dispatches; `pixels` prepends the one
//! that normalises photos. `packing` fills the arrays of weights. Nothing here touches a device, so a plan can be printed and
//! tested without one.

mod block;
mod candidates;
mod lower;
mod options;
mod packing;
mod passes;
mod pixels;
mod place;
mod problem;
mod rules;
mod select;
mod single;
mod timings;
mod types;

pub use candidates::Candidates;
pub use options::Options;
pub use packing::pack;
pub(crate) use packing::{beyond_f16, packed};
pub use passes::{cases, kernels};
pub use single::SingleLayer;
pub use timings::{Case, Reason, Table, Timing, bucket, shipped};
pub(crate) use types::RUNS;
use types::limit;
pub use types::{Operand, Placed, Plan, Step, WeightsId};
