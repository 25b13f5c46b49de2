//! Winograd's minimal filtering F(OxO, 3x3) for 3x3 convolutions of stride 1 (Lavin and Gray 2015, "Fast Algorithms for Convolutional
//! Neural Networks", section 4). Patches of IxI inputs, with I = O + 2, are transformed, tiles multiply the I * I results by the
//! transformed weights, and I * I sums become OxO outputs. [`WinogradTile`] has the points.

use std::{marker::PhantomData, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use super::{
    conv::Operands,
    lanes::{LANES, Lanes, Source, Target, blocks},
    scratch::with_scratch,
    simd::{activate, sigmoid_all},
    threads::{Threads, cut},
    tile::{self, Tile, TileSize},
    weights::Strip,
};
use crate::{
    Result,
    network::{Activation, WinogradTile},
};

/// Bytes of the transformed inputs and sums of a task: they should stay in the L2 cache.
const TASK_BYTES: usize = 704 << 10;

/// A size of patches: `I` rows and columns of inputs, `O` of outputs.
trait Filter<const I: usize, const O: usize> {
    /// `B'` times a column or row of a patch.
    fn inputs<S: Simd>(simd: S, d: [S::f32s; I]) -> [S::f32s; I];

    /// `A'` times a column or row of sums.
    fn outputs<S: Simd>(simd: S, m: [S::f32s; I]) -> [S::f32s; O];
}

/// F(2x2, 3x3).
struct Two;

/// F(4x4, 3x3).
struct Four;

impl Filter<4, 2> for Two {
    #[inline(always)]
    fn inputs<S: Simd>(simd: S, d: [S::f32s; 4]) -> [S::f32s; 4] {
        [simd.sub_f32s(d[0], d[2]), simd.add_f32s(d[1], d[2]), simd.sub_f32s(d[2], d[1]), simd.sub_f32s(d[3], d[1])]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: [S::f32s; 4]) -> [S::f32s; 2] {
        let (even, odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        [simd.add_f32s(m[0], even), simd.add_f32s(odd, m[3])]
    }
}

/// The positive points of F(4x4, 3x3).
const P: f32 = std::f32::consts::SQRT_2;
const Q: f32 = std::f32::consts::FRAC_1_SQRT_2;

impl Filter<6, 4> for Four {
    #[inline(always)]
    fn inputs<S: Simd>(simd: S, d: [S::f32s; 6]) -> [S::f32s; 6] {
        let even1 = times(simd, -2.0, d[2], d[4]);
        let odd1 = times(simd, -P, d[1], scaled(simd, Q, d[3]));
        let even2 = times(simd, -0.5, d[2], d[4]);
        let odd2 = times(simd, -Q, d[1], scaled(simd, P, d[3]));
        [
            times(simd, -2.5, d[2], simd.add_f32s(d[0], d[4])),
            simd.add_f32s(even1, odd1),
            simd.sub_f32s(even1, odd1),
            simd.add_f32s(even2, odd2),
            simd.sub_f32s(even2, odd2),
            times(simd, -2.5, d[3], simd.add_f32s(d[1], d[5])),
        ]
    }

    #[inline(always)]
    fn outputs<S: Simd>(simd: S, m: [S::f32s; 6]) -> [S::f32s; 4] {
        let (even1, odd1) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
        let (even2, odd2) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
        [
            simd.add_f32s(simd.add_f32s(m[0], even1), even2),
            times(simd, Q, odd1, scaled(simd, P, odd2)),
            times(simd, 0.5, even1, scaled(simd, 2.0, even2)),
            times(simd, 0.5 * Q, odd1, times(simd, 2.0 * P, odd2, m[5])),
        ]
    }
}

/// Computes a convolution that Winograd's algorithm fits: kernel 3x3; stride, padding and dilation 1; one group.
///
/// # Errors
/// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the transformed inputs.
pub(super) fn run(
    arch: Arch,
    threads: &Threads,
    tile: WinogradTile,
    operands: &Operands<'_, LANES>,
    y: Target<'_>,
) -> Result<()> {
    match tile {
        WinogradTile::Two => filter::<Two, 4, 2>(arch, threads, operands, y),
        WinogradTile::Four => filter::<Four, 6, 4>(arch, threads, operands, y),
    }
}

fn filter<F: Filter<I, O>, const I: usize, const O: usize>(
    arch: Arch,
    threads: &Threads,
    operands: &Operands<'_, LANES>,
    y: Target<'_>,
) -> Result<()> {
    let shape = y.view.shape;
    let patches = Patches { down: shape.h.div_ceil(O), across: shape.w.div_ceil(O), width: shape.w };
    let strips = &operands.weights.layout.strips;
    let bytes = I * I * size_of::<Lanes>() * patches.across * (blocks(operands.x.view.shape.c) + tile::BLOCKS);
    let all = shape.n * patches.down;
    // With few patches, give each thread some of the strips instead. Each thread then transforms all inputs.
    let chunks = all.div_ceil((TASK_BYTES / bytes).max(1));
    let parts = (2 * threads.count()).div_ceil(chunks).clamp(1, strips.len().div_ceil(2));
    let chunks = if parts == 1 { chunks.next_multiple_of(threads.count()).min(all) } else { chunks };

    let mut tasks: Vec<Task<'_>> = Vec::with_capacity(parts * chunks);
    let mut part_of_block = Vec::with_capacity(blocks(shape.c));
    for (i, part) in cut(strips.len(), parts).enumerate() {
        let strips = &strips[part];
        part_of_block.extend(strips.iter().flat_map(|strip| strip.outputs.clone()).map(|_| i));
        tasks.extend(cut(all, chunks).map(|rows| Task { strips, rows, y: Vec::new() }));
    }
    let chunk_of_row: Vec<usize> = cut(all, chunks).enumerate().flat_map(|(i, rows)| rows.map(move |_| i)).collect();
    for (i, plane) in y.planes().enumerate() {
        let (image, block) = (i / part_of_block.len(), i % part_of_block.len());
        for (row, outputs) in plane.chunks_mut(O * shape.w).enumerate() {
            let row = image * patches.down + row;
            tasks[part_of_block[block] * chunks + chunk_of_row[row]].y.push((block, row, outputs));
        }
    }
    let planes = blocks(operands.x.view.shape.c);
    threads.try_each(tasks, |task| {
        let len = I * I * task.rows.len() * patches.across * (planes + tile::BLOCKS);
        with_scratch(len, |scratch| {
            arch.dispatch(Work::<F, I, O> { operands, patches, scratch, task, filter: PhantomData })
        })
    })
}

/// The grid of patches of an image.
#[derive(Clone, Copy)]
struct Patches {
    down: usize,
    across: usize,
    /// Number of output columns.
    width: usize,
}

/// A task: rows of patches to compute for a part of the strips. The rows are counted over all images.
struct Task<'a> {
    strips: &'a [Strip],
    rows: Range<usize>,
    /// The outputs, each with its block and its row of patches.
    y: Vec<(usize, usize, &'a mut [Lanes])>,
}

struct Work<'a, 'b, F, const I: usize, const O: usize> {
    operands: &'a Operands<'a, LANES>,
    patches: Patches,
    /// Memory for all transformed inputs and for the sums of a strip.
    scratch: &'a mut [Lanes],
    task: Task<'b>,
    filter: PhantomData<F>,
}

impl<F: Filter<I, O>, const I: usize, const O: usize> WithSimd for Work<'_, '_, F, I, O> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Operands { x, weights, .. } = self.operands;
        let planes = blocks(x.view.shape.c);
        let count = self.task.rows.len() * self.patches.across;
        self.task.y.sort_by_key(|(block, row, _)| (*block, *row));
        let mut y = self.task.y.chunks_exact_mut(self.task.rows.len());
        let (transformed, sums) = self.scratch.split_at_mut(I * I * count * planes);
        for (i, row) in self.task.rows.clone().enumerate() {
            for column in 0..self.patches.across {
                for block in 0..planes {
                    let at = block * count + i * self.patches.across + column;
                    let patch = Patch { x, patches: self.patches, row, column, block };
                    patch.transform::<S, F, I, O>(simd, &mut transformed[at..], count * planes);
                }
            }
        }
        let transformed: &[[f32; LANES]] = bytemuck::cast_slice(transformed);
        let offsets: Vec<u32> = (0..planes).map(|block| (block * count) as u32).collect();
        for strip in self.task.strips {
            let width = strip.outputs.len();
            let matrices = weights.of(strip).chunks_exact(planes * LANES * width);
            for ((point, matrix), sums) in matrices.enumerate().zip(sums.chunks_exact_mut(width * count)) {
                // Each tile fetches its share of the next matrix.
                let next = weights.after(strip, (point + 1) * matrix.len(), matrix.len());
                let share = |pixel: usize| pixel * next.len() / count;
                let (first, second) = sums.split_at_mut(count);
                let x = &transformed[point * planes * count..];
                for pixels in TileSize::of(S::F32_LANES).cut(count, width) {
                    let tile = Tile {
                        x: &x[pixels.start..],
                        offsets: &offsets,
                        weights: matrix,
                        ahead: &next[share(pixels.start)..share(pixels.end)],
                        own: false,
                        bias: &ZEROS[..width],
                        resumed: false,
                        residual: None,
                        activation: Activation::None,
                        y: [&mut first[pixels.clone()], second.get_mut(pixels).unwrap_or_default()],
                    };
                    tile::compute(simd, tile);
                }
            }
            for (i, block) in strip.outputs.clone().enumerate() {
                let rows = y.next().expect("outputs for every block");
                for (r, (_, row, y)) in rows.iter_mut().enumerate() {
                    for column in 0..self.patches.across {
                        let at = i * count + r * self.patches.across + column;
                        let place = Place { patches: self.patches, block, row: *row, column };
                        outputs::<S, F, I, O>(simd, self.operands, place, &sums[at..], width * count, y);
                    }
                }
            }
        }
    }
}

