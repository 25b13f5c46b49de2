//! Files that are whole or not there.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
};

use residua::Error;

/// A file in the making, under a name beside its own. It is removed if it is not committed.
pub(super) struct PartFile {
    path: PathBuf,
    part: PathBuf,
    file: File,
}

impl PartFile {
    /// Starts the file that is to be `path`.
    pub(super) fn create(path: &Path) -> Result<Self, Error> {
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.part", process::id()));
        let part = path.with_file_name(name);
        let file = File::options().read(true).write(true).create_new(true).open(&part);
        Ok(PartFile { path: path.into(), file: file.map_err(|error| Error::io(path, &error))?, part })
    }

    /// A handle to write with.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// Gives the file its name.
    pub(super) fn commit(self) -> Result<(), Error> {
        fs::rename(&self.part, &self.path).map_err(|error| Error::io(&self.path, &error))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        // Not there any more once it was committed.
        let _ = fs::remove_file(&self.part);
    }
}

/// Whether there is something at `path` that is no plain file (a device, a pipe, a link): it is written to, never replaced.
pub(super) fn is_special(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|there| !there.is_file())
}

/// Writes a file, by way of a [`PartFile`] unless something special is there.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    if is_special(path) {
        return fs::write(path, bytes).map_err(|error| Error::io(path, &error));
    }
    let mut part = PartFile::create(path)?;
    part.file.write_all(bytes).map_err(|error| Error::io(path, &error))?;
    part.commit()
}
