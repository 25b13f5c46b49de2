//! The plan of a network for one input shape, as data: its layers in order, the form of each, and the place of every value.

use super::lanes::{LANES, Lanes, View};
use crate::{
    Result,
    executor::{
        Footprint,
        concat::ConcatPlacement,
        memory::{Lifetime, assign, live},
    },
    graph::{Conv2dParams, Graph, ValueId},
    network::{Layer, LayerOp, Network, WinogradTile},
    tensor::Shape,
};

/// The form in which a layer's sums of products are computed. It depends on the shape of one image alone, so that the bits of an
/// image's result do not depend on its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Tiles that read blocks of channels.
    Blocks,
    /// Tiles that read single channels: for the network's input, whose few channels would leave most of a block empty.
    Channels,
    /// Patches of Winograd's minimal filtering.
    Winograd(WinogradTile),
    /// Groups of a few channels: each lane of a block multiplies inputs of its own group.
    Groups,
}

/// Bytes of transformed weights that stay in the caches from one image to the next.
const CACHED_BYTES: usize = 1 << 20;

impl Form {
    /// Chooses the form of a layer that has weights.
    fn of(layer: &Layer, params: &Conv2dParams, input: ValueId, output: Shape) -> Self {
        let prologue = layer.op.norm().is_some();
        if layer.inputs == [input] && params.in_channels < LANES && !prologue && params.groups == 1 {
            return Form::Channels;
        }
        let window = (params.kernel, params.stride, params.padding, params.dilation);
        if params.groups == 1 && window == (3, 1, 1, 1) && !prologue {
            return Form::of_3x3(params, output);
        }
        let group = params.in_channels / params.groups;
        if params.groups > 1 && params.in_channels == params.out_channels && matches!(group, 1 | 2 | 4) {
            return Form::Groups;
        }
        Form::Blocks
    }

    /// The form of a dense 3x3 convolution of stride 1. It compares times for one image, in multiplications for each pair of channels:
    /// those of the patches, and those that a core could do while the weights come from the caches or from memory (measured on one core of
    /// a Xeon with AVX-512: 80 multiplications and 40 or 12 bytes a nanosecond). Winograd has to save a sixth, because its transforms take
    /// time too.
    fn of_3x3(params: &Conv2dParams, output: Shape) -> Self {
        let bytes = size_of::<f32>() * WinogradTile::Four.points() * params.in_channels * params.out_channels;
        let wait = if bytes > CACHED_BYTES { 27 } else { 8 };
        let time =
            |points: usize, outputs: usize| points * (output.h.div_ceil(outputs) * output.w.div_ceil(outputs) + wait);
        let winograd = WinogradTile::ALL.map(|tile| (time(tile.points(), tile.outputs()), tile));
        let (best, tile) = winograd.into_iter().min().expect("two tiles");
        if 6 * best < 5 * time(9, 1) { Form::Winograd(tile) } else { Form::Blocks }
    }

    /// Its name in listings.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Blocks => "blocks",
            Form::Channels => "channels",
            Form::Winograd(WinogradTile::Two) => "winograd2",
            Form::Winograd(WinogradTile::Four) => "winograd4",
            Form::Groups => "groups",
        }
    }
}

/// A layer of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Number of the layer in the network.
    pub(super) layer: usize,
    /// Its form, if it has weights.
    pub(super) form: Option<Form>,
}

/// The place of a value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Number of the buffer.
    pub(super) buffer: usize,
    /// Its place in the buffer.
    pub(super) view: View,
}

/// A network for one shape of input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Shape of every value of the graph.
    pub(super) shapes: Vec<Shape>,
    /// Number of lanes in each buffer.
    pub(super) buffers: Vec<usize>,
    /// Places of the values that layers exchange. The input has a place if a layer reads it in blocks.
    pub(super) places: Vec<Option<Place>>,
    /// Largest number of bytes of values that are in use at once.
    live: u64,
}

impl Plan {
    /// Plans `network` for an input of shape `input`: only the layers that the values of `keep` depend on.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the network does not admit the shape, and the errors of [`Network::needed`].
    pub(super) fn new(network: &Network, input: Shape, keep: &[ValueId]) -> Result<Self> {
        let graph = network.graph();
        let shapes = graph.infer_shapes(input)?;
        let layers = network.needed(keep)?;
        let form = |layer: &Layer| match &layer.op {
            LayerOp::Conv2d { params, .. } => Some(Form::of(layer, params, graph.input(), shapes[layer.output.0])),
            _ => None,
        };
        let steps: Vec<Step> = layers.iter().map(|(i, layer)| Step { layer: *i, form: form(layer) }).collect();
        let (places, buffers, live) = place(graph, &layers, &steps, &shapes, keep);
        Ok(Plan { steps, shapes, buffers, places, live })
    }

    /// Memory of the plan, with `weights` bytes of weights.
    pub(super) fn footprint(&self, weights: u64) -> Footprint {
        let activations = self.buffers.iter().sum::<usize>() * size_of::<Lanes>();
        Footprint { weights, activations: activations as u64, staging: 0, live: self.live }
    }
}

/// Places of all values, lanes of each buffer, and the largest number of bytes in use at once.
fn place(
    graph: &Graph,
    layers: &[(usize, &Layer)],
    steps: &[Step],
    shapes: &[Shape],
    keep: &[ValueId],
) -> (Vec<Option<Place>>, Vec<usize>, u64) {
    let concats = ConcatPlacement::new(graph, layers, shapes, LANES);
    let mut lives: Vec<Option<Lifetime>> = vec![None; shapes.len()];
    let mut extend = |id: ValueId, step: usize| {
        let (root, _) = concats.of(id);
        let bytes = (View::whole(shapes[root.0]).buffer_len() * size_of::<Lanes>()) as u64;
        let life = lives[root.0].get_or_insert(Lifetime { first: step, last: step, bytes });
        (life.first, life.last) = (life.first.min(step), life.last.max(step));
    };
    // The input is written in step 0; layer i is step i + 1.
    for (i, ((_, layer), step)) in layers.iter().zip(steps).enumerate() {
        extend(layer.output, i + 1);
        let inputs: &[ValueId] = if step.form == Some(Form::Channels) { &[] } else { &layer.inputs };
        for id in inputs.iter().copied().chain(layer.residual()) {
            extend(id, if id == graph.input() { 0 } else { i + 1 });
            extend(id, i + 1);
        }
    }
    keep.iter().for_each(|id| extend(*id, layers.len() + 1));
    let owners: Vec<usize> = (0..shapes.len()).filter(|&value| lives[value].is_some()).collect();
    let lifetimes: Vec<Lifetime> = lives.into_iter().flatten().collect();
    let layout = assign(&lifetimes);
    let values = std::iter::once(graph.input()).chain(layers.iter().map(|(_, layer)| layer.output));
    let mut places = vec![None; shapes.len()];
    for id in values {
        let (root, channel) = concats.of(id);
        let owner = owners.binary_search(&root.0).ok();
        let stride = View::whole(shapes[root.0]).stride;
        let view = View { shape: shapes[id.0], stride, first: channel / LANES };
        places[id.0] = owner.map(|owner| Place { buffer: layout.buffer_of[owner], view });
    }
    let lanes = layout.buffers.iter().map(|bytes| *bytes as usize / size_of::<Lanes>()).collect();
    (places, lanes, live(&lifetimes))
}
