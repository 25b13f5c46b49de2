//! Assigns a buffer to each value, and counts the memory. Values that are in use at the same time never share a buffer.
//!
//! Values get whole buffers from a small rotating set, not slices of one arena: wgpu tracks hazards by buffer and forbids a
//! dispatch to read and write the same one, and a layer on the CPU borrows whole buffers.

use std::cmp::Reverse;

/// The lifetime of a value, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    /// Step that writes it.
    pub(super) first: usize,
    /// Last step that reads it.
    pub(super) last: usize,
    /// Its size.
    pub(super) bytes: u64,
}

/// Buffers, and the buffer of each value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Layout {
    /// Size of each buffer in bytes.
    pub(super) buffers: Vec<u64>,
    /// Buffer of each value, in the order in which they were given.
    pub(super) buffer_of: Vec<usize>,
}

/// Largest total size of values that are in use at once.
pub(super) fn live(values: &[Lifetime]) -> u64 {
    let alive = |step: usize| values.iter().filter(move |v| (v.first..=v.last).contains(&step)).map(|v| v.bytes).sum();
    values.iter().map(|value| alive(value.first)).max().unwrap_or(0)
}

/// Assigns buffers to values, one after the other. Each value gets a buffer that no other value uses during its life, or a new one
/// ("greedy by size" for shared objects in Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference, 2020). No order
/// and no choice of a buffer is best for all networks. So this tries several, and returns the layout that needs the least memory.
pub(super) fn assign(values: &[Lifetime]) -> Layout {
    let mut by_size: Vec<usize> = (0..values.len()).collect();
    by_size.sort_by_key(|&v| Reverse(values[v].bytes));
    let mut by_time: Vec<usize> = (0..values.len()).collect();
    by_time.sort_by_key(|&v| values[v].first);
    let layouts = [
        greedy(values, &by_size, |Free { buffer, bytes, .. }| (bytes, Reverse(buffer))),
        greedy(values, &by_size, |Free { buffer, bytes, .. }| (Reverse(bytes), buffer)),
        greedy(values, &by_size, |Free { buffer, bytes, gap }| (gap, bytes, buffer)),
        greedy(values, &by_time, |Free { buffer, bytes, .. }| (Reverse(bytes), buffer)),
    ];
    let total = |layout: &Layout| layout.buffers.iter().sum::<u64>();
    layouts.into_iter().min_by_key(total).unwrap_or_default()
}

/// A buffer that is free during the life of a value.
struct Free {
    buffer: usize,
    bytes: u64,
    /// Steps between that life and the nearest one in the buffer.
    gap: usize,
}

/// Gives each value, in this order, the free buffer with the least `cost`. A buffer grows with its largest value.
fn greedy<Cost: Ord>(values: &[Lifetime], order: &[usize], cost: impl Fn(Free) -> Cost) -> Layout {
    let mut layout = Layout { buffers: Vec::new(), buffer_of: vec![0; values.len()] };
    let mut held: Vec<Vec<usize>> = Vec::new();
    for &v in order {
        let free = held.iter().zip(&layout.buffers).enumerate().filter_map(|(buffer, (held, bytes))| {
            let mut gaps = held.iter().map(|&other| gap(&values[other], &values[v]));
            let gap = gaps.try_fold(usize::MAX, |least, gap| Some(least.min(gap?)))?;
            Some((cost(Free { buffer, bytes: *bytes, gap }), buffer))
        });
        let buffer = free.min_by(|(a, _), (b, _)| a.cmp(b)).map_or(held.len(), |(_, buffer)| buffer);
        if buffer == held.len() {
            held.push(Vec::new());
            layout.buffers.push(0);
        }
        held[buffer].push(v);
        layout.buffers[buffer] = layout.buffers[buffer].max(values[v].bytes);
        layout.buffer_of[v] = buffer;
    }
    layout
}

/// Steps between two lives; None if they overlap.
fn gap(a: &Lifetime, b: &Lifetime) -> Option<usize> {
    let between = |a: &Lifetime, b: &Lifetime| b.first.checked_sub(a.last).filter(|steps| *steps > 0);
    between(a, b).or_else(|| between(b, a))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(first: usize, last: usize, bytes: u64) -> Lifetime {
        Lifetime { first, last, bytes }
    }

    #[test]
    fn a_chain_needs_two_buffers() {
        let layout = assign(&[life(0, 1, 64), life(1, 2, 64), life(2, 3, 64), life(3, 4, 64)]);
        assert_eq!(layout.buffers, [64, 64]);
        assert_eq!(layout.buffer_of, [0, 1, 0, 1]);
    }

    /// By size, the third value would take the buffer that the largest one needs.
    #[test]
    fn in_order_of_time_a_buffer_grows() {
        let values = [life(1, 1, 20), life(1, 2, 20), life(2, 3, 20), life(3, 3, 40), life(4, 5, 10)];
        assert_eq!(assign(&values).buffers.iter().sum::<u64>(), live(&values));
    }

    /// The fourth value takes the buffer that its neighbour in time has just left, and leaves the smaller one to the last but one.
    #[test]
    fn the_buffer_that_was_free_most_recently_may_be_best() {
        let values = [life(3, 4, 40), life(3, 3, 40), life(3, 4, 30), life(4, 6, 10), life(5, 5, 30), life(5, 5, 40)];
        assert_eq!(assign(&values).buffers.iter().sum::<u64>(), live(&values));
    }

    #[test]
    fn values_alive_together_never_share() {
        let values = [life(0, 3, 10), life(1, 2, 20), life(2, 4, 30), life(3, 9, 5), life(5, 6, 40), life(5, 9, 1)];
        let layout = assign(&values);
        for (i, a) in values.iter().enumerate() {
            for (j, b) in values.iter().enumerate().skip(i + 1) {
                let together = a.first <= b.last && b.first <= a.last;
                assert!(!(together && layout.buffer_of[i] == layout.buffer_of[j]), "{a:?} and {b:?}");
            }
            assert!(layout.buffers[layout.buffer_of[i]] >= a.bytes);
        }
    }
}
