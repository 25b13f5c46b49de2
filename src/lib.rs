//! Image classification with residual networks on any GPU: hand-written WGSL kernels on `wgpu`.
//!
//! ```
//! # fn main() -> residua::Result<()> {
//! let classifier = residua::Classifier::open("builtin")?;
//! let prediction = classifier.infer_path("tests/images/ship.png")?;
//! for class in prediction.top(3) {
//!     println!("{:6.2} % {}", 100.0 * class.score, class.label);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # The path of an image
//!
//! ```text
//! image -> preprocess -> [ checkpoint -> model -> graph -> plan ] -> gpu -> logits -> labels
//! ```
//!
//! | stage | yields | module | knows |
//! |---|---|---|---|
//! | decode, resize, crop | [`Pixels`], [`PixelBatch`](tensor::PixelBatch): bytes, and the number that each stands for | [`image`] | nothing |
//! | checkpoint | names to tensors, configuration | [`checkpoint`] | `image`, for the preprocessing a model wants; `labels`, for the forms of class names; `structure`, for what a configuration states |
//! | hub | a folder with a checkpoint and its configuration, by name out of Python's cache or from the network | `hub` (feature `hub`) | nothing |
//! | model | [`Graph`](graph::Graph), from the tensors' names and shapes, and from what they do not show | [`models`] | `graph`, `structure` |
//! | graph | nodes, shapes | [`graph`] | nothing |
//! | reference | every value of a graph by naive loops: the oracle, and the path without a GPU | [`reference`](mod@reference) | `graph`, `checkpoint` |
//! | plan | [`Plan`](plan::Plan): fused layers, kernels with reasons, buffers, packed weights | [`plan`] | `graph`, `checkpoint`, `kernels` |
//! | kernels | the catalogue: what each kernel computes, its id, what is compiled, extents, grid | [`kernels`] | `graph` |
//! | gpu | runs a plan in one submission, or in several where that takes long, and gets the next run ready meanwhile; alone names `wgpu` | [`gpu`] | `graph`, `plan`, `kernels`, `cache` |
//! | cache | files that make the next start faster | [`cache`] | nothing |
//! | structure | what is stated of a network and no tensor shows | [`structure`] | `graph` |
//! | labels | scores, names | [`labels`] | nothing |
//! | executor | what computes the values of a network: a trait, and its implementations by `gpu` and by `reference` | `executor` | `gpu`, `reference`, `verify`, `profile` and what they know |
//! | stream | many images: decoded ahead, run in batches, back in order, each with its result or its error | [`stream`] | `classifier`, `image` |
//! | classifier | the whole path in order ([`Classifier`]), how to open it ([`Builder`]), files as its input, the blocking twins of its calls, what a model's name stands for, [`verify`] layer by layer, [`tune`] by measuring kernels, [`profile`] by time, [`explain`] by heat maps, exact search among features and their [`index`] | `classifier`, `builder`, `photos`, `blocking`, `source`, `verify`, `tune`, `profile`, `explain`, `search`, `index` | everything |
//!
//! # The walk
//!
//! * **Open**: [`Builder`] holds the settings. `source` finds the weights and what lies beside them, `models` recognises the
//!   architecture, `structure` adds what no tensor shows, and the device is opened at the same time. `selftest` checks the device,
//!   `tune` hands over measured times, and an executor takes the network.
//! * **Infer**: [`image`] decodes and crops, [`Classifier`] makes one batch of the crops, the executor plans it, uploads it, submits it
//!   and reads the logits back, and [`labels`] turns them into scores and names.
//! * **Waiting**: all of this is asynchronous. A thread waits in `blocking` only; a [`Host`](gpu::Host) lends the GPU room its clock and
//!   its threads.
//!
//! [`error`] and [`tensor`] are open to all. `tests/layering.rs` enforces the last column.

#[cfg(not(target_family = "wasm"))]
mod blocking;
mod builder;
pub mod cache;
pub mod checkpoint;
mod classifier;
pub mod error;
mod executor;
pub mod explain;
pub mod gpu;
pub mod graph;
#[cfg(feature = "hub")]
pub mod hub;
pub mod image;
pub mod index;
pub mod kernels;
pub mod labels;
pub mod models;
#[cfg(not(target_family = "wasm"))]
mod photos;
pub mod plan;
pub mod profile;
pub mod reference;
mod search;
mod selftest;
mod source;
#[cfg(not(target_family = "wasm"))]
pub mod stream;
pub mod structure;
pub mod tensor;
pub mod tune;
pub mod verify;

#[cfg(not(target_family = "wasm"))]
pub use blocking::{Threads, devices};
pub use builder::{Builder, Precision};
pub use classifier::{Classifier, ModelInfo};
pub use error::{Error, Result};
pub use explain::Explanation;
pub use gpu::DeviceInfo;
pub use image::Pixels;
pub use labels::{Class, Labels, Prediction};
pub use search::{Similarities, cosine};
pub use structure::Structure;
