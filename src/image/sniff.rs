//! Recognises the kind of a file by its content, never by its name.

use super::Format;
use crate::error::{Error, Result};

/// The format of a supported image, or an error that names the kind of file instead.
pub(super) fn sniff(bytes: &[u8]) -> Result<Format> {
    if bytes.is_empty() {
        return Err(Error::image_decode("the file is empty"));
    }
    match known(bytes) {
        Some(format) if format.is_read() => return Ok(format),
        Some(format) => return Err(not_in_this_build(format)),
        None => {}
    }
    if let Some(kind) = foreign(bytes) {
        let read = Format::ALL.into_iter().filter(|format| format.is_read()).map(Format::name).collect::<Vec<_>>();
        let reason = format!("{kind}; convert it to one of {} first", read.join(", "));
        return Err(Error::image_unsupported(reason));
    }
    let reason = match text(bytes) {
        Some(kind) => format!("it is {kind}"),
        None if bytes.iter().all(|&b| b == 0) => format!("it is {} zero bytes", bytes.len()),
        None => {
            let head = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ");
            format!("unknown format, {} bytes that begin with {head}", bytes.len())
        }
    };
    Err(Error::image_decode(reason))
}

/// The error for a format that needs a build with another feature.
pub(super) fn not_in_this_build(format: Format) -> Error {
    let (name, feature) = (format.name(), format.name().to_lowercase());
    let reason = format!("reading {name} needs a build with the feature {feature}; convert it to JPEG or PNG first");
    Error::image_unsupported(reason)
}

/// First bytes of the formats.
const FORMATS: &[(&[u8], Format)] = &[
    (b"\xff\xd8\xff", Format::Jpeg),
    (b"\x89PNG\r\n\x1a\n", Format::Png),
    (b"GIF87a", Format::Gif),
    (b"GIF89a", Format::Gif),
    (b"BM", Format::Bmp),
    (b"II*\0", Format::Tiff),
    (b"MM\0*", Format::Tiff),
    (b"II+\0", Format::Tiff),
    (b"MM\0+", Format::Tiff),
];

/// The format of a file, whether this build reads it or not.
fn known(bytes: &[u8]) -> Option<Format> {
    if let Some((_, format)) = FORMATS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(*format);
    }
    match (bytes.get(..4)?, bytes.get(4..8)?, bytes.get(8..12)?) {
        (b"RIFF", _, b"WEBP") => Some(Format::WebP),
        (_, b"ftyp", b"avif" | b"avis") => Some(Format::Avif),
        // A generic name: the list of compatible kinds says more.
        (length, b"ftyp", b"mif1" | b"msf1") => {
            let end = u32::from_be_bytes(*length.first_chunk()?) as usize;
            let compatible = bytes.get(16..end).unwrap_or_default().as_chunks::<4>().0;
            Some(if compatible.contains(b"avif") { Format::Avif } else { Format::Heic })
        }
        (_, b"ftyp", b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx") => Some(Format::Heic),
        _ => None,
    }
}

/// First bytes of files that people mistake for images, or that contain images.
const MAGIC: &[(&[u8], &str)] = &[
    (b"FUJIFILMCCD-RAW", "a camera's raw photo"),
    (b"%PDF-", "PDF"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"farbfeld", "farbfeld"),
    (b"gimp xcf", "a GIMP document (XCF)"),
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x93NUMPY", "a numpy array"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
];

/// Name of a recognised kind of file that is not supported.
fn foreign(bytes: &[u8]) -> Option<&'static str> {
    if let Some((_, kind)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Some(kind);
    }
    if bytes.get(4..8) == Some(b"ftyp") {
        return Some(match bytes.get(8..12) {
            Some(b"crx ") => "a camera's raw photo",
            _ => "a video (MP4 or QuickTime)",
        });
    }
    if let [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n', ..] = bytes {
        return Some("netpbm (PBM, PGM, PPM or PAM)");
    }
    let head = head(bytes);
    (head.starts_with("<svg") || head.starts_with("<?xml") && head.contains("<svg")).then_some("SVG")
}

/// The kind of a text, or `None` if the bytes are not text.
fn text(bytes: &[u8]) -> Option<&'static str> {
    let head = head(bytes);
    let binary = head.chars().any(|c| c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace());
    if binary {
        return None;
    }
    Some(if head.starts_with("<!doctype html") || head.starts_with("<html") {
        "a web page (HTML); was it a failed download?"
    } else if head.starts_with("version https://git-lfs") {
        "a git-LFS pointer, not the file itself; fetch it with `git lfs pull`"
    } else {
        "text"
    })
}

/// The first kilobyte as lower-case text, without a byte-order mark or white space in front.
fn head(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(1024)]);
    // A character cut in two at the end of the kilobyte does not mean binary data.
    let text = if bytes.len() > 1024 { text.trim_end_matches(char::REPLACEMENT_CHARACTER) } else { &text };
    text.trim_start_matches('\u{feff}').trim_start().to_lowercase()
}
