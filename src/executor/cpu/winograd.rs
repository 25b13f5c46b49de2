//! Winograd's minimal filtering F(4x4, 3x3) for 3x3 convolutions of stride 1 (Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural
//! Networks", section 4): windows of 6x6 inputs become 36 numbers a channel, which tiles multiply, and 36 sums become 4x4 outputs. The
//! points are those of [`WinogradTile::Four`].

use std::ops::Range;

use pulp::{Arch, Simd, WithSimd};

use super::{
    conv::{Operands, TASKS},
    lanes::{LANES, Lanes, Source, Target, blocks},
    simd::{activate, sigmoid_all},
    threads::{Threads, with_scratch},
    tile::{self, Tile, TileSize},
    weights::Strip,
};
use crate::network::{Activation, WinogradTile};

/// Rows and columns of outputs of a window.
const OUTPUTS: usize = 4;
/// Rows and columns of its inputs.
const INPUTS: usize = OUTPUTS + 2;
/// The transform of the weights.
pub(super) const TILE: WinogradTile = WinogradTile::Four;
/// Numbers of a window.
const POINTS: usize = INPUTS * INPUTS;

/// Bytes of the numbers and sums of a task: they stay in the second cache.
const TASK_BYTES: usize = 704 << 10;

/// The positive points of the transform.
const P: f32 = std::f32::consts::SQRT_2;
const Q: f32 = std::f32::consts::FRAC_1_SQRT_2;

/// Computes a convolution whose form this is: 3x3, stride, padding and dilation 1, one group.
pub(super) fn run(arch: Arch, threads: &Threads, operands: &Operands<'_, LANES>, y: Target<'_>) {
    let shape = y.view.shape;
    let across = Windows { down: shape.h.div_ceil(OUTPUTS), across: shape.w.div_ceil(OUTPUTS), width: shape.w };
    let strips = &operands.weights.strips;
    let bytes = POINTS * size_of::<Lanes>() * across.across * (blocks(operands.x.view.shape.c) + tile::BLOCKS);
    let all = shape.n * across.down;
    let tasks = all.div_ceil((TASK_BYTES / bytes).max(1)).max(all.min(threads.count()));
    let rows = all.div_ceil(tasks);
    let chunks = all.div_ceil(rows);
    let parts = (TASKS * threads.count()).div_ceil(chunks).clamp(1, strips.len().div_ceil(2));
    let mut tasks: Vec<Task<'_>> = Vec::with_capacity(parts * chunks);
    let mut part_of_block = Vec::with_capacity(blocks(shape.c));
    for part in 0..parts {
        let strips = &strips[part * strips.len() / parts..(part + 1) * strips.len() / parts];
        part_of_block.extend(strips.iter().flat_map(|strip| strip.outputs.clone()).map(|_| part));
        let rows = (0..all).step_by(rows).map(|first| first..(first + rows).min(all));
        tasks.extend(rows.map(|rows| Task { strips, rows, y: Vec::new() }));
    }
    for (i, plane) in y.planes().enumerate() {
        let (image, block) = (i / part_of_block.len(), i % part_of_block.len());
        for (row, outputs) in plane.chunks_mut(OUTPUTS * shape.w).enumerate() {
            let row = image * across.down + row;
            tasks[part_of_block[block] * chunks + row / rows].y.push((block, row, outputs));
        }
    }
    threads.each(tasks, |task| arch.dispatch(Work { operands, windows: across, task }));
}

/// The windows of an image.
#[derive(Clone, Copy)]
struct Windows {
    down: usize,
    across: usize,
    /// Columns of outputs.
    width: usize,
}

/// Rows of windows, of all images one after the other, by a part of the strips.
struct Task<'a> {
    strips: &'a [Strip],
    rows: Range<usize>,
    /// The outputs, with their block and row of windows.
    y: Vec<(usize, usize, &'a mut [Lanes])>,
}

struct Work<'a, 'b> {
    operands: &'a Operands<'a, LANES>,
    windows: Windows,
    task: Task<'b>,
}

