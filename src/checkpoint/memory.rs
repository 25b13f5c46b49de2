//! Memory for the bytes of a checkpoint.

use std::io;

use memmap2::MmapMut;

/// Zeroed memory, in huge pages if the system has them. With small pages, getting the memory takes longer than reading the file.
pub(super) fn memory(bytes: usize) -> io::Result<MmapMut> {
    let memory = MmapMut::map_anon(bytes)?;
    #[cfg(target_os = "linux")]
    if let Err(error) = memory.advise(memmap2::Advice::HugePage) {
        log::debug!("no huge pages: {error}");
    }
    Ok(memory)
}
