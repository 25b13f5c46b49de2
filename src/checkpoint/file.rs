//! A file of tensors on disk, read in two steps: first the header and, once the network is recognised, the rest.

use std::{
    fs::{self, File},
    io::{self, ErrorKind, Read},
    path::{Path, PathBuf},
};

use memmap2::MmapMut;

#[cfg(feature = "pth")]
use super::pth::{self, Pickled};
use super::{
    format,
    header::{self, Header, TensorEntry},
    memory::memory,
};
use crate::{Error, Result};

/// Number of bytes to look at before reading anything else.
const HEAD: u64 = 512;

/// An open file whose header has been read.
pub(super) enum OpenFile {
    Plain(Plain),
    #[cfg(feature = "pth")]
    Pickled(Pickled),
}

/// A safetensors file.
pub(super) struct Plain {
    path: PathBuf,
    file: File,
    length: u64,
    bytes: Vec<u8>,
}

impl OpenFile {
    /// Reads only the header of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ModelFormat`] for a file of another kind, and the errors of [`header::parse`].
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
        #[cfg(feature = "pth")]
        if !format::looks_like_safetensors(&bytes) && pth::begins(&bytes) {
            let (file, header) = Pickled::open(path, &bytes, length)?;
            return Ok((OpenFile::Pickled(file), header));
        }
        format::refuse_foreign(&name, &bytes)?;
        let end = header::end(&name, &bytes, length)?;
        let missing = end.saturating_sub(bytes.len());
        file.by_ref().take(missing as u64).read_to_end(&mut bytes).map_err(failed)?;
        let Some(head) = bytes.get(..end) else { return Err(changed(&name)) };
        let header = header::parse(&name, head, length - end as u64)?;
        Ok((OpenFile::Plain(Plain { path: path.into(), file, length, bytes }), header))
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        match self {
            OpenFile::Plain(file) => &file.path,
            #[cfg(feature = "pth")]
            OpenFile::Pickled(file) => file.path(),
        }
    }

    /// Whether it is a pickle.
    pub(super) fn is_pickled(&self) -> bool {
        match self {
            OpenFile::Plain(_) => false,
            #[cfg(feature = "pth")]
            OpenFile::Pickled(_) => true,
        }
    }

    /// Reads the bytes of the header's tensors, at least of those at `wanted` positions.
    ///
    /// # Errors
    /// [`Error::Io`], also if memory is short; [`Error::ModelTruncated`] if the file has become shorter.
    #[cfg_attr(not(feature = "pth"), expect(unused_variables, reason = "only pickles are read in parts"))]
    pub(super) fn read(self, header: &[TensorEntry], wanted: impl Fn(usize) -> bool) -> Result<MmapMut> {
        match self {
            OpenFile::Plain(file) => file.read(),
            #[cfg(feature = "pth")]
            OpenFile::Pickled(file) => file.read(header, wanted),
        }
    }
}

impl Plain {
    /// Reads all bytes of the file.
    ///
    /// # Errors
    /// [`Error::Io`], also if memory is short; [`Error::ModelTruncated`] if the file has become shorter.
    fn read(mut self) -> Result<MmapMut> {
        let Plain { path, length, bytes: head, .. } = &self;
        let room = usize::try_from(*length).ok().and_then(|length| memory(length).ok());
        let Some(mut bytes) = room else {
            let reason = format!("its {length} bytes do not fit into memory");
            return Err(Error::io(path, &io::Error::new(ErrorKind::OutOfMemory, reason)));
        };
        let (start, rest) = bytes.split_at_mut(head.len());
        start.copy_from_slice(head);
        match self.file.read_exact(rest) {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => Err(changed(&self.path.display().to_string())),
            Err(error) => Err(Error::io(&self.path, &error)),
        }
    }
}

fn changed(name: &str) -> Error {
    Error::ModelTruncated { model: name.into(), reason: "it became shorter while it was read".into() }
}
