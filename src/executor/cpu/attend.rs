//! Attention pooling.

use super::{
    lanes::{LANES, Source, Target, blocks},
    threads::Threads,
};

/// The sums over all pixels of the channels after the `keys`, weighted in each head by the softmax of `scale` times the sum of its keys.
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

/// The mean of all pixels, then the pixels in a row, each plus `weight[token][channel]`.
pub(super) fn tokens(threads: &Threads, weight: &[f32], x: Source<'_>, y: Target<'_>) {
    let (channels, of_image) = (x.view.shape.c, blocks(x.view.shape.c));
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let first = i % of_image * LANES;
        let weight = |token: usize, lane: usize| weight[token * channels + (first + lane).min(channels - 1)];
        let from = x.plane(i / of_image, i % of_image);
        let mut sums = [0.0_f32; LANES];
        for (p, (y, pixel)) in plane[1..].iter_mut().zip(from).enumerate() {
            for lane in 0..LANES {
                sums[lane] += pixel[lane];
                y.0[lane] = pixel[lane] + weight(p + 1, lane);
            }
        }
        plane[0].0 = std::array::from_fn(|lane| sums[lane] / from.len() as f32 + weight(0, lane));
    });
}
