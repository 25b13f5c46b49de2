//! Images that are cut, broken, or much larger than they look.

use std::{
    fs,
    io::{Cursor, Write},
    path::Path,
    time::{Duration, Instant},
};

use image::{ImageFormat, RgbImage};
use residua::{
    Error,
    image::{DecodeOptions, decode},
};

use crate::{Folder, costs};

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

fn chunk(kind: &[u8], data: &[u8]) -> Vec<u8> {
    let body = [kind, data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
}

/// A PNG that announces RGB pixels and has hardly any data.
fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
    let data = chunk(b"IDAT", b"\x78\x9c\x03\0\0\0\0\x01");
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), &data, &chunk(b"IEND", b"")].concat()
}

fn golden_file(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats").join(name)).unwrap()
}

/// A JPEG whose frame header announces this many rows and columns.
fn jpeg_of(side: u16) -> Vec<u8> {
    let mut bytes = golden_file("baseline.jpg");
    let frame = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].copy_from_slice(&[side.to_be_bytes(), side.to_be_bytes()].concat());
    bytes
}

#[test]
fn row_26_27_bombs_are_refused_from_the_header() {
    let mut gif = golden_file("still.gif");
    gif[6..10].fill(0xff);
    let mut bmp = golden_file("rgb.bmp");
    bmp[18..26].copy_from_slice(&[0x00, 0x80, 0, 0, 0x00, 0x80, 0, 0]);
    let mut webp = golden_file("lossless.webp");
    assert_eq!(&webp[12..16], b"VP8L");
    webp[21..25].copy_from_slice(&(14_999_u32 << 14 | 14_999).to_le_bytes());
    for (name, bytes, width, height) in [
        ("png", png_bomb(100_000, 100_000), 100_000, 100_000),
        ("long png", png_bomb(178_956_971, 1), 178_956_971, 1),
        ("jpeg", jpeg_of(u16::MAX), 65_535, 65_535),
        ("gif", gif, 65_535, 65_535),
        ("bmp", bmp, 32_768, 32_768),
        ("webp", webp, 15_000, 15_000),
    ] {
        let refused = || {
            let start = Instant::now();
            let error = decode(&bytes, &DecodeOptions::default()).unwrap_err();
            assert_eq!(error, Error::ImageTooLarge { width, height, limit: 178_956_970 }, "{name}");
            start.elapsed()
        };
        // The minimum of three: other tests use the cores as well.
        let took = [refused(), refused(), refused()].into_iter().min().unwrap();
        assert!(took < Duration::from_millis(200), "{name}: {took:?}");
    }
}

/// Classifies a file of these bytes, as [`costs`] does.
fn image_costs(what: &str, code: &str, bytes: impl AsRef<[u8]>) {
    let folder = Folder::new();
    costs(what, code, &["classify", &folder.file("image", bytes)]);
}

