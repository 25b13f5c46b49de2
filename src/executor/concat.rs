//! Concatenation in place: each input is written directly into its channels of the concatenation's buffer.

use crate::{
    graph::{Graph, ValueId},
    network::{Layer, LayerOp},
    tensor::Shape,
};

/// For each value, the concatenation whose buffer it lies in, and its first channel there.
pub(super) struct ConcatPlacement(Vec<Option<(ValueId, usize)>>);

impl ConcatPlacement {
    /// Decides which values move. An input of a concatenation moves into its buffer if three things hold. Its channels fill whole vectors
    /// of `vectors` channels there. It is an input of no other concatenation. No layer would then read and write the same buffer: wgpu and
    /// Rust forbid that, and another concatenation would mistake the other values in its buffer for its own inputs.
    pub(super) fn new(graph: &Graph, layers: &[(usize, &Layer)], shapes: &[Shape], vectors: usize) -> Self {
        let mut concats = ConcatPlacement(vec![None; shapes.len()]);
        let layers = || layers.iter().map(|(_, layer)| *layer);
        let is_concat = |layer: &&Layer| layer.op == LayerOp::Concat;
        // Go from the last to the first, so that each concatenation has its own place before its inputs get theirs.
        for layer in layers().rev().filter(is_concat) {
            let (root, _) = concats.of(layer.output);
            let mut channel = 0_usize;
            for &input in &layer.inputs {
                let channels = shapes[input.0].c;
                let whole = channel.is_multiple_of(vectors) && channels.is_multiple_of(vectors);
                let alone =
                    concats.0[input.0].is_none() && layer.inputs.iter().filter(|other| **other == input).count() == 1;
                let in_root = |id: ValueId| concats.of(id).0 == root;
                let clash = layers().filter(|other| other.output != layer.output).any(|other| {
                    let writes = other.output == input && other.reads().any(in_root);
                    writes || (in_root(other.output) && other.reads().any(|id| id == input))
                });
                if whole && alone && !clash && input != graph.input() {
                    concats.0[input.0] = Some((layer.output, channel));
                }
                channel += channels;
            }
        }
        concats
    }

    /// The value that owns the buffer of `id`, and the channel of it at which `id` starts.
    pub(super) fn of(&self, id: ValueId) -> (ValueId, usize) {
        let (mut id, mut channel) = (id, 0);
        while let Some((parent, offset)) = self.0[id.0] {
            (id, channel) = (parent, channel + offset);
        }
        (id, channel)
    }
}
