//! The packed weights of a network. Each array is packed when a plan first needs it, and then serves all plans.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pulp::Arch;

use super::{
    lanes::{Lanes, blocks},
    plan::{Form, Plan, Step},
    threads::Threads,
    tile::TileSize,
    weights::{Affine, Layout, Packed},
};
use crate::{
    Result,
    graph::Plain,
    network::{ConvWeights, Layer, LayerOp, Network},
};

/// The arrays of a layer.
#[derive(Debug, Clone, Default)]
pub(super) struct Arrays {
    /// Weights and bias of a convolution or a linear layer.
    pub(super) packed: Option<Arc<Packed>>,
    /// Scale and shift of a batch norm that is not folded.
    pub(super) affine: Option<Arc<Affine>>,
    /// Weights as they are in the checkpoint.
    pub(super) plain: Option<Arc<Vec<f32>>>,
}

impl Arrays {
    fn new(network: &Network, layer: &Layer, form: Option<Form>, size: TileSize) -> Result<Self> {
        let checkpoint = network.checkpoint();
        let affine = layer.op.norm().map(|norm| Affine::new(checkpoint, norm)).transpose()?.map(Arc::new);
        let mut arrays = Arrays { affine, ..Arrays::default() };
        let Some((weights, params, shape)) = layer.op.weights() else { return Ok(arrays) };
        if is_plain(layer) {
            let mut plain = checkpoint.tensor(&weights.weight, &shape)?.into_owned();
            for of_channels in others(weights) {
                plain.extend_from_slice(&checkpoint.tensor(of_channels, &shape[..1])?);
            }
            arrays.plain = Some(Arc::new(plain));
            return Ok(arrays);
        }
        let packed = Packed::new(checkpoint, weights, &params, &shape, form, size.blocks)?;
        arrays.packed = Some(Arc::new(packed));
        Ok(arrays)
    }

    /// Bytes of a layer's arrays.
    fn bytes(layer: &Layer, form: Option<Form>, size: TileSize) -> u64 {
        let affine = layer.op.norm().map_or(0, |norm| 2 * size_of::<Lanes>() * blocks(norm.channels)) as u64;
        let packed = layer.op.weights().map_or(0, |(weights, params, shape)| {
            if is_plain(layer) {
                let others = shape[0] * others(weights).count();
                return 4 * (shape.iter().product::<usize>() + others) as u64;
            }
            Layout::new(&params, form, size.blocks).bytes()
        });
        affine + packed
    }
}

/// Whether a layer reads its weights, and then its [`others`], as they are in the checkpoint.
fn is_plain(layer: &Layer) -> bool {
    let LayerOp::Plain { op, .. } = layer.op else { return false };
    matches!(
        op,
        Plain::ChannelGate { .. }
            | Plain::GroupNorm { .. }
            | Plain::EvoNorm { .. }
            | Plain::FilterResponseNorm { .. }
            | Plain::Tokens { .. }
    )
}

/// The tensors with one number for each channel: the bias, and the parameters of an activation.
fn others(weights: &ConvWeights) -> impl Iterator<Item = &String> {
    weights.bias.iter().chain(&weights.parameters)
}

/// Bytes of the arrays for all steps of `plan`.
pub(super) fn bytes(network: &Network, plan: &Plan, arch: Arch) -> u64 {
    let of_step = |step: &Step| Arrays::bytes(&network.layers()[step.layer], step.form, TileSize::here(arch));
    plan.steps.iter().map(of_step).sum()
}

/// The arrays of all layers, by layer and form.
#[derive(Debug, Default)]
pub(super) struct Store(Mutex<HashMap<(usize, Option<Form>), Arrays>>);

impl Store {
    /// The arrays for each step of `plan`. Packs missing arrays, on all threads.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::tensor`](crate::checkpoint::Checkpoint::tensor).
    pub(super) fn of(&self, network: &Network, plan: &Plan, arch: Arch, threads: &Threads) -> Result<Vec<Arrays>> {
        let size = TileSize::here(arch);
        let packed: Vec<Mutex<Option<Result<Arrays>>>> = plan.steps.iter().map(|_| Mutex::default()).collect();
        let tasks = plan.steps.iter().zip(&packed).collect();
        threads.each(tasks, |(step, slot): (_, &Mutex<_>)| {
            let key = (step.layer, step.form);
            let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
            let pack = || Arrays::new(network, &network.layers()[step.layer], step.form, size);
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(kept.map_or_else(pack, Ok));
        });
        let mut all = Vec::with_capacity(packed.len());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (step, slot) in plan.steps.iter().zip(packed) {
            let arrays = slot.into_inner().unwrap_or_else(PoisonError::into_inner).expect("each was filled")?;
            all.push(kept.entry((step.layer, step.form)).or_insert(arrays).clone());
        }
        Ok(all)
    }
}
