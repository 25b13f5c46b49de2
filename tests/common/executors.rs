//! Every executor of this machine, for tests that all of them must pass.

use std::{fmt, sync::Arc};

use residua::{
    Threads,
    checkpoint::Checkpoint,
    executor::{
        DeviceKind, Executor,
        gpu::{self, Device, plan::Options},
        on_cpu, on_cpu_names,
    },
    graph::{Graph, ValueId},
    network::Network,
    tensor::{Input, StorageType, Tensor},
};

use super::say;

/// This machine.
pub(crate) struct Machine {
    /// The best adapter, for tests about GPUs.
    pub(crate) device: Arc<Device>,
    /// All executors; adapters once for each precision that they have.
    pub(crate) executors: Vec<AnyExecutor>,
}

/// An executor that takes any network.
pub(crate) struct AnyExecutor {
    name: String,
    /// The type in which it stores values.
    pub(crate) stored: StorageType,
    /// Whether it takes seconds for a billion multiplications.
    pub(crate) slow: bool,
    open: Box<dyn Fn(Network) -> Box<dyn Executor>>,
}

impl fmt::Display for AnyExecutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", self.name, self.stored)
    }
}

impl AnyExecutor {
    /// The executor for `graph`, whose weights are in `checkpoint`.
    pub(crate) fn open(&self, graph: &Graph, checkpoint: &Checkpoint) -> Box<dyn Executor> {
        (self.open)(Network::new(graph.clone(), checkpoint.clone()))
    }

    /// The output of `graph` for `input`.
    pub(crate) fn output<'a>(&self, graph: &Graph, checkpoint: &Checkpoint, input: impl Into<Input<'a>>) -> Tensor {
        output(&*self.open(graph, checkpoint), input)
    }
}

/// The output of `executor`'s network for `input`.
pub(crate) fn output<'a>(executor: &dyn Executor, input: impl Into<Input<'a>>) -> Tensor {
    values(executor, input, &[executor.network().graph().output()]).remove(0)
}

/// The values `wanted` for `input`.
pub(crate) fn values<'a>(executor: &dyn Executor, input: impl Into<Input<'a>>, wanted: &[ValueId]) -> Vec<Tensor> {
    pollster::block_on(executor.values(input.into(), wanted)).unwrap()
}

/// The executors of this machine: those that need no adapter, and every adapter. Tests fail if there is no adapter.
pub(crate) fn machine() -> Machine {
    let device = super::device();
    let mut executors: Vec<AnyExecutor> = on_cpu_names()
        .map(|name| {
            let open = move |network| on_cpu(name, network, Threads::host());
            let nothing = Checkpoint::from_bytes("none", [&2_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
            let slow = open(Network::new(Graph::new(1), nothing)).info().kind == DeviceKind::Reference;
            AnyExecutor { name: name.into(), stored: StorageType::F32, slow, open: Box::new(open) }
        })
        .collect();
    for info in residua::devices() {
        let index = info.index.unwrap_or_default().to_string();
        let opened = if info == *device.info() {
            Ok(device.clone())
        } else {
            pollster::block_on(Device::open(&*index, Threads::host())).map(Arc::new)
        };
        let device = match opened {
            Ok(device) => device,
            Err(error) => {
                say(&format!("SKIPPED {}: {error}", info.name));
                continue;
            }
        };
        for stored in super::precisions(&device, "tests on every executor") {
            let device = device.clone();
            let open = move |network| -> Box<dyn Executor> {
                Box::new(gpu::Executor::new(device.clone(), network, Options::new(stored)))
            };
            executors.push(AnyExecutor { name: info.name.clone(), stored, slow: false, open: Box::new(open) });
        }
    }
    Machine { device, executors }
}
