//! Writes files completely or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::{Error, Result};

/// A file under a temporary name in its target's folder. Removed unless committed.
pub struct PartFile {
    path: PathBuf,
    file: NamedTempFile,
}

impl PartFile {
    /// Starts the file for `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut part = tempfile::Builder::new();
        part.prefix(path.file_name().unwrap_or_default()).suffix(".part");
        // Permissions of an ordinary new file; temporary files are private.
        #[cfg(unix)]
        part.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = part.tempfile_in(folder).map_err(|error| Error::io(path, &error))?;
        Ok(PartFile { path: path.into(), file })
    }

    /// A handle for writing.
    ///
    /// # Errors
    /// The system's error.
    pub fn file(&self) -> io::Result<File> {
        self.file.as_file().try_clone()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn commit(self) -> Result<()> {
        let PartFile { path, file } = self;
        file.persist(&path).map(drop).map_err(|error| Error::io(&path, &error.error))
    }
}

/// Whether `path` is something other than a plain file (a device, a pipe, a link). Such a path is written to, never replaced.
pub fn is_special(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| !there.is_file())
}

/// A file written piece by piece that appears only when complete, unless its path is not a plain file.
pub struct NewFile {
    path: PathBuf,
    writer: BufWriter<File>,
    part: Option<PartFile>,
}

impl NewFile {
    /// Starts the file for `path`.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(path: &Path) -> Result<Self> {
        let part = if is_special(path) { None } else { Some(PartFile::create(path)?) };
        let file = part.as_ref().map_or_else(|| File::create(path), PartFile::file);
        let writer = BufWriter::new(file.map_err(|error| Error::io(path, &error))?);
        Ok(NewFile { path: path.into(), writer, part })
    }

    /// Appends to the file.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| Error::io(&self.path, &error))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn commit(mut self) -> Result<()> {
        self.writer.flush().map_err(|error| Error::io(&self.path, &error))?;
        self.part.map_or(Ok(()), PartFile::commit)
    }
}

/// Writes a file, as [`NewFile`] does.
///
/// # Errors
/// [`Error::Io`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = NewFile::create(path)?;
    file.write(bytes)?;
    file.commit()
}
