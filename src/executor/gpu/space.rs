//! Checks address space, if the process has a limit (`ulimit -v`). Mesa's software drivers do not notice that a mapping failed
//! and write to it, so give them no work that might not fit.

use std::{fs, thread};

use crate::{Error, Result, executor::DeviceInfo};

const MIB: u64 = 1 << 20;

/// Bytes that drivers take when they are loaded: libraries, and the stacks and heaps of their threads.
const LOADING: u64 = 768 * MIB;

/// Bytes that a software adapter takes besides its buffers: its compiler, the blocks in which wgpu makes small buffers, and a
/// stack and a heap for each core's thread (glibc reserves 64 or 128 MiB for the heap). Measured with `builtin` on llvmpipe: 1000
/// MiB with 2 cores.
const SOFTWARE: u64 = 832 * MIB;
const SOFTWARE_THREAD: u64 = 136 * MIB;
/// Largest number of threads that llvmpipe starts.
const THREADS: usize = 32;

/// Bytes that a buffer of a software adapter may take besides its contents: a block of wgpu's allocator, and room for the
/// compiler.
const BLOCK: u64 = 320 * MIB;

/// The limits of this process in bytes: address space, and data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space([Option<u64>; 2]);

impl Space {
    /// Reads the limits as they are now. There are none if the system does not report them.
    pub(super) fn of_process() -> Self {
        Space::parse(&fs::read_to_string("/proc/self/limits").unwrap_or_default())
    }

    /// Reads the limits from the text of `/proc/self/limits`.
    fn parse(limits: &str) -> Self {
        let limit = |name: &str| {
            limits.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
        };
        Space(["Max address space", "Max data size"].map(limit))
    }

    /// Bytes that the process may still take; `None` if there is no limit.
    fn left(self) -> Option<u64> {
        let limited = self.0.iter().any(Option::is_some);
        limited
            .then(|| fs::read_to_string("/proc/self/status").unwrap_or_default())
            .and_then(|text| self.left_of(&text))
    }

    /// Bytes that the process may still take, from the text of `/proc/self/status`.
    fn left_of(self, status: &str) -> Option<u64> {
        let taken = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        };
        let left = |(limit, name): (Option<u64>, &str)| Some(limit?.saturating_sub(1024 * taken(name).unwrap_or(0)));
        self.0.into_iter().zip(["VmSize:", "VmData:"]).filter_map(left).min()
    }

    /// The reason why `needed` more bytes might not fit; `None` if they fit.
    fn lack(self, needed: u64) -> Option<String> {
        let left = self.left().filter(|&left| left < needed)?;
        let (needed, left) = (needed / MIB, left / MIB);
        Some(format!("it may need {needed} MiB of address space, and the limits of this process leave {left} MiB"))
    }

    /// Checks that there is room to load drivers.
    ///
    /// # Errors
    /// [`Error::GpuOpen`] if there might not be.
    pub(super) fn check_loading(self) -> Result<()> {
        let error = |reason| Err(Error::GpuOpen { device: "a graphics driver".into(), reason });
        self.lack(LOADING).map_or(Ok(()), error)
    }

    /// Checks that there is room to open the adapter.
    ///
    /// # Errors
    /// [`Error::GpuOpen`] if there might not be.
    pub(super) fn check_opening(self, info: &DeviceInfo) -> Result<()> {
        let error = |reason| Err(Error::GpuOpen { device: info.name.clone(), reason });
        let threads = thread::available_parallelism().map_or(THREADS, |cores| cores.get().min(THREADS));
        let needed = SOFTWARE + threads as u64 * SOFTWARE_THREAD;
        Some(info).filter(|info| info.kind.software()).and_then(|_| self.lack(needed)).map_or(Ok(()), error)
    }

    /// Checks that there is room for a buffer of `bytes` on the adapter.
    ///
    /// # Errors
    /// [`Error::GpuMemory`] if there might not be.
    pub(super) fn check_buffer(self, info: &DeviceInfo, bytes: u64) -> Result<()> {
        let error = |reason| Err(Error::GpuMemory { device: info.name.clone(), reason });
        Some(info).filter(|info| info.kind.software()).and_then(|_| self.lack(BLOCK + bytes)).map_or(Ok(()), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max data size             unlimited            unlimited            bytes     
Max address space         819200000            unlimited            bytes     
";

    #[test]
    fn what_is_left_is_the_limit_without_what_is_taken() {
        let status = "Name:\tresidua\nVmSize:\t  500000 kB\nVmData:\t  400000 kB\n";
        let space = Space::parse(LIMITS);
        assert_eq!(space.left_of(status), Some(819_200_000 - 512_000_000));
        assert_eq!(space.left_of("VmSize:\t  900000 kB\n"), Some(0));
        assert_eq!(Space::parse(&LIMITS.replace("819200000", "unlimited")).left_of(status), None);
        let data = LIMITS.replacen("unlimited", "409700000", 1);
        assert_eq!(Space::parse(&data).left_of(status), Some(100_000));
        assert_eq!(Space::parse("").left(), None, "a system that does not report them");
    }
}
