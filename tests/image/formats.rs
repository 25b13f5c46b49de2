//! Compares every format and variant with Pillow, and tests 16-bit images, of which Pillow clips the grey ones.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb};
use residua::image::{DecodeOptions, Format, Preprocess, Resize, decode};

use crate::compare::{Difference, assert_equal, difference, files, golden, open, pixels};

/// Largest allowed difference of a decoder: none with the feature `libjpeg`. Without it, a mean of 0.36 and a maximum of 3 were
/// measured for JPEG with halved colour planes, 0.024 and 2 for other JPEG, and none for lossy WebP.
fn bound(name: &str) -> Difference {
    match name {
        _ if cfg!(feature = "libjpeg") => Difference { max: 0, mean: 0.0 },
        "baseline.jpg" | "progressive.jpg" | "restarts.jpg" | "jpeg.tif" => Difference { max: 5, mean: 0.5 },
        "grey.jpg" | "full-chroma.jpg" | "cmyk.jpg" | "ycck.jpg" | "rgb.jpg" | "grey-jpeg.tif" => {
            Difference { max: 3, mean: 0.05 }
        }
        _ => Difference { max: 0, mean: 0.0 },
    }
}

/// Kinds of JPEG that the decoder in Rust cannot read, or decodes differently.
const LIBJPEG_ALONE: [&str; 7] = [
    "arithmetic.jpg",
    "arithmetic-progressive.jpg",
    "lossless.jpg",
    "columns-3x1.jpg",
    "columns-4x1.jpg",
    "rows-1x2.jpg",
    "mixed.jpg",
];

#[test]
fn row_31_33_formats_decode_as_pillow_does() {
    let inputs: Vec<_> =
        files(&golden("formats")).into_iter().filter(|(name, _)| name.matches('.').count() == 1).collect();
    assert_eq!(inputs.len(), 38);
    for (name, path) in inputs {
        if cfg!(not(feature = "libjpeg")) && LIBJPEG_ALONE.contains(&&*name) {
            continue;
        }
        let want = open(&golden(&format!("formats/{name}.png"))).to_rgb8();
        let apart = difference(&name, &pixels(&open(&path).to_rgb8()), &pixels(&want));
        let bound = bound(&name);
        assert!(apart.max <= bound.max && apart.mean <= bound.mean, "{name}: {apart:?}, expected at most {bound:?}");
    }
}

#[test]
fn the_format_is_told_by_the_content() {
    for (name, want) in [
        ("baseline.jpg", Format::Jpeg),
        ("lossy.webp", Format::WebP),
        ("still.gif", Format::Gif),
        ("rgb.bmp", Format::Bmp),
        ("animated.png", Format::Png),
        ("plain.tif", Format::Tiff),
    ] {
        let bytes = std::fs::read(golden("formats").join(name)).unwrap();
        let decoded = decode(&bytes, &DecodeOptions::default()).unwrap();
        assert_eq!((decoded.format, decoded.truncated), (want, false), "{name}");
    }
}

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// The upper eight of 16 bits count, in a file and in an image in memory. A crop of the image's own size shows the values.
#[test]
fn row_32_of_sixteen_bits_the_upper_eight_count() {
    let values = |x: u32, y: u32| (x * 4099 + y * 21_001) as u16;
    let eight = |value: u16| (value >> 8) as u8;
    let grey: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_fn(13, 3, |x, y| Luma([values(x, y)]));
    let rgb: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_fn(13, 3, |x, y| Rgb([values(x, y), values(y, x), 511]));
    let want_grey = image::RgbImage::from_fn(13, 3, |x, y| Rgb([eight(values(x, y)); 3]));
    let want_rgb = image::RgbImage::from_fn(13, 3, |x, y| Rgb([eight(values(x, y)), eight(values(y, x)), 1]));

    let mut preprocess = Preprocess::torchvision();
    (preprocess.width, preprocess.height, preprocess.resize) = (13, 3, Resize::None);
    for (name, deep, want) in [("grey", DynamicImage::from(grey), want_grey), ("rgb", rgb.into(), want_rgb)] {
        assert_equal(name, &preprocess.pixels(&deep).unwrap(), &pixels(&want));
        let decoded = decode(&png(deep), &DecodeOptions::default()).unwrap();
        assert_equal(name, &preprocess.pixels(&decoded.image).unwrap(), &pixels(&want));
    }
}

/// 4x2 pixels, coded as steps of 20 from pixel to pixel.
#[test]
#[cfg(feature = "libjpeg")]
fn a_lossless_grey_jpeg_is_read() {
    let frame = b"\xff\xd8\xff\xc3\0\x0b\x08\0\x02\0\x04\x01\x01\x11\0";
    let codes = b"\xff\xc4\0\x15\0\x01\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x05";
    let scan = b"\xff\xda\0\x08\x01\x01\0\x01\0\0\xa8\xa8\x54\x3f\xff\xd9";
    let bytes = [&frame[..], codes, scan].concat();
    let image = decode(&bytes, &DecodeOptions::default()).unwrap().image.to_rgb8();
    let want = [148, 148, 168, 168, 148, 168, 168, 168];
    assert_eq!(image.into_raw(), want.iter().flat_map(|&grey| [grey; 3]).collect::<Vec<u8>>());
}
