//! The variables of the environment that the programs obey.

use std::{env, path::PathBuf};

use etcetera::BaseStrategy;

use crate::{Result, executor::gpu::Wanted};

/// Where the programs keep files between runs: `residua` in the system's folder for caches (`$XDG_CACHE_HOME` or `~/.cache` on Linux,
/// `~/Library/Caches` on macOS, `%LOCALAPPDATA%` on Windows). None if there is no home.
pub fn cache_folder() -> Option<PathBuf> {
    Some(etcetera::base_strategy::choose_native_strategy().ok()?.cache_dir().join("residua"))
}

/// The adapter that `device` names, or else the environment.
///
/// # Errors
/// Those of [`Wanted::from_vars`]; for `cpu` no variable is read.
pub fn wanted(device: Option<&str>) -> Result<Wanted> {
    match device.map(|device| (Wanted::from(device), device)) {
        Some((cpu, _)) if cpu.is_cpu() => Ok(cpu),
        Some((_, device)) => Ok(Wanted::from_vars(|name| env::var_os(name))?.device(device)),
        None => Wanted::from_vars(|name| env::var_os(name)),
    }
}

/// A note on variables that wgpu knows and that are not obeyed here, if any are set.
pub fn note() -> Option<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut others: Vec<String> = names.filter(|name| name.starts_with("WGPU_")).collect();
    others.retain(|name| name != "WGPU_ADAPTER_NAME" && name != "WGPU_BACKEND");
    others.sort();
    let verb = if others.len() == 1 { "is" } else { "are" };
    let others = Some(others.join(", ")).filter(|others| !others.is_empty())?;
    Some(format!("{others} {verb} set, and residua obeys WGPU_ADAPTER_NAME and WGPU_BACKEND alone of wgpu's variables"))
}
