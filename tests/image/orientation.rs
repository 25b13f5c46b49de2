//! EXIF orientation, whole and broken.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use residua::image::{DecodeOptions, decode};

use crate::compare::{assert_equal, pixels};

/// A JPEG of 24x16 pixels, no two of whose eight orientations are alike, with `exif` as its APP1 segment.
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

/// Where pixel (x, y) of the upright image is stored, in an image of w by h; the table of the EXIF standard.
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