/// A complete PNG of some pixels, in parts: the signature with the header, the chunks before the data, and the data with the end.
fn png() -> (Vec<u8>, Vec<u8>) {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(40, 30, |x, y| image::Rgb([x as u8, y as u8, 7])).write_to(&mut bytes, ImageFormat::Png).unwrap();
    let mut bytes = bytes.into_inner();
    let rest = bytes.split_off(33);
    (bytes, rest)
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn row_23_what_is_no_image_costs_nothing() {
    image_costs("nothing", "image.decode", "");
    image_costs("text", "image.decode", "no image, but a text");
    let random: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    image_costs("1 MiB of random bytes", "image.decode", random);
    image_costs("a PNG's signature alone", "image.truncated", b"\x89PNG\r\n\x1a\n");
}

#[test]
fn row_25_panoramas_cost_little() {
    for (width, height) in [(65_535, 1), (1, 65_535)] {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::new(width, height).write_to(&mut bytes, ImageFormat::Png).unwrap();
        image_costs(&format!("PNG of {width}x{height}"), "ok", bytes.get_ref());
    }
}

/// Over the limit, and just below it with hardly any data.
#[test]
fn row_26_27_bombs_cost_little() {
    image_costs("PNG of 100000x100000 in 1 KB", "image.too_large", png_bomb(100_000, 100_000));
    image_costs("JPEG of 65535x65535 in 2 KB", "image.too_large", jpeg_of(u16::MAX));
    image_costs("PNG of 13000x13000 without data", "image.decode", png_bomb(13_000, 13_000));
    image_costs("JPEG of 13000x13000 in 2 KB", "image.truncated", jpeg_of(13_000));
    let mut bmp = golden_file("rgb.bmp");
    bmp[18..26].copy_from_slice(&[13_000_u32.to_le_bytes(), 13_000_u32.to_le_bytes()].concat());
    image_costs("BMP of 13000x13000 in 5 KB", "image.truncated", bmp);
    let mut webp = golden_file("lossless.webp");
    webp[21..25].copy_from_slice(&(12_999_u32 << 14 | 12_999).to_le_bytes());
    image_costs("WebP of 13000x13000 in 4 KB", "image.decode", webp);
    let mut gif = golden_file("still.gif");
    let frame = gif.iter().position(|&byte| byte == 0x2c).unwrap();
    let side = 13_000_u16.to_le_bytes();
    gif[6..10].copy_from_slice(&[side, side].concat());
    gif[frame + 5..frame + 9].copy_from_slice(&[side, side].concat());
    image_costs("GIF of 13000x13000 in 1 KB", "image.decode", gif);
}

/// A TIFF of grey pixels that announces `side` rows and columns, in tiles of that size, with tables of tags of 4 bytes per value.
fn tiff(side: u32, tile: Option<u32>, compression: u32, data: &[u8]) -> Vec<u8> {
    let here = 8_u32;
    let len = data.len() as u32;
    let mut tags = vec![(256, side), (257, side), (258, 8), (259, compression), (262, 1), (277, 1)];
    match tile {
        None => tags.extend([(273, here), (278, side), (279, len)]),
        Some(tile) => tags.extend([(322, tile), (323, tile), (324, here), (325, len)]),
    }
    let directory = (8 + data.len()).next_multiple_of(2);
    let mut bytes = [&b"II*\0"[..], &(directory as u32).to_le_bytes(), data].concat();
    bytes.resize(directory, 0);
    bytes.extend((tags.len() as u16).to_le_bytes());
    for (tag, value) in tags {
        bytes.extend([&(tag as u16).to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &u32::to_le_bytes(value)].concat());
    }
    bytes.extend([0; 4]);
    bytes
}

#[test]
fn row_26_27_tiff_bombs_cost_little() {
    image_costs("TIFF of 100000x100000 in 1 KB", "image.too_large", tiff(100_000, None, 1, b""));
    image_costs("TIFF of 13000x13000 without data", "image.truncated", tiff(13_000, None, 1, &[0; 100]));
    image_costs("TIFF of 13000x13000, one byte of LZW", "image.truncated", tiff(13_000, None, 5, b"\x80"));
    image_costs(
        "TIFF of 4x4 in a tile of a million squared",
        "image.too_large",
        tiff(4, Some(1 << 20), 8, &zlib(&[0; 16])),
    );
    let (most, mut deep) = (13_000, zlib(&vec![0; 1 << 20]));
    deep.truncate(deep.len() / 2);
    image_costs("TIFF of 13000x13000, 1 MiB of it packed", "image.decode", tiff(most, None, 8, &deep));
}

/// A progressive JPEG of few bytes with thousands of passes over its pixels.
#[cfg(feature = "libjpeg")]
#[test]
fn row_30_a_jpeg_of_thousands_of_scans_costs_little() {
    let bytes = golden_file("progressive.jpg");
    let scan = |from: usize| from + bytes[from..].windows(2).position(|w| w == [0xff, 0xda]).unwrap();
    let first = scan(0);
    let end = first + 2 + bytes[first + 2..].windows(2).position(|w| w[0] == 0xff && w[1] > 0 && w[1] < 0xd0).unwrap();
    let many = [&bytes[..end], &bytes[first..end].repeat(5000), b"\xff\xd9"].concat();
    image_costs("JPEG of 5000 scans", "image.decode", many);
}

#[test]
fn row_28_a_jpeg_cut_in_half_costs_nothing() {
    let mut bytes = Cursor::new(Vec::new());
    RgbImage::from_fn(2000, 1500, |x, y| image::Rgb([(x * y) as u8, y as u8, x as u8]))
        .write_to(&mut bytes, ImageFormat::Jpeg)
        .unwrap();
    let bytes = bytes.into_inner();
    image_costs("JPEG of 2000x1500, cut in half", "image.truncated", &bytes[..bytes.len() / 2]);
}

#[test]
fn row_29_broken_and_blown_up_pngs() {
    let (start, rest) = png();
    assert!(decode(&[&start[..], &rest].concat(), &DecodeOptions::default()).is_ok());
    let mut wrong_sum = [&start[..], &rest].concat();
    let data = wrong_sum.windows(4).position(|kind| kind == b"IDAT").unwrap();
    wrong_sum[data + 6] ^= 0x40;
    image_costs("PNG with a wrong checksum", "image.decode", wrong_sum);
    let short = chunk(b"IDAT", &zlib(&[0; 121 * 15]));
    image_costs("PNG with half of its data", "image.decode", [&start[..], &short, &chunk(b"IEND", b"")].concat());
    let text = [&b"Comment\0\0\0\0\0"[..], &vec![b'x'; 2 << 20]].concat();
    image_costs("PNG with 2 MiB of iTXt", "ok", [&start[..], &chunk(b"iTXt", &text), &rest].concat());
    let zeros = zlib(&vec![0; 256 << 20]);
    let text = [&b"Comment\0\x01\0\0\0"[..], &zeros].concat();
    image_costs("PNG with 256 MiB of packed iTXt", "ok", [&start[..], &chunk(b"iTXt", &text), &rest].concat());
    let profile = [&b"icc\0\0"[..], &zeros].concat();
    image_costs("PNG with 256 MiB of packed profile", "ok", [&start[..], &chunk(b"iCCP", &profile), &rest].concat());
}
