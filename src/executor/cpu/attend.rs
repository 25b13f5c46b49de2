//! Attention pooling.

use super::{
    lanes::{LANES, Source, Target, blocks},
    threads::Threads,
};

/// Pools by attention, in `heads`: the mean of the channels after the `keys` over all pixels, weighted by the softmax of `scale` times the
/// sum of a head's keys.
pub(super) fn attend(threads: &Threads, heads: usize, keys: usize, scale: f32, x: Source<'_>, y: Target<'_>) {
    let (shape, channels) = (x.view.shape, y.view.shape.c);
    let mut shares = vec![vec![0.0_f32; shape.pixels()]; shape.n * heads];
    threads.each(shares.iter_mut().enumerate().collect(), |(i, shares)| {
        let (image, head) = (i / heads, i % heads);
        for key in head * keys / heads..(head + 1) * keys / heads {
            let plane = x.plane(image, key / LANES);
            shares.iter_mut().zip(plane).for_each(|(score, pixel)| *score += pixel[key % LANES]);
        }
        let largest = shares.iter().fold(f32::NEG_INFINITY, |largest, score| largest.max(scale * score));
        shares.iter_mut().for_each(|score| *score = (scale * *score - largest).exp());
        let sum: f32 = shares.iter().sum();
        shares.iter_mut().for_each(|share| *share /= sum);
    });
    let of_image = blocks(channels);
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (image, first) = (i / of_image, i % of_image * LANES);
        plane[0].0 = std::array::from_fn(|lane| {
            let channel = (first + lane).min(channels - 1);
            let shares = &shares[image * heads + channel / (channels / heads)];
            let from = x.plane(image, (keys + channel) / LANES);
            shares.iter().zip(from).map(|(share, pixel)| share * pixel[(keys + channel) % LANES]).sum()
        });
    });
}

/// Writes the mean of all pixels, followed by the pixels in a row, each with its position embedding added. `weight` has the mean's
/// embedding first, then the pixels', which are resampled from a map of `side` rows and columns.
pub(super) fn tokens(threads: &Threads, weight: &[f32], side: usize, x: Source<'_>, y: Target<'_>) {
    let (shape, of_image) = (x.view.shape, blocks(x.view.shape.c));
    let [rows, columns] =
        [shape.h, shape.w].map(|extent| (0..extent).map(|to| taps(side, extent, to)).collect::<Vec<_>>());
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let first = i % of_image * LANES;
        let weight = |token: usize, lane: usize| weight[token * shape.c + (first + lane).min(shape.c - 1)];
        let from = x.plane(i / of_image, i % of_image);
        let mut sums = [0.0_f32; LANES];
        for (p, (y, pixel)) in plane[1..].iter_mut().zip(from).enumerate() {
            for lane in 0..LANES {
                sums[lane] += pixel[lane];
                let mut position = 0.0;
                for (row, share) in &rows[p / shape.w] {
                    let of_row = columns[p % shape.w].iter();
                    position += share
                        * of_row.map(|(column, share)| share * weight(1 + row * side + column, lane)).sum::<f32>();
                }
                y.0[lane] = pixel[lane] + position;
            }
        }
        plane[0].0 = std::array::from_fn(|lane| sums[lane] / from.len() as f32 + weight(0, lane));
    });
}

/// The places of `side` with a share in place `to` of `extent`, and their shares: Keys' cubic with parameter -1/2, as wide as the coarser
/// of both grids.
fn taps(side: usize, extent: usize, to: usize) -> Vec<(usize, f32)> {
    let scale = side as f32 / extent as f32;
    let cubic = |from: usize| {
        let x = ((from as f32 + 0.5 - (to as f32 + 0.5) * scale) / scale.max(1.0)).abs();
        if x < 1.0 {
            (1.5 * x - 2.5) * x * x + 1.0
        } else {
            ((-0.5 * x.min(2.0) + 2.5) * x.min(2.0) - 4.0) * x.min(2.0) + 2.0
        }
    };
    let sum: f32 = (0..side).map(cubic).sum();
    (0..side).map(|from| (from, cubic(from) / sum)).filter(|(_, share)| *share != 0.0).collect()
}
