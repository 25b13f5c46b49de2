//! A folder of files that make the next start faster. Losing one costs only time, so a file that is truncated, foreign or writable by
//! others counts as missing and is written again.

use std::{
    fs::{self, DirBuilder},
    hash::Hasher,
    io::{self, Read, Write},
    path::PathBuf,
};

use fnv::FnvHasher;
use tempfile::NamedTempFile;

const MAGIC: [u8; 8] = *b"residua1";
/// Length of the header: magic, hash of the key, length and hash of the contents.
const HEADER: usize = 32;
/// Largest file to read, in bytes.
const LIMIT: u64 = 64 << 20;

/// A cache folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The cache in `folder`, which need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Cache { folder: folder.into() }
    }

    /// Reads the contents of the file `name`, if it is complete and was written for `key`.
    pub(crate) fn read(&self, name: &str, key: &str) -> Option<Vec<u8>> {
        contents(&self.read_bytes(name, LIMIT)?, key).map(<[u8]>::to_vec)
    }

    /// Reads the text of the file `name`, of at most `limit` bytes, from any program.
    pub(crate) fn read_text(&self, name: &str, limit: u64) -> Option<String> {
        String::from_utf8(self.read_bytes(name, limit)?).ok()
    }

    fn read_bytes(&self, name: &str, limit: u64) -> Option<Vec<u8>> {
        let path = self.folder.join(name);
        let file = fs::symlink_metadata(&path).ok()?;
        if !file.is_file() || !private(&file, 0o022) || !private(&fs::metadata(&self.folder).ok()?, 0o002) {
            return None;
        }
        let mut bytes = Vec::new();
        fs::File::open(&path).ok()?.take(limit).read_to_end(&mut bytes).ok()?;
        Some(bytes)
    }

    /// Writes the file `name` for `key`. Errors are logged.
    pub(crate) fn write(&self, name: &str, key: &str, contents: &[u8]) {
        self.write_parts(name, &[&header(key, contents), contents]);
    }

    /// Writes `text` as the file `name`; returns whether it succeeded. Errors are logged.
    pub(crate) fn write_text(&self, name: &str, text: &str) -> bool {
        self.write_parts(name, &[text.as_bytes()])
    }

    /// Writes a file that only its owner may read and write into the folder: completely or not at all.
    fn write_parts(&self, name: &str, parts: &[&[u8]]) -> bool {
        let path = self.folder.join(name);
        let written = self.create().and_then(|mut file| {
            parts.iter().try_for_each(|bytes| file.write_all(bytes))?;
            Ok(file.persist(&path).map(drop)?)
        });
        if let Err(error) = &written {
            log::warn!("{}: {error}", path.display());
        }
        written.is_ok()
    }

    /// Creates a new temporary file in the folder, and the folder if it is missing.
    fn create(&self) -> io::Result<NamedTempFile> {
        let mut folder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
        folder.recursive(true).create(&self.folder)?;
        NamedTempFile::new_in(&self.folder)
    }
}

/// The contents of a file with these bytes, if it is complete and was written for `key`.
pub fn contents<'a>(file: &'a [u8], key: &str) -> Option<&'a [u8]> {
    let (header, contents) = file.split_at_checked(HEADER)?;
    (header == self::header(key, contents)).then_some(contents)
}

fn header(key: &str, contents: &[u8]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&hash(key.as_bytes()).to_le_bytes());
    header[16..24].copy_from_slice(&(contents.len() as u64).to_le_bytes());
    header[24..].copy_from_slice(&hash(contents).to_le_bytes());
    header
}

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FnvHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// Whether a file has none of the permissions `others`.
#[cfg(unix)]
fn private(metadata: &fs::Metadata, others: u32) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & others == 0
}

#[cfg(not(unix))]
fn private(_: &fs::Metadata, _: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_52_only_what_was_written_for_the_key_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("a/b"));
        assert_eq!(cache.read("file", "key"), None, "no file yet");
        cache.write("file", "key", b"contents");
        assert_eq!(cache.read("file", "key").as_deref(), Some(&b"contents"[..]));
        assert_eq!(cache.read("file", "another key"), None);
        let path = folder.path().join("a/b/file");
        let whole = fs::read(&path).unwrap();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            assert_eq!(cache.read("file", "key"), None, "{len} bytes of it");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            fs::write(&path, &broken).unwrap();
            assert_eq!(cache.read("file", "key"), None, "byte {at} changed");
        }
        cache.write("file", "key", b"new");
        assert_eq!(cache.read("file", "key").as_deref(), Some(&b"new"[..]), "it is written again");
        assert_eq!(fs::read_dir(folder.path().join("a/b")).unwrap().count(), 1, "no temporary file is left");
    }

    #[cfg(unix)]
    #[test]
    fn what_others_may_write_is_not_read() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path());
        cache.write("file", "key", b"contents");
        let path = folder.path().join("file");
        symlink(&path, folder.path().join("link")).unwrap();
        assert_eq!(cache.read("link", "key"), None, "a link");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o602)).unwrap();
        assert_eq!(cache.read("file", "key"), None, "a file that all may write");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o703)).unwrap();
        assert_eq!(cache.read("file", "key"), None, "a folder that all may write");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert!(cache.read("file", "key").is_some());
    }
}
