//! Code that only the programs of this package share: it reads the environment and follows their options.

pub mod environment;
#[cfg(feature = "cli")]
pub mod svg;
