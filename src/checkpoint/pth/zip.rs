//! Scans the zip archives that `torch.save` writes, before they are read: sizes, and compression.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
};

use zip::{CompressionMethod, ZipArchive};

use super::scan::{Budget, MAX_PICKLE};

/// Number of bytes at the end of an archive in which its directory is announced: a comment of 64 KiB, and the record.
const TAIL: u64 = (1 << 16) + 22;

/// Checks that an archive can be read in bounded memory: its directory and its pickle are small, and its tensors are not
/// compressed, which `torch.save` never does.
///
/// # Errors
/// A sentence about the problem.
pub(super) fn check(file: &mut File, length: u64) -> Result<(), String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL))).map_err(failed)?;
    file.by_ref().take(TAIL).read_to_end(&mut tail).map_err(failed)?;
    if let Some(size) = directory(file, &tail)?.filter(|size| *size > MAX_PICKLE) {
        return Err(format!("its directory takes {size} bytes, over the limit of {MAX_PICKLE}"));
    }
    file.rewind().map_err(failed)?;
    let mut archive = ZipArchive::new(file).map_err(|error| error.to_string())?;
    let mut pickles = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| error.to_string())?;
        if entry.compression() != CompressionMethod::Stored {
            return Err(
                "its tensors are compressed, which torch.save never does; unpack them and save them again".into()
            );
        }
        if entry.name().is_ok_and(|name| name == "data.pkl" || name.ends_with("/data.pkl")) {
            pickles.push((index, entry.size()));
        }
    }
    let mut budget = Budget::new();
    for (index, size) in pickles {
        if size > MAX_PICKLE {
            return Err(format!("its pickle takes {size} bytes, over the limit of {MAX_PICKLE}"));
        }
        let mut pickle = Vec::new();
        archive.by_index(index).map_err(|error| error.to_string())?.read_to_end(&mut pickle).map_err(failed)?;
        budget.pickle(&pickle)?;
    }
    Ok(())
}

/// The largest size of the archive's directory that a record in the tail announces.
fn directory(file: &mut File, tail: &[u8]) -> Result<Option<u64>, String> {
    let mut largest = None;
    for (at, _) in tail.windows(4).enumerate().filter(|(_, mark)| mark == b"PK\x05\x06") {
        let Some(size) = tail.get(at + 12..at + 16).and_then(|bytes| bytes.first_chunk()) else { continue };
        let mut size = u64::from(u32::from_le_bytes(*size));
        // The locator of a larger record, if there is one, comes before it.
        let locator =
            at.checked_sub(20).and_then(|start| tail.get(start..at)).filter(|bytes| bytes.starts_with(b"PK\x06\x07"));
        if let Some(place) = locator.and_then(|bytes| bytes[8..].first_chunk()) {
            let mut record = [0; 56];
            let read =
                file.seek(SeekFrom::Start(u64::from_le_bytes(*place))).and_then(|_| file.read_exact(&mut record));
            read.map_err(|error| format!("its directory cannot be read: {error}"))?;
            size = size.max(record[40..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes)));
            // If the larger record counts, the field of the smaller one is all ones.
            if u32::try_from(size).is_err() || size == u64::from(u32::MAX) {
                size = record[40..].first_chunk().map_or(size, |bytes| u64::from_le_bytes(*bytes));
            }
        }
        largest = largest.max(Some(size));
    }
    Ok(largest)
}