impl WithSimd for Work<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Operands { x, weights, .. } = self.operands;
        let planes = blocks(x.view.shape.c);
        let count = self.task.rows.len() * self.windows.across;
        self.task.y.sort_by_key(|(block, row, _)| (*block, *row));
        let mut y = self.task.y.chunks_exact_mut(self.task.rows.len());
        with_scratch(POINTS * count * (planes + tile::BLOCKS), |scratch| {
            let (numbers, sums) = scratch.split_at_mut(POINTS * count * planes);
            for (i, row) in self.task.rows.clone().enumerate() {
                for column in 0..self.windows.across {
                    for block in 0..planes {
                        let at = block * count + i * self.windows.across + column;
                        let window = Window { x, windows: self.windows, row, column, block };
                        window.numbers(simd, numbers[at..].iter_mut().step_by(count * planes));
                    }
                }
            }
            let numbers: &[[f32; LANES]] = bytemuck::cast_slice(numbers);
            let offsets: Vec<u32> = (0..planes).map(|block| (block * count) as u32).collect();
            for strip in self.task.strips {
                let width = strip.outputs.len();
                let matrices = weights.of(strip).chunks_exact(planes * LANES * width);
                for ((point, matrix), sums) in matrices.enumerate().zip(sums.chunks_exact_mut(width * count)) {
                    let (mut first, mut second) = sums.split_at_mut(count);
                    let mut x = &numbers[point * planes * count..];
                    for (_, pixels) in TileSize::of(S::F32_LANES).cut(count) {
                        let (y0, y1);
                        (y0, first) = first.split_at_mut(pixels);
                        (y1, second) = second.split_at_mut(pixels.min(second.len()));
                        let (bias, residual, activation) = (&ZEROS[..width], None, Activation::None);
                        let offsets = &offsets[..];
                        tile::compute(simd, Tile { x, offsets, weights: matrix, bias, residual, activation, y: [y0, y1] });
                        x = &x[pixels..];
                    }
                }
                for (i, block) in strip.outputs.clone().enumerate() {
                    let rows = y.next().expect("outputs for every block");
                    for (r, (_, row, y)) in rows.iter_mut().enumerate() {
                        for column in 0..self.windows.across {
                            let at = i * count + r * self.windows.across + column;
                            let sums = sums[at..].iter().step_by(width * count);
                            outputs(simd, self.operands, self.windows, block, *row, column, sums, y);
                        }
                    }
                }
            }
        });
    }
}

const ZEROS: [Lanes; tile::BLOCKS] = [Lanes([0.0; LANES]); tile::BLOCKS];

/// A window of the input.
struct Window<'a> {
    x: &'a Source<'a>,
    windows: Windows,
    row: usize,
    column: usize,
    block: usize,
}

impl Window<'_> {
    /// Its numbers.
    #[inline(always)]
    fn numbers<'b, S: Simd>(&self, simd: S, numbers: impl Iterator<Item = &'b mut Lanes>) {
        let shape = self.x.view.shape;
        let plane = self.x.plane(self.row / self.windows.down, self.block);
        // Rows and columns begin one before those of the outputs; what is outside is zero.
        let (top, left) = (self.row % self.windows.down * OUTPUTS, self.column * OUTPUTS);
        let inside = |first: usize, end: usize| usize::from(first == 0)..INPUTS.min(end + 1 - first);
        let (rows, columns) = (inside(top, shape.h), inside(left, shape.w));
        let mut lanes = [[[0.0; LANES]; INPUTS]; INPUTS];
        for i in rows {
            let line = &plane[(top + i - 1) * shape.w + left + columns.start - 1..][..columns.len()];
            lanes[i][columns.clone()].copy_from_slice(line);
        }
        let mut numbers: [Option<&mut Lanes>; POINTS] = from_iter(numbers);
        for v in 0..LANES / S::F32_LANES {
            let load = |i: usize, j: usize| S::as_simd_f32s(&lanes[i][j]).0[v];
            let mut half = [[simd.splat_f32s(0.0); INPUTS]; INPUTS];
            for j in 0..INPUTS {
                let column = inputs_of(simd, [load(0, j), load(1, j), load(2, j), load(3, j), load(4, j), load(5, j)]);
                (0..INPUTS).for_each(|i| half[i][j] = column[i]);
            }
            for i in 0..INPUTS {
                for (j, value) in inputs_of(simd, half[i]).into_iter().enumerate() {
                    if let Some(number) = &mut numbers[i * INPUTS + j] {
                        S::as_mut_simd_f32s(&mut number.0).0[v] = value;
                    }
                }
            }
        }
    }
}

