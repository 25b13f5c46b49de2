//! Resizes 8-bit RGB with antialiasing, bit for bit as Pillow's `Image.resize`; computes only a window of the result.
//!
//! A resize is two one-dimensional passes. Each output is a weighted mean of the inputs under a filter kernel that is
//! centred on the output's place in the source and, when shrinking, widened by the shrink factor. The weights are
//! normalised in f64, then rounded to 22 fractional bits; sums are exact in i32, and each pass rounds and clips to u8.
//! Because of the clipping, the order of the passes matters: the horizontal one comes first unless the image loses more
//! than twice as many rows as columns, the rule of Pillow 13 and later.
//!
//! An axis that keeps its size gets a weight of exactly one at the pixel itself, so it needs no special case.

use std::ops::Range;

/// Interpolation kernel. Both are antialiased when shrinking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
pub enum Filter {
    /// A triangle, one pixel to each side.
    Bilinear,
    /// Keys' cubic convolution with a = -0.5, two pixels to each side.
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    /// Kernel at distance `x`. The order of the operations is part of the bit-exactness.
    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// One axis of a resize from `source` to `target` pixels, of which the window is `len` pixels from `start` on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis {
    pub(super) source: usize,
    pub(super) target: u64,
    pub(super) start: u64,
    pub(super) len: usize,
}

impl Axis {
    fn scale(&self) -> f64 {
        self.source as f64 / self.target as f64
    }

    /// Place of pixel `i` of the window in the source, and the source pixels that its kernel reaches.
    fn reach(&self, i: usize, filter: Filter) -> (f64, Range<usize>) {
        let scale = self.scale();
        let centre = ((self.start + i as u64) as f64 + 0.5) * scale;
        let support = filter.support() * scale.max(1.0);
        // `as` saturates below zero and truncates like a C cast.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(self.source);
        (centre, first..end)
    }

    /// The source pixels that the whole window reaches.
    fn extent(&self, filter: Filter) -> Range<usize> {
        self.reach(0, filter).1.start..self.reach(self.len - 1, filter).1.end
    }
}

/// Fractional bits of a weight: 32 less 8 for the pixel and 2 for negative and over-unity sums.
const BITS: u32 = 22;
const HALF: i32 = 1 << (BITS - 1);

