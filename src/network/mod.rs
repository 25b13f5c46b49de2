//! Prepares a graph for executors: `commute` and `fuse` turn its nodes into layers. Nothing here depends on a device or on the input's
//! size.

mod commute;
mod fold;
mod fuse;
mod layer;
#[doc(hidden)]
pub mod winograd_tile;

pub(crate) use fold::{output_affine, scale_shift};
pub use fuse::{Fused, fuse};
pub use layer::{Activation, Addend, ConvWeights, Epilogue, Gate, Layer, LayerOp, Norm, Subsample};
#[cfg(not(target_family = "wasm"))]
pub(crate) use winograd_tile::Tile as WinogradTile;

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, ValueId},
};

/// The graph and the layers of a checkpoint: the part of a network that does not depend on the input's size.
#[derive(Debug)]
pub struct Network {
    graph: Graph,
    checkpoint: Checkpoint,
    fused: Fused,
}

impl Network {
    /// Fuses `graph`, whose weights are in `checkpoint`.
    pub fn new(graph: Graph, checkpoint: Checkpoint) -> Self {
        let graph = commute::commute(&graph);
        let fused = fuse(&graph);
        let checkpoint = checkpoint.rewritten(graph.rewrites());
        Network { graph, checkpoint, fused }
    }

    /// The graph, in which mean poolings are moved before 1x1 convolutions.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Source of the weights.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// One line for each fusion taken or refused.
    pub fn report(&self) -> &[String] {
        &self.fused.report
    }

    /// The layers, in execution order.
    pub fn layers(&self) -> &[Layer] {
        &self.fused.layers
    }

    /// The output values of the layers, in execution order: the values that a plan can keep.
    pub fn values(&self) -> Vec<ValueId> {
        self.fused.layers.iter().map(|layer| layer.output).collect()
    }

    /// The layers that compute the values of `keep`, directly or indirectly, with their indices, in execution order.
    ///
    /// # Errors
    /// [`Error::NoValue`] for a value that is not in [`Network::values`].
    pub(crate) fn needed(&self, keep: &[ValueId]) -> Result<Vec<(usize, &Layer)>> {
        let mut wanted = vec![false; self.graph.nodes().len()];
        for id in keep {
            if !self.layers().iter().any(|layer| layer.output == *id) {
                let node = self.graph.nodes().get(id.0).map_or_else(|| format!("%{}", id.0), |node| node.name.clone());
                let reason = "its value cannot be read, because it is fused into another";
                return Err(Error::NoValue { node, reason });
            }
            wanted[id.0] = true;
        }
        let mut layers: Vec<(usize, &Layer)> = Vec::new();
        for (i, layer) in self.layers().iter().enumerate().rev() {
            if wanted[layer.output.0] {
                layer.reads().for_each(|id| wanted[id.0] = true);
                layers.push((i, layer));
            }
        }
        layers.reverse();
        Ok(layers)
    }
}
