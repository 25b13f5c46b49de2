//! Whether a JPEG is all there. The decoder makes up the rows that a cut file lacks, so the file is walked before.
//!
//! A JPEG is a chain of segments, each `FF`, a marker and, for most, a length; after a start of scan comes
//! entropy-coded data, in which `FF` is followed by `00` (a data byte) or a restart marker. The image ends at the first
//! end-of-image marker on that walk: one inside a segment, such as that of a thumbnail, does not count, nor does what
//! comes after.

use std::ops::RangeInclusive;

const PADDING: u8 = 0xff;
const STUFFING: u8 = 0x00;
const TEMPORARY: u8 = 0x01;
const RESTARTS: RangeInclusive<u8> = 0xd0..=0xd7;
const START_OF_IMAGE: u8 = 0xd8;
const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// What a JPEG that ends early was in the middle of; `None` if it reaches its end-of-image marker.
pub(super) fn missing(bytes: &[u8]) -> Option<&'static str> {
    let mut at = 0;
    let mut scans = 0_usize;
    while let Some(marker) = next_marker(bytes, &mut at) {
        match marker {
            END_OF_IMAGE => return None,
            START_OF_IMAGE | TEMPORARY => continue,
            START_OF_SCAN => scans += 1,
            _ => {}
        }
        let Some(&[high, low]) = bytes.get(at..at + 2) else { break };
        at += usize::from(u16::from_be_bytes([high, low]));
    }
    Some(match scans {
        0 => "the file ends before the first scan",
        _ => "the file ends without an end-of-image marker",
    })
}

/// Whether a JPEG can have this size: every 8x8 block of it takes a bit at least, however its Huffman codes are.
pub(super) fn can_hold(bytes: &[u8], width: u32, height: u32) -> bool {
    u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8)) <= 8 * bytes.len() as u64
}

/// The next marker at or after `at`, which moves behind it. Skips entropy-coded data, and garbage between segments.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        *at += bytes.get(*at..)?.iter().position(|&b| b == PADDING)?;
        let marker = loop {
            *at += 1;
            match *bytes.get(*at)? {
                PADDING => {}
                other => break other,
            }
        };
        *at += 1;
        if marker != STUFFING && !RESTARTS.contains(&marker) {
            return Some(marker);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// SOI, an APP1 that holds a whole thumbnail, a scan with stuffing, a restart and padding, a second scan, EOI,
    /// garbage.
    const WHOLE: &[u8] =
        b"\xff\xd8\xff\xe1\0\x0a\xff\xd8\xff\xd9\xff\xff\x01\x02\xff\xda\0\x02\x11\xff\0\x12\xff\xd0\x13\
        \xff\xff\xda\0\x02\x14\xff\xd9trailing";

    #[test]
    fn the_end_is_found_behind_thumbnails_stuffing_restarts_and_scans() {
        assert_eq!(missing(WHOLE), None);
        let end = WHOLE.len() - b"trailing".len();
        assert_eq!(missing(&WHOLE[..end]), None);
        for cut in 0..end {
            assert!(missing(&WHOLE[..cut]).is_some(), "cut at {cut}");
        }
    }

    #[test]
    fn a_length_beyond_the_end_is_an_early_end() {
        assert!(missing(b"\xff\xd8\xff\xe1\xff\xff\xff\xd9").is_some());
        assert!(missing(b"\xff\xd8\xff\xe1\0\0\xff").is_some());
    }
}
