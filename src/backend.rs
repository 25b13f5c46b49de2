//! What computes the values of a network: kernels on a device, or the reference loops.

use crate::{
    Error, Result,
    gpu::Executor,
    graph::ValueId,
    kernels::Precision,
    plan::{Network, Options},
    reference,
    tensor::{Input, Shape, Tensor},
};

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

    /// The same network with kernels that are chosen as for a batch of `images`; nothing where that changes nothing.
    pub(crate) fn chosen_for(&self, images: usize) -> Option<Self> {
        let Backend::Gpu(executor) = self else { return None };
        let options = Some(executor.options()).filter(|options| options.chosen_for.is_none())?;
        Some(Backend::Gpu(executor.planned(Options { chosen_for: Some(images), ..options })))
    }

    /// The value `wanted`.
    fn value(&self, input: Input<'_>, wanted: ValueId) -> Result<Tensor> {
        let mut values = match self {
            Backend::Gpu(executor) => pollster::block_on(executor.values(input, &[wanted]))?,
            Backend::Reference(network) => {
                reference::values(network.graph(), network.checkpoint(), &input.tensor(), &[wanted])?
            }
        };
        Ok(values.remove(0))
    }

    /// What the network makes of an input, finite throughout.
    pub(crate) fn output<'a>(&self, input: impl Into<Input<'a>>) -> Result<Tensor> {
        self.finite(input, self.network().graph().output())
    }

    /// The value `wanted` for an input, finite throughout.
    ///
    /// # Errors
    /// [`Error::NotFinite`] if it is not, with the layer that it comes from.
    pub(crate) fn finite<'a>(&self, input: impl Into<Input<'a>>, wanted: ValueId) -> Result<Tensor> {
        let input = input.into();
        let output = self.value(input, wanted)?;
        let len = output.shape.c * output.shape.pixels();
        let Some(at) = output.data.iter().position(|value| !value.is_finite()) else { return Ok(output) };
        let (image, index) = (at / len, at % len);
        let values = input.tensor().image(image).to_vec();
        let origin = self.origin(Tensor::new(Shape { n: 1, ..input.shape() }, values));
        Err(Error::NotFinite { image, index, value: output.data[at].to_string(), origin })
    }

    /// The first layer that makes NaN or infinity of one image, as a sentence.
    fn origin(&self, image: Tensor) -> String {
        let network = self.network();
        let values = match self {
            Backend::Gpu(executor) => pollster::block_on(executor.trace(&image)),
            Backend::Reference(network) => {
                let layers = network.values();
                reference::values(network.graph(), network.checkpoint(), &image, &layers)
                    .map(|values| layers.into_iter().zip(values).collect())
            }
        };
        let values = match values {
            Ok(values) => values,
            Err(error) => {
                return format!("where it arises is not known, as layer by layer there was an error: {error}");
            }
        };
        let found =
            values.iter().find_map(|(id, value)| Some((id, value.data.iter().find(|value| !value.is_finite())?)));
        let Some((id, value)) = found else {
            return "run alone and layer by layer, with the kernels that are chosen then, the image gives finite numbers".into();
        };
        let layer = network.layers().iter().find(|layer| layer.output == *id);
        let mut text = format!("layer {} is the first to make {value}", layer.map_or("?", |layer| &layer.name));
        if let Backend::Gpu(executor) = self
            && executor.stored() == Precision::F16
        {
            text += ", where f16 holds no more than 65504; f32 may do";
        }
        text
    }
}
