//! Fills packed arrays of weights: folds batch norm in f64, and pads channels to four. [`Array`] describes their layout and
//! length.

use half::f16;

use super::WeightsId;
use crate::{
    Result,
    checkpoint::Checkpoint,
    executor::gpu::kernels::{Array, Packing, fours, kernel_groups, winograd_tile::Tile},
    graph::Conv2dParams,
    network::{ConvWeights, LayerOp, Network, Norm, output_affine, scale_shift},
    tensor::StorageType,
};

/// The largest ratio of a value in the transform of a 3x3 kernel, for [`crate::executor::gpu::kernels::winograd`], to the kernel's values:
/// the square of the largest row sum of magnitudes in the matrix G of F(2, 3).
const WINOGRAD_GROWTH: f64 = 1.5 * 1.5;

/// The layers whose arrays `id` holds one after the other: both layers of a block, otherwise one.
fn packed_layers(network: &Network, id: WeightsId) -> impl Iterator<Item = &LayerOp> {
    id.first.into_iter().chain([id.layer]).map(|layer| &network.layers()[layer].op)
}

/// Bytes of a packed array.
pub(crate) fn packed(network: &Network, id: WeightsId, stored: StorageType) -> u64 {
    let elements = packed_layers(network, id).map(|op| elements(op, id.array)).sum::<usize>();
    (elements * id.array.stored(stored).bytes()) as u64
}

/// Replaces the contents of `packed` with the array that `id` names, in f32.
///
/// # Errors
/// The errors of [`Checkpoint::tensor`].
///
/// # Panics
/// If `id` does not come from a plan of this network.
pub fn pack(network: &Network, id: WeightsId, packed: &mut Vec<f32>) -> Result<()> {
    packed.resize(packed_layers(network, id).map(|op| elements(op, id.array)).sum(), 0.0);
    let mut rest = &mut packed[..];
    for op in packed_layers(network, id) {
        let (part, others) = rest.split_at_mut(elements(op, id.array));
        if part.len() > values(op, id.array) {
            part.fill(0.0);
        }
        fill(op, id.array, network.checkpoint(), part)?;
        rest = others;
    }
    Ok(())
}

/// Finds a layer whose weights, with batch norm folded in, overflow f16 in one of the forms that kernels read. Returns its name
/// and the largest weight.
///
/// # Errors
/// The errors of [`Checkpoint::tensor`].
pub(crate) fn beyond_f16(network: &Network) -> Result<Option<(&str, f64)>> {
    for layer in network.layers() {
        let Some((weights, _, shape)) = layer.op.weights() else { continue };
        let largest = largest(network.checkpoint(), weights, &shape)?;
        if !within_f16(largest) {
            return Ok(Some((&layer.name, largest)));
        }
    }
    Ok(None)
}

/// Number of elements in an array of a layer.
fn elements(op: &LayerOp, array: Array) -> usize {
    let of_norm = || op.norm().map(|norm| Conv2dParams::pointwise(norm.channels, norm.channels));
    let params = op.weights().map(|(_, params, _)| params).or_else(of_norm);
    array.elements(&params.expect("a layer that has arrays has weights or a norm"))
}

/// Number of elements in an array of a layer, padding not counted.
fn values(op: &LayerOp, array: Array) -> usize {
    let weights = || op.weights().expect("a layer with this array has weights");
    match array {
        Array::Affine => 2 * op.norm().expect("a layer with this array has a norm").channels,
        Array::Bias | Array::Parameters => weights().1.out_channels,
        Array::Weights(_) => weights().2.iter().product(),
        Array::Winograd(tile, _) => tile.points() * weights().1.in_channels * weights().1.out_channels,
    }
}

