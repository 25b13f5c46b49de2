//! Notes, progress and Ctrl-C.

pub(crate) mod download;
pub(crate) mod interrupt;
pub(crate) mod notes;
pub(crate) mod progress;
pub(crate) mod tuning;