const ZEROS: [Lanes; tile::BLOCKS] = [Lanes([0.0; LANES]); tile::BLOCKS];

/// A patch of the input.
struct Patch<'a> {
    x: &'a Source<'a>,
    patches: Patches,
    row: usize,
    column: usize,
    block: usize,
}

impl Patch<'_> {
    /// Writes the transformed inputs of the patch, `step` lanes apart.
    #[inline(always)]
    fn transform<S: Simd, F: Filter<I, O>, const I: usize, const O: usize>(
        &self,
        simd: S,
        transformed: &mut [Lanes],
        step: usize,
    ) {
        let shape = self.x.view.shape;
        let plane = self.x.plane(self.row / self.patches.down, self.block);
        // Input rows and columns begin one before the outputs'; inputs outside the image are zero.
        let (top, left) = (self.row % self.patches.down * O, self.column * O);
        let (rows, columns) = (inside::<I>(top, shape.h), inside::<I>(left, shape.w));
        let mut lanes = [[[0.0; LANES]; I]; I];
        for i in rows {
            let line = &plane[(top + i - 1) * shape.w + left + columns.start - 1..][..columns.len()];
            lanes[i][columns.clone()].copy_from_slice(line);
        }
        for v in 0..LANES / S::F32_LANES {
            let all = in_both_directions(
                simd,
                #[inline(always)]
                |i, j| S::as_simd_f32s(&lanes[i][j]).0[v],
                #[inline(always)]
                |line| F::inputs(simd, line),
            );
            for (point, value) in all.as_flattened().iter().enumerate() {
                S::as_mut_simd_f32s(&mut transformed[point * step].0).0[v] = *value;
            }
        }
    }
}

