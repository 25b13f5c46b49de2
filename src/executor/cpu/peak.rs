//! Measures the peak rate of the processor's multipliers.

use std::{hint::black_box, time::Duration};

use pulp::{Arch, Simd, WithSimd};

use super::threads::Threads;
use crate::executor::Host;

/// Sums at a time: enough to cover the latency of a multiply-add, few enough for 16 registers.
const SUMS: usize = 12;

/// Multiply-adds of each sum between two readings of the clock.
const STEPS: usize = 20_000;

/// Measured operations per second of multiply-adds in registers, two operations each, on all threads at once. Takes the best of
/// several rounds.
pub(super) fn flops(host: &dyn Host, arch: Arch, threads: &Threads) -> f64 {
    let round = |_| {
        let began = host.now();
        let mut rounds = 0;
        while host.now() < began + Duration::from_millis(10) {
            threads.each(vec![(); threads.count()], |()| arch.dispatch(Spin));
            rounds += 1;
        }
        let operations = rounds * threads.count() * SUMS * STEPS * 2 * lanes(arch);
        operations as f64 / (host.now() - began).as_secs_f64()
    };
    (0..10).map(round).fold(0.0, f64::max)
}

/// Number of lanes in a vector.
fn lanes(arch: Arch) -> usize {
    struct Lanes;
    impl WithSimd for Lanes {
        type Output = usize;
        fn with_simd<S: Simd>(self, _: S) -> usize {
            S::F32_LANES
        }
    }
    arch.dispatch(Lanes)
}

struct Spin;

impl WithSimd for Spin {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Hide the values, or the compiler sees that all sums are equal.
        let [factor, addend] = black_box([0.999, 1e-3]).map(|x| simd.splat_f32s(x));
        let mut sums = black_box([1.0; SUMS]).map(|x| simd.splat_f32s(x));
        for _ in 0..STEPS {
            for sum in &mut sums {
                *sum = simd.mul_add_e_f32s(*sum, factor, addend);
            }
        }
        black_box(&sums);
    }
}
