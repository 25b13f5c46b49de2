//! The reference loops as an executor: the oracle of all comparisons.

use std::sync::Arc;

use crate::{
    Result,
    executor::{DeviceInfo, Executor, Host, StepInfo, Times, Work, reference},
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, Tensor},
};

/// The reference loops.
#[derive(Debug)]
pub(crate) struct Reference {
    info: DeviceInfo,
    network: Network,
    host: Arc<dyn Host>,
}

impl Reference {
    /// An executor for `network`, timed by the clock of `host`.
    pub(crate) fn new(network: Network, host: Arc<dyn Host>) -> Self {
        Reference { info: DeviceInfo::reference(), network, host }
    }

    /// The same, boxed.
    pub(crate) fn open(network: Network, host: Arc<dyn Host>) -> Box<dyn Executor> {
        Box::new(Reference::new(network, host))
    }
}

impl Executor for Reference {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn with_network(&self, network: Network) -> Box<dyn Executor> {
        Reference::open(network, self.host.clone())
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        let Reference { network, .. } = self;
        Box::pin(async move { reference::values(network.graph(), network.checkpoint(), &input.tensor(), wanted) })
    }

    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, Result<Times>> {
        let (graph, checkpoint) = (self.network.graph(), self.network.checkpoint());
        Box::pin(async move {
            let steps = StepInfo::of_nodes(graph, input.shape)?;
            let run = |_| reference::times(graph, checkpoint, input, || self.host.now());
            let runs: Vec<_> = (0..runs.max(1)).map(run).collect::<Result<_>>()?;
            Ok(Times::medians("the host's clock around each operator", steps, &runs))
        })
    }

    /// Every node, since nothing is fused.
    fn layers(&self, _input: Shape) -> Result<Vec<ValueId>> {
        Ok((1..self.network.graph().nodes().len()).map(ValueId).collect())
    }
}
