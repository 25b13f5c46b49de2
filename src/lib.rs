//! Image classification with residual networks on any GPU: hand-written WGSL kernels on `wgpu`.
//!
//! ```
//! # fn main() -> residua::Result<()> {
//! let photo = image::DynamicImage::new_rgb8(640, 480); // or image::open("photo.jpg")
//! let classifier = residua::Classifier::open("builtin")?;
//! let prediction = classifier.infer(&photo)?;
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
//! | checkpoint | names to tensors, configuration | [`checkpoint`] | `image`, for the preprocessing a model wants |
//! | hub | a folder with a checkpoint and its configuration, by name out of Python's cache or from the network | `hub` (feature `hub`) | nothing |
//! | model | [`Graph`](graph::Graph), from the tensors' names and shapes | [`models`] | `graph` |
//! | graph | nodes, shapes | [`graph`] | nothing |
//! | reference | every value of a graph by naive loops: the oracle, and the path without a GPU | [`reference`](mod@reference) | `graph`, `checkpoint` |
//! | plan | [`Plan`](plan::Plan): fused layers, kernels with reasons, buffers, packed weights | [`plan`] | `graph`, `checkpoint`, `kernels` |
//! | kernels | the catalogue: what each kernel computes, its id, what is compiled, extents, grid | [`kernels`] | `graph` |
//! | gpu | runs a plan in one submission, or in several where that takes long, and gets the next run ready meanwhile; alone names `wgpu` | [`gpu`] | `graph`, `plan`, `kernels`, `cache` |
//! | cache | files that make the next start faster | [`cache`] | nothing |
//! | labels | scores, names | [`labels`] | nothing |
//! | classifier | the whole path in order ([`Classifier`]), how to open it ([`Builder`]), what a model's name stands for, [`verify`] layer by layer, [`tune`] by measuring kernels, [`profile`] by time, [`explain`] by heat maps, exact search among features and their [`index`] | `classifier`, `builder`, `backend`, `source`, `verify`, `tune`, `profile`, `explain`, `search`, `index` | everything |
//!
//! [`error`] and [`tensor`] are open to all. `tests/layering.rs` enforces the last column.

mod backend;
mod builder;
pub mod cache;
pub mod checkpoint;
mod classifier;
pub mod error;
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
pub mod plan;
pub mod profile;
pub mod reference;
mod search;
mod selftest;
mod source;
pub mod tensor;
pub mod tune;
pub mod verify;

pub use builder::{Builder, Precision, devices};
pub use classifier::{Classifier, ModelInfo};
pub use error::{Error, Result};
pub use explain::Explanation;
pub use gpu::DeviceInfo;
pub use image::Pixels;
pub use labels::{Class, Labels, Prediction};
pub use search::Products;
