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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// Assigns buffers to values, largest value first. Each value gets a buffer that no other value uses during its life, or a new
/// one ("greedy by size" for shared objects in Pisarchyk and Lee, Efficient Memory Management for Deep Neural Net Inference,
/// 2020). Tries taking the smallest free buffer each time, and the largest each time, and returns the layout that needs less
/// memory.
pub(super) fn assign(values: &[Lifetime]) -> Layout {
    let total = |layout: &Layout| layout.buffers.iter().sum::<u64>();
    let (smallest, largest) = (by_size(values, true), by_size(values, false));
    if total(&smallest) <= total(&largest) { smallest } else { largest }
}

fn by_size(values: &[Lifetime], smallest: bool) -> Layout {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by_key(|&v| Reverse(values[v].bytes));
    let mut buffers: Vec<Vec<usize>> = Vec::new();
    let mut buffer_of = vec![0; values.len()];
    for v in order {
        let apart = |o: &usize| values[*o].last < values[v].first || values[v].last < values[*o].first;
        // Buffers are in order of falling size.
        let mut free = (0..buffers.len()).filter(|&b| buffers[b].iter().all(apart));
        let buffer = if smallest { free.next_back() } else { free.next() };
        let buffer = buffer.unwrap_or(buffers.len());
        buffers.resize(buffers.len().max(buffer + 1), Vec::new());
        buffers[buffer].push(v);
        buffer_of[v] = buffer;
    }
    // The first value of a buffer is its largest.
    Layout { buffers: buffers.iter().map(|held| values[held[0]].bytes).collect(), buffer_of }
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