/// Transforms a square of vectors: applies `line` to each column, then to each row of the result.
#[inline(always)]
fn in_both_directions<S: Simd, const I: usize, const O: usize>(
    simd: S,
    at: impl Fn(usize, usize) -> S::f32s,
    line: impl Fn([S::f32s; I]) -> [S::f32s; O],
) -> [[S::f32s; O]; O] {
    let mut columns = [[simd.splat_f32s(0.0); O]; I];
    for (j, transformed) in columns.iter_mut().enumerate() {
        let mut column = [simd.splat_f32s(0.0); I];
        for (i, x) in column.iter_mut().enumerate() {
            *x = at(i, j);
        }
        *transformed = line(column);
    }
    let mut all = [[simd.splat_f32s(0.0); O]; O];
    for (o, transformed) in all.iter_mut().enumerate() {
        let mut row = [simd.splat_f32s(0.0); I];
        for (x, column) in row.iter_mut().zip(&columns) {
            *x = column[o];
        }
        *transformed = line(row);
    }
    all
}

/// The rows (or columns) of a patch that lie in an image of `extent` rows, for outputs from `first` on.
fn inside<const I: usize>(first: usize, extent: usize) -> Range<usize> {
    usize::from(first == 0)..I.min(extent + 1 - first)
}

/// `factor * x + y`.
#[inline(always)]
fn times<S: Simd>(simd: S, factor: f32, x: S::f32s, y: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(factor), x, y)
}

/// `factor * x`.
#[inline(always)]
fn scaled<S: Simd>(simd: S, factor: f32, x: S::f32s) -> S::f32s {
    simd.mul_f32s(simd.splat_f32s(factor), x)
}

/// The place of a patch's outputs.
#[derive(Clone, Copy)]
struct Place {
    patches: Patches,
    block: usize,
    row: usize,
    column: usize,
}

/// Writes the outputs of a patch to the rows `y`, with bias, second addend and activation. Its sums are `step` lanes apart.
#[inline(always)]
fn outputs<S: Simd, F: Filter<I, O>, const I: usize, const O: usize>(
    simd: S,
    operands: &Operands<'_, LANES>,
    place: Place,
    sums: &[Lanes],
    step: usize,
    y: &mut [Lanes],
) {
    let Place { patches: Patches { down, width, .. }, block, row, column } = place;
    let epilogue = operands.epilogue;
    let first = row % down * O * width;
    let residual = epilogue.residual.map(|residual| &residual.plane(row / down, block)[first..]);
    let left = column * O;
    let columns = O.min(width - left);
    for v in 0..LANES / S::F32_LANES {
        let bias = S::as_simd_f32s(&operands.weights.bias[block].0).0[v];
        let all = in_both_directions(
            simd,
            #[inline(always)]
            |i, j| S::as_simd_f32s(&sums[(i * I + j) * step].0).0[v],
            #[inline(always)]
            |line| F::outputs(simd, line),
        );
        for (i, row) in all.iter().enumerate() {
            let Some(line) = y.get_mut(i * width + left..i * width + left + columns) else { continue };
            for j in 0..O {
                let Some(y) = line.get_mut(j) else { continue };
                let mut value = simd.add_f32s(row[j], bias);
                if let Some(residual) = residual {
                    value = simd.add_f32s(value, S::as_simd_f32s(&residual[i * width + left + j]).0[v]);
                }
                S::as_mut_simd_f32s(&mut y.0).0[v] = activate(simd, value, epilogue.activation);
            }
        }
    }
    if epilogue.activation == Activation::Sigmoid {
        y.chunks_exact_mut(width).for_each(|line| sigmoid_all(&mut line[left..left + columns]));
    }
}
