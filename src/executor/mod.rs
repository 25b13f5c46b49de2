//! Executors compute the values of a network. The code above uses them only through the trait [`Executor`].
//!
//! # A new executor
//!
//! 1. Add a folder here, with a type that implements [`Executor`]. Five methods are required: the device, the network, another network
//!    on the same device, the values of a run, and the times of its steps. All others have a default; replace those for which the
//!    executor knows more.
//! 2. Add a line to `on_cpu.rs`: the device name that selects it, a description, and the function that opens it. [`gpu`] opens executors
//!    that need an adapter.
//! 3. If it is a new kind of device, add a line to [`DeviceKind`].
//!
//! The commands then accept its name as a device, `verify` compares each of its layers with the reference, `profile` times them, and the
//! tests of operators, networks and properties run on it through `executors()` in `tests/common`. `tests/executors.rs` has an example.

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

/// Usable from many threads, on targets that have threads.
#[cfg(not(target_family = "wasm"))]
#[doc(hidden)]
pub trait Shareable: Send + Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send + Sync> Shareable for T {}

/// WebGPU's objects belong to the thread that made them.
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub trait Shareable {}
#[cfg(target_family = "wasm")]
impl<T> Shareable for T {}

/// Computes the values of a network.
#[doc(hidden)]
pub trait Executor: fmt::Debug + Shareable {
    /// The device.
    fn info(&self) -> &DeviceInfo;

    /// The network.
    fn network(&self) -> &Network;

    /// Another network on the same device.
    fn with_network(&self, network: Network) -> Box<dyn Executor>;

    /// Computes the values `wanted` for `input`, in that order.
    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>>;

    /// Prepares to compute the network's output for an input of shape `input`. An error here is left to the call that needs the output.
    fn prepare(&self, _input: Shape) -> Work<'_> {
        Box::pin(async {})
    }

    /// Times each step that computes the network's output for `input`: medians of `runs` runs.
    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, Result<Times>>;

    /// Storage type of activations and weights.
    fn stored(&self) -> StorageType {
        StorageType::F32
    }

    /// The same network, computed in the best way for batches of `images`, whatever the real size of a batch. `None` if that makes no
    /// difference.
    fn chosen_for(&self, _images: usize) -> Option<Box<dyn Executor>> {
        None
    }

    /// The values that the executor computes for an input of shape `input`, in order, without values inside a fused step.
    fn layers(&self, _input: Shape) -> Result<Vec<ValueId>> {
        Ok(self.network().values())
    }

    /// The steps that compute the values `wanted` for `input`, in order.
    fn steps(&self, input: Input<'_>, _wanted: &[ValueId]) -> Result<Vec<StepInfo>> {
        StepInfo::of_nodes(self.network().graph(), input.shape())
    }

    /// The values `wanted`, as [`Executor::values`] returns them, for a comparison with the reference: a number that was not computed is
    /// NaN instead of the earlier contents of its buffer.
    fn trace<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>> {
        self.values(input, wanted)
    }

    /// Device memory for an input of shape `input`; `None` if the device has no memory of its own.
    fn footprint(&self, _input: Shape) -> Result<Option<Footprint>> {
        Ok(None)
    }

    /// Bytes of device memory in all buffers of this classifier at the moment; `None` if they are not counted.
    fn memory(&self) -> Work<'_, Option<u64>> {
        Box::pin(async { None })
    }

    /// The device's peak rate in operations per second, measured without memory traffic; `None` if only kernels can show it.
    fn peak(&self) -> Work<'_, Option<f64>> {
        Box::pin(async { None })
    }

    /// A text that describes how it computes an input of shape `input`; may be empty.
    fn describe(&self, _input: Shape) -> Result<String> {
        Ok(String::new())
    }

    /// Notes for the user about the device.
    fn notes(&self) -> Vec<Note> {
        Vec::new()
    }

    /// The other ways to compute the same network for an input of shape `input`: other precisions, and kernels that are not the usual
    /// choice.
    fn variants(&self, _input: Shape) -> Result<Vec<Box<dyn Executor>>> {
        Ok(Vec::new())
    }

    /// Bans, for `reason`, the kernel that computes the value `layer` for an input of shape `input`, here and for all other executors on
    /// the device. Without a layer, bans the kernel that this variant has in place of the usual choice. `false` if that changes nothing.
    fn give_up(&self, _input: Shape, _layer: Option<ValueId>, _reason: &str) -> Result<bool> {
        Ok(false)
    }

    /// The kernels that it does not use because they are wrong.
    fn faults(&self) -> Vec<Fault> {
        Vec::new()
    }
}

impl dyn Executor {
    /// The network's output for an input; all numbers are finite.
    pub(crate) async fn output(&self, input: impl Into<Input<'_>>) -> Result<Tensor> {
        self.finite(input, self.network().graph().output()).await
    }

    /// The value `wanted` for an input; all numbers are finite.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if a number is not, with the layer that it comes from.
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

    /// A sentence that names the first layer whose value for one image has NaN or infinity.
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
            text += ", and f16 holds at most 65504; try f32";
        }
        text
    }
}
