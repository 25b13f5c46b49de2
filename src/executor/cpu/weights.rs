//! Weights as the inner product reads them: a strip of output channels after the other, and of each the terms of its sums in order, batch
//! norm folded in.

use std::ops::Range;

use super::lanes::{LANES, Lanes, blocks, zeroed};
use crate::{
    Result,
    checkpoint::Checkpoint,
    graph::Conv2dParams,
    network::{ConvWeights, Norm, WinogradTile, output_affine, scale_shift},
};

/// Output channels that a tile computes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Strip {
    /// Its blocks of output channels.
    pub(super) outputs: Range<usize>,
    /// The channels that its sums read: blocks of them, or single ones.
    pub(super) inputs: Range<usize>,
    /// Where its weights begin.
    start: usize,
}

/// The packed weights of a layer.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) strips: Vec<Strip>,
    /// Of each strip `[inputs][kernel][kernel][channels of an input][outputs][16]`.
    data: Box<[Lanes]>,
    /// Blocks of output channels.
    pub(super) bias: Vec<Lanes>,
}

impl Packed {
    /// The weights of a convolution whose input comes in planes of `channels` channels, in strips of so many blocks.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for them.
    pub(super) fn new(
        checkpoint: &Checkpoint,
        weights: &ConvWeights,
        params: &Conv2dParams,
        shape: &[usize],
        channels: usize,
        strip: usize,
    ) -> Result<Self> {
        let source = checkpoint.tensor(&weights.weight, shape)?;
        let affine = output_affine(checkpoint, weights, params.out_channels)?;
        let (taps, group) = (params.kernel * params.kernel, params.in_channels / params.groups);
        let strips = strips(params, channels, strip, taps);
        let mut data = zeroed("weights", strips.last().map_or(0, |last| last.start + len(last, taps, channels)))?;
        for strip in &strips {
            let width = strip.outputs.len();
            let rows = &mut data[strip.start..][..len(strip, taps, channels)];
            for o in strip.outputs.start * LANES..(strip.outputs.end * LANES).min(params.out_channels) {
                let first = first_input(params, o);
                let (block, lane) = (o / LANES - strip.outputs.start, o % LANES);
                let scale = affine[o].0;
                for (i, kernel) in source[o * group * taps..][..group * taps].chunks_exact(taps).enumerate() {
                    let input = first + i - strip.inputs.start * channels;
                    let at = |tap: usize| (input / channels * taps + tap) * channels + input % channels;
                    for (tap, weight) in kernel.iter().enumerate() {
                        rows[at(tap) * width + block].0[lane] = (f64::from(*weight) * scale) as f32;
                    }
                }
            }
        }
        let bias = lanes(affine.iter().map(|(_, shift)| *shift));
        Ok(Packed { strips, data, bias })
    }

    /// The weights of a 3x3 convolution for Winograd's, each kernel as the numbers of `tile`: of each strip
    /// `[points][inputs][16][outputs][16]`.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for them.
    pub(super) fn winograd(
        checkpoint: &Checkpoint,
        weights: &ConvWeights,
        params: &Conv2dParams,
        tile: WinogradTile,
        strip: usize,
    ) -> Result<Self> {
        let source = checkpoint.tensor(&weights.weight, &params.weight_shape())?;
        let affine = output_affine(checkpoint, weights, params.out_channels)?;
        let strips = strips(params, LANES, strip, tile.points());
        let mut data = zeroed("weights", strips.last().map_or(0, |last| last.start + len(last, tile.points(), LANES)))?;
        for strip in &strips {
            let (width, matrix) = (strip.outputs.len(), len(strip, 1, LANES));
            let matrices = &mut data[strip.start..][..tile.points() * matrix];
            for (at, block) in strip.outputs.clone().enumerate() {
                let outputs = block * LANES..((block + 1) * LANES).min(params.out_channels);
                for i in 0..params.in_channels {
                    let mut kernels = [[0.0; LANES]; 9];
                    for o in outputs.clone() {
                        let kernel = &source[9 * (o * params.in_channels + i)..][..9];
                        let of_tap = kernels.iter_mut().zip(kernel);
                        of_tap.for_each(|(lanes, w)| lanes[o % LANES] = f64::from(*w) * affine[o].0);
                    }
                    let mut places = matrices[i * width + at..].iter_mut().step_by(matrix);
                    tile.transform(kernels, |numbers| {
                        if let Some(place) = places.next() {
                            place.0 = numbers.map(|number| number as f32);
                        }
                    });
                }
            }
        }
        let bias = lanes(affine.iter().map(|(_, shift)| *shift));
        Ok(Packed { strips, data, bias })
    }

    /// The weights of a strip.
    pub(super) fn of(&self, strip: &Strip) -> &[Lanes] {
        let next = self.strips.iter().map(|other| other.start).find(|start| *start > strip.start);
        &self.data[strip.start..next.unwrap_or(self.data.len())]
    }

    /// Bytes of all of it.
    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&self.data[..]) as u64 + size_of_val(&self.bias[..]) as u64
    }
}

/// Lanes of the weights of a strip.
fn len(strip: &Strip, taps: usize, channels: usize) -> usize {
    strip.inputs.len() * taps * channels * strip.outputs.len()
}

/// The first input channel that an output channel reads.
fn first_input(params: &Conv2dParams, output: usize) -> usize {
    output / (params.out_channels / params.groups) * (params.in_channels / params.groups)
}

/// The output channels in strips, all blocks of which read the same inputs. Groups that share a block are taken together, with zeros
/// between them.
fn strips(params: &Conv2dParams, channels: usize, width: usize, taps: usize) -> Vec<Strip> {
    let group = params.in_channels / params.groups;
    let inputs = |block: usize| {
        let last = ((block + 1) * LANES).min(params.out_channels) - 1;
        let end = first_input(params, last) + group;
        first_input(params, block * LANES) / channels..end.div_ceil(channels)
    };
    let mut strips: Vec<Strip> = Vec::new();
    let mut start = 0;
    for block in 0..blocks(params.out_channels) {
        let inputs = inputs(block);
        match strips.last_mut() {
            Some(last) if last.inputs == inputs && last.outputs.len() < width => last.outputs.end += 1,
            _ => strips.push(Strip { outputs: block..block + 1, inputs, start: 0 }),
        }
    }
    for strip in &mut strips {
        strip.start = start;
        start += len(strip, taps, channels);
    }
    strips
}

/// Numbers as blocks of channels.
fn lanes(values: impl Iterator<Item = f64>) -> Vec<Lanes> {
    let values: Vec<f32> = values.map(|value| value as f32).collect();
    let block = |values: &[f32]| Lanes(std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(0.0)));
    values.chunks(LANES).map(block).collect()
}

/// A batch norm that is not folded into weights.
#[derive(Debug)]
pub(super) struct Affine {
    /// Blocks of channels.
    pub(super) scale: Vec<Lanes>,
    /// Blocks of channels.
    pub(super) shift: Vec<Lanes>,
}

impl Affine {
    /// Scale and shift of `norm`.
    ///
    /// # Errors
    /// What [`Checkpoint::tensor`] finds wrong; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for them.
    pub(super) fn new(checkpoint: &Checkpoint, norm: &Norm) -> Result<Self> {
        let affine = scale_shift(checkpoint, norm)?;
        let (scale, shift) = (lanes(affine.iter().map(|a| a.0)), lanes(affine.iter().map(|a| a.1)));
        Ok(Affine { scale, shift })
    }
}
