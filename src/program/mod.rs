//! What the programs of this package share. For them alone: it reads the environment, and follows their options.

pub mod environment;
#[cfg(feature = "cli")]
pub mod svg;