fn clip(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// Weights of some outputs of an axis, one after the other.
#[derive(Default)]
struct Taps {
    /// First source pixel and number of weights of each output.
    spans: Vec<(usize, usize)>,
    weights: Vec<i32>,
    exact: Vec<f64>,
}

impl Taps {
    /// Adds the weights of pixel `i` of the window.
    fn push(&mut self, axis: &Axis, i: usize, filter: Filter) {
        let (centre, reach) = axis.reach(i, filter);
        let narrow = 1.0 / axis.scale().max(1.0);
        self.spans.push((reach.start, reach.len()));
        self.exact.clear();
        self.exact.extend(reach.map(|x| filter.at((x as f64 - centre + 0.5) * narrow)));
        let sum: f64 = self.exact.iter().sum();
        let sum = if sum == 0.0 { 1.0 } else { sum };
        self.weights.extend(self.exact.iter().map(|w| {
            let fixed = w / sum * f64::from(1 << BITS);
            (if fixed < 0.0 { fixed - 0.5 } else { fixed + 0.5 }) as i32
        }));
    }

    fn clear(&mut self) {
        self.spans.clear();
        self.weights.clear();
    }
}

/// Weights held at a time by the horizontal pass; only images wider than some hundred thousand pixels need several
/// rounds.
const MAX_TAPS: usize = 1 << 20;

/// Horizontal pass over `rows`, each `width` pixels from source column `first` on.
fn across(rows: &[u8], width: usize, first: usize, axis: &Axis, filter: Filter) -> Vec<u8> {
    let mut out = vec![0; rows.len() / width * axis.len];
    let mut taps = Taps::default();
    let mut done = 0;
    while done < axis.len {
        taps.clear();
        while done + taps.spans.len() < axis.len && taps.weights.len() < MAX_TAPS {
            taps.push(axis, done + taps.spans.len(), filter);
        }
        let columns = 3 * done..3 * (done + taps.spans.len());
        for (row, out) in rows.chunks_exact(3 * width).zip(out.chunks_exact_mut(3 * axis.len)) {
            let mut weights = taps.weights.as_slice();
            for (&(start, len), out) in taps.spans.iter().zip(out[columns.clone()].chunks_exact_mut(3)) {
                let (here, rest) = weights.split_at(len);
                weights = rest;
                let mut sums = [HALF; 3];
                for (pixel, &weight) in row[3 * (start - first)..].chunks_exact(3).zip(here) {
                    for c in 0..3 {
                        sums[c] += i32::from(pixel[c]) * weight;
                    }
                }
                out.copy_from_slice(&sums.map(clip));
            }
        }
        done += taps.spans.len();
    }
    out
}

/// Vertical pass over `columns` of rows of `width` pixels, which start at source row `first`.
fn down(rows: &[u8], width: usize, columns: Range<usize>, first: usize, axis: &Axis, filter: Filter) -> Vec<u8> {
    let mut out = vec![0; 3 * columns.len() * axis.len];
    let mut taps = Taps::default();
    let mut sums = vec![0; 3 * columns.len()];
    for (i, out) in out.chunks_exact_mut(3 * columns.len()).enumerate() {
        taps.clear();
        taps.push(axis, i, filter);
        sums.fill(HALF);
        let start = taps.spans[0].0 - first;
        for (row, &weight) in rows.chunks_exact(3 * width).skip(start).zip(&taps.weights) {
            for (sum, &value) in sums.iter_mut().zip(&row[3 * columns.start..3 * columns.end]) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, &sum) in out.iter_mut().zip(&sums) {
            *out = clip(sum);
        }
    }
    out
}

/// Resizes `source` (interleaved RGB, `x.source` by `y.source` pixels) to `x.target` by `y.target`,
/// and returns only the window of `x.len` by `y.len` pixels. Memory: the result, the source pixels that it reaches along one axis, and a
/// bounded table.
///
/// No side of the source, the target or the window may be zero.
pub(super) fn resize(source: &[u8], x: &Axis, y: &Axis, filter: Filter) -> Vec<u8> {
    let (columns, rows) = (x.extent(filter), y.extent(filter));
    let lost_rows = i128::from(y.source as u64) - i128::from(y.target);
    let lost_columns = i128::from(x.source as u64) - i128::from(x.target);
    if lost_rows > 0 && lost_rows > 2 * lost_columns {
        let narrow = down(source, x.source, columns.clone(), 0, y, filter);
        across(&narrow, columns.len(), columns.start, x, filter)
    } else {
        let reached = &source[3 * x.source * rows.start..3 * x.source * rows.end];
        let narrow = across(reached, x.source, 0, x, filter);
        down(&narrow, x.len, 0..x.len, rows.start, y, filter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(source: usize, target: u64) -> Axis {
        Axis { source, target, start: 0, len: target as usize }
    }

    fn noise(len: usize) -> Vec<u8> {
        (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
    }

    #[test]
    fn the_same_size_is_the_identity() {
        let source = noise(3 * 7 * 5);
        for filter in [Filter::Bilinear, Filter::Bicubic] {
            assert_eq!(resize(&source, &whole(7, 7), &whole(5, 5), filter), source);
        }
    }

    #[test]
    fn a_window_is_cut_out_of_the_whole() {
        // Horizontal pass first, vertical pass first, and growing.
        for (w, h, tw, th) in [(40, 31, 17, 13), (20, 90, 18, 30), (9, 8, 30, 31)] {
            let source = noise(3 * w * h);
            for filter in [Filter::Bilinear, Filter::Bicubic] {
                let all = resize(&source, &whole(w, tw), &whole(h, th), filter);
                let x = Axis { source: w, target: tw, start: 3, len: 11 };
                let y = Axis { source: h, target: th, start: 2, len: 9 };
                let window = resize(&source, &x, &y, filter);
                for (i, row) in window.chunks_exact(33).enumerate() {
                    let start = 3 * ((i + 2) * tw as usize + 3);
                    assert_eq!(row, &all[start..start + 33], "row {i} of {w}x{h} to {tw}x{th}, {filter:?}");
                }
            }
        }
    }

    #[test]
    fn a_table_in_several_rounds_gives_the_same() {
        // 3 rows of 700,000 pixels to 2 outputs per row: at least 700,000 taps each, so one output per round.
        let width = 700_000;
        let source: Vec<u8> = noise(3 * width).repeat(3);
        let both = across(&source, width, 0, &whole(width, 3), Filter::Bicubic);
        for i in 0..3 {
            let one = across(&source, width, 0, &Axis { source: width, target: 3, start: i, len: 1 }, Filter::Bicubic);
            for (row, pixel) in one.chunks_exact(3).enumerate() {
                let at = 3 * (3 * row + i as usize);
                assert_eq!(pixel, &both[at..at + 3]);
            }
        }
    }
}
