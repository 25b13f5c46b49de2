//! Reads a photo's orientation from its EXIF block or, if that has none, from its XMP packet.

use ::image::metadata::Orientation;

/// EXIF tag of the orientation.
pub(super) const TAG: u16 = 0x112;

/// How to turn a photo. `xmp` counts only if `exif` has no orientation, not even an invalid one, as in Pillow's
/// `exif_transpose`. An orientation out of range turns nothing.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let value = exif.and_then(in_exif).or_else(|| xmp.and_then(in_xmp));
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The orientation in an EXIF block, a TIFF file without pixels, in either byte order: the first value, a number of any type, whole
/// or not. 0 for a number that is not an orientation; `None` if the entry cannot be read.
fn in_exif(mut block: &[u8]) -> Option<u8> {
    while let Some(rest) = block.strip_prefix(b"Exif\0\0") {
        block = rest;
    }
    let little = match block.get(..4)? {
        b"II*\0" => true,
        b"MM\0*" => false,
        _ => return None,
    };
    let number = |bytes: &[u8]| {
        let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        if little { bytes.iter().rev().fold(0, digit) } else { bytes.iter().fold(0, digit) }
    };
    let directory = block.get(usize::try_from(number(&block[4..8.min(block.len())])).ok()?..)?;
    let entries = number(directory.get(..2)?) as usize;
    // If several entries have the tag, the last one counts.
    let entry = directory[2..].chunks_exact(12).take(entries).rfind(|entry| number(&entry[..2]) == u64::from(TAG))?;
    let (kind, count) = (number(&entry[2..4]), number(&entry[4..8]) as usize);
    let len = match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16 => 8,
        _ => return None,
    };
    let size = count.checked_mul(len)?;
    let values =
        if size <= 4 { &entry[8..8 + size] } else { block.get(number(&entry[8..]) as usize..)?.get(..size)? };
    let value = values.get(..len)?;
    let value = match kind {
        // Text, undefined bytes, and several bytes, which Pillow treats alike.
        2 | 7 => return Some(0),
        1 if count > 1 => return Some(0),
        5 | 10 => number(&value[..4]) as f64 / number(&value[4..]) as f64,
        11 => f32::from_bits(number(value) as u32).into(),
        12 => f64::from_bits(number(value)),
        _ => number(value) as f64,
    };
    Some((1..=8).find(|&orientation| f64::from(orientation) == value).unwrap_or(0))
}

/// The orientation in an XMP packet: one digit, in an attribute or an element.
fn in_xmp(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    packet.windows(NAME.len()).enumerate().find_map(|(at, window)| {
        let after = packet.get(at + NAME.len()..).filter(|_| window == NAME)?;
        match after.strip_prefix(b"=\"").or_else(|| after.strip_prefix(b">"))? {
            [digit @ b'0'..=b'9', ..] => Some(digit - b'0'),
            _ => None,
        }
    })
}
