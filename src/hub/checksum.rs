//! Whether a file is what its name in the cache says.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Bytes that are hashed at a time.
const CHUNK: usize = 1 << 20;

/// Whether the contents of `path` have the hash `etag`: of 64 digits, their sha256; of 40 digits, their hash as a git blob.
/// Any other name says nothing of the contents.
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
