//! The naive loops as an executor: the oracle, and the path without a GPU.

use super::Executor;
use crate::{
    Error, Result,
    gpu::{DeviceInfo, Work},
    graph::ValueId,
    plan::Network,
    profile::Profile,
    reference,
    tensor::{Input, Shape, Tensor},
    verify::{Coverage, Verification},
};

/// The reference loops.
#[derive(Debug)]
pub(crate) struct Reference {
    device: DeviceInfo,
    network: Network,
}

impl Reference {
    /// The loops for `network`.
    pub(crate) fn new(network: Network) -> Self {
        Reference { device: DeviceInfo::reference(), network }
    }
}

impl Executor for Reference {
    fn device(&self) -> &DeviceInfo {
        &self.device
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn with(&self, network: Network) -> Box<dyn Executor> {
        Box::new(Reference::new(network))
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        let Reference { network, .. } = self;
        Box::pin(async move { reference::values(network.graph(), network.checkpoint(), &input.tensor(), wanted) })
    }

    fn verify(&self, _input: Shape, _coverage: Coverage) -> Work<'_, Result<Verification>> {
        Box::pin(async { Err(Error::NeedsGpu { what: "comparing a device with the CPU reference path" }) })
    }

    fn profile(&self, _input: Shape, _runs: usize) -> Work<'_, Result<Profile>> {
        Box::pin(async { Err(Error::NeedsGpu { what: "timing kernels" }) })
    }
}
