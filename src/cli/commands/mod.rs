//! The commands, one file each.

pub(crate) mod classify;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod devices;
pub(crate) mod doctor;
mod duplicates;
pub(crate) mod embed;
pub(crate) mod evaluate;
pub(crate) mod explain;
pub(crate) mod fit;
pub(crate) mod info;
pub(crate) mod logits;
pub(crate) mod preprocess;
pub(crate) mod profile;
pub(crate) mod pull;
pub(crate) mod similar;
pub(crate) mod verify;

use std::{
    fmt,
    io::{self, Write},
};

/// One line of a two-column listing. The first column has room for the longest name, `  standardised-weights`.
pub(crate) fn row(out: &mut dyn Write, name: &str, value: impl fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<22} {value}")
}
