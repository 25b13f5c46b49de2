//! Elementwise functions on vectors, for any vector instructions.

use pulp::Simd;

use super::lanes::Lanes;
use crate::network::Activation;

/// Applies ReLU to each element, if it is the activation; [`sigmoid_all`] applies the sigmoid.
#[inline(always)]
pub(super) fn activate<S: Simd>(simd: S, x: S::f32s, activation: Activation) -> S::f32s {
    if activation == Activation::Relu { relu(simd, x) } else { x }
}

/// `max(x, 0)`; NaN stays NaN.
#[inline(always)]
pub(super) fn relu<S: Simd>(simd: S, x: S::f32s) -> S::f32s {
    let zero = simd.splat_f32s(0.0);
    simd.select_f32s(simd.less_than_f32s(x, zero), zero, x)
}

/// The larger of each pair; NaN wins.
#[inline(always)]
pub(super) fn larger<S: Simd>(simd: S, max: S::f32s, x: S::f32s) -> S::f32s {
    // Comparisons with NaN are false, so handle a NaN in either operand.
    let keeps = simd.less_than_or_equal_f32s(x, max);
    let number = simd.equal_f32s(max, max);
    let kept = simd.select_f32s(keeps, max, x);
    simd.select_f32s(number, kept, max)
}

/// `1 / (1 + exp(-x))`.
pub(super) fn sigmoid(x: f32) -> f32 {
    (1.0 / (1.0 + (-f64::from(x)).exp())) as f32
}

/// Applies the sigmoid to every element.
pub(super) fn sigmoid_all(values: &mut [Lanes]) {
    values.iter_mut().flat_map(|lanes| &mut lanes.0).for_each(|value| *value = sigmoid(*value));
}

/// Asks the cache for lanes that are needed soon, where the processor has an instruction for it.
#[inline(always)]
pub(super) fn fetch(lanes: &Lanes) {
    #[cfg(target_arch = "x86_64")]
    if let Some(sse) = pulp::core_arch::x86::Sse::try_new() {
        sse._mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(std::ptr::from_ref(lanes).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lanes;
}
