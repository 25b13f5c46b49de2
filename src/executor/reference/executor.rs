//! The naive loops as an executor: the oracle, and the path without a GPU.

use crate::executor::Executor;
use crate::{
    Error, Result,
    check::{
        profile::Profile,
        verify::{Coverage, Verification},
    },
    executor::{DeviceInfo, Work, reference},
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, Tensor},
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
