//! Group normalisation (Wu and He 2018, "Group Normalization", section 3.1), and two norms with an activation of their own: EvoNorm-S0 and
//! filter response normalisation. See [`Plain`].

use super::{
    lanes::{LANES, Lanes, Source, Target, blocks},
    simd::sigmoid,
    threads::Threads,
};
use crate::graph::Plain;

/// Applies the norm `op`; `weights` has all its weights, then all biases, then all parameters of its activation.
pub(super) fn run(threads: &Threads, op: Plain, weights: &[f32], x: Source<'_>, y: Target<'_>) {
    let (shape, of_image) = (y.view.shape, blocks(y.view.shape.c));
    let (weight, others) = weights.split_at(shape.c);
    let (bias, parameters) = others.split_at(shape.c);
    let (groups, eps, centred) = match op {
        Plain::GroupNorm { groups, eps, .. } | Plain::EvoNorm { groups, eps, .. } => (groups, eps, true),
        Plain::FilterResponseNorm { channels, eps } => (channels, eps, false),
        _ => unreachable!("{op} is not a norm"),
    };
    let of_group = shape.c / groups;
    let mut of_blocks = vec![[Channel::default(); LANES]; shape.n * of_image];
    threads.each(of_blocks.iter_mut().enumerate().collect(), |(i, channels)| {
        *channels = statistics(x.plane(i / of_image, i % of_image), centred);
    });
    let of_images = of_blocks.chunks_exact(of_image);
    let channels: Vec<Channel> = of_images.flat_map(|blocks| blocks.as_flattened()[..shape.c].to_vec()).collect();
    let of_groups: Vec<(f32, f32)> =
        channels.chunks(of_group).map(|group| merged(group, shape.pixels(), eps)).collect();
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (image, first) = (i / of_image, i % of_image * LANES);
        let channel = |lane: usize| (first + lane).min(shape.c - 1);
        let group = |lane: usize| of_groups[image * groups + channel(lane) / of_group];
        let means: [f32; LANES] = std::array::from_fn(|lane| group(lane).0);
        let scales: [f32; LANES] = std::array::from_fn(|lane| group(lane).1 * weight[channel(lane)]);
        let biases: [f32; LANES] = std::array::from_fn(|lane| bias[channel(lane)]);
        let x = x.plane(image, i % of_image);
        let of_activation = || -> [f32; LANES] { std::array::from_fn(|lane| parameters[channel(lane)]) };
        match op {
            Plain::EvoNorm { .. } => {
                let v = of_activation();
                each_value(x, plane, |x, lane| x * sigmoid(v[lane] * x) * scales[lane] + biases[lane]);
            }
            Plain::FilterResponseNorm { .. } => {
                let tau = of_activation();
                each_value(x, plane, |x, lane| {
                    let y = x * scales[lane] + biases[lane];
                    // NaN stays NaN.
                    if y < tau[lane] { tau[lane] } else { y }
                });
            }
            _ => each_value(x, plane, |x, lane| (x - means[lane]) * scales[lane] + biases[lane]),
        }
    });
}

/// Applies `of` to each value of a plane and its lane.
#[inline(always)]
fn each_value(x: &[[f32; LANES]], y: &mut [Lanes], of: impl Fn(f32, usize) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        (0..LANES).for_each(|lane| y.0[lane] = of(x[lane], lane));
    }
}

/// A channel's statistics over all pixels: the mean or zero, and the sum of the pixels' squared distances from it.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    mean: f64,
    squares: f64,
}

/// The statistics of the channels of a block: around their means if `centred`, otherwise around zero.
fn statistics(plane: &[[f32; LANES]], centred: bool) -> [Channel; LANES] {
    let mut mean = [0.0; LANES];
    if centred {
        mean = sums(plane, |x, _| x).map(|sum| sum / plane.len() as f64);
    }
    let near = mean.map(|mean| mean as f32);
    let squares = sums(plane, |x, lane| (x - near[lane]).powi(2));
    std::array::from_fn(|lane| Channel { mean: mean[lane], squares: squares[lane] })
}

/// The sum of `of` each value and its lane. Sums of a row are terms of the sum.
#[inline(always)]
fn sums(plane: &[[f32; LANES]], of: impl Fn(f32, usize) -> f32) -> [f64; LANES] {
    const ROW: usize = 256;
    let mut sums = [0.0_f64; LANES];
    for row in plane.chunks(ROW) {
        let mut of_row = [0.0_f32; LANES];
        row.iter().for_each(|pixel| (0..LANES).for_each(|lane| of_row[lane] += of(pixel[lane], lane)));
        (0..LANES).for_each(|lane| sums[lane] += f64::from(of_row[lane]));
    }
    sums
}

/// Mean and reciprocal deviation of a group of channels with `pixels` pixels each (Chan et al. 1983, "Algorithms for Computing the Sample
/// Variance", equation 2.1b).
fn merged(group: &[Channel], pixels: usize, eps: f32) -> (f32, f32) {
    let count = group.len() as f64;
    let mean = group.iter().map(|channel| channel.mean).sum::<f64>() / count;
    let squares = |channel: &Channel| channel.squares + pixels as f64 * (channel.mean - mean).powi(2);
    let variance = group.iter().map(squares).sum::<f64>() / (count * pixels as f64);
    (mean as f32, (1.0 / (variance + f64::from(eps)).sqrt()) as f32)
}
