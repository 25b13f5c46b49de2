//! The variables of the environment that programs on wgpu obey.

use std::env;

use residua::{Result, executor::gpu::Wanted};

/// The adapter that `device` names, or else the environment.
pub(crate) fn wanted(device: Option<&str>) -> Result<Wanted> {
    match device {
        // Then no adapter is looked for.
        Some("cpu") => Ok(Wanted::from("cpu")),
        Some(device) => Ok(Wanted::from_vars(|name| env::var_os(name))?.device(device)),
        None => Wanted::from_vars(|name| env::var_os(name)),
    }
}

/// What to tell of variables that wgpu knows and that are not obeyed here, if any are set.
pub(crate) fn note() -> Option<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut others: Vec<String> = names.filter(|name| name.starts_with("WGPU_")).collect();
    others.retain(|name| name != "WGPU_ADAPTER_NAME" && name != "WGPU_BACKEND");
    others.sort();
    let verb = if others.len() == 1 { "is" } else { "are" };
    let others = Some(others.join(", ")).filter(|others| !others.is_empty())?;
    Some(format!("{others} {verb} set, and residua obeys WGPU_ADAPTER_NAME and WGPU_BACKEND alone of wgpu's variables"))
}
