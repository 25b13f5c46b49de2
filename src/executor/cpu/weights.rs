//! Weights in the order in which the inner product reads them: strip after strip of output channels, each with the terms of its sums in
//! order. Batch norm is folded in.

use std::ops::Range;

use super::{
    buffer::Buffer,
    lanes::{LANES, Lanes, blocks},
    plan::Form,
};
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
    /// Position of its first weight.
    start: usize,
}

/// The layout of a layer's weights.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) strips: Vec<Strip>,
    /// Channels of a group, if each lane multiplies inputs of its own group.
    pub(super) group: Option<usize>,
    /// Channels in an input: a block of them, or one.
    channels: usize,
    /// Number of lanes of all weights.
    len: usize,
    /// Blocks of output channels.
    blocks: usize,
}

impl Layout {
    /// The layout for a layer in this form, in strips of `strip` blocks.
    pub(super) fn new(params: &Conv2dParams, form: Option<Form>, strip: usize) -> Self {
        let taps = params.kernel * params.kernel;
        match form {
            Some(Form::Groups) => Layout::groups(params),
            Some(Form::Winograd(tile)) => Layout::strips(params, LANES, strip, tile.points()),
            Some(Form::Channels) => Layout::strips(params, 1, strip, taps),
            Some(Form::Blocks) | None => Layout::strips(params, LANES, strip, taps),
        }
    }

    /// One strip for each block, because there are as many outputs as inputs.
    fn groups(params: &Conv2dParams) -> Self {
        let (blocks, group) = (blocks(params.out_channels), params.in_channels / params.groups);
        let terms = group * params.kernel * params.kernel;
        let strip = |block| Strip { outputs: block..block + 1, inputs: block..block + 1, start: block * terms };
        let strips = (0..blocks).map(strip).collect();
        Layout { strips, group: Some(group), channels: LANES, len: blocks * terms, blocks }
    }

    /// Cuts the output channels into strips whose blocks all read the same inputs. Groups that share a block are merged, with
    /// zeros between them.
    fn strips(params: &Conv2dParams, channels: usize, width: usize, taps: usize) -> Self {
        let group = params.in_channels / params.groups;
        let inputs = |block: usize| {
            let last = ((block + 1) * LANES).min(params.out_channels) - 1;
            let end = first_input(params, last) + group;
            first_input(params, block * LANES) / channels..end.div_ceil(channels)
        };
        let blocks = blocks(params.out_channels);
        let mut strips: Vec<Strip> = Vec::new();
        for block in 0..blocks {
            let inputs = inputs(block);
            match strips.last_mut() {
                Some(last) if last.inputs == inputs && last.outputs.len() < width => last.outputs.end += 1,
                _ => strips.push(Strip { outputs: block..block + 1, inputs, start: 0 }),
            }
        }
        let mut len = 0;
        for strip in &mut strips {
            strip.start = len;
            len += strip.inputs.len() * taps * channels * strip.outputs.len();
        }
        Layout { strips, group: None, channels, len, blocks }
    }

    /// The positions of a strip's weights.
    fn of(&self, strip: &Strip) -> Range<usize> {
        let next = self.strips.partition_point(|other| other.start <= strip.start);
        strip.start..self.strips.get(next).map_or(self.len, |next| next.start)
    }

    /// Bytes of the weights and the bias.
    pub(super) fn bytes(&self) -> u64 {
        ((self.len + self.blocks) * size_of::<Lanes>()) as u64
    }
}

/// The packed weights of a layer.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) layout: Layout,
    /// Weights in the order that the form needs.
    data: Buffer,
    /// Blocks of output channels.
    pub(super) bias: Vec<Lanes>,
}

impl Packed {
    /// Packs the weights of a layer, a tensor of shape `shape`, as `form` reads them, in strips of `strip` blocks.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::tensor`]; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the packed
    /// arrays.
    pub(super) fn new(
        checkpoint: &Checkpoint,
        weights: &ConvWeights,
        params: &Conv2dParams,
        shape: &[usize],
        form: Option<Form>,
        strip: usize,
    ) -> Result<Self> {
        let source = checkpoint.tensor(&weights.weight, shape)?;
        let affine = output_affine(checkpoint, weights, params.out_channels)?;
        let layout = Layout::new(params, form, strip);
        let mut data = Buffer::zeroed("weights", layout.len)?;
        match form {
            Some(Form::Groups) => pack_groups(&source, params, &affine, &mut data),
            Some(Form::Winograd(tile)) => pack_winograd(tile, &source, params, &affine, &layout, &mut data),
            Some(Form::Channels | Form::Blocks) | None => pack(&source, params, &affine, &layout, &mut data),
        }
        let bias = lanes(affine.iter().map(|(_, shift)| *shift));
        Ok(Packed { layout, data, bias })
    }

    /// The weights of a strip.
    pub(super) fn of(&self, strip: &Strip) -> &[Lanes] {
        &self.data[self.layout.of(strip)]
    }

    /// At most `len` weights that lie `from` weights after the start of a strip, in this strip or the next ones.
    pub(super) fn after(&self, strip: &Strip, from: usize, len: usize) -> &[Lanes] {
        let start = strip.start + from;
        &self.data[start..(start + len).min(self.data.len())]
    }
}

/// Packs each strip as `[inputs][kernel][kernel][channels of an input][outputs][16]`.
fn pack(source: &[f32], params: &Conv2dParams, affine: &[(f64, f64)], layout: &Layout, data: &mut [Lanes]) {
    let (taps, group) = (params.kernel * params.kernel, params.in_channels / params.groups);
    let channels = layout.channels;
    for strip in &layout.strips {
        let width = strip.outputs.len();
        let rows = &mut data[layout.of(strip)];
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
}

/// Packs each block of channels as `[channels of a group][kernel][kernel][16]`.
fn pack_groups(source: &[f32], params: &Conv2dParams, affine: &[(f64, f64)], data: &mut [Lanes]) {
    let terms = params.in_channels / params.groups * params.kernel * params.kernel;
    for (o, kernels) in source.chunks_exact(terms).enumerate() {
        for (to, weight) in data[o / LANES * terms..].iter_mut().zip(kernels) {
            to.0[o % LANES] = (f64::from(*weight) * affine[o].0) as f32;
        }
    }
}

/// Transforms each kernel, and packs each strip as `[points][inputs][16][outputs][16]`.
fn pack_winograd(
    tile: WinogradTile,
    source: &[f32],
    params: &Conv2dParams,
    affine: &[(f64, f64)],
    layout: &Layout,
    data: &mut [Lanes],
) {
    for strip in &layout.strips {
        let matrices = &mut data[layout.of(strip)];
        let (width, matrix) = (strip.outputs.len(), matrices.len() / tile.points());
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
                tile.transform(kernels, |points| {
                    if let Some(place) = places.next() {
                        place.0 = points.map(|point| point as f32);
                    }
                });
            }
        }
    }
}

/// The first input channel that an output channel reads.
fn first_input(params: &Conv2dParams, output: usize) -> usize {
    output / (params.out_channels / params.groups) * (params.in_channels / params.groups)
}

/// Packs `values` into blocks of channels.
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
    /// Packs scale and shift of `norm`.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::tensor`]; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the packed
    /// arrays.
    pub(super) fn new(checkpoint: &Checkpoint, norm: &Norm) -> Result<Self> {
        let affine = scale_shift(checkpoint, norm)?;
        let (scale, shift) = (lanes(affine.iter().map(|a| a.0)), lanes(affine.iter().map(|a| a.1)));
        Ok(Affine { scale, shift })
    }
}
