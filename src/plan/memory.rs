//! Which buffer each value lives in. Values that are alive at the same time never share one.
//!
//! wgpu tracks hazards per whole buffer and forbids reading and writing one buffer in a dispatch, so values get whole
//! buffers out of a small rotating set, not slices of one arena.

/// A value's life, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// Step that writes it.
    pub first: usize,
    /// Last step that reads it.
    pub last: usize,
    /// Its size.
    pub bytes: u64,
}

/// Buffers and who lives in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Size of each buffer in bytes.
    pub buffers: Vec<u64>,
    /// Buffer of each value, in the order in which they were given.
    pub buffer_of: Vec<usize>,
}

/// Assigns buffers to values given in the order of their `first` step: each takes the free buffer that fits it best (the
/// smallest that is large enough, else the largest, which grows), or a new one if none is free.
pub fn assign(values: &[Lifetime]) -> Layout {
    let mut buffers: Vec<u64> = Vec::new();
    let mut busy_until: Vec<usize> = Vec::new();
    let mut buffer_of = Vec::with_capacity(values.len());
    for value in values {
        let free = (0..buffers.len()).filter(|&b| busy_until[b] < value.first);
        let best = free.min_by_key(|&b| {
            let fits = buffers[b] >= value.bytes;
            (!fits, if fits { buffers[b] } else { u64::MAX - buffers[b] })
        });
        let chosen = best.unwrap_or_else(|| {
            buffers.push(0);
            busy_until.push(0);
            buffers.len() - 1
        });
        buffers[chosen] = buffers[chosen].max(value.bytes);
        busy_until[chosen] = value.last;
        buffer_of.push(chosen);
    }
    Layout { buffers, buffer_of }
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
