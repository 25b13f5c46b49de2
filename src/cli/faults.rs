//! The kernels that `residua verify` found to be wrong, kept between runs.

use std::{fs, path::PathBuf};

use residua::{DeviceInfo, Error, check::verify::Fault};

use super::{cache, write_file};

fn file() -> Option<PathBuf> {
    Some(cache::folder()?.join("faults.json"))
}

/// What earlier runs found, on any device. A file that is missing, or of another version, says nothing.
pub(super) fn known() -> Vec<Fault> {
    let text = file().and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Replaces what is known of `device` with its present driver. Nothing is written where nothing changes.
pub(super) fn record(device: &DeviceInfo, found: &[Fault]) -> Result<(), Error> {
    let Some(path) = file() else { return Ok(()) };
    let before = known();
    let others = before.iter().filter(|fault| (&fault.device, &fault.driver) != (&device.name, &device.driver));
    let after: Vec<&Fault> = others.chain(found).collect();
    if after.iter().copied().eq(&before) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, &error))?;
    }
    let text = serde_json::to_string_pretty(&after).map_err(|error| Error::io(&path, &error.into()))?;
    write_file(&path, text.as_bytes())
}
