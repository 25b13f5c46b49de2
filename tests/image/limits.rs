//! Size limits from the header, and bounded memory for long, thin images.

use std::io::Cursor;
use std::time::{Duration, Instant};

use image::{DynamicImage, ImageBuffer, ImageFormat, RgbImage, Rgba};
use residua::Error;
use residua::image::{DecodeOptions, Filter, IMAGENET_MEAN, IMAGENET_STD, Preprocess, decode};

use crate::compare::golden;

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
    std::fs::read(golden("formats").join(name)).unwrap()
}

/// A JPEG whose frame header announces 65535x65535.
fn jpeg_bomb() -> Vec<u8> {
    let mut bytes = golden_file("baseline.jpg");
    let frame = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
    bytes[frame + 5..frame + 9].fill(0xff);
    bytes
}

#[test]
fn bombs_are_refused_from_the_header() {
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
        ("jpeg", jpeg_bomb(), 65_535, 65_535),
        ("gif", gif, 65_535, 65_535),
        ("bmp", bmp, 32_768, 32_768),
        ("webp", webp, 15_000, 15_000),
    ] {
        let start = Instant::now();
        let error = decode(&bytes, &DecodeOptions::default()).unwrap_err();
        assert_eq!(error, Error::ImageTooLarge { width, height, limit: 178_956_970 }, "{name}");
        assert!(start.elapsed() < Duration::from_millis(200), "{name}: {:?}", start.elapsed());
    }
}

#[test]
fn the_limit_counts_pixels_and_bytes() {
    let mut options = DecodeOptions::default();
    options.max_pixels = 45 * 34;
    assert!(decode(&golden_file("rgb.bmp"), &options).is_ok());
    options.max_pixels -= 1;
    let want = Error::ImageTooLarge { width: 45, height: 34, limit: 45 * 34 - 1 };
    assert_eq!(decode(&golden_file("rgb.bmp"), &options).unwrap_err(), want);

    // Eight bytes a pixel: half as many pixels.
    let deep: ImageBuffer<Rgba<u16>, _> = ImageBuffer::new(10, 10);
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(deep).write_to(&mut bytes, ImageFormat::Png).unwrap();
    options.max_pixels = 199;
    let want = Error::ImageTooLarge { width: 10, height: 10, limit: 99 };
    assert_eq!(decode(bytes.get_ref(), &options).unwrap_err(), want);
    options.max_pixels = 200;
    assert!(decode(bytes.get_ref(), &options).is_ok());
}

/// Resized whole, these would take 13 GB each.
#[test]
fn long_thin_images_take_bounded_memory() {
    let mut squash = Preprocess::square(32, IMAGENET_MEAN, IMAGENET_STD);
    squash.filter = Filter::Bicubic;
    for (width, height) in [(65_535, 1), (1, 65_535), (1, 1)] {
        let mut bytes = Cursor::new(Vec::new());
        RgbImage::from_pixel(width, height, image::Rgb([9, 8, 7])).write_to(&mut bytes, ImageFormat::Png).unwrap();
        let image = decode(bytes.get_ref(), &DecodeOptions::default()).unwrap().image;
        for preprocess in [&Preprocess::torchvision(), &squash] {
            let pixels = preprocess.pixels(&image).unwrap();
            assert!(pixels.data.chunks_exact(3).all(|pixel| pixel == [9, 8, 7]), "{width}x{height}");
        }
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kilobytes: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(kilobytes < 1 << 20, "peak memory of the test process is {kilobytes} kB");
    }
}
