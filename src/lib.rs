//! residua
#![allow(missing_docs, reason = "x")]
pub mod checkpoint;
pub mod error;
pub mod gpu;
pub mod graph;
pub mod image;
pub mod kernels;
pub mod plan;
pub mod tensor;
pub use error::{Error, Result};
