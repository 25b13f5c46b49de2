//! A panel: a copy of the rows of an image that some rows of outputs read, laid out so that the inputs of a window are at fixed distances.
//! It has zeros around the image. Batch norm and ReLU are already applied if they come before the convolution, and columns are grouped by
//! their remainder modulo the stride.

use std::ops::Range;

use pulp::Simd;

use super::{
    lanes::{LANES, Source},
    simd::relu,
    weights::Affine,
};
use crate::graph::Conv2dParams;

/// The window that moves over an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Window {
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    pub(super) dilation: usize,
}

impl From<Conv2dParams> for Window {
    fn from(params: Conv2dParams) -> Self {
        let Conv2dParams { kernel, stride, padding, dilation, .. } = params;
        Window { kernel, stride, padding, dilation }
    }
}

/// The part of an input that a panel copies.
pub(super) struct Part {
    pub(super) image: usize,
    pub(super) planes: Range<usize>,
    /// Planes of the panel for each plane of the input: one for each channel of a group.
    pub(super) group: usize,
    /// The rows of outputs that read it.
    pub(super) rows: Range<usize>,
}

/// The layout of panels for a number of output rows and a width: `[planes][phases][rows][columns]`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Panel {
    pub(super) window: Window,
    /// Number of output rows.
    pub(super) outputs: usize,
    /// Groups of columns, one for each remainder modulo the stride. A 1x1 kernel reads only one of them.
    phases: usize,
    rows: usize,
    columns: usize,
}

impl Panel {
    /// The layout of panels for `outputs` rows of `width` outputs.
    pub(super) fn new(window: Window, outputs: usize, width: usize) -> Self {
        let Window { kernel, stride, dilation, .. } = window;
        let reach = (kernel - 1) * dilation;
        let (phases, rows) = if kernel == 1 { (1, outputs) } else { (stride, (outputs - 1) * stride + reach + 1) };
        Panel { window, outputs, phases, rows, columns: width + reach / stride }
    }

    /// Number of elements in a plane.
    pub(super) fn plane(&self) -> usize {
        self.phases * self.rows * self.columns
    }

    /// The positions of the inputs of a panel's first output, for each of `planes` planes and each tap of the window.
    pub(super) fn offsets(&self, planes: usize) -> Vec<u32> {
        let Window { kernel, stride, dilation, .. } = self.window;
        let tap = |plane: usize, ky: usize, kx: usize| {
            let column = kx * dilation;
            let row = (plane * self.phases + column % stride) * self.rows + ky * dilation;
            (row * self.columns + column / stride) as u32
        };
        let taps = |plane| (0..kernel * kernel).map(move |at| tap(plane, at / kernel, at % kernel));
        (0..planes).flat_map(taps).collect()
    }

    /// Runs of outputs whose inputs are consecutive, for `rows` rows of `width` outputs. Yields the first input, the first
    /// output, and the length of each run.
    pub(super) fn runs(&self, rows: usize, width: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let (runs, len) = if self.window.kernel == 1 { (1, rows * width) } else { (rows, width) };
        let step = self.window.stride * self.columns;
        (0..runs).map(move |run| (run * step, run * width, len))
    }

    /// Fills a panel from a part of an input.
    #[inline(always)]
    pub(super) fn fill<S: Simd, const C: usize>(
        &self,
        simd: S,
        x: &Source<'_, C>,
        part: Part,
        prologue: Option<&Affine>,
        panel: &mut [[f32; C]],
    ) {
        let Window { kernel, stride, padding, .. } = self.window;
        let shape = x.view.shape;
        let Part { image, planes, group, rows } = part;
        for (block, panels) in planes.zip(panel.chunks_exact_mut(group * self.plane())) {
            let from = x.plane(image, block);
            for (i, to) in panels[..self.plane()].chunks_exact_mut(self.columns).enumerate() {
                let (phase, row) = (i / self.rows, i % self.rows);
                let step = if kernel == 1 { stride } else { 1 };
                let y = (rows.start * stride + row * step).checked_sub(padding).filter(|y| *y < shape.h);
                let Some(y) = y else {
                    to.fill([0.0; C]);
                    continue;
                };
                let line = &from[y * shape.w..][..shape.w];
                // Column `i` of the phase is column `i * stride + phase - padding` of the image.
                let before = padding.saturating_sub(phase).div_ceil(stride).min(to.len());
                let (zeros, to) = to.split_at_mut(before);
                zeros.fill([0.0; C]);
                let first = before * stride + phase - padding;
                let count = shape.w.saturating_sub(first).div_ceil(stride).min(to.len());
                let (to, zeros) = to.split_at_mut(count);
                zeros.fill([0.0; C]);
                let line = &line[first.min(shape.w)..];
                match prologue {
                    None if stride == 1 => to.copy_from_slice(&line[..count]),
                    None => to.iter_mut().zip(line.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
                    Some(affine) => {
                        let scale = S::as_simd_f32s(&affine.scale[block].0).0;
                        let shift = S::as_simd_f32s(&affine.shift[block].0).0;
                        let from = line.chunks(stride);
                        for (to, from) in to.iter_mut().zip(from) {
                            let (from, to) = (S::as_simd_f32s(&from[0]).0, S::as_mut_simd_f32s(to).0);
                            for v in 0..(LANES / S::F32_LANES).min(to.len()) {
                                to[v] = relu(simd, simd.mul_add_e_f32s(from[v], scale[v], shift[v]));
                            }
                        }
                    }
                }
            }
            match group {
                2 => spread::<2, C>(panels),
                4 => spread::<4, C>(panels),
                _ => {}
            }
        }
    }
}

/// Gives each lane the channels of its group: channel `i` of the group in plane `i`. Reads them from the first plane.
#[inline(always)]
fn spread<const G: usize, const C: usize>(planes: &mut [[f32; C]]) {
    let (first, others) = planes.split_at_mut(planes.len() / G);
    let len = first.len();
    for (at, x) in first.iter_mut().enumerate() {
        let all = *x;
        for i in 0..G {
            let to = if i == 0 { &mut *x } else { &mut others[(i - 1) * len + at] };
            for (to, group) in to.as_chunks_mut::<G>().0.iter_mut().zip(all.as_chunks::<G>().0) {
                *to = [group[i]; G];
            }
        }
    }
}
