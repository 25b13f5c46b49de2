//! Damaged files that can be read: their notes, and their refusal by `strict`.

use residua::image::{DecodeOptions, decode};

use crate::compare::golden;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(golden("formats").join(name)).unwrap()
}

/// The note about the damage. Checks that the pixels equal those of the undamaged file `name`, and that `strict` refuses the file.
fn damage(bytes: &[u8], name: &str) -> String {
    let decoded = decode(bytes, &DecodeOptions::default()).unwrap();
    assert_eq!(decoded.image, decode(&file(name), &DecodeOptions::default()).unwrap().image, "{name}");
    assert!(!decoded.truncated, "{name}");
    let mut strict = DecodeOptions::default();
    strict.strict = true;
    assert!(decode(&file(name), &strict).is_ok(), "{name}");
    let (damage, error) = (decoded.damage.expect("it is damaged"), decode(bytes, &strict).unwrap_err());
    assert!(error.code() == "image.decode" && error.to_string().ends_with(&damage), "{error}");
    damage
}

#[test]
fn a_png_whose_end_is_missing_or_broken_is_read() {
    for name in ["../pixels/rgba.png", "../pixels/palette.png", "../pixels/one-bit.png"] {
        let whole = file(name);
        let end = whole.len() - 12;
        for bytes in [
            whole[..end].to_vec(),
            whole[..end + 5].to_vec(),
            [&whole[..end], b"\0\0\0\x09tEXtabc"].concat(),
            [&whole[..end], b"\0\0\0\x01?*+-x\0\0\0\0"].concat(),
        ] {
            assert!(damage(&bytes, name).starts_with("after its pixels: "), "{name}");
        }
    }
}

#[test]
fn a_wrong_checksum_of_the_pixels_of_a_png_is_refused_by_strict() {
    let name = "../pixels/rgba.png";
    let mut bytes = file(name);
    // The chunk of pixels comes just before the end; the checksum of its contents is before the chunk's own.
    let end = bytes.len() - 12;
    let start = bytes.windows(4).rposition(|kind| kind == b"IDAT").unwrap();
    bytes[end - 5] ^= 1;
    let sum = crc(&bytes[start..end - 4]);
    bytes[end - 4..end].copy_from_slice(&sum.to_be_bytes());
    let decoded = decode(&bytes, &DecodeOptions::default()).unwrap();
    assert_eq!(decoded.image, decode(&file(name), &DecodeOptions::default()).unwrap().image);
    let mut strict = DecodeOptions::default();
    strict.strict = true;
    assert!(decode(&file(name), &strict).is_ok());
    assert_eq!(decode(&bytes, &strict).unwrap_err().code(), "image.decode");
}

#[test]
fn an_interlaced_png_without_its_end_is_read() {
    // 3x3 grey pixels in Adam7 order: passes 1, 4 (its first row), 5, 6 and 7 have pixels.
    let rows = [&[0_u8, 1][..], &[0, 3], &[0, 7, 9], &[0, 2], &[0, 8], &[0, 4, 5, 6]];
    let data = {
        use std::io::Write;
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        rows.iter().for_each(|row| encoder.write_all(row).unwrap());
        encoder.finish().unwrap()
    };
    let chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        [&(data.len() as u32).to_be_bytes()[..], &body, &crc(&body).to_be_bytes()].concat()
    };
    let header = chunk(b"IHDR", &[0, 0, 0, 3, 0, 0, 0, 3, 8, 0, 0, 0, 1]);
    let bytes = [&b"\x89PNG\r\n\x1a\n"[..], &header, &chunk(b"IDAT", &data)].concat();
    let decoded = decode(&bytes, &DecodeOptions::default()).unwrap();
    assert!(decoded.damage.is_some());
    assert_eq!(decoded.image.to_luma8().into_raw(), [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 })
    })
}

#[cfg(feature = "libjpeg")]
mod jpeg {
    use super::*;

    /// All rows are present: the file ends there, or continues with a camera maker's data.
    #[test]
    fn a_jpeg_without_its_end_marker_is_read() {
        for name in [
            "baseline.jpg",
            "restarts.jpg",
            "grey.jpg",
            "cmyk.jpg",
            "full-chroma.jpg",
            "columns-3x1.jpg",
            "lossless.jpg",
        ] {
            let whole = file(name);
            let cut = &whole[..whole.len() - 2];
            for trailer in [&b""[..], &[0x5a; 40], b"SEFH\x6a\0\0\0\x03\0\0\0"] {
                let damage = damage(&[cut, trailer].concat(), name);
                assert_eq!(damage, "the end-of-image marker is missing", "{name}");
            }
        }
    }

    /// An early end of a scan costs detail but no row. The decoder does not notice, so such a file never counts as complete.
    #[test]
    fn several_scans_or_arithmetic_codes_without_an_end_marker_are_truncated() {
        for name in ["progressive.jpg", "arithmetic.jpg", "arithmetic-progressive.jpg"] {
            let whole = file(name);
            for cut in [whole.len() / 2, whole.len() - 2] {
                let error = decode(&whole[..cut], &DecodeOptions::default()).unwrap_err();
                assert_eq!(error.code(), "image.truncated", "{name} cut at {cut}");
            }
        }
    }

    #[test]
    fn damage_inside_is_told_in_the_words_of_libjpeg() {
        let mut bytes = file("restarts.jpg");
        let scan = bytes.windows(2).position(|w| w == [0xff, 0xda]).unwrap();
        let restart =
            scan + bytes[scan..].windows(2).position(|w| w[0] == 0xff && (0xd0..0xd8).contains(&w[1])).unwrap();
        bytes[restart + 1] = 0xd5;
        let decoded = decode(&bytes, &DecodeOptions::default()).unwrap();
        let damage = decoded.damage.unwrap();
        assert!(damage.starts_with("Corrupt JPEG data: "), "{damage}");
        let mut strict = DecodeOptions::default();
        strict.strict = true;
        let error = decode(&bytes, &strict).unwrap_err();
        assert_eq!(error.to_string(), format!("not a readable image: it is damaged: {damage}"));
    }

    /// An error after a warning is reported in its own words, without a panic.
    #[test]
    fn what_libjpeg_cannot_read_is_an_error_in_its_words() {
        let mut bytes = file("baseline.jpg");
        let tables = bytes.windows(2).position(|w| w == [0xff, 0xc4]).unwrap();
        bytes[tables + 5] = 0xff;
        // After the first segment, this causes a warning.
        bytes.splice(20..20, [0x11, 0x22]);
        let error = decode(&bytes, &DecodeOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "not a readable image: Bogus Huffman table definition");
    }

    #[test]
    fn a_jpeg_of_twelve_bits_is_named() {
        let mut bytes = file("baseline.jpg");
        let frame = bytes.windows(2).position(|w| w == [0xff, 0xc0]).unwrap();
        (bytes[frame + 1], bytes[frame + 4]) = (0xc1, 12);
        let error = decode(&bytes, &DecodeOptions::default()).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("12 bits")), ("image.unsupported", true), "{error}");
    }
}

#[cfg(not(feature = "libjpeg"))]
#[test]
fn kinds_of_jpeg_that_only_libjpeg_reads_are_named() {
    for (name, kind) in [("arithmetic.jpg", "arithmetic"), ("lossless.jpg", "lossless")] {
        let error = decode(&file(name), &DecodeOptions::default()).unwrap_err();
        assert!(error.code() == "image.unsupported" && error.to_string().contains(kind), "{error}");
    }
}
