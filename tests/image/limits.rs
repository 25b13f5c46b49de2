//! Size limits, and bounded memory for long, thin images.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, RgbImage, Rgba};
use residua::Error;
use residua::image::{DecodeOptions, Filter, IMAGENET_MEAN, IMAGENET_STD, Preprocess, decode};

use crate::compare::golden;

fn golden_file(name: &str) -> Vec<u8> {
    std::fs::read(golden("formats").join(name)).unwrap()
}

#[test]
fn the_limit_counts_pixels() {
    let mut options = DecodeOptions::default();
    options.max_pixels = 45 * 34;
    assert!(decode(&golden_file("rgb.bmp"), &options).is_ok());
    options.max_pixels -= 1;
    let want = Error::ImageTooLarge { width: 45, height: 34, limit: 45 * 34 - 1 };
    assert_eq!(decode(&golden_file("rgb.bmp"), &options).unwrap_err(), want);

    // An image of eight bytes per pixel has the same limit, since only four of them are decoded.
    let deep: ImageBuffer<Rgba<u16>, _> = ImageBuffer::new(10, 10);
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::from(deep).write_to(&mut bytes, ImageFormat::Png).unwrap();
    options.max_pixels = 99;
    let want = Error::ImageTooLarge { width: 10, height: 10, limit: 99 };
    assert_eq!(decode(bytes.get_ref(), &options).unwrap_err(), want);
    options.max_pixels = 100;
    assert!(decode(bytes.get_ref(), &options).is_ok());
}

/// Resized as a whole, each of these would take 13 GB.
#[test]
fn row_24_25_long_thin_images_take_bounded_memory() {
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
