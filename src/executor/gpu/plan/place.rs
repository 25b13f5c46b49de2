//! Gives each value a place. It gets a buffer from the rotating set of [`crate::executor::memory`]; or, if it is an input of a
//! concatenation, channels of the concatenation's buffer, so that nothing is copied.

use super::Placed;
use crate::{
    executor::{
        concat::ConcatPlacement,
        gpu::kernels::{View, fours},
        memory::{Lifetime, assign, live},
    },
    graph::{Graph, ValueId},
    network::{Layer, LayerOp},
    tensor::{Shape, StorageType},
};

/// The places of all values that layers exchange, and of scratch arrays.
pub(super) struct Placement {
    /// Place of each value; `None` for values inside a layer.
    pub(super) values: Vec<Option<Placed>>,
    /// Buffers of each layer's scratch arrays.
    pub(super) scratch: Vec<Vec<usize>>,
    /// Size of each buffer in bytes, and the name of the largest value in it.
    pub(super) buffers: Vec<(u64, String)>,
    /// Largest number of bytes in use at once.
    pub(super) live: u64,
}

/// Places the values of `layers`, which need scratch arrays of `scratch` bytes each. The values of `keep` stay to the end. A
/// value that no layer reads is stored in f32.
pub(super) fn place(
    graph: &Graph,
    layers: &[(usize, &Layer)],
    shapes: &[Shape],
    scratch: &[Vec<u64>],
    stored: StorageType,
    keep: &[ValueId],
) -> Placement {
    let concats = ConcatPlacement::new(graph, layers, shapes, 4);
    // All values in a buffer have one type. A concatenation does not read the inputs that lie in its buffer already.
    let mut is_read = vec![false; shapes.len()];
    for (_, layer) in layers {
        let own = (layer.op == LayerOp::Concat).then(|| concats.of(layer.output).0);
        let roots = layer.reads().map(|id| concats.of(id).0).filter(|root| Some(*root) != own);
        roots.for_each(|root| is_read[root.0] = true);
    }
    let type_of = |root: ValueId| if is_read[root.0] { stored } else { StorageType::F32 };
    // A buffer lives as long as any value in it. The input is written in step 0; layer i is step i + 1.
    let mut lives: Vec<Option<Lifetime>> = vec![None; shapes.len()];
    let mut extend = |id: ValueId, step: usize| {
        let (root, _) = concats.of(id);
        let bytes = (View::whole(shapes[root.0]).buffer_elements() * type_of(root).bytes()) as u64;
        let life = lives[root.0].get_or_insert(Lifetime { first: step, last: step, bytes });
        (life.first, life.last) = (life.first.min(step), life.last.max(step));
    };
    extend(graph.input(), 0);
    for (i, (_, layer)) in layers.iter().enumerate() {
        extend(layer.output, i + 1);
        layer.reads().for_each(|id| extend(id, i + 1));
    }
    // Kept values own their buffers from the start, so that no other value overwrites the canary that is written there before a
    // run.
    keep.iter().for_each(|id| [0, usize::MAX].into_iter().for_each(|step| extend(*id, step)));
    let mut things: Vec<(Lifetime, Thing)> = Vec::new();
    for (i, life) in lives.into_iter().enumerate() {
        things.extend(life.map(|life| (life, Thing::Value(ValueId(i)))));
    }
    for (i, arrays) in scratch.iter().enumerate() {
        for &bytes in arrays {
            things.push((Lifetime { first: i + 1, last: i + 1, bytes }, Thing::Scratch(i)));
        }
    }
    things.sort_by_key(|(life, _)| life.first);
    let lifetimes: Vec<Lifetime> = things.iter().map(|(life, _)| *life).collect();
    let layout = assign(&lifetimes);
    let mut placement = Placement {
        values: vec![None; shapes.len()],
        scratch: vec![Vec::new(); layers.len()],
        buffers: layout.buffers.iter().map(|&bytes| (bytes, String::new())).collect(),
        live: live(&lifetimes),
    };
    let mut buffer_of = vec![None; shapes.len()];
    for ((life, thing), &buffer) in things.iter().zip(&layout.buffer_of) {
        let name = match *thing {
            Thing::Value(id) => {
                buffer_of[id.0] = Some(buffer);
                &graph.nodes()[id.0].name
            }
            Thing::Scratch(layer) => {
                placement.scratch[layer].push(buffer);
                &layers[layer].1.name
            }
        };
        if life.bytes == layout.buffers[buffer] {
            placement.buffers[buffer].1.clone_from(name);
        }
    }
    for id in std::iter::once(graph.input()).chain(layers.iter().map(|(_, layer)| layer.output)) {
        let (root, channel) = concats.of(id);
        let stride = fours(shapes[root.0].c) as u32;
        let view = View { shape: shapes[id.0], stride, offset: (channel / 4) as u32 };
        placement.values[id.0] = buffer_of[root.0].map(|buffer| Placed { buffer, view, stored: type_of(root) });
    }
    placement
}

/// The purpose of a buffer.
enum Thing {
    Value(ValueId),
    Scratch(usize),
}
