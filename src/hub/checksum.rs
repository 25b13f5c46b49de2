//! Compares a cached file with the hash that is its name.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes to hash at a time.
const CHUNK: usize = 1 << 20;

/// Whether the contents of `path` have the hash `etag`: sha256 if it has 64 digits, the hash of a git blob if it has 40.
/// Any other name is not a hash, and every content passes.
pub(super) fn matches(path: &Path, etag: &str) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let found = match etag.len() {
        64 => digest(Sha256::new(), &mut file)?,
        40 => {
            let header = format!("blob {}\0", file.metadata()?.len());
            digest(Sha1::new_with_prefix(header), &mut file)?
        }
        _ => return Ok(true),
    };
    Ok(found == etag)
}

/// The hash in hexadecimal digits.
fn digest(mut digest: impl Digest, file: &mut File) -> io::Result<String> {
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            read => digest.update(&chunk[..read]),
        }
    }
}
