//! Recognises, by its first bytes, a file that is not safetensors.

use crate::{Error, Result};

/// Largest header to read: a twentieth of what the format allows, and five times the header of the deepest supported network.
pub(super) const MAX_HEADER: u64 = 5_000_000;

/// Pickles are read only from files, and only by builds with the feature.
const PICKLE: &str = "builds with the feature pth read it from a file, and run none of its code; or convert it once with Python: \
     safetensors.torch.save_file(torch.load(FILE, weights_only=True), 'model.safetensors')";
const EXPORTED: &str = "give the checkpoint that it was exported from as safetensors";
const COMPRESSED: &str = "decompress it first";

/// Refuses bytes of another known format. `name` helps when the bytes alone do not decide. Unknown bytes pass; the parser of the
/// header judges them.
///
/// # Errors
/// [`Error::ModelFormat`] with the format and what to do.
pub(super) fn refuse_foreign(name: &str, bytes: &[u8]) -> Result<()> {
    if looks_like_safetensors(bytes) {
        return Ok(());
    }
    match foreign(name, bytes) {
        Some((found, hint)) => Err(Error::ModelFormat { model: name.into(), found, hint }),
        None => Ok(()),
    }
}

/// Whether there is a plausible header length and an opening brace. Check this first: a length can look like any of the marks
/// below.
pub(super) fn looks_like_safetensors(bytes: &[u8]) -> bool {
    match bytes.split_first_chunk::<8>() {
        Some((length, rest)) => u64::from_le_bytes(*length) <= MAX_HEADER && rest.first() == Some(&b'{'),
        None => false,
    }
}

fn foreign(name: &str, bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let marks: [(&[u8], &str, &str); 9] = [
        (b"PK\x03\x04", "a zip archive such as torch.save writes", PICKLE),
        (b"PK\x05\x06", "an empty zip archive", "it holds no tensors; fetch or save the file again"),
        (b"GGUF", "a GGUF file", EXPORTED),
        (b"version https://git-lfs", "a git-LFS pointer", "fetch the file itself with 'git lfs pull'"),
        (b"\x1f\x8b", "a gzip file", COMPRESSED),
        (b"\xfd7zXZ\x00", "an xz file", COMPRESSED),
        (b"\x28\xb5\x2f\xfd", "a zstd file", COMPRESSED),
        (b"\x89HDF\r\n", "an HDF5 file such as Keras writes", EXPORTED),
        (
            b"{",
            "JSON text",
            "give the .safetensors file itself; of a checkpoint in several files, the one ending in .index.json",
        ),
    ];
    if let Some((_, found, hint)) = marks.iter().find(|(mark, ..)| bytes.starts_with(mark)) {
        return Some((found, hint));
    }
    if matches!(bytes, [0x80, 2..=5, ..]) {
        return Some(("a Python pickle", PICKLE));
    }
    // Field 1 of an ONNX ModelProto is a small version number. That is weak evidence, so the name must agree.
    let protobuf = matches!(bytes, [0x08, 1..=0x20, 0x12 | 0x3a, ..]);
    if protobuf || name.to_ascii_lowercase().ends_with(".onnx") {
        return Some(("an ONNX model", EXPORTED));
    }
    text(bytes)
}

/// Recognises text, for instance an error page or a log-in page saved under the name of the weights.
fn text(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let head = &bytes[..bytes.len().min(256)];
    let printable = |b: &u8| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..=0xff);
    if head.len() < 8 || !head.iter().all(printable) || !head.iter().any(u8::is_ascii_alphabetic) {
        return None;
    }
    match head.trim_ascii_start().first() {
        Some(b'<') => Some(("an HTML or XML page", "the download probably failed; fetch the file again")),
        _ => str::from_utf8(&head[..head.len().min(64)]).ok().map(|_| ("text", "give a .safetensors file")),
    }
}
