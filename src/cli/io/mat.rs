//! MAT-files of version 5, as far as the development kit of ImageNet needs them: arrays of structures whose fields are text or a number.
//!
//! Source: MathWorks, "MAT-File Format", level 5.

use std::io::Read;

use flate2::read::ZlibDecoder;

/// Kinds of data elements.
const MATRIX: u32 = 14;
const COMPRESSED: u32 = 15;

/// Classes of arrays.
const STRUCTURE: u8 = 2;
const TEXT: u8 = 4;

/// Decompressed data may have at most so many bytes.
const MOST: u64 = 1 << 28;

/// The values of two fields of each structure in the array `name`, as text; None if there is no such array, or if a field is neither text
/// nor a number.
pub(super) fn structures(file: &[u8], name: &str, fields: [&str; 2]) -> Option<Vec<[String; 2]>> {
    // A big-endian machine writes MI.
    let mut rest = file.get(128..).filter(|_| file[126..128] == *b"IM")?;
    while let Some((kind, data)) = element(&mut rest) {
        let inflated;
        let matrix = match kind {
            COMPRESSED => {
                let mut bytes = Vec::new();
                ZlibDecoder::new(data).take(MOST).read_to_end(&mut bytes).ok()?;
                inflated = bytes;
                let mut inner = &inflated[..];
                let (kind, data) = element(&mut inner)?;
                (kind == MATRIX).then_some(data)
            }
            MATRIX => Some(data),
            _ => None,
        };
        if let Some(found) = matrix.and_then(|matrix| of_structures(matrix, name, fields)) {
            return Some(found);
        }
    }
    None
}

/// The next data element: its kind and its bytes.
fn element<'a>(rest: &mut &'a [u8]) -> Option<(u32, &'a [u8])> {
    let word = |at: usize| Some(u32::from_le_bytes(rest.get(at..at + 4)?.try_into().ok()?));
    let first = word(0)?;
    let (kind, start, size): (u32, usize, usize) = match first >> 16 {
        0 => (first, 8, word(4)? as usize),
        // A small element: up to four bytes beside the kind.
        size => (first & 0xffff, 4, size as usize),
    };
    let data = rest.get(start..start.checked_add(size)?)?;
    let end = if start == 4 { 8 } else { start + size.div_ceil(8) * 8 };
    // Compressed data is not padded.
    let end = if kind == COMPRESSED { start + size } else { end };
    *rest = rest.get(end..).unwrap_or_default();
    Some((kind, data))
}

/// The head of an array: its class, its number of elements, its name.
fn head<'a>(rest: &mut &'a [u8]) -> Option<(u8, usize, &'a [u8])> {
    let class = *element(rest)?.1.first()?;
    let (_, extents) = element(rest)?;
    let extent = |bytes: &[u8]| usize::try_from(i32::from_le_bytes(bytes.try_into().ok()?)).ok();
    let count = extents.chunks_exact(4).map(extent).try_fold(1_usize, |count, extent| count.checked_mul(extent?))?;
    Some((class, count, element(rest)?.1))
}

fn of_structures(matrix: &[u8], name: &str, wanted: [&str; 2]) -> Option<Vec<[String; 2]>> {
    let mut rest = matrix;
    let (class, count, called) = head(&mut rest)?;
    if class != STRUCTURE || called != name.as_bytes() {
        return None;
    }
    let width = u32::from_le_bytes(element(&mut rest)?.1.try_into().ok()?) as usize;
    let names: Vec<&[u8]> = element(&mut rest)?.1.chunks_exact(width.max(1)).collect();
    let is = |name: &[u8], wanted: &str| name.split(|byte| *byte == 0).next() == Some(wanted.as_bytes());
    let mut found = Vec::new();
    for _ in 0..count {
        let mut values = [const { String::new() }; 2];
        for name in &names {
            let (kind, value) = element(&mut rest)?;
            if let Some(at) = wanted.iter().position(|wanted| is(name, wanted)) {
                values[at] = (kind == MATRIX).then(|| text(value))??;
            }
        }
        found.push(values);
    }
    Some(found)
}

/// A text, or one number.
fn text(matrix: &[u8]) -> Option<String> {
    let mut rest = matrix;
    let (class, ..) = head(&mut rest)?;
    let (kind, data) = element(&mut rest)?;
    let number = |bytes: &[u8]| -> Option<f64> {
        Some(match kind {
            1 => f64::from(*bytes.first()? as i8),
            2 => f64::from(*bytes.first()?),
            3 => f64::from(i16::from_le_bytes(bytes.get(..2)?.try_into().ok()?)),
            4 => f64::from(u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?)),
            5 => f64::from(i32::from_le_bytes(bytes.get(..4)?.try_into().ok()?)),
            6 => f64::from(u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?)),
            9 => f64::from_le_bytes(bytes.get(..8)?.try_into().ok()?),
            _ => return None,
        })
    };
    if class != TEXT {
        return number(data).map(|number| number.to_string());
    }
    let size = if kind == 4 { 2 } else { 1 };
    let character = |bytes: &[u8]| match size {
        2 => char::from_u32(u16::from_le_bytes(bytes.try_into().ok()?).into()),
        _ => bytes.first().map(|byte| char::from(*byte)),
    };
    data.chunks_exact(size).map(character).collect()
}
