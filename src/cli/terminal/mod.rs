//! The person at the terminal and the process's environment.

pub(crate) mod download;
pub(crate) mod interrupt;
pub(crate) mod notes;
pub(crate) mod progress;
pub(crate) mod tuning;
