//! AVIF and HEIC: read with their features; without them, the error names the feature.

use image::RgbImage;
use residua::image::{DecodeOptions, Format, decode};

use crate::compare::{difference, golden, open, pixels};

const FORMATS: [(&str, Format); 2] = [("avif", Format::Avif), ("heic", Format::Heic)];

/// Compares with Pillow's image of the same file. Decoding is exact in both formats; only the conversion to RGB may round.
///
/// * HEIC: pillow_heif also converts with libheif. Measured equal bit for bit, with libheif 1.15.1 here and 1.23.6 in pillow_heif.
/// * AVIF: Pillow converts with libavif. Both libraries round a sample to one of its neighbours, so they differ by at most one; the
///   mean was 0.149 for `photo.avif` and 0.158 for `turned.avif`. Both files have as many colour samples as pixels: if there are
///   fewer, libheif 1.15 repeats them and libavif interpolates.
fn assert_close(name: &str, got: &RgbImage, want: &RgbImage) {
    let apart = difference(name, &pixels(got), &pixels(want));
    let (max, mean) = if name.ends_with("heic") { (0, 0.0) } else { (1, 0.16) };
    assert!(apart.max <= max && apart.mean <= mean, "{name}: {apart:?}");
}

fn wanted(name: &str) -> RgbImage {
    open(&golden("heif").join(format!("{name}.png"))).to_rgb8()
}

#[test]
fn avif_and_heic_are_read_with_their_features_and_named_without() {
    for (ending, format) in FORMATS {
        let name = format!("photo.{ending}");
        let bytes = std::fs::read(golden("heif").join(&name)).unwrap();
        match decode(&bytes, &DecodeOptions::default()) {
            Ok(decoded) => {
                assert!(format.is_read() && decoded.format == format, "{name}");
                assert_close(&name, &decoded.image.to_rgb8(), &wanted(&name));
            }
            Err(error) => {
                assert!(!format.is_read(), "{name}: {error}");
                let words = format!("reading {} needs a build with the feature {ending}", format.name());
                assert!(error.code() == "image.unsupported" && error.to_string().contains(&words), "{error}");
            }
        }
    }
}

#[test]
#[cfg(any(feature = "avif", feature = "heic"))]
fn a_heic_is_turned_in_any_case_and_an_avif_on_demand() {
    for (ending, format) in FORMATS.into_iter().filter(|(_, format)| format.is_read()) {
        let name = format!("turned.{ending}");
        let bytes = std::fs::read(golden("heif").join(&name)).unwrap();
        let upright = wanted(&name);
        for exif in [true, false] {
            let mut options = DecodeOptions::default();
            options.exif = exif;
            let got = decode(&bytes, &options).unwrap().image.to_rgb8();
            let stored = !exif && format == Format::Avif;
            let want = if stored { image::imageops::rotate270(&upright) } else { upright.clone() };
            assert_close(&name, &got, &want);
        }
    }
}

#[test]
#[cfg(any(feature = "avif", feature = "heic"))]
fn a_broken_avif_or_heic_is_an_error_that_says_so() {
    for (ending, _) in FORMATS.into_iter().filter(|(_, format)| format.is_read()) {
        let bytes = std::fs::read(golden("heif").join(format!("photo.{ending}"))).unwrap();
        for kept in [32, bytes.len() / 4, bytes.len() / 2, bytes.len() - 1] {
            let error = decode(&bytes[..kept], &DecodeOptions::default()).expect_err(ending);
            assert!(["image.truncated", "image.decode"].contains(&error.code()), "{ending}, {kept} bytes: {error}");
            assert!(!error.to_string().contains('\n'), "{error:?}");
        }
        let mut options = DecodeOptions::default();
        options.max_pixels = 45 * 34 - 1;
        assert_eq!(decode(&bytes, &options).expect_err(ending).code(), "image.too_large");
    }
}
