//! Every format and flavour against what Pillow decodes, and 16-bit images, which Pillow clips.

use std::io::Cursor;

use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb};
use residua::image::{DecodeOptions, Preprocess, Resize, decode};

use crate::compare::{Difference, assert_equal, difference, files, golden, open, pixels};

/// Largest differences that a lossy decoder may show. Measured: a mean of 0.36 and a maximum of 3 for JPEG with halved
/// colour planes, 0.024 and 2 for other JPEG, none for lossy WebP.
fn bound(name: &str) -> Difference {
    match name {
        "baseline.jpg" | "progressive.jpg" | "restarts.jpg" => Difference { max: 5, mean: 0.5 },
        "grey.jpg" | "full-chroma.jpg" | "cmyk.jpg" => Difference { max: 3, mean: 0.05 },
        _ => Difference { max: 0, mean: 0.0 },
    }
}

#[test]
fn row_31_33_formats_decode_as_pillow_does() {
    let inputs: Vec<_> =
        files(&golden("formats")).into_iter().filter(|(name, _)| name.matches('.').count() == 1).collect();
    assert_eq!(inputs.len(), 18);
    for (name, path) in inputs {
        let want = open(&golden(&format!("formats/{name}.png"))).to_rgb8();
        let apart = difference(&name, &pixels(&open(&path).to_rgb8()), &pixels(&want));
        let bound = bound(&name);
        assert!(apart.max <= bound.max && apart.mean <= bound.mean, "{name}: {apart:?}, expected at most {bound:?}");
    }
}

#[test]
fn the_format_is_told_by_the_content() {
    for (name, want) in [
        ("baseline.jpg", ImageFormat::Jpeg),
        ("lossy.webp", ImageFormat::WebP),
        ("still.gif", ImageFormat::Gif),
        ("rgb.bmp", ImageFormat::Bmp),
        ("animated.png", ImageFormat::Png),
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

/// 16 bits become 8 by division by 257, rounded; the crop of an image of its own size shows the values.
#[test]
fn row_32_sixteen_bits_are_scaled() {
    let values = |x: u32, y: u32| (x * 4099 + y * 21_001) as u16;
    let eight = |value: u16| ((u32::from(value) + 128) / 257) as u8;
    let grey: ImageBuffer<Luma<u16>, _> = ImageBuffer::from_fn(13, 3, |x, y| Luma([values(x, y)]));
    let rgb: ImageBuffer<Rgb<u16>, _> = ImageBuffer::from_fn(13, 3, |x, y| Rgb([values(x, y), values(y, x), 257]));
    let want_grey = image::RgbImage::from_fn(13, 3, |x, y| Rgb([eight(values(x, y)); 3]));
    let want_rgb = image::RgbImage::from_fn(13, 3, |x, y| Rgb([eight(values(x, y)), eight(values(y, x)), 1]));

    let mut preprocess = Preprocess::torchvision();
    (preprocess.width, preprocess.height, preprocess.resize) = (13, 3, Resize::None);
    for (name, bytes, want) in [("grey", png(grey), want_grey), ("rgb", png(rgb), want_rgb)] {
        let decoded = decode(&bytes, &DecodeOptions::default()).unwrap();
        assert_equal(name, &preprocess.pixels(&decoded.image).unwrap(), &pixels(&want));
    }
}
