//! 2-D cross-correlation with groups and zero padding.

use super::threads;
use crate::{
    graph::Conv2dParams,
    tensor::{Shape, Tensor},
};

/// `y[n, o, oy, ox] = bias[o] + sum over i, ky, kx of weight[o, i, ky, kx] * x[n, g * I + i, oy * s + ky * d - p, ox * s + kx * d - p]`
/// where `x` is zero outside, `s`, `p` and `d` are stride, padding and dilation, `I` is the number of input channels of a group and `g` the
/// group of `o`. Weight is `[out, I, kernel, kernel]`, bias `[out]`.
pub(super) fn conv2d(x: &Tensor, weight: &[f32], bias: Option<&[f32]>, params: &Conv2dParams, output: Shape) -> Tensor {
    let mut y = Tensor::zeros(output);
    let pixels = output.pixels();
    let macs = output.c * pixels * weight.len() / params.out_channels.max(1);
    for (n, image) in y.data.chunks_exact_mut(output.c * pixels).enumerate() {
        let planes = Planes::padded(x, n, params.padding);
        threads::split(image, pixels, macs, |first, channels| {
            accumulate(&planes, weight, bias, params, output, first, channels);
        });
    }
    y
}

/// Writes the output channels from `first` on, as many as fit into `channels`.
fn accumulate(
    planes: &Planes,
    weight: &[f32],
    bias: Option<&[f32]>,
    params: &Conv2dParams,
    output: Shape,
    first: usize,
    channels: &mut [f32],
) {
    let per_group = params.in_channels / params.groups;
    let taps = params.kernel * params.kernel;
    // A 1x1 kernel does not mix pixels, so all rows form one.
    let pointwise = params.kernel == 1 && params.stride == 1 && params.padding == 0;
    let (rows, columns) = if pointwise { (1, output.pixels()) } else { (output.h, output.w) };
    let mut sums = vec![0.0f64; columns];
    for oy in 0..rows {
        for (o, channel) in (first..).zip(channels.chunks_exact_mut(output.pixels())) {
            sums.fill(bias.map_or(0.0, |bias| f64::from(bias[o])));
            let group = o / (params.out_channels / params.groups);
            for i in 0..per_group {
                let plane = planes.channel(group * per_group + i);
                let kernel = &weight[(o * per_group + i) * taps..][..taps];
                for ky in 0..params.kernel {
                    let row = &plane[(oy * params.stride + ky * params.dilation) * planes.columns..];
                    for kx in 0..params.kernel {
                        let tap = f64::from(kernel[ky * params.kernel + kx]);
                        add_scaled(&mut sums, &row[kx * params.dilation..], params.stride, tap);
                    }
                }
            }
            for (y, sum) in channel[oy * columns..][..columns].iter_mut().zip(&sums) {
                *y = *sum as f32;
            }
        }
    }
}

/// Computes `sums[i] += scale * row[i * stride]`.
fn add_scaled(sums: &mut [f64], row: &[f64], stride: usize, scale: f64) {
    if stride == 1 {
        for (sum, x) in sums.iter_mut().zip(row) {
            *sum += scale * x;
        }
    } else {
        for (sum, x) in sums.iter_mut().zip(row.iter().step_by(stride)) {
            *sum += scale * x;
        }
    }
}

/// One image in f64, padded with zeros around every channel.
struct Planes {
    data: Vec<f64>,
    rows: usize,
    columns: usize,
}

impl Planes {
    fn padded(x: &Tensor, n: usize, padding: usize) -> Self {
        let Shape { c, h, w, .. } = x.shape;
        let (rows, columns) = (h + 2 * padding, w + 2 * padding);
        let mut data = vec![0.0; c * rows * columns];
        for (i, line) in x.image(n).chunks_exact(w).enumerate() {
            let (channel, y) = (i / h, i % h);
            let start = (channel * rows + y + padding) * columns + padding;
            for (to, from) in data[start..start + w].iter_mut().zip(line) {
                *to = f64::from(*from);
            }
        }
        Planes { data, rows, columns }
    }

    fn channel(&self, c: usize) -> &[f64] {
        let len = self.rows * self.columns;
        &self.data[c * len..(c + 1) * len]
    }
}
