//! What was found to be wrong on a device.

use serde::{Deserialize, Serialize};

use super::DeviceInfo;
use crate::tensor::StorageType;

/// A kernel that yields wrong values on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// Name of the device.
    pub device: String,
    /// Its driver.
    pub driver: String,
    /// Checksum of the kernels that were verified, such as [`checksum`](super::gpu::kernels::checksum) of the shaders.
    pub code: String,
    /// The kernel's id.
    pub kernel: String,
    /// The storage precision in which it is wrong.
    pub stored: StorageType,
}

impl Fault {
    /// `kernel` is wrong on `device` in `stored`, with kernels of the checksum `code`.
    pub fn new(device: &DeviceInfo, code: String, kernel: String, stored: StorageType) -> Self {
        Fault { device: device.name.clone(), driver: device.driver.clone(), code, kernel, stored }
    }

    /// It was found on `device`, with the driver that is there now and kernels of the checksum `code`.
    pub fn concerns(&self, device: &DeviceInfo, code: &str) -> bool {
        (&self.device, &self.driver) == (&device.name, &device.driver) && self.code == code
    }
}
