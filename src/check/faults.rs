//! Keeps the kernels that [`verify`](super::verify) found wrong in the cache folder, for later starts.

use std::{io, path::Path};

use super::verify::Fault;
use crate::{Error, Result, cache::Cache, executor::DeviceInfo};

const FILE: &str = "faults.json";

/// Largest file to read, in bytes.
const MAX_FILE: u64 = 8 << 20;

/// The faults found on any device, for [`Builder::faults`](crate::Builder::faults). A file that is missing or has another version
/// counts as empty.
pub fn known(cache: &Path) -> Vec<Fault> {
    let text = Cache::new(cache).read_text(FILE, MAX_FILE).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Replaces the faults of `device` with its present driver. Writes only if something changes.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written. The reason is logged.
pub fn record(cache: &Path, device: &DeviceInfo, found: &[Fault]) -> Result<()> {
    let before = known(cache);
    let others = before.iter().filter(|fault| (&fault.device, &fault.driver) != (&device.name, &device.driver));
    let after: Vec<&Fault> = others.chain(found).collect();
    if after.iter().copied().eq(&before) {
        return Ok(());
    }
    let failed = |error: &io::Error| Error::io(cache.join(FILE), error);
    let text = serde_json::to_string_pretty(&after).map_err(|error| failed(&error.into()))?;
    let written = Cache::new(cache).write_text(FILE, &text);
    written.then_some(()).ok_or_else(|| failed(&io::Error::other("it cannot be written")))
}
