//! What computes the values of a network. Everything above knows the trait [`Executor`] alone.
//!
//! # A new executor
//!
//! 1. A folder here, with a type that implements [`Executor`]. Five methods are its own: the device, the network, another network on
//!    the same device, the values of a run, and the times of its steps. Every other one has a default, to be replaced where it has more to
//!    tell.
//! 2. A line in `on_cpu.rs`: the name that asks for it as a device, what it is, and what opens it. What needs an adapter is opened by [`gpu`].
//! 3. If it is a device of another kind, a line in [`DeviceKind`].
//!
//! The commands then take it as a device of that name, `verify` compares each of its layers with the reference, `profile` times them, and the
//! tests of operators, networks and properties run on it, by `executors()` of `tests/common`. `tests/executors.rs` has an example.

#[cfg(not(target_family = "wasm"))]
mod cpu;
pub mod gpu;
pub mod reference;

mod concat;
mod device_info;
mod fault;
mod footprint;
mod host;
mod memory;
mod on_cpu;
mod step;

use std::fmt;

pub use device_info::{DeviceInfo, DeviceKind};
pub use fault::Fault;
pub use footprint::Footprint;
pub use host::{Host, Task, Work};
pub use on_cpu::{on_cpu, on_cpu_devices, on_cpu_names};
pub(crate) use step::medians;
pub use step::{StepInfo, Times};

#[cfg(test)]
pub(crate) use reference::executor::Reference;

use crate::{
    Error, Note, Result,
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

/// May be used from many threads, on targets that have them.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub trait Shareable: Send + Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send + Sync> Shareable for T {}

/// WebGPU's objects belong to their thread.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub trait Shareable {}
#[cfg(target_family = "wasm")]
impl<T> Shareable for T {}

/// What computes the values of a network.
#[doc(hidden)]
pub trait Executor: fmt::Debug + Shareable {
    /// The device.
    fn info(&self) -> &DeviceInfo;

    /// The network.
    fn network(&self) -> &Network;

    /// Another network on the same device.
    fn with_network(&self, network: Network) -> Box<dyn Executor>;

    /// The values `wanted`, in that order, for `input`.
    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>>;

    /// Prepares the network's output for an input of shape `input`. What fails here is left to the call that wants it.
    fn prepare(&self, _input: Shape) -> Work<'_> {
        Box::pin(async {})
    }

    /// How long each step takes that makes the network's output of `input`: medians of `runs` runs.
    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, Result<Times>>;

    /// Type of stored activations and weights.
    fn stored(&self) -> StorageType {
        StorageType::F32
    }

    /// The same network, computed as is best for batches of `images`, whatever batch comes; `None` where that makes no difference.
    fn chosen_for(&self, _images: usize) -> Option<Box<dyn Executor>> {
        None
    }

    /// The values that come one after the other when an input of shape `input` runs, without those inside of what it does in one go.
    fn layers(&self, _input: Shape) -> Result<Vec<ValueId>> {
        Ok(self.network().values())
    }

    /// How it makes the values `wanted` of `input`, in order.
    fn steps(&self, input: Input<'_>, _wanted: &[ValueId]) -> Result<Vec<StepInfo>> {
        StepInfo::of_nodes(self.network().graph(), input.shape())
    }

    /// The values `wanted`, as [`Executor::values`] gives them, for a comparison of each with what it must be: one that was not computed is
    /// NaN, whatever lay in its place before.
    fn trace<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        self.values(input, wanted)
    }

    /// Device memory for an input of shape `input`; `None` if the device has no memory of its own.
    fn footprint(&self, _input: Shape) -> Result<Option<Footprint>> {
        Ok(None)
    }

    /// Bytes that all buffers of this classifier take on the device now; `None` where that is not counted.
    fn memory(&self) -> Work<'_, Option<u64>> {
        Box::pin(async { None })
    }

    /// Operations a second that the device's multipliers do at most, measured where nothing else holds them up; `None` where only kernels
    /// can tell.
    fn peak(&self) -> Work<'_, Option<f64>> {
        Box::pin(async { None })
    }

    /// How it computes an input of shape `input`, as text; empty if there is nothing to tell.
    fn describe(&self, _input: Shape) -> Result<String> {
        Ok(String::new())
    }

    /// What a user should be told of the device.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// The other ways in which it can compute the same network for an input of shape `input`: precisions, and kernels that are not the
    /// usual choice.
    fn variants(&self, _input: Shape) -> Result<Vec<Box<dyn Executor>>> {
        Ok(Vec::new())
    }

    /// Does without what computes the value `layer` of an input of shape `input`, for `reason`, from now on, and so do all others on the
    /// device. Without a layer: without what this variant has in place of the usual choice. `false` if that changes nothing here.
    fn give_up(&self, _input: Shape, _layer: Option<ValueId>, _reason: &str) -> Result<bool> {
        Ok(false)
    }

    /// What it does without, since that is wrong.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }
}

impl dyn Executor {
    /// What the network makes of an input, finite throughout.
    pub(crate) async fn output(&self, input: impl Into<Input<'_>>) -> Result<Tensor> {
        self.finite(input, self.network().graph().output()).await
    }

    /// The value `wanted` for an input, finite throughout.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if it is not, with the layer that it comes from.
    pub(crate) async fn finite(&self, input: impl Into<Input<'_>>, wanted: ValueId) -> Result<Tensor> {
        let input = input.into();
        let output = self.values(input, &[wanted]).await?.remove(0);
        let len = output.shape.c * output.shape.pixels();
        let Some(at) = output.data.iter().position(|value| !value.is_finite()) else { return Ok(output) };
        let (image, index) = (at / len, at % len);
        let values = input.tensor().image(image).to_vec();
        let origin = self.origin(Tensor::new(Shape { n: 1, ..input.shape() }, values)).await;
        Err(Error::NotFinite { image, index, value: output.data[at].to_string(), origin })
    }

    /// The first layer that makes NaN or infinity of one image, as a sentence.
    async fn origin(&self, image: Tensor) -> String {
        let layers = self.network().layers();
        let values = match self.trace((&image).into(), &self.network().values()).await {
            Ok(values) => values,
            Err(error) => return format!("the layer could not be located: tracing failed: {error}"),
        };
        let not_finite = |value: &Tensor| value.data.iter().copied().find(|value| !value.is_finite());
        let found = layers.iter().zip(&values).find_map(|(layer, value)| Some((layer, not_finite(value)?)));
        let Some((layer, value)) = found else {
            return "running this image again layer by layer gave only finite values".into();
        };
        let mut text = format!("layer {} is the first to make {value}", layer.name);
        if self.stored() == StorageType::F16 {
            text += ", where f16 holds no more than 65504; f32 may do";
        }
        text
    }
}
