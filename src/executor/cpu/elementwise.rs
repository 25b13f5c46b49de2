//! Layers that compute each element on its own, move values, or compute gates.

use pulp::{Arch, Simd, WithSimd};

use super::{
    buffer::Buffer,
    lanes::{LANES, Lanes, Source, Target, View, blocks, window},
    simd::{activate, sigmoid, sigmoid_all},
    threads::Threads,
    weights::Affine,
};
use crate::{
    Result, graph,
    network::{Activation, Gate, Subsample},
    tensor::Shape,
};

/// The operands of `activation((x * scale + shift) * gate + residual)`, or of the same with `+ gate`. Each is optional; a missing `x` is
/// zero.
#[derive(Clone, Copy)]
pub(super) struct Operands<'a> {
    pub(super) x: Option<Source<'a>>,
    pub(super) affine: Option<&'a Affine>,
    /// One pixel for each image.
    pub(super) gate: Option<(Gate, Source<'a>)>,
    pub(super) residual: Option<Source<'a>>,
    pub(super) activation: Activation,
}

/// Computes an elementwise layer.
pub(super) fn run(arch: Arch, threads: &Threads, operands: &Operands<'_>, y: Target<'_>) {
    let blocks = blocks(y.view.shape.c);
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let (image, block) = (i / blocks, i % blocks);
        arch.dispatch(Plane { operands, image, block, plane });
    });
}

struct Plane<'a, 'b> {
    operands: &'a Operands<'a>,
    image: usize,
    block: usize,
    plane: &'b mut [Lanes],
}

impl<'a> WithSimd for Plane<'a, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Operands { x, affine, gate, residual, activation } = *self.operands;
        let plane = |source: Source<'a>| S::as_simd_f32s(source.plane(self.image, self.block).as_flattened()).0;
        let lanes = |lanes| S::as_simd_f32s(lanes).0;
        let gate = gate.map(|(gate, of)| (gate, lanes(&of.plane(self.image, self.block)[0])));
        let affine = affine.map(|affine| [&affine.scale, &affine.shift].map(|part| lanes(&part[self.block].0)));
        let (x, residual) = (x.map(plane), residual.map(plane));
        let y = S::as_mut_simd_f32s(bytemuck::cast_slice_mut(self.plane)).0;
        let vectors = LANES / S::F32_LANES;
        for (i, y) in y.iter_mut().enumerate() {
            let mut value = x.map_or(simd.splat_f32s(0.0), |x| x[i]);
            if let Some([scale, shift]) = affine {
                value = simd.mul_add_e_f32s(value, scale[i % vectors], shift[i % vectors]);
            }
            match gate {
                Some((Gate::Scale, scale)) => value = simd.mul_f32s(value, scale[i % vectors]),
                Some((Gate::Shift, shift)) => value = simd.add_f32s(value, shift[i % vectors]),
                None => {}
            }
            if let Some(residual) = residual {
                value = simd.add_f32s(value, residual[i]);
            }
            *y = activate(simd, value, activation);
        }
        if activation == Activation::Sigmoid {
            sigmoid_all(self.plane);
        }
    }
}

/// Shortcut A of shape `output`: every `stride`-th pixel in both directions, after `before` channels of zeros.
///
/// # Errors
/// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for it.
pub(super) fn subsampled(threads: &Threads, x: Source<'_>, subsample: Subsample, output: Shape) -> Result<Buffer> {
    let Subsample { stride, before } = subsample;
    let view = View::whole(output);
    let mut data = Buffer::zeroed("a shortcut", view.buffer_len())?;
    let planes = Target { data: &mut data, view }.planes();
    threads.each(planes.enumerate().collect(), |(i, plane)| {
        let (image, block) = (i / blocks(output.c), i % blocks(output.c));
        for lane in 0..LANES {
            let Some(c) = (block * LANES + lane).checked_sub(before).filter(|c| *c < x.view.shape.c) else { continue };
            let from = x.plane(image, c / LANES);
            for (oy, line) in plane.chunks_exact_mut(output.w).enumerate() {
                let row = &from[oy * stride * x.view.shape.w..][..x.view.shape.w];
                for (to, from) in line.iter_mut().zip(row.iter().step_by(stride)) {
                    to.0[lane] = from[c % LANES];
                }
            }
        }
    });
    Ok(data)
}

