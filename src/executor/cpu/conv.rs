//! Convolution as an implicit matrix product: tiles of outputs (`tile`) are computed from panels of inputs (`panel`).

use std::{mem, ops::Range};

use pulp::{Arch, Simd, WithSimd};

use super::{
    buffer::Buffer,
    lanes::{LANES, Lanes, Source, Target, View, blocks},
    panel::{Panel, Part},
    scratch::with_scratch,
    threads::{Threads, cut},
    tile::{self, Tile, TileSize},
    weights::{Affine, Packed},
};
use crate::{Result, graph::Conv2dParams, network::Activation, tensor::Shape};

/// Target size of a panel in bytes: it should stay in the L2 cache with the weights of a strip. One row of outputs may need more.
const PANEL_BYTES: usize = 256 << 10;

/// Target size in bytes of the weights that all tiles of a task use before the next ones: they should stay in the L1 cache with the inputs
/// of a tile.
const PART_BYTES: usize = 20 << 10;

/// Tasks for each thread: enough that no thread waits long for the last one.
const TASKS: usize = 4;

/// Operations on sums before they are stored. The bias is already in the sums.
#[derive(Clone, Copy)]
pub(super) struct Epilogue<'a> {
    /// Second addend, of the output's shape.
    pub(super) residual: Option<Source<'a>>,
    pub(super) activation: Activation,
}

/// The operands of a convolution.
pub(super) struct Operands<'a, const C: usize> {
    pub(super) params: Conv2dParams,
    pub(super) x: Source<'a, C>,
    pub(super) prologue: Option<&'a Affine>,
    pub(super) weights: &'a Packed,
    pub(super) epilogue: Epilogue<'a>,
}

/// Computes a convolution.
///
/// # Errors
/// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the panels.
pub(super) fn run<const C: usize>(
    arch: Arch,
    threads: &Threads,
    operands: &Operands<'_, C>,
    y: Target<'_>,
) -> Result<()> {
    let shape = y.view.shape;
    let strips = &operands.weights.layout.strips;
    // Strips that read the same inputs share a panel.
    let shared = strips.iter().all(|strip| strip.inputs == strips[0].inputs);
    let group = operands.weights.layout.group.unwrap_or(1);
    let planes = group * strips.iter().map(|strip| strip.inputs.len()).max().unwrap_or(0);
    let panel = |rows: usize| Panel::new(operands.params.into(), rows, shape.w);
    let bytes = |rows: usize| planes * panel(rows).plane() * C * 4;
    let (row, more) = (bytes(1), (bytes(2) - bytes(1)).max(1));
    let wanted = (TASKS * threads.count()).div_ceil(shape.n * strips.len());
    let panels = shape.h.div_ceil(1 + PANEL_BYTES.saturating_sub(row) / more).max(wanted.min(shape.h));
    let parts = if shared { (TASKS * threads.count()).div_ceil(panels * shape.n) } else { strips.len() };
    let parts = parts.clamp(1, strips.len());

    // The weights of one part serve all images before the weights of the next part are read.
    let mut tasks = Vec::with_capacity(parts * panels * shape.n);
    let mut part_of_block = Vec::with_capacity(blocks(shape.c));
    for (i, part) in cut(strips.len(), parts).enumerate() {
        part_of_block.extend(strips[part.clone()].iter().flat_map(|strip| strip.outputs.clone()).map(|_| i));
        for image in 0..shape.n {
            let task = |rows| Task { image, rows, strips: part.clone(), y: Vec::new() };
            tasks.extend(cut(shape.h, panels).map(task));
        }
    }
    for (i, mut plane) in y.planes().enumerate() {
        let (image, part) = (i / part_of_block.len(), part_of_block[i % part_of_block.len()]);
        for (i, rows) in cut(shape.h, panels).enumerate() {
            let (of_panel, rest) = plane.split_at_mut(rows.len() * shape.w);
            tasks[(part * shape.n + image) * panels + i].y.push(of_panel);
            plane = rest;
        }
    }
    let panel = panel(shape.h.div_ceil(panels));
    let offsets = panel.offsets(planes);
    threads.try_each(tasks, |task| {
        let strips = &operands.weights.layout.strips[task.strips.clone()];
        let planes = strips[0].inputs.start..strips[strips.len() - 1].inputs.end;
        let in_place = operands.reads_in_place();
        let len = if in_place { 0 } else { (group * planes.len() * panel.plane() * C).div_ceil(LANES) };
        with_scratch(len, |scratch| {
            arch.dispatch(Work { operands, panel, offsets: &offsets, shape, planes, in_place, scratch, task });
        })
    })
}

impl<const C: usize> Operands<'_, C> {
    /// Whether tiles can read the input without a panel.
    fn reads_in_place(&self) -> bool {
        let Operands { params: Conv2dParams { kernel, stride, padding, .. }, prologue, weights, .. } = self;
        (*kernel, *stride, *padding) == (1, 1, 0) && prologue.is_none() && weights.layout.group.is_none()
    }
}

/// The part of the work for some strips and some rows of an image.
struct Task<'a> {
    image: usize,
    rows: Range<usize>,
    strips: Range<usize>,
    /// Its outputs, block by block.
    y: Vec<&'a mut [Lanes]>,
}

/// A task with its operands.
struct Work<'a, 'b, const C: usize> {
    operands: &'a Operands<'a, C>,
    panel: Panel,
    offsets: &'a [u32],
    /// Shape of the output.
    shape: Shape,
    /// Planes of the input that the strips read.
    planes: Range<usize>,
    in_place: bool,
    /// Memory for the panel; unused if the input is read in place.
    scratch: &'a mut [Lanes],
    task: Task<'b>,
}

