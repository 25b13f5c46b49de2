//! Keeps the kernels that `residua verify` found wrong, between runs.

use residua::{
    DeviceInfo, Error,
    check::{faults, verify::Fault},
    program::environment::cache_folder,
};

/// The faults that earlier runs found, on any device.
pub(crate) fn known() -> Vec<Fault> {
    cache_folder().map(|folder| faults::known(&folder)).unwrap_or_default()
}

/// Replaces the faults of `device` with its present driver.
pub(crate) fn record(device: &DeviceInfo, found: &[Fault]) -> Result<(), Error> {
    cache_folder().map_or(Ok(()), |folder| faults::record(&folder, device, found))
}
