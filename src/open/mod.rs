//! From a model's name to a classifier: the settings, and where the files are.

pub(crate) mod builder;
pub(crate) mod source;
