//! The executors that need no adapter, in one list.

use std::sync::Arc;

#[cfg(not(target_family = "wasm"))]
use super::cpu::Cpu;
use super::{Executor, Host, reference::executor::Reference};
use crate::network::Network;

/// Opens an executor for a network, on a machine with this clock and these threads.
type Open = fn(Network, Arc<dyn Host>) -> Box<dyn Executor>;

/// Each with the name that asks for it as a device. The first one serves where there is no adapter.
const ON_CPU: &[(&str, Open)] = &[
    #[cfg(not(target_family = "wasm"))]
    ("cpu", Cpu::open),
    ("reference", Reference::open),
];

/// Their names.
pub fn on_cpu_names() -> impl Iterator<Item = &'static str> {
    ON_CPU.iter().map(|(name, _)| *name)
}

/// The one of that name for `network`; the first one if none has that name.
#[doc(hidden)]
pub fn on_cpu(name: &str, network: Network, host: Arc<dyn Host>) -> Box<dyn Executor> {
    let (_, open) = ON_CPU.iter().find(|(other, _)| *other == name).unwrap_or(&ON_CPU[0]);
    open(network, host)
}