/// Writes an array of a layer into `packed`, whose padding must hold zeros already.
fn fill(op: &LayerOp, array: Array, checkpoint: &Checkpoint, packed: &mut [f32]) -> Result<()> {
    let weights = || op.weights().expect("a layer with this array has weights");
    match array {
        Array::Affine => affine(checkpoint, op.norm().expect("a layer with this array has a norm"), packed),
        Array::Bias => {
            let (weights, params, _) = weights();
            bias(checkpoint, weights, params.out_channels, packed)
        }
        Array::Parameters => {
            let (weights, params, _) = weights();
            let name = weights.parameters.as_ref().expect("a layer with this array has such parameters");
            let values = checkpoint.tensor(name, &[params.out_channels])?;
            write(packed, values.iter().map(|value| f64::from(*value)));
            Ok(())
        }
        Array::Weights(packing) => {
            let (weights, params, shape) = weights();
            matrix(checkpoint, weights, &params, &shape, packing, packed)
        }
        Array::Winograd(tile, packing) => {
            let (weights, params, _) = weights();
            winograd(checkpoint, weights, &params, tile, packing, packed)
        }
    }
}

/// Output channels that are packed together: they fill a cache line of the packed array, so that it is written as a whole.
const BLOCK: usize = 16;

fn write(packed: &mut [f32], values: impl Iterator<Item = f64>) {
    packed.iter_mut().zip(values).for_each(|(packed, value)| *packed = value as f32);
}

/// Writes the folded bias of a layer, `[outputs]` padded to four.
fn bias(checkpoint: &Checkpoint, weights: &ConvWeights, outputs: usize, packed: &mut [f32]) -> Result<()> {
    let affine = output_affine(checkpoint, weights, outputs)?;
    write(packed, affine.iter().map(|(_, shift)| *shift));
    Ok(())
}

/// Writes a batch norm that is not folded into weights: all scales, then all shifts, each padded to four.
fn affine(checkpoint: &Checkpoint, norm: &Norm, packed: &mut [f32]) -> Result<()> {
    let affine = scale_shift(checkpoint, norm)?;
    let (scales, shifts) = packed.split_at_mut(4 * fours(norm.channels));
    write(scales, affine.iter().map(|(scale, _)| *scale));
    write(shifts, affine.iter().map(|(_, shift)| *shift));
    Ok(())
}

/// Writes the folded weights of a layer: `[kh][kw][cin / groups]` rows and `cout` columns, both channel axes padded with zeros.
/// `groups` comes from [`kernel_groups`]; merged groups have zeros between them.
fn matrix(
    checkpoint: &Checkpoint,
    weights: &ConvWeights,
    params: &Conv2dParams,
    shape: &[usize],
    packing: Packing,
    packed: &mut [f32],
) -> Result<()> {
    let source = checkpoint.tensor(&weights.weight, shape)?;
    let affine = output_affine(checkpoint, weights, params.out_channels)?;
    let (inputs, outputs) = (params.in_channels / params.groups, params.out_channels / params.groups);
    let merged = params.groups / kernel_groups(params);
    let first_input = |o: usize| o / outputs % merged * inputs;
    let matrix = Matrix::new(params.kernel * params.kernel, inputs * merged, params.out_channels, packing);
    arrange(&source, &affine, inputs, &matrix, first_input, packed);
    Ok(())
}

/// The largest magnitude among the folded weights of a layer, whose tensor has this shape; or an upper bound, if that already
/// fits f16.
fn largest(checkpoint: &Checkpoint, weights: &ConvWeights, shape: &[usize]) -> Result<f64> {
    let affine = output_affine(checkpoint, weights, shape[0])?;
    let scale = affine.iter().fold(0.0_f64, |largest, (scale, _)| largest.max(scale.abs()));
    let bound = f64::from(checkpoint.largest(&weights.weight, shape)?) * scale;
    if within_f16(bound) {
        return Ok(bound);
    }
    let source = checkpoint.tensor(&weights.weight, shape)?;
    let of_output = |(values, (scale, _)): (&[f32], &(f64, f64))| {
        f64::from(values.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()))) * scale.abs()
    };
    Ok(source.chunks(source.len() / shape[0]).zip(&affine).map(of_output).fold(0.0, f64::max))
}

