//! Describes a device for people.

use std::fmt;

/// A device: an adapter, or the CPU.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// Position in [`devices`](crate::devices); `None` without an adapter.
    pub index: Option<usize>,
    /// Name, from the driver.
    pub name: String,
    /// `vulkan`, `metal`, `dx12`, or `cpu` without an adapter.
    pub backend: String,
    /// Driver name and version.
    pub driver: String,
    /// Kind of device.
    pub kind: DeviceKind,
}

/// Kinds of devices, in the order in which `auto` prefers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DeviceKind {
    /// A graphics card.
    DiscreteGpu,
    /// A GPU that shares its memory with the CPU.
    IntegratedGpu,
    /// A part of a GPU, lent to a virtual machine.
    VirtualGpu,
    /// An adapter of unknown kind.
    Other,
    /// The CPU's vector units, without an adapter.
    Cpu,
    /// An adapter that runs on the CPU, such as llvmpipe.
    Software,
    /// The reference loops on the CPU, without an adapter.
    Reference,
}

impl DeviceInfo {
    /// The CPU, with the name of its vector instructions and the number of threads.
    #[cfg(not(target_family = "wasm"))]
    pub(super) fn cpu(vectors: &str, threads: usize) -> Self {
        let threads = if threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
        DeviceInfo {
            index: None,
            name: "cpu".into(),
            backend: "cpu".into(),
            driver: format!("{vectors}, {threads}"),
            kind: DeviceKind::Cpu,
        }
    }

    /// The reference loops.
    #[doc(hidden)]
    pub fn reference() -> Self {
        DeviceInfo {
            index: None,
            name: "reference".into(),
            backend: "cpu".into(),
            driver: "residua reference loops".into(),
            kind: DeviceKind::Reference,
        }
    }
}

impl DeviceKind {
    /// Whether the device runs on the CPU.
    #[doc(hidden)]
    pub fn software(self) -> bool {
        matches!(self, DeviceKind::Cpu | DeviceKind::Software | DeviceKind::Reference)
    }
}

impl fmt::Display for DeviceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DeviceKind::DiscreteGpu => "discrete GPU",
            DeviceKind::IntegratedGpu => "integrated GPU",
            DeviceKind::VirtualGpu => "virtual GPU",
            DeviceKind::Other => "other",
            DeviceKind::Cpu => "CPU",
            DeviceKind::Software => "software (CPU)",
            DeviceKind::Reference => "reference",
        })
    }
}
