//! What computes the values of a network. An executor is a folder or file of its own and a line in [`Builder`](crate::Builder);
//! everything above knows the trait alone.

pub mod gpu;
pub mod reference;

mod device_info;
mod footprint;
mod host;

use std::fmt;

pub use device_info::{DeviceInfo, DeviceKind};
pub use footprint::Footprint;
pub use host::{Host, Task, Work};

pub(crate) use reference::executor::Reference;

use crate::{
    Error, Note, Result,
    check::{
        profile::Profile,
        verify::{Coverage, Verification},
    },
    graph::ValueId,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

/// May be used from many threads, on targets that have them.
#[cfg(not(target_family = "wasm"))]
pub(crate) trait Shareable: Send + Sync {}
#[cfg(not(target_family = "wasm"))]
impl<T: Send + Sync> Shareable for T {}

/// WebGPU's objects belong to their thread.
#[cfg(target_family = "wasm")]
pub(crate) trait Shareable {}
#[cfg(target_family = "wasm")]
impl<T> Shareable for T {}

/// What computes the values of a network.
pub(crate) trait Executor: fmt::Debug + Shareable {
    /// The device.
    fn device(&self) -> &DeviceInfo;

    /// The network.
    fn network(&self) -> &Network;

    /// Another network on the same device.
    fn with(&self, network: Network) -> Box<dyn Executor>;

    /// The same network, computed as is best for batches of `images`, whatever batch comes; `None` where that makes no difference.
    fn chosen_for(&self, _images: usize) -> Option<Box<dyn Executor>> {
        None
    }

    /// Type of stored activations and weights.
    fn stored(&self) -> StorageType {
        StorageType::F32
    }

    /// The values `wanted`, in that order, for `input`.
    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, Result<Vec<Tensor>>>;

    /// The value of every layer for `input`, in order.
    fn trace<'a>(&'a self, input: &'a Tensor) -> Work<'a, Result<Vec<(ValueId, Tensor)>>> {
        Box::pin(async move {
            let layers = self.network().values();
            let values = self.values(input.into(), &layers).await?;
            Ok(layers.into_iter().zip(values).collect())
        })
    }

    /// Device memory for an input of shape `input`; `None` if the device has no memory of its own.
    fn footprint(&self, _input: Shape) -> Result<Option<Footprint>> {
        Ok(None)
    }

    /// Bytes of the buffers that hold the activations of an input of shape `input` on the device.
    fn activation_bytes(&self, _input: Shape) -> Result<u64> {
        Ok(0)
    }

    /// Bytes that all buffers of this classifier take on the device now; `None` where that is not counted.
    fn memory(&self) -> Work<'_, Option<u64>> {
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

    /// Compares every layer with the reference, for made-up images of shape `input`.
    fn verify(&self, input: Shape, _coverage: Coverage) -> Work<'_, Result<Verification>>;

    /// The time of every step for made-up images of shape `input`: medians of `runs` runs.
    fn profile(&self, input: Shape, runs: usize) -> Work<'_, Result<Profile>>;
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
        let values = match self.trace(&image).await {
            Ok(values) => values,
            Err(error) => return format!("the layer could not be located: tracing failed: {error}"),
        };
        let found =
            values.iter().find_map(|(id, value)| Some((id, value.data.iter().find(|value| !value.is_finite())?)));
        let Some((id, value)) = found else {
            return "running this image again layer by layer gave only finite values".into();
        };
        let layer = self.network().layers().iter().find(|layer| layer.output == *id);
        let mut text = format!("layer {} is the first to make {value}", layer.map_or("?", |layer| &layer.name));
        if self.stored() == StorageType::F16 {
            text += ", where f16 holds no more than 65504; f32 may do";
        }
        text
    }
}
