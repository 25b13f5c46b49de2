//! A safetensors file on disk, read in two steps: the header, and once the network is known to be one of ours the rest.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use super::{
    format,
    header::{self, Header},
};
use crate::{Error, Result};

/// Bytes that are looked at before anything else is read.
const HEAD: u64 = 512;

/// An open file of which the header has been read.
pub(super) struct OpenFile {
    path: PathBuf,
    file: File,
    length: u64,
    bytes: Vec<u8>,
}

impl OpenFile {
    /// Reads the header of the file at `path`, and no more.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ModelFormat`] for a file of another kind, and those of [`header::parse`].
    pub(super) fn open(path: &Path) -> Result<(Self, Header)> {
        let name = path.display().to_string();
        let failed = |error: io::Error| Error::io(path, &error);
        let found = fs::metadata(path).map_err(failed)?;
        if !found.is_file() {
            let (kind, what) = if found.is_dir() {
                (ErrorKind::IsADirectory, "is a folder")
            } else {
                (ErrorKind::InvalidInput, "is not a regular file")
            };
            return Err(failed(io::Error::new(kind, format!("{what}; a checkpoint is one file"))));
        }
        let mut file = File::open(path).map_err(failed)?;
        let length = found.len();
        let mut bytes = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(failed)?;
        format::refuse_foreign(&name, &bytes)?;
        let end = header::end(&name, &bytes, length)?;
        let missing = end.saturating_sub(bytes.len());
        file.by_ref().take(missing as u64).read_to_end(&mut bytes).map_err(failed)?;
        let Some(head) = bytes.get(..end) else { return Err(changed(&name)) };
        let header = header::parse(&name, head, length - end as u64)?;
        Ok((OpenFile { path: path.into(), file, length, bytes }, header))
    }

    /// All bytes of the file.
    ///
    /// # Errors
    /// [`Error::Io`], also if there is no memory for them; [`Error::ModelTruncated`] if the file has become shorter.
    pub(super) fn read(mut self) -> Result<Vec<u8>> {
        let missing = self.length - self.bytes.len() as u64;
        let room = usize::try_from(missing).ok().and_then(|bytes| self.bytes.try_reserve_exact(bytes).ok());
        if room.is_none() {
            let reason = format!("its {} bytes do not fit into memory", self.length);
            return Err(Error::io(self.path, &io::Error::new(ErrorKind::OutOfMemory, reason)));
        }
        self.file.take(missing).read_to_end(&mut self.bytes).map_err(|error| Error::io(&self.path, &error))?;
        if self.bytes.len() as u64 == self.length {
            Ok(self.bytes)
        } else {
            Err(changed(&self.path.display().to_string()))
        }
    }
}

fn changed(name: &str) -> Error {
    Error::ModelTruncated { model: name.into(), reason: "it became shorter while it was read".into() }
}