/// `B'` times a column or row of a window.
#[inline(always)]
fn inputs_of<S: Simd>(simd: S, d: [S::f32s; INPUTS]) -> [S::f32s; INPUTS] {
    let times = |factor: f32, x, y| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    let even1 = times(-2.0, d[2], d[4]);
    let odd1 = times(-P, d[1], simd.mul_f32s(simd.splat_f32s(Q), d[3]));
    let even2 = times(-0.5, d[2], d[4]);
    let odd2 = times(-Q, d[1], simd.mul_f32s(simd.splat_f32s(P), d[3]));
    [
        times(-2.5, d[2], simd.add_f32s(d[0], d[4])),
        simd.add_f32s(even1, odd1),
        simd.sub_f32s(even1, odd1),
        simd.add_f32s(even2, odd2),
        simd.sub_f32s(even2, odd2),
        times(-2.5, d[3], simd.add_f32s(d[1], d[5])),
    ]
}

/// `A'` times a column or row of sums.
#[inline(always)]
fn outputs_of<S: Simd>(simd: S, m: [S::f32s; INPUTS]) -> [S::f32s; OUTPUTS] {
    let times = |factor: f32, x, y| simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y);
    let scaled = |factor: f32, x| simd.mul_f32s(simd.splat_f32s(factor), x);
    let (even1, odd1) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (even2, odd2) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], even1), even2),
        times(Q, odd1, scaled(P, odd2)),
        times(0.5, even1, scaled(2.0, even2)),
        times(0.5 * Q, odd1, times(2.0 * P, odd2, m[5])),
    ]
}

/// Writes the outputs of a window, with bias, second addend and activation.
#[inline(always)]
fn outputs<'b, S: Simd>(
    simd: S,
    operands: &Operands<'_, LANES>,
    windows: Windows,
    block: usize,
    row: usize,
    column: usize,
    sums: impl Iterator<Item = &'b Lanes>,
    y: &mut [Lanes],
) {
    let epilogue = operands.epilogue;
    let sums: [Option<&Lanes>; POINTS] = from_iter(sums);
    let first = row % windows.down * OUTPUTS * windows.width;
    let residual = epilogue.residual.map(|residual| &residual.plane(row / windows.down, block)[first..]);
    let left = column * OUTPUTS;
    let columns = OUTPUTS.min(windows.width - left);
    for v in 0..LANES / S::F32_LANES {
        let load = |at: usize| sums[at].map_or(simd.splat_f32s(0.0), |lanes| S::as_simd_f32s(&lanes.0).0[v]);
        let bias = S::as_simd_f32s(&operands.weights.bias[block].0).0[v];
        let mut half = [[simd.splat_f32s(0.0); INPUTS]; OUTPUTS];
        for j in 0..INPUTS {
            let column = [0, 1, 2, 3, 4, 5].map(|i| load(i * INPUTS + j));
            let column = outputs_of(simd, column);
            (0..OUTPUTS).for_each(|i| half[i][j] = column[i]);
        }
        for (i, line) in y.chunks_exact_mut(windows.width).enumerate() {
            let values = outputs_of(simd, half[i]);
            let addends = residual.map(|residual| &residual[i * windows.width + left..]);
            for (j, (value, y)) in values.into_iter().zip(&mut line[left..left + columns]).enumerate() {
                let mut value = simd.add_f32s(value, bias);
                if let Some(addends) = addends {
                    value = simd.add_f32s(value, S::as_simd_f32s(&addends[j]).0[v]);
                }
                S::as_mut_simd_f32s(&mut y.0).0[v] = activate(simd, value, epilogue.activation);
            }
        }
    }
    if epilogue.activation == Activation::Sigmoid {
        y.chunks_exact_mut(windows.width).for_each(|line| sigmoid_all(&mut line[left..left + columns]));
    }
}

/// The items of an iterator, as many as there are.
fn from_iter<T, const N: usize>(mut items: impl Iterator<Item = T>) -> [Option<T>; N] {
    std::array::from_fn(|_| items.next())
}
