//! Image classification and embedding with residual networks, on any GPU (WGSL kernels on `wgpu`) or on the CPU.
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
//! bytes -> image ----------------------------------------------.
//! id -> hub -> checkpoint -> models -> graph -> network -> an executor -> values -> labels -> predictions
//!                                                      \-> reference | cpu | gpu
//! ```
//!
//! Modules above the executors do not depend on the device.
//!
//! | module | provides | may use |
//! |---|---|---|
//! | [`error`], [`tensor`] | errors with codes; shapes, tensors, batches of pixels | nothing |
//! | [`image`] | bytes to [`Pixels`]: recognise, decode, turn upright, resize, crop; a model's preprocessing | nothing |
//! | `hub` (feature `hub`) | a name to a folder, from Python's cache or the network | nothing |
//! | `folder` (feature `folder`) | the images in a folder and the folders below it | `image` |
//! | `files` | writing files completely or not at all | nothing |
//! | `labels` | scores, names | nothing |
//! | [`graph`] | operators, nodes, shapes | nothing |
//! | `structure` | properties of a network that a configuration or the caller states, because no tensor shows them | `graph` |
//! | [`checkpoint`] | names to tensors, configurations; tensors to a file | `image`, for the preprocessing; `labels`, for the forms of class names; `structure`, for what a configuration states; `files` |
//! | `models` | the [`Graph`](graph::Graph) of a checkpoint: recognised from the tensors' names and shapes, or by name | `graph`, `structure` |
//! | `network` | fused layers, folded batch norm, transforms of weights: the same for every device | `graph`, `checkpoint` |
//! | `executor` | the trait of executors, which compute networks; the executors that need no adapter; kinds of devices, steps, memory footprints, faults | `graph`, `network` |
//! | `executor::reference` | every value of a graph by naive loops: the oracle for all other executors | `graph`, `checkpoint` |
//! | `executor::cpu` | a network on the processor's vector units, in blocks of channels: the path without a GPU | `graph`, `checkpoint`, `network` |
//! | `executor::gpu::kernels` | the catalogue: one file and one shader for each kernel | `graph`, `network` |
//! | `executor::gpu::plan` | a network compiled for a device, as data: kernels with reasons, buffers, packed weights | `kernels`, `network` |
//! | `executor::gpu` | runs a plan in one submission, or in several if it takes long; the only module that uses `wgpu` | `plan`, `kernels`, `cache` |
//! | `cache` | files that make the next start faster | nothing |
//! | `workers` | threads that are reused | nothing |
//! | `check` | verify, profile, tune, self-test | executors |
//! | `search`, `explain` | exact similarity search and its index; heat maps | as needed |
//! | `note` | something that the user should know about an open model: a [`Note`] | nothing |
//! | `model_info` | what is known about an open model: [`ModelInfo`] | `image`, `labels`, `checkpoint`, `models` |
//! | `open` | [`Builder`]: from a name to a classifier | all above |
//! | `classifier`, `photos`, `blocking` | the whole path in order ([`Classifier`]); files as its input; blocking versions of its calls | all above |
//! | [`learn`] (feature `fit`) | heads fitted to features, in f64; how well a classifier does | `labels`, for scores |
//! | `fit` (feature `fit`) | a network with a new head, and the file that it is saved to | all of the path, `learn` |
//! | [`stream`] | many images: decoded ahead, run in batches, back in order, each with its result or its error | `classifier`, `image`, `workers` |
//! | `program` (feature `cli`, hidden) | code that the programs share: the cache's folder, the adapter that the environment names, drawing | `executor::gpu` |
//! | `cli/`, `bin/` | the commands | the public library |
//!
//! `tests/layering.rs` enforces the last column.
//!
//! # How it runs
//!
//! * **Open**: [`Builder`] collects the settings, and each file of `open` does one step. `located` finds the weights, and reads their
//!   headers and the configuration beside them. `recognised` finds the architecture from the tensors, builds its graph, compares both with
//!   the configuration, and reads and checks the weights, each once. `described` decides how photos become the input and how logits become
//!   scores. Meanwhile the device is opened. `prepared` runs the device's `selftest`, gets measured times from `tune`, and makes the
//!   executor, which compiles the kernels and uploads the weights. A [`Note`] records anything that the user should know.
//! * **Infer**: [`image`] decodes and crops. [`Classifier`] makes one batch of the crops. The executor plans the batch, uploads
//!   it, runs it and reads back the logits. `labels` turns them into scores and names.
//! * **Wait**: all of this is asynchronous, and only `blocking` blocks a thread. A [`Host`] provides `executor::gpu` with a clock and
//!   threads.
//!

#[cfg(not(target_family = "wasm"))]
mod blocking;
#[doc(hidden)]
pub mod cache;
#[doc(hidden)]
pub mod check;
pub mod checkpoint;
mod classifier;
pub mod error;
#[doc(hidden)]
pub mod executor;
#[doc(hidden)]
pub mod explain;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod files;
#[cfg(all(feature = "fit", not(target_family = "wasm")))]
mod fit;
#[cfg(feature = "folder")]
#[doc(hidden)]
pub mod folder;
pub mod graph;
#[cfg(feature = "hub")]
pub mod hub;
pub mod image;
#[doc(hidden)]
pub mod labels;
#[cfg(all(feature = "fit", not(target_family = "wasm")))]
pub mod learn;
mod model_info;
#[doc(hidden)]
pub mod models;
#[doc(hidden)]
pub mod network;
mod note;
mod open;
#[cfg(not(target_family = "wasm"))]
mod photos;
#[cfg(feature = "environment")]
#[doc(hidden)]
pub mod program;
#[doc(hidden)]
pub mod search;
#[cfg(not(target_family = "wasm"))]
pub mod stream;
#[doc(hidden)]
pub mod structure;
pub mod tensor;
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub mod workers;

#[cfg(not(target_family = "wasm"))]
pub use blocking::{Threads, devices};
pub use check::{
    profile::Profile,
    verify::{Coverage, LayerCheck, Verification},
};
pub use classifier::Classifier;
pub use error::{Error, Result};
pub use executor::{DeviceInfo, DeviceKind, Host, Task, Work};
pub use explain::Explanation;
pub use image::Pixels;
pub use labels::{Class, Labels, Prediction};
pub use model_info::ModelInfo;
pub use note::Note;
pub use open::{builder::Builder, settings::Precision};
pub use search::{Similarities, cosine};
pub use structure::Structure;
