//! Scans tar archives, as PyTorch wrote them before 0.1.10, before they are read.
//!
//! Source: PyTorch, `torch/serialization.py` (`legacy_load`).

use super::scan::Budget;

const BLOCK: usize = 512;

/// Checks that the archive's members are ordinary files and that its pickles are small.
///
/// # Errors
/// A sentence about the problem.
pub(super) fn check(bytes: &[u8]) -> Result<(), String> {
    let (mut at, mut budget) = (0, Budget::new());
    while let Some(header) = bytes.get(at..at + BLOCK).filter(|header| header[0] != 0) {
        let size = size(header).ok_or("a member of the archive has no size")?;
        // Accept ordinary files, folders, and members that hold long names. A sparse file could unpack to any size.
        if !matches!(header[156], b'0' | 0 | b'5' | b'x' | b'g' | b'L') {
            return Err(format!("a member of the archive has the type {:?}", char::from(header[156])));
        }
        let start = at + BLOCK;
        let end =
            start.checked_add(size).filter(|end| *end <= bytes.len()).ok_or("a member of the archive has no end")?;
        let name = header[..100].split(|byte| *byte == 0).next().unwrap_or_default();
        member(name.rsplit(|byte| *byte == b'/').next().unwrap_or(name), &bytes[start..end], &mut budget)?;
        at = end.next_multiple_of(BLOCK);
    }
    Ok(())
}

/// The size field of a header: octal digits.
fn size(header: &[u8]) -> Option<usize> {
    let field = str::from_utf8(&header[124..136]).ok()?.trim_matches(|c: char| c == '\0' || c == ' ');
    usize::from_str_radix(field, 8).ok()
}

fn member(name: &[u8], bytes: &[u8], budget: &mut Budget) -> Result<(), String> {
    let mut at = 0;
    let mut pickle = |at: &mut usize| {
        let (length, class) = budget.pickle(&bytes[*at..])?;
        *at += length;
        Ok::<&str, String>(class)
    };
    let skip = |at: usize, length: Option<usize>| {
        let end = length.and_then(|length| at.checked_add(length)).filter(|end| *end <= bytes.len());
        end.ok_or_else(|| "its tensors have no end".to_string())
    };
    match name {
        b"sys_info" | b"pickle" => {
            pickle(&mut at)?;
        }
        // A count; for each storage a description, its number of elements in 64 bits, and their bytes; then the views.
        b"storages" => {
            pickle(&mut at)?;
            loop {
                let class = pickle(&mut at)?;
                let Some(element) = element(class) else { break };
                let count = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|count| u64::from_le_bytes(*count));
                let count = count.and_then(|count| usize::try_from(count).ok());
                at = skip(at, count.and_then(|count| count.checked_mul(element)?.checked_add(8)))?;
            }
        }
        // A count; then for each tensor a description, its rank in 8 bytes, extents, strides and an offset.
        b"tensors" => {
            pickle(&mut at)?;
            while at < bytes.len() {
                pickle(&mut at)?;
                let rank = bytes.get(at..).and_then(|rest| rest.first_chunk()).map(|rank| u32::from_le_bytes(*rank));
                at = skip(at, rank.and_then(|rank| (rank as usize).checked_mul(16)?.checked_add(16)))?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Bytes of an element in a storage of this class; `None` if the class is not a storage.
fn element(class: &str) -> Option<usize> {
    Some(match class {
        "DoubleStorage" | "LongStorage" => 8,
        "FloatStorage" | "IntStorage" => 4,
        "HalfStorage" | "ShortStorage" => 2,
        "ByteStorage" | "CharStorage" => 1,
        _ => return None,
    })
}