impl<const C: usize> WithSimd for Work<'_, '_, C> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Operands { x, prologue, .. } = self.operands;
        let (planes, rows) = (self.planes.clone(), self.task.rows.clone());
        if self.in_place {
            let pixels = x.view.shape.pixels();
            let offsets: Vec<u32> = (0..planes.len()).map(|plane| (plane * pixels) as u32).collect();
            let x = &x.image(self.task.image)[planes.start * pixels + rows.start * self.shape.w..];
            return self.tiles(simd, x, &offsets);
        }
        let scratch: &mut [f32] = bytemuck::cast_slice_mut(mem::take(&mut self.scratch));
        let group = self.operands.weights.layout.group.unwrap_or(1);
        let panel = &mut scratch.as_chunks_mut().0[..group * planes.len() * self.panel.plane()];
        self.panel.fill(simd, x, Part { image: self.task.image, planes, group, rows }, *prologue, panel);
        let offsets = self.offsets;
        self.tiles(simd, panel, offsets);
    }
}

impl<const C: usize> Work<'_, '_, C> {
    /// Computes all tiles. The inputs `x` begin with the first plane and row; `offsets` are the positions of the terms from there.
    #[inline(always)]
    fn tiles<S: Simd>(self, simd: S, x: &[[f32; C]], offsets: &[u32]) {
        let Operands { params, weights, epilogue, .. } = self.operands;
        let Task { image, rows, strips, mut y } = self.task;
        let size = TileSize::of(S::F32_LANES);
        let (group, own) = (weights.layout.group.unwrap_or(1), weights.layout.group.is_some());
        let terms = group * params.kernel * params.kernel;
        let before = rows.start * self.shape.w;
        let mut y = y.iter_mut();
        for strip in &weights.layout.strips[strips] {
            let offsets = &offsets[(strip.inputs.start - self.planes.start) * terms..][..strip.inputs.len() * terms];
            let (matrix, bias) = (weights.of(strip), &weights.bias[strip.outputs.clone()]);
            let residual = epilogue.residual.map(|residual| {
                let plane = |block: usize| residual.plane(image, block);
                let first = strip.outputs.start;
                [plane(first), if strip.outputs.len() > 1 { plane(first + 1) } else { &[] }]
            });
            let mut outputs = [y.next(), if strip.outputs.len() > 1 { y.next() } else { None }];
            let per_offset = matrix.len() / offsets.len();
            let parts = offsets.len().div_ceil((PART_BYTES / (per_offset * size_of::<Lanes>())).max(1));
            for part in cut(offsets.len(), parts) {
                let (resumed, last) = (part.start > 0, part.end == offsets.len());
                let matrix = &matrix[part.start * per_offset..part.end * per_offset];
                // Each tile fetches its share of the weights that come next.
                let ahead = weights.after(strip, part.end * per_offset, matrix.len());
                let share = |pixel: usize| pixel * ahead.len() / (rows.len() * self.shape.w);
                let offsets = &offsets[part];
                for (input, output, len) in self.panel.runs(rows.len(), self.shape.w) {
                    for pixels in size.cut(len, strip.outputs.len()) {
                        let places = output + pixels.start..output + pixels.end;
                        let y = outputs.each_mut().map(|y| match y {
                            Some(y) => &mut y[places.clone()],
                            None => &mut [],
                        });
                        let addends = before + places.start..before + places.end;
                        let residual = residual.filter(|_| last);
                        let residual =
                            residual.map(|planes| planes.map(|plane| plane.get(addends.clone()).unwrap_or_default()));
                        let activation = if last { epilogue.activation } else { Activation::None };
                        let x = &x[input + pixels.start..];
                        let (weights, ahead) = (matrix, &ahead[share(places.start)..share(places.end)]);
                        let tile = Tile { x, offsets, weights, ahead, own, bias, resumed, residual, activation, y };
                        tile::compute(simd, tile);
                    }
                }
            }
        }
    }
}

/// Convolves a batch of single pixels as one row of pixels.
///
/// # Errors
/// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the row.
pub(super) fn run_vectors(arch: Arch, threads: &Threads, operands: &Operands<'_, LANES>, y: Target<'_>) -> Result<()> {
    let (n, c) = (y.view.shape.n, y.view.shape.c);
    let as_pixels = |source: &Source<'_>| {
        let Shape { n, c, .. } = source.view.shape;
        let mut data = Buffer::zeroed("a batch", n * blocks(c))?;
        for (i, to) in data.iter_mut().enumerate() {
            to.0 = source.plane(i % n, i / n)[0];
        }
        Ok((data, View::whole(Shape::new(1, c, 1, n))))
    };
    let (x, x_view) = as_pixels(&operands.x)?;
    let residual = operands.epilogue.residual.as_ref().map(as_pixels).transpose()?;
    let view = View::whole(Shape::new(1, c, 1, n));
    let mut outputs = Buffer::zeroed("a batch", view.buffer_len())?;
    let residual = residual.as_ref().map(|(data, view)| Source::new(data, *view));
    let epilogue = Epilogue { residual, ..operands.epilogue };
    // The pixels are images, so read all of them, whatever the stride.
    let params = Conv2dParams { stride: 1, ..operands.params };
    let operands = Operands { params, x: Source::new(&x, x_view), epilogue, ..*operands };
    run(arch, threads, &operands, Target { data: &mut outputs, view })?;
    for (i, plane) in y.planes().enumerate() {
        let (image, block) = (i / blocks(c), i % blocks(c));
        plane[0] = outputs[block * n + image];
    }
    Ok(())
}
