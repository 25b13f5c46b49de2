//! Memory that each thread keeps for the inputs of its tasks.

use std::cell::RefCell;

use super::lanes::{Lanes, out_of_memory};
use crate::Result;

thread_local! {
    static SCRATCH: RefCell<Vec<Lanes>> = const { RefCell::new(Vec::new()) };
}

/// Lanes that a thread keeps from one task to the next: a megabyte, which is enough for most tasks.
const KEPT: usize = (1 << 20) / size_of::<Lanes>();

/// Lends `len` lanes of this thread's own memory to `work`, with their old contents. Call `arch.dispatch` inside `work`: this
/// function is not compiled for vector instructions.
///
/// # Errors
/// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for it.
pub(super) fn with_scratch<T>(len: usize, work: impl FnOnce(&mut [Lanes]) -> T) -> Result<T> {
    SCRATCH.with_borrow_mut(|scratch| {
        if scratch.len() < len {
            let more = len - scratch.len();
            scratch.try_reserve_exact(more).map_err(|_| out_of_memory("inputs of a thread", len))?;
            scratch.resize(len, Lanes::default());
        }
        let result = work(&mut scratch[..len]);
        scratch.truncate(KEPT);
        scratch.shrink_to(KEPT);
        Ok(result)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_not_there_is_an_error_and_little_of_it_is_kept() {
        assert_eq!(with_scratch(usize::MAX / 128, |_| ()).unwrap_err().code(), "gpu.oom");
        assert_eq!(with_scratch(4 * KEPT, |scratch| scratch.len()).unwrap(), 4 * KEPT);
        SCRATCH.with_borrow(|scratch| assert!(scratch.capacity() <= KEPT, "{}", scratch.capacity()));
    }
}
