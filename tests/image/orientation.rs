//! Orientation in EXIF and XMP, valid and broken, in every format that has it.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use residua::image::{DecodeOptions, decode};

use crate::compare::{assert_equal, pixels};

/// A JPEG of 24x16 pixels whose eight orientations all differ, with `exif` as its APP1 segment.
fn photo(exif: &[u8]) -> Vec<u8> {
    let image = RgbImage::from_fn(24, 16, |x, y| Rgb([(x * 10) as u8, (y * 15) as u8, (x * y / 2) as u8]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    let mut bytes = bytes.into_inner();
    let mut segment = vec![0xff, 0xe1];
    segment.extend(u16::try_from(exif.len() + 2).unwrap().to_be_bytes());
    segment.extend(exif);
    bytes.splice(2..2, segment);
    bytes
}

/// An EXIF segment with one entry: the orientation, a short.
fn exif(orientation: u16) -> Vec<u8> {
    let mut bytes = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    bytes.extend(orientation.to_be_bytes());
    bytes.extend([0; 6]);
    bytes
}

fn decoded(bytes: &[u8], upright: bool) -> RgbImage {
    let mut options = DecodeOptions::default();
    options.exif = upright;
    decode(bytes, &options).unwrap().image.to_rgb8()
}

/// The stored place of pixel (x, y) of the upright image, which has w by h pixels; from the table of the EXIF standard.
fn stored_at(orientation: u16, x: u32, y: u32, w: u32, h: u32) -> (u32, u32) {
    match orientation {
        2 => (w - 1 - x, y),
        3 => (w - 1 - x, h - 1 - y),
        4 => (x, h - 1 - y),
        5 => (y, x),
        6 => (y, h - 1 - x),
        7 => (w - 1 - y, h - 1 - x),
        8 => (w - 1 - y, x),
        _ => (x, y),
    }
}

#[test]
fn every_orientation_is_turned_upright() {
    for orientation in [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 256, 262, 65535] {
        let bytes = photo(&exif(orientation));
        let stored = decoded(&bytes, false);
        let (w, h) = stored.dimensions();
        let (upright_w, upright_h) = if (5..=8).contains(&orientation) { (h, w) } else { (w, h) };
        let want = RgbImage::from_fn(upright_w, upright_h, |x, y| {
            let (x, y) = stored_at(orientation, x, y, w, h);
            *stored.get_pixel(x, y)
        });
        assert_equal(&format!("orientation {orientation}"), &pixels(&decoded(&bytes, true)), &pixels(&want));
    }
}

/// An EXIF block with an integer orientation of any type, in either byte order; of several values, the others are zero.
fn typed(little: bool, kind: u16, len: usize, count: u32, orientation: u32) -> Vec<u8> {
    let mut value = u64::from(orientation).to_le_bytes()[..len].to_vec();
    if !little {
        value.reverse();
    }
    value.resize(len * count as usize, 0);
    block(little, kind, count, &value)
}

/// An EXIF block whose orientation has this value, placed after the directory if it is long.
fn block(little: bool, kind: u16, count: u32, value: &[u8]) -> Vec<u8> {
    let two = |n: u16| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let four = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
    let (mut near, far) = if value.len() > 4 { (four(26).to_vec(), value) } else { (value.to_vec(), &[][..]) };
    near.resize(4, 0);
    let header: &[u8] = if little { b"II*\0" } else { b"MM\0*" };
    let entry = [&two(0x112)[..], &two(kind), &four(count), &near].concat();
    [header, &four(8), &two(1), &entry, &four(0), far].concat()
}

/// Whether a photo is turned by 90 degrees.
fn is_turned(bytes: &[u8]) -> bool {
    let (stored, upright) = (decoded(bytes, false).dimensions(), decoded(bytes, true).dimensions());
    assert!(upright == stored || upright == (stored.1, stored.0));
    upright != stored
}

#[test]
fn an_orientation_may_be_any_number() {
    let turned = |block: &[u8]| is_turned(&photo(&[b"Exif\0\0", block].concat()));
    for little in [true, false] {
        // BYTE, SHORT, LONG, their signed forms, IFD, and the types of eight bytes.
        for (kind, len) in [(1, 1), (3, 2), (4, 4), (6, 1), (8, 2), (9, 4), (13, 4), (16, 8)] {
            let turned = |count, orientation| turned(&typed(little, kind, len, count, orientation));
            assert!(turned(1, 6) && !turned(1, 1), "type {kind}, little {little}");
            // The first of several values counts, but several bytes are not a number.
            for count in [2, 3, 5] {
                assert_eq!(turned(count, 6), kind != 1, "type {kind}, little {little}, {count} values");
            }
            assert!(!turned(0, 6), "type {kind}, little {little}");
        }
        // Fractions and floating point.
        let four = |n: u32| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        let double = |n: f64| if little { n.to_le_bytes() } else { n.to_be_bytes() };
        for kind in [5, 10] {
            let fraction = |above, below| turned(&block(little, kind, 1, &[four(above), four(below)].concat()));
            assert!(fraction(6, 1) && fraction(12, 2) && !fraction(13, 2) && !fraction(6, 0), "type {kind}");
        }
        assert!(turned(&block(little, 11, 1, &four(6_f32.to_bits()))) && turned(&block(little, 12, 1, &double(6.0))));
        assert!(!turned(&block(little, 12, 1, &double(6.5))) && !turned(&block(little, 12, 1, &[])));
        // Text and undefined bytes are not an orientation.
        for kind in [0, 2, 7, 77] {
            assert!(!turned(&typed(little, kind, 4, 1, 6)), "type {kind}");
        }
    }
    assert!(!turned(&typed(true, 4, 4, 1, 0x1_0006)));
}

const ATTRIBUTE: &str = r#"<x:xmpmeta><rdf:Description tiff:Make="X" tiff:Orientation="6"/></x:xmpmeta>"#;
const ELEMENT: &str = "<x:xmpmeta><tiff:Orientation>8</tiff:Orientation></x:xmpmeta>";
const NONE: &str = r#"<x:xmpmeta tiff:OrientationX="6" tiff:Orientation='6'/>"#;

#[test]
fn an_orientation_in_xmp_counts_where_exif_has_none() {
    let xmp = |packet: &str| [b"http://ns.adobe.com/xap/1.0/\0", packet.as_bytes()].concat();
    assert!(is_turned(&photo(&xmp(ATTRIBUTE))) && is_turned(&photo(&xmp(ELEMENT))));
    assert!(!is_turned(&photo(&xmp(NONE))));
    // Beside an EXIF block with orientation 1, with one out of range, and without one.
    let both = |exif: &[u8]| {
        let mut bytes = photo(exif);
        let packet = xmp(ATTRIBUTE);
        let segment = [&[0xff, 0xe1][..], &(packet.len() as u16 + 2).to_be_bytes(), &packet].concat();
        bytes.splice(2..2, segment);
        bytes
    };
    assert!(!is_turned(&both(&exif(1))) && !is_turned(&both(&exif(9))));
    assert!(is_turned(&both(b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0")));
}

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    let sum = !body.iter().fold(!0, |sum: u32, &byte| {
        (0..8).fold(sum ^ u32::from(byte), |sum, _| (sum >> 1) ^ if sum & 1 == 1 { 0xedb8_8320 } else { 0 })
    });
    [&(data.len() as u32).to_be_bytes()[..], &body, &sum.to_be_bytes()].concat()
}

fn zlib(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// ImageMagick writes EXIF as text. Pillow reads the text named `exif`, but not the one named `APP1` after the JPEG segment.
#[test]
fn a_png_is_turned_by_exif_in_imagemagicks_text() {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(9, 4).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    let text = |exif: &[u8]| {
        let lines = exif.chunks(36).map(|line| line.iter().map(|b| format!("{b:02x}")).collect::<String>() + "\n");
        format!("\nexif\n{:8}\n{}", exif.len(), lines.collect::<String>())
    };
    let turned = text(&[b"Exif\0\0", &block(true, 3, 1, &[6, 0])[..]].concat());
    let plain = |key: &str, text: &str| chunk(b"tEXt", &[key.as_bytes(), b"\0", text.as_bytes()].concat());
    let packed = |key: &str, text: &str| chunk(b"zTXt", &[key.as_bytes(), b"\0\0", &zlib(text)].concat());
    let (key, other) = ("Raw profile type exif", "Raw profile type APP1");
    for at in [33, bytes.len() - 12] {
        let with = |chunk: &[u8]| is_turned(&[&bytes[..at], chunk, &bytes[at..]].concat());
        assert!(with(&plain(key, &turned)) && with(&packed(key, &turned)), "at {at}");
        assert!(!with(&plain(other, &turned)) && !with(&packed(other, &turned)), "at {at}");
        assert!(!with(&plain(key, &turned.replace("45786966", "4578696x"))) && !with(&plain(key, "\nexif")), "at {at}");
        assert!(!with(&plain(key, &turned.replace("49492a", "49492"))), "at {at}");
        // An EXIF chunk takes precedence over the text.
        let upright = chunk(b"eXIf", &block(false, 3, 1, &[0, 1]));
        assert!(!with(&[upright, plain(key, &turned)].concat()), "at {at}");
    }
}

#[test]
fn a_png_is_turned_by_its_exif_or_xmp_wherever_they_stand() {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(9, 4).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let bytes = bytes.into_inner();
    let zlib = zlib(ELEMENT);
    let exif = chunk(b"eXIf", &typed(true, 3, 2, 1, 6));
    let plain = chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", ATTRIBUTE.as_bytes()].concat());
    let packed = chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\x01\0\0\0", &zlib[..]].concat());
    let other = chunk(b"iTXt", &[b"Comment\0\0\0\0\0", ATTRIBUTE.as_bytes()].concat());
    for at in [33, bytes.len() - 12] {
        let with = |chunk: &[u8]| [&bytes[..at], chunk, &bytes[at..]].concat();
        assert!(is_turned(&with(&exif)) && is_turned(&with(&plain)) && is_turned(&with(&packed)), "at {at}");
        assert!(!is_turned(&with(&other)), "at {at}");
        let upright = chunk(b"eXIf", &typed(false, 3, 2, 1, 1));
        assert!(!is_turned(&with(&[upright, plain.clone()].concat())), "at {at}");
    }
}

#[test]
fn a_webp_is_turned_by_its_exif_or_xmp() {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::new(9, 4).write_to(&mut bytes, ImageFormat::WebP).unwrap();
    let image = bytes.into_inner().split_off(12);
    let with = |flags: u8, kind: &[u8], data: &[u8]| {
        let mut data = data.to_vec();
        let len = data.len() as u32;
        data.resize(data.len().next_multiple_of(2), 0);
        let header = [&b"VP8X\x0a\0\0\0"[..], &[flags, 0, 0, 0, 8, 0, 0, 3, 0, 0]].concat();
        let body = [b"WEBP", &header[..], &image, kind, &len.to_le_bytes(), &data].concat();
        [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
    };
    assert!(is_turned(&with(8, b"EXIF", &typed(true, 4, 4, 1, 6))));
    assert!(is_turned(&with(4, b"XMP ", ATTRIBUTE.as_bytes())));
    assert!(!is_turned(&with(4, b"XMP ", NONE.as_bytes())));
}

#[test]
fn row_34_a_broken_segment_is_no_orientation() {
    let whole = exif(6);
    let plain = decoded(&photo(b"Exif\0\0"), true);
    let mut elsewhere = whole.clone();
    elsewhere[10..14].copy_from_slice(&[0xff; 4]);
    let mut many = whole.clone();
    many[14..16].copy_from_slice(&[0xff; 2]);
    many[16] = 7;
    let cuts = (0..24).map(|cut| whole[..cut].to_vec());
    for broken in cuts.chain([elsewhere, many]) {
        assert_equal(&format!("{broken:02x?}"), &pixels(&decoded(&photo(&broken), true)), &pixels(&plain));
    }
}
