//! Memory for values and weights.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use super::lanes::{Lanes, out_of_memory};
use crate::Result;

/// Buffers of at least this many bytes lie in huge pages where Linux has them. The weights of a network are read once for each
/// image, so with ordinary pages the processor would look up an address every 4 KiB.
const LARGE: usize = 512 << 10;

/// Lanes in memory.
#[derive(Debug)]
pub(super) enum Buffer {
    Heap(Box<[Lanes]>),
    Pages(MmapMut),
}

impl Buffer {
    /// A buffer of `len` lanes of zeros for `what`.
    ///
    /// # Errors
    /// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for it.
    pub(super) fn zeroed(what: &str, len: usize) -> Result<Self> {
        let bytes = len.saturating_mul(size_of::<Lanes>());
        if cfg!(target_os = "linux") && bytes >= LARGE {
            let pages = MmapMut::map_anon(bytes).map_err(|_| out_of_memory(what, len))?;
            #[cfg(target_os = "linux")]
            if let Err(error) = pages.advise(memmap2::Advice::HugePage) {
                log::debug!("no huge pages for {what}: {error}");
            }
            return Ok(Buffer::Pages(pages));
        }
        let heap = bytemuck::allocation::try_zeroed_slice_box(len);
        heap.map(Buffer::Heap).map_err(|()| out_of_memory(what, len))
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::Heap(Box::default())
    }
}

impl Deref for Buffer {
    type Target = [Lanes];

    fn deref(&self) -> &[Lanes] {
        match self {
            Buffer::Heap(lanes) => lanes,
            Buffer::Pages(pages) => bytemuck::cast_slice(pages),
        }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [Lanes] {
        match self {
            Buffer::Heap(lanes) => lanes,
            Buffer::Pages(pages) => bytemuck::cast_slice_mut(pages),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_of_any_size_is_zero_and_one_that_no_memory_holds_is_an_error() {
        for len in [0, 1, 1000, LARGE / size_of::<Lanes>(), 100_003] {
            let mut buffer = Buffer::zeroed("lanes", len).unwrap();
            assert_eq!(buffer.len(), len);
            assert!(buffer.iter().all(|lanes| lanes.0 == [0.0; 16]));
            buffer.fill(Lanes([1.0; 16]));
            assert_eq!(buffer.iter().map(|lanes| lanes.0[15]).sum::<f32>(), len as f32);
        }
        for len in [1 << 50, usize::MAX / 64, usize::MAX] {
            assert_eq!(Buffer::zeroed("lanes", len).unwrap_err().code(), "gpu.oom");
        }
    }
}
