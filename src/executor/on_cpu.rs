//! The executors that need no adapter, in one list.

use std::sync::Arc;

#[cfg(not(target_family = "wasm"))]
use super::cpu::Cpu;
use super::{DeviceInfo, Executor, Host, reference::executor::Reference};
use crate::network::Network;

/// An executor that needs no adapter.
struct OnCpu {
    /// Its name as a device.
    name: &'static str,
    /// Describes it on a machine.
    info: fn(&dyn Host) -> DeviceInfo,
    /// Opens it for a network, on a machine with this clock and these threads.
    open: fn(Network, Arc<dyn Host>) -> Box<dyn Executor>,
}

/// All of them. The first one is used if there is no adapter.
const ON_CPU: &[OnCpu] = &[
    #[cfg(not(target_family = "wasm"))]
    OnCpu { name: "cpu", info: Cpu::device, open: Cpu::open },
    OnCpu { name: "reference", info: |_| DeviceInfo::reference(), open: Reference::open },
];

/// Their names.
pub fn on_cpu_names() -> impl Iterator<Item = &'static str> {
    ON_CPU.iter().map(|executor| executor.name)
}

/// Describes them on a machine, in the order of their names.
#[doc(hidden)]
pub fn on_cpu_devices(host: &dyn Host) -> impl Iterator<Item = DeviceInfo> {
    ON_CPU.iter().map(|executor| (executor.info)(host))
}

/// The executor of that name for `network`; the first one if none has that name.
#[doc(hidden)]
pub fn on_cpu(name: &str, network: Network, host: Arc<dyn Host>) -> Box<dyn Executor> {
    let executor = ON_CPU.iter().find(|executor| executor.name == name).unwrap_or(&ON_CPU[0]);
    (executor.open)(network, host)
}