/// Copies `x` to the channels of `y` from `channel` on. Channels that pad its last block become zeros there.
pub(super) fn copy_channels(threads: &Threads, x: Source<'_>, y: Target<'_>, channel: usize) {
    let (blocks, end) = (blocks(y.view.shape.c), channel + x.view.shape.c);
    let planes = y.planes().enumerate().filter(|(i, _)| {
        let first = i % blocks * LANES;
        first + LANES > channel && first < end
    });
    threads.each(planes.collect(), |(i, plane)| {
        let (image, first) = (i / blocks, i % blocks * LANES);
        // The block's channels lie in two blocks of `x`. The first one may lie before `x`, and the second one after it.
        let (second, lane) = ((first + LANES - channel) / LANES, (first + LANES - channel) % LANES);
        let one = second.checked_sub(1).map(|block| x.plane(image, block));
        let two = (second * LANES < x.view.shape.c).then(|| x.plane(image, second));
        let (own, inside) = (channel.saturating_sub(first), end - first);
        for (pixel, y) in plane.iter_mut().enumerate() {
            let x = window([one, two].map(|block| block.map_or([0.0; LANES], |block| block[pixel])), lane);
            for (lane, x) in x.into_iter().enumerate().skip(own) {
                y.0[lane] = if lane < inside { x } else { 0.0 };
            }
        }
    });
}

/// Applies `activation` to each element; NaN stays NaN.
pub(super) fn activation(threads: &Threads, activation: graph::Activation, x: Source<'_>, y: Target<'_>) {
    let blocks = blocks(y.view.shape.c);
    threads.each(y.planes().enumerate().collect(), |(i, plane)| {
        let x = x.plane(i / blocks, i % blocks).as_flattened();
        let y = plane.iter_mut().flat_map(|lanes| &mut lanes.0);
        y.zip(x).for_each(|(y, x)| *y = if x.is_nan() { *x } else { activated(*x, activation) });
    });
}

fn activated(x: f32, activation: graph::Activation) -> f32 {
    use graph::Activation;
    let six = |x: f32| x.clamp(0.0, 6.0);
    match activation {
        Activation::Identity => x,
        Activation::Relu => x.max(0.0),
        Activation::Relu6 => six(x),
        Activation::LeakyRelu(slope) => x.max(0.0) + slope * x.min(0.0),
        Activation::Silu => x * sigmoid(x),
        Activation::Mish => x * softplus(x).tanh(),
        Activation::Gelu => 0.5 * x * libm::erfcf(-x * std::f32::consts::FRAC_1_SQRT_2),
        Activation::GeluTanh => {
            let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            // `sigmoid(2 t)` is `(1 + tanh(t)) / 2`, without its cancellation near zero.
            x * sigmoid(2.0 * inner)
        }
        Activation::QuickGelu => x * sigmoid(1.702 * x),
        Activation::Sigmoid => sigmoid(x),
        Activation::Tanh => x.tanh(),
        Activation::HardSigmoid => six(x + 3.0) / 6.0,
        Activation::HardSwish => x * (six(x + 3.0) / 6.0),
        Activation::HardMish => 0.5 * x * (x + 2.0).clamp(0.0, 2.0),
        Activation::Elu(a) => x.max(0.0) + a * x.min(0.0).exp_m1(),
        Activation::Celu(a) => x.max(0.0) + a * (x.min(0.0) / a).exp_m1(),
        Activation::Selu => {
            let [scale, a] = Activation::SELU.map(|constant| constant as f32);
            scale * (x.max(0.0) + a * x.min(0.0).exp_m1())
        }
    }
}

/// `ln(1 + exp(x))`. For large `x`, whose exponential overflows, this is `x`.
fn softplus(x: f32) -> f32 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Computes the gates of efficient channel attention: `y[n, c] = sigmoid(sum over t of weight[t] * x[n, c + t - K / 2])`. Outside of its
/// channels, `x` is zero.
pub(super) fn channel_gate(weight: &[f32], x: Source<'_>, y: Target<'_>) {
    let (channels, blocks) = (x.view.shape.c, blocks(x.view.shape.c));
    for (i, plane) in y.planes().enumerate() {
        let (image, first) = (i / blocks, i % blocks * LANES);
        let x = x.image(image).as_flattened();
        plane[0].0 = std::array::from_fn(|lane| {
            let inside = |tap: usize| (first + lane + tap).checked_sub(weight.len() / 2).filter(|c| *c < channels);
            let terms = weight.iter().enumerate().filter_map(|(tap, w)| Some(w * x[inside(tap)?]));
            sigmoid(terms.sum())
        });
    }
}

/// Computes the softmax along the groups of `[N, outer, groups, inner]`, as `[N, groups, outer, inner]`.
pub(super) fn softmax(outer: usize, groups: usize, x: Source<'_>, y: Target<'_>) {
    let (channels, blocks) = (x.view.shape.c, blocks(x.view.shape.c));
    let inner = channels / (outer * groups);
    for (i, plane) in y.planes().enumerate() {
        let (image, first) = (i / blocks, i % blocks * LANES);
        let x = x.image(image).as_flattened();
        plane[0].0 = std::array::from_fn(|lane| {
            let c = (first + lane).min(channels - 1);
            let (group, o, at) = (c / (outer * inner), c / inner % outer, c % inner);
            let logit = |g: usize| f64::from(x[(o * groups + g) * inner + at]);
            let largest = (0..groups).map(logit).fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = (0..groups).map(|g| (logit(g) - largest).exp()).sum();
            ((logit(group) - largest).exp() / sum) as f32
        });
    }
}
