//! Layers that only move values: slices of channels, zero padding, upsampling.

use super::{
    lanes::{LANES, Source, Target, blocks},
    threads::Threads,
};

/// The source of each output value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    /// The input channel of the first output channel.
    pub(super) from: usize,
    /// Rows and columns of zeros before the input's first.
    pub(super) before: [usize; 2],
    /// Rows and columns of the output for each pixel.
    pub(super) factor: usize,
}

/// Moves the values of `x` to their places in `y`, which has zeros where there are none.
pub(super) fn run(threads: &Threads, places: Places, x: Source<'_>, y: Target<'_>) {
    let Places { from, before: [top, left], factor } = places;
    let (input, output, of_image) = (x.view.shape, y.view.shape, blocks(y.view.shape.c));
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (image, first) = (i / of_image, i % of_image * LANES + from);
        let pixel = |row: usize, column: usize| {
            let row = row.checked_sub(top).map(|row| row / factor).filter(|row| *row < input.h)?;
            let column = column.checked_sub(left).map(|column| column / factor).filter(|column| *column < input.w)?;
            Some(row * input.w + column)
        };
        for (row, line) in plane.chunks_exact_mut(output.w).enumerate() {
            for (column, y) in line.iter_mut().enumerate() {
                let Some(pixel) = pixel(row, column) else {
                    y.0 = [0.0; LANES];
                    continue;
                };
                if first.is_multiple_of(LANES) {
                    y.0 = x.plane(image, first / LANES)[pixel];
                    continue;
                }
                // The channels lie in two blocks; channels after the last one are unused.
                let (block, lane) = (first / LANES, first % LANES);
                let next = ((block + 1) * LANES < input.c).then(|| x.plane(image, block + 1)[pixel]);
                y.0[..LANES - lane].copy_from_slice(&x.plane(image, block)[pixel][lane..]);
                y.0[LANES - lane..].copy_from_slice(&next.unwrap_or_default()[..lane]);
            }
        }
    });
}
