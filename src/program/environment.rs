//! The environment variables that the programs obey.

use std::{env, path::PathBuf};

use etcetera::BaseStrategy;

use crate::{Result, executor::gpu::Wanted};

/// The folder for files kept between runs: `residua` in the system's cache folder (`$XDG_CACHE_HOME` or `~/.cache` on Linux,
/// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows). `None` without a home folder.
pub fn cache_folder() -> Option<PathBuf> {
    Some(etcetera::base_strategy::choose_native_strategy().ok()?.cache_dir().join("residua"))
}

/// The adapter that `device` names, or else the one that the environment names.
///
/// # Errors
/// The errors of [`Wanted::from_vars`]; for `cpu` no variable is read.
pub fn wanted(device: Option<&str>) -> Result<Wanted> {
    match device.map(|device| (Wanted::from(device), device)) {
        Some((cpu, _)) if cpu.is_cpu() => Ok(cpu),
        Some((_, device)) => Ok(Wanted::from_vars(|name| env::var_os(name))?.device(device)),
        None => Wanted::from_vars(|name| env::var_os(name)),
    }
}

/// A note about set variables that wgpu knows but residua ignores, if there are any.
pub fn note() -> Option<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut others: Vec<String> = names.filter(|name| name.starts_with("WGPU_")).collect();
    others.retain(|name| name != "WGPU_ADAPTER_NAME" && name != "WGPU_BACKEND");
    others.sort();
    let verb = if others.len() == 1 { "is" } else { "are" };
    let others = Some(others.join(", ")).filter(|others| !others.is_empty())?;
    Some(format!("{others} {verb} set, but of wgpu's variables residua obeys only WGPU_ADAPTER_NAME and WGPU_BACKEND"))
}
