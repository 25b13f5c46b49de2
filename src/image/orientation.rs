//! Which way up a photo was taken: the orientation in its EXIF block or, where that has none, in its XMP packet.

use ::image::metadata::Orientation;

/// The tag of the orientation.
pub(super) const TAG: u16 = 0x112;

/// How a photo has to be turned. An orientation in `exif` counts whatever it is, and only without one that in `xmp`, as in
/// Pillow's `exif_transpose`; one that is out of range turns nothing.
pub(super) fn orientation(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let value = exif.and_then(in_exif).or_else(|| xmp.and_then(in_xmp));
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The orientation in a block of EXIF, a TIFF file without pixels, in either byte order: the first value of a number of any type,
/// whole or not. One that is no orientation is 0; an entry that cannot be read is none.
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
    // Of entries with the same tag the last one counts.
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
        // Text, bytes without a meaning, and several bytes, which Pillow takes for such.
        2 | 7 => return Some(0),
        1 if count > 1 => return Some(0),
        5 | 10 => number(&value[..4]) as f64 / number(&value[4..]) as f64,
        11 => f32::from_bits(number(value) as u32).into(),
        12 => f64::from_bits(number(value)),
        _ => number(value) as f64,
    };
    Some((1..=8).find(|&orientation| f64::from(orientation) == value).unwrap_or(0))
}

/// The orientation in a packet of XMP: one digit, in an attribute or an element.
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
