//! Where files are kept between runs.

use std::{env, path::PathBuf};

/// residua's own: `$XDG_CACHE_HOME/residua`, else `~/.cache/residua`.
pub(crate) fn folder() -> Option<PathBuf> {
    Some(base()?.join("residua"))
}

fn base() -> Option<PathBuf> {
    set("XDG_CACHE_HOME").or_else(|| Some(env::home_dir()?.join(".cache")))
}

/// A variable that is there and not empty.
fn set(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}
