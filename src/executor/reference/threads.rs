//! Sharing the work of one operator between threads.

use std::{
    num::NonZero,
    sync::{Mutex, PoisonError},
    thread,
};

/// Work below this many multiply-accumulates is not worth a thread.
const WORTH_A_THREAD: usize = 1 << 18;

/// Calls `fill(first, part)` for consecutive parts of `data` that hold whole units of `unit` elements; `first` is the
/// index of the part's first unit. `macs` is the work for all of `data`.
pub(super) fn split(data: &mut [f32], unit: usize, macs: usize, fill: impl Fn(usize, &mut [f32]) + Sync) {
    let units = data.len() / unit.max(1);
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(units).min(macs / WORTH_A_THREAD);
    if threads <= 1 {
        return fill(0, data);
    }
    let each = units.div_ceil(threads);
    let parts = Mutex::new(data.chunks_mut(each * unit).enumerate());
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || {
        while let Some((i, part)) = next() {
            fill(i * each, part);
        }
    };
    thread::scope(|scope| {
        // If a thread cannot be started, the others do its work.
        (1..threads).for_each(|_| drop(thread::Builder::new().spawn_scoped(scope, work)));
        work();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_filled_once_with_its_index() {
        for units in [1, 2, 3, 7, 64] {
            let mut data = vec![0.0; units * 5];
            split(&mut data, 5, usize::MAX, |first, part| {
                for (i, unit) in part.chunks_exact_mut(5).enumerate() {
                    unit.iter_mut().for_each(|v| *v += (first + i) as f32);
                }
            });
            let expected: Vec<f32> = (0..units).flat_map(|i| [i as f32; 5]).collect();
            assert_eq!(data, expected);
        }
    }
}
