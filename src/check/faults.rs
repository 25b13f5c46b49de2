//! The kernels that [`verify`](super::verify) found to be wrong, kept in the folder of a cache from one start to the next.

use std::{io, path::Path};

use super::verify::Fault;
use crate::{Error, Result, cache::Cache, executor::DeviceInfo};

const FILE: &str = "faults.json";

/// Largest file that is read, bytes.
const MAX_FILE: u64 = 8 << 20;

/// What was found on any device, for [`Builder::faults`](crate::Builder::faults). A file that is missing, or of another version, says
/// nothing.
pub fn known(cache: &Path) -> Vec<Fault> {
    let text = Cache::new(cache).read_text(FILE, MAX_FILE).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// Replaces what is known of `device` with its present driver. Nothing is written where nothing changes.
///
/// # Errors
/// [`Error::Io`] if the file cannot be written; the log has the reason.
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
