//! Kernels found to be wrong on a device.

use serde::{Deserialize, Serialize};

use super::DeviceInfo;
use crate::tensor::StorageType;

/// A kernel that computes wrong values on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Fault {
    /// Name of the device.
    pub device: String,
    /// Driver of the device.
    pub driver: String,
    /// Checksum of the verified kernels, such as [`checksum`](super::gpu::kernels::checksum) of the shaders.
    pub code: String,
    /// Id of the kernel.
    pub kernel: String,
    /// Storage precision in which the kernel is wrong.
    pub stored: StorageType,
}

impl Fault {
    /// The fault that `kernel`, of the kernels with checksum `code`, is wrong on `device` in precision `stored`.
    pub fn new(device: &DeviceInfo, code: String, kernel: String, stored: StorageType) -> Self {
        Fault { device: device.name.clone(), driver: device.driver.clone(), code, kernel, stored }
    }

    /// Whether it was found on `device` with its present driver and with kernels of the checksum `code`.
    pub fn concerns(&self, device: &DeviceInfo, code: &str) -> bool {
        (&self.device, &self.driver) == (&device.name, &device.driver) && self.code == code
    }
}
