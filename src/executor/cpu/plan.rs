//! How a network is computed for an input of a shape, as data: the layers in order, in which form each, and where every value lies.

use super::lanes::{LANES, Lanes, View};
use crate::{
    Result,
    executor::{
        Footprint,
        concat::ConcatPlacement,
        memory::{Lifetime, assign, live},
    },
    graph::{Conv2dParams, Graph, ValueId},
    network::{Layer, LayerOp, Network},
    tensor::Shape,
};

/// In which form a layer's sums of products are computed. By the shape of one image alone, so that the bits of an image do not depend on
/// the batch that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// Tiles out of blocks of channels.
    Blocks,
    /// Tiles out of single channels: the network's input, whose few channels would leave most of a block empty.
    Channels,
    /// Patches of Winograd's F(4x4, 3x3).
    Winograd,
    /// Groups of a few channels: each lane of a block multiplies inputs of its own group.
    Groups,
}

/// Fewest rows and columns of outputs for which Winograd's patches are not mostly outside the image, and its weights, four times as many,
/// are used often enough.
const WINOGRAD_OUTPUTS: usize = 10;

impl Form {
    /// The form of a layer that has weights.
    fn of(layer: &Layer, params: &Conv2dParams, input: ValueId, output: Shape) -> Self {
        let prologue = layer.op.norm().is_some();
        if layer.inputs == [input] && params.in_channels < LANES && !prologue && params.groups == 1 {
            return Form::Channels;
        }
        let window = (params.kernel, params.stride, params.padding, params.dilation);
        let large = output.h.min(output.w) >= WINOGRAD_OUTPUTS;
        if params.groups == 1 && window == (3, 1, 1, 1) && !prologue && large {
            return Form::Winograd;
        }
        let group = params.in_channels / params.groups;
        if params.groups > 1 && params.in_channels == params.out_channels && matches!(group, 1 | 2 | 4) {
            return Form::Groups;
        }
        Form::Blocks
    }

    /// Its name in listings.
    pub(super) fn name(self) -> &'static str {
        match self {
            Form::Blocks => "blocks",
            Form::Channels => "channels",
            Form::Winograd => "winograd",
            Form::Groups => "groups",
        }
    }
}

/// A layer of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Step {
    /// Number of the layer in the network.
    pub(super) layer: usize,
    /// The form of one that has weights.
    pub(super) form: Option<Form>,
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Place {
    /// Number of the buffer.
    pub(super) buffer: usize,
    /// Where in it.
    pub(super) view: View,
}

/// A network for one shape of input.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    /// Shape of every value of the graph.
    pub(super) shapes: Vec<Shape>,
    /// Lanes of each buffer.
    pub(super) buffers: Vec<usize>,
    /// Places of the values that layers exchange. The input has one if a layer reads it in blocks.
    pub(super) places: Vec<Option<Place>>,
    /// The most bytes of values that are alive at once.
    live: u64,
}

impl Plan {
    /// Plans `network` for an input of shape `input`: the layers that the values of `keep` depend on, and no others.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the network does not admit the shape, and those of [`Network::needed`].
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

    /// Memory of a plan whose weights take so many bytes.
    pub(super) fn footprint(&self, weights: u64) -> Footprint {
        let activations = self.buffers.iter().sum::<usize>() * size_of::<Lanes>();
        Footprint { weights, activations: activations as u64, staging: 0, live: self.live }
    }
}

/// Places of all values, lanes of the buffers, and the most bytes that are alive at once.
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
    // The input is written in step 0, layer i is step i + 1.
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
