//! What computes the values of a network: kernels on a device, or the reference loops.

use crate::{Error, Result, gpu::Executor, graph::ValueId, plan::Network, reference, tensor::Tensor};

/// What computes the values of a network.
#[derive(Debug)]
pub(crate) enum Backend {
    /// Kernels on a device.
    Gpu(Executor),
    /// The loops that the kernels are tested against.
    Reference(Network),
}

impl Backend {
    /// The network.
    pub(crate) fn network(&self) -> &Network {
        match self {
            Backend::Gpu(executor) => executor.network(),
            Backend::Reference(network) => network,
        }
    }

    /// Another network on the same device.
    pub(crate) fn with(&self, network: Network) -> Self {
        match self {
            Backend::Gpu(executor) => Backend::Gpu(executor.with(network)),
            Backend::Reference(_) => Backend::Reference(network),
        }
    }

    /// The values `wanted` for a normalised input, in that order.
    pub(crate) fn values(&self, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
        match self {
            Backend::Gpu(executor) => pollster::block_on(executor.values(input, wanted)),
            Backend::Reference(network) => reference::values(network.graph(), network.checkpoint(), input, wanted),
        }
    }

    /// What the network makes of a normalised input, finite throughout.
    pub(crate) fn output(&self, input: &Tensor) -> Result<Tensor> {
        let output = self.values(input, &[self.network().graph().output()])?.remove(0);
        check_output(&output)?;
        Ok(output)
    }
}

/// Whether what the network made of an input is finite throughout.
pub(crate) fn check_output(output: &Tensor) -> Result<()> {
    let len = output.shape.c * output.shape.pixels();
    match output.data.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(i) => Err(Error::NotFinite { image: i / len, index: i % len, value: output.data[i].to_string() }),
    }
}
