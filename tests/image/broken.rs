//! Files that are cut, mutated, or not images at all.

use residua::Error;
use residua::image::{DecodeOptions, decode};

use crate::compare::{files, golden};

fn inputs() -> Vec<(String, Vec<u8>)> {
    let files = files(&golden("formats")).into_iter();
    files.map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

/// A file cut anywhere is an error or, if only data after the pixels is missing, the whole image with a note. Rows are never invented.
#[test]
fn row_29_a_cut_file_is_an_error() {
    let options = DecodeOptions::default();
    for (name, bytes) in inputs() {
        let whole = decode(&bytes, &options).unwrap();
        let mut errors = 0;
        for cut in 0..bytes.len() {
            match decode(&bytes[..cut], &options) {
                Err(Error::ImageTruncated { .. } | Error::ImageDecode { .. }) => errors += 1,
                Err(other) => panic!("{name} cut at {cut}: {other:?}"),
                Ok(decoded) => {
                    assert!(decoded.image == whole.image, "{name} cut at {cut} of {}: made-up rows", bytes.len());
                    assert!(!decoded.truncated, "{name} cut at {cut}");
                }
            }
        }
        assert!(errors > bytes.len() / 4, "{name}: {errors} errors in {} cuts", bytes.len());
    }
}

#[test]
fn row_28_a_cut_jpeg_is_taken_only_on_request() {
    for name in ["baseline.jpg", "progressive.jpg", "restarts.jpg"] {
        let bytes = std::fs::read(golden("formats").join(name)).unwrap();
        let mut lenient = DecodeOptions::default();
        lenient.allow_truncated = true;
        assert!(!decode(&bytes, &lenient).unwrap().truncated);
        for cut in [bytes.len() * 3 / 4, bytes.len() * 9 / 10] {
            let strict = decode(&bytes[..cut], &DecodeOptions::default()).unwrap_err();
            assert_eq!(strict.code(), "image.truncated", "{name} cut at {cut}");
            let decoded = decode(&bytes[..cut], &lenient).unwrap();
            assert!(decoded.truncated, "{name} cut at {cut}");
            assert_eq!((decoded.image.width(), decoded.image.height()), (45, 34));
        }
        let trailing = [&bytes[..], b"anything at all \xff\xd8"].concat();
        assert!(!decode(&trailing, &DecodeOptions::default()).unwrap().truncated, "{name} with trailing bytes");
    }
}

/// A run-length-coded BMP of 4x2 pixels: two runs, each with its end of line, and the end of the bitmap.
#[test]
fn a_cut_run_length_bmp_is_an_error() {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x3e\0\0\0\x28\0\0\0\x04\0\0\0\x02\0\0\0\x01\0\x08\0\x01\0\0\0".to_vec();
    bytes.extend([0; 12]);
    bytes.extend([2, 0, 0, 0, 0, 0, 0, 0]);
    bytes.extend([10, 20, 30, 0, 40, 50, 60, 0]);
    bytes.extend([4, 0, 0, 0, 4, 1, 0, 0, 0, 1]);
    let options = DecodeOptions::default();
    let whole = decode(&bytes, &options).unwrap().image.to_rgb8();
    assert_eq!((whole.get_pixel(0, 0).0, whole.get_pixel(3, 1).0), ([60, 50, 40], [30, 20, 10]));
    for cut in 0..bytes.len() - 4 {
        assert!(decode(&bytes[..cut], &options).is_err(), "cut at {cut}");
    }
}

#[test]
fn row_30_mutated_files_give_an_error_or_an_image() {
    let mut options = DecodeOptions::default();
    options.max_pixels = 1 << 20;
    let mut state = 1_u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let (mut errors, mut images) = (0, 0);
    for (name, bytes) in inputs() {
        for _ in 0..150 {
            let mut mutated = bytes.clone();
            for _ in 0..1 + random(4) {
                let at = random(mutated.len());
                mutated[at] = random(256) as u8;
            }
            match decode(&mutated, &options) {
                Ok(decoded) => {
                    images += 1;
                    assert!(u64::from(decoded.image.width()) * u64::from(decoded.image.height()) <= 1 << 20, "{name}");
                }
                Err(e) => {
                    errors += 1;
                    assert!(e.code().starts_with("image."), "{name}: {e:?}");
                }
            }
        }
    }
    assert!(errors > 0 && images > 0, "{errors} errors, {images} images");
}

#[test]
fn row_23_35_other_kinds_of_file_are_named() {
    let random: Vec<u8> = (0..4096_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8 | 0x80).collect();
    let long_text = "ä".repeat(2000);
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "image.decode", "empty"),
        (b"hello, this is a text", "image.decode", "it is text"),
        (long_text.as_bytes(), "image.decode", "it is text"),
        (b"<!DOCTYPE html><html>", "image.decode", "HTML"),
        (b"version https://git-lfs.github.com/spec/v1\n", "image.decode", "git lfs pull"),
        (&[0; 100], "image.decode", "100 zero bytes"),
        (&random, "image.decode", "unknown format, 4096 bytes"),
        (b"\xff\xd8\xff", "image.truncated", "before the first scan"),
        (b"\x89PNG\r\n\x1a\n", "image.truncated", ""),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "image.unsupported", "video"),
        (b"II*\0\x08\0\0\0", "image.truncated", "TIFF"),
        (b"MM\0*\0\0\0\x08", "image.truncated", "TIFF"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image.unsupported", "SVG"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<svg/>", "image.unsupported", "SVG"),
        (b"%PDF-1.7\n", "image.unsupported", "PDF"),
        (b"8BPS\0\x01", "image.unsupported", "PSD"),
        (b"\xff\x0a\0\0", "image.unsupported", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "image.unsupported", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "image.unsupported", "JPEG 2000"),
        (b"P6\n2 2\n255\n", "image.unsupported", "netpbm"),
        (b"qoif\0\0", "image.unsupported", "QOI"),
        (b"\x76\x2f\x31\x01\0\0", "image.unsupported", "OpenEXR"),
    ];
    for (bytes, code, words) in cases {
        let error = decode(bytes, &DecodeOptions::default()).unwrap_err();
        assert_eq!(error.code(), *code, "{error}");
        assert!(error.to_string().contains(words), "{error} lacks {words}");
    }
}