/// Whether a weight of this magnitude fits f16 in every form that kernels read.
fn within_f16(largest: f64) -> bool {
    largest * WINOGRAD_GROWTH <= f64::from(f16::MAX)
}

/// Writes the folded weights of a 3x3 convolution, transformed in f64 for Winograd's convolution: `[points]` matrices of `cin`
/// rows and `cout` columns.
fn winograd(
    checkpoint: &Checkpoint,
    weights: &ConvWeights,
    params: &Conv2dParams,
    tile: Tile,
    packing: Packing,
    packed: &mut [f32],
) -> Result<()> {
    let source = checkpoint.tensor(&weights.weight, &params.weight_shape())?;
    let affine = output_affine(checkpoint, weights, params.out_channels)?;
    let (inputs, outputs) = (params.in_channels, params.out_channels);
    let matrix = Matrix::new(1, inputs, outputs, packing);
    // A strip has whole blocks.
    for (first, affine) in (0..outputs).step_by(BLOCK).zip(affine.chunks(BLOCK)) {
        for i in 0..inputs {
            let mut kernels = [[0.0; BLOCK]; 9];
            for (at, (scale, _)) in affine.iter().enumerate() {
                let tap = 9 * ((first + at) * inputs + i);
                kernels
                    .iter_mut()
                    .zip(&source[tap..])
                    .for_each(|(kernel, value)| kernel[at] = f64::from(*value) * scale);
            }
            let mut start = matrix.column(first) + matrix.row(0, i);
            tile.transform(kernels, |values| {
                write(&mut packed[start..][..affine.len()], values.into_iter());
                start += matrix.elements();
            });
        }
    }
    Ok(())
}

/// A packed matrix: for each of `taps`, `inputs` rows padded to a multiple of four; and `outputs` columns.
struct Matrix {
    taps: usize,
    inputs: usize,
    columns: usize,
    width: usize,
}

impl Matrix {
    fn new(taps: usize, inputs: usize, outputs: usize, packing: Packing) -> Self {
        Matrix { taps, inputs: 4 * fours(inputs), columns: packing.columns(outputs), width: packing.width(outputs) }
    }

    fn rows(&self) -> usize {
        self.taps * self.inputs
    }

    fn elements(&self) -> usize {
        self.rows() * self.columns
    }

    /// Where the column of an output starts.
    fn column(&self, output: usize) -> usize {
        let within = output % self.width;
        (output - within) * self.rows() + within
    }

    /// Distance from the start of a column to its element for an input at a tap.
    fn row(&self, tap: usize, input: usize) -> usize {
        (tap * self.inputs + input) * self.width
    }
}

/// Arranges `[out][inputs][taps]` as a matrix, scaled by output channel. The inputs of output channel `o` go to the rows of a tap
/// from `first_row(o)` on.
fn arrange(
    source: &[f32],
    affine: &[(f64, f64)],
    inputs: usize,
    matrix: &Matrix,
    first_row: impl Fn(usize) -> usize,
    packed: &mut [f32],
) {
    let starts: Vec<usize> = (0..affine.len()).map(|o| matrix.column(o) + matrix.row(0, first_row(o))).collect();
    let values = inputs * matrix.taps;
    // Read and scale along the inputs, write along the outputs: both in whole cache lines.
    let mut block = [[0.0; BLOCK]; BLOCK];
    for first in (0..affine.len()).step_by(BLOCK) {
        let outputs = first..affine.len().min(first + BLOCK);
        for start in (0..values).step_by(BLOCK) {
            let len = BLOCK.min(values - start);
            for (o, scaled) in outputs.clone().zip(&mut block) {
                let source = &source[o * values + start..][..len];
                scaled.iter_mut().zip(source).for_each(|(scaled, &x)| *scaled = (f64::from(x) * affine[o].0) as f32);
            }
            for at in 0..len {
                let row = matrix.row((start + at) % matrix.taps, (start + at) / matrix.taps);
                starts[outputs.clone()].iter().zip(&block).for_each(|(start, scaled)| packed[start + row] = scaled[at]);
            }
        }
    }
}
