//! Kernels on a device as an executor.

use crate::{
    Note, Result,
    check::{
        profile::{self, Profile},
        verify::{self, Coverage, Verification},
    },
    executor::{
        DeviceInfo, Executor, Footprint, Work,
        gpu::{self, plan::Options},
    },
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

impl Executor for gpu::Executor {
    fn device(&self) -> &DeviceInfo {
        self.device().info()
    }

    fn network(&self) -> &Network {
        self.network()
    }

    fn with(&self, network: Network) -> Box<dyn Executor> {
        Box::new(self.with(network))
    }

    fn chosen_for(&self, images: usize) -> Option<Box<dyn Executor>> {
        let options = Some(self.options()).filter(|options| options.chosen_for.is_none())?;
        Some(Box::new(self.planned(Options { chosen_for: Some(images), ..options })))
    }

    fn stored(&self) -> StorageType {
        self.stored()
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        Box::pin(self.values(input, wanted))
    }

    fn trace<'a>(&'a self, input: &'a Tensor) -> Work<'a, Result<Vec<(ValueId, Tensor)>>> {
        Box::pin(self.trace(input))
    }

    fn footprint(&self, input: Shape) -> Result<Option<Footprint>> {
        Ok(Some(self.plan(input)?.footprint))
    }

    fn activation_bytes(&self, input: Shape) -> Result<u64> {
        Ok(self.plan(input)?.buffers.iter().sum())
    }

    fn memory(&self) -> Work<'_, Option<u64>> {
        Box::pin(self.device().memory())
    }

    fn describe(&self, input: Shape) -> Result<String> {
        let plan = self.plan(input)?;
        let fusions = self.network().report().join("\n");
        let submissions = self.submissions(&plan);
        Ok(format!("plan\n{plan}submissions for one image: {submissions}\n\nfusions\n{fusions}\n"))
    }

    fn notes(&self) -> Vec<Note> {
        self.device().notes()
    }

    fn verify(&self, input: Shape, coverage: Coverage) -> Work<'_, Result<Verification>> {
        Box::pin(verify::verify(self, input, coverage))
    }

    fn profile(&self, input: Shape, runs: usize) -> Work<'_, Result<Profile>> {
        Box::pin(profile::profile(self, input, runs))
    }
}
