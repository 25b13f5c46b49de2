//! Group normalisation (Wu and He 2018, "Group Normalization", section 3.1).

use super::{
    lanes::{LANES, Source, Target, blocks},
    threads::Threads,
};

/// `(x - mean) * scale * weight + bias`; `weight` has all weights, then all biases.
pub(super) fn run(threads: &Threads, weight: &[f32], groups: usize, eps: f32, x: Source<'_>, y: Target<'_>) {
    let (shape, of_image) = (y.view.shape, blocks(y.view.shape.c));
    let (weight, bias) = weight.split_at(shape.c);
    let of_group = shape.c / groups;
    let mut of_blocks = vec![[Channel::default(); LANES]; shape.n * of_image];
    threads.each(of_blocks.iter_mut().enumerate().collect(), |(i, channels)| {
        *channels = statistics(x.plane(i / of_image, i % of_image));
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
        for (y, x) in plane.iter_mut().zip(x.plane(image, i % of_image)) {
            for lane in 0..LANES {
                y.0[lane] = (x[lane] - means[lane]) * scales[lane] + biases[lane];
            }
        }
    });
}

/// A channel's statistics over all pixels: the mean, and the sum of the pixels' squared distances from it.
#[derive(Debug, Clone, Copy, Default)]
struct Channel {
    mean: f64,
    squares: f64,
}

/// The statistics of the channels of a block. Sums of a row are terms of the sums.
fn statistics(plane: &[[f32; LANES]]) -> [Channel; LANES] {
    const ROW: usize = 256;
    let mut sums = [0.0_f64; LANES];
    for row in plane.chunks(ROW) {
        let mut of_row = [0.0_f32; LANES];
        row.iter().for_each(|pixel| (0..LANES).for_each(|lane| of_row[lane] += pixel[lane]));
        (0..LANES).for_each(|lane| sums[lane] += f64::from(of_row[lane]));
    }
    let mean = sums.map(|sum| sum / plane.len() as f64);
    let near = mean.map(|mean| mean as f32);
    let mut squares = [0.0_f64; LANES];
    for row in plane.chunks(ROW) {
        let mut of_row = [0.0_f32; LANES];
        row.iter().for_each(|pixel| (0..LANES).for_each(|lane| of_row[lane] += (pixel[lane] - near[lane]).powi(2)));
        (0..LANES).for_each(|lane| squares[lane] += f64::from(of_row[lane]));
    }
    std::array::from_fn(|lane| Channel { mean: mean[lane], squares: squares[lane] })
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
