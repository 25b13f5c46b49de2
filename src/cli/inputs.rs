//! What INPUT means: files, folders, stdin, lists. Nothing is collected beyond the names in one folder.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use residua::{Error, image::Format};

use super::args::Inputs;

/// Takes an image, or what is wrong with a name, and may stop the walk.
type Each<'a, E> = &'a mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>;

impl Inputs {
    /// Everything in `folder`.
    pub(super) fn folder(folder: &Path) -> Self {
        Inputs { recursive: true, null: false, inputs: vec![folder.into()] }
    }

    /// Whether the inputs can be walked twice: nothing comes from stdin.
    pub(super) fn rereadable(&self) -> bool {
        self.inputs.iter().all(|input| input.as_os_str() != "@-")
    }

    /// Calls `each` with every image that the inputs name, in order. The entries of a folder come sorted by name.
    pub(super) fn walk<E>(&self, each: Each<'_, E>) -> Result<(), E> {
        for input in &self.inputs {
            match input.to_str().and_then(|text| text.strip_prefix('@')) {
                Some("-") => self.list(input, Ok(io::stdin().lock()), each)?,
                Some(list) => self.list(input, File::open(list).map(BufReader::new), each)?,
                None => self.one(input, each)?,
            }
        }
        Ok(())
    }

    /// The paths in a list that was given as `input`.
    fn list<E>(&self, input: &Path, list: io::Result<impl BufRead>, each: Each<'_, E>) -> Result<(), E> {
        let list = match list {
            Ok(list) => list,
            Err(error) => return each(input.into(), Some(Error::io(input, &error))),
        };
        for path in list.split(if self.null { 0 } else { b'\n' }) {
            match path {
                Ok(path) if path.trim_ascii().is_empty() => {}
                Ok(path) if self.null => self.one(&path_of(&path), each)?,
                Ok(line) => self.one(&path_of(line.strip_suffix(b"\r").unwrap_or(&line)), each)?,
                Err(error) => return each(input.into(), Some(Error::io(input, &error))),
            }
        }
        Ok(())
    }

    fn one<E>(&self, path: &Path, each: Each<'_, E>) -> Result<(), E> {
        if !path.is_dir() {
            return each(path.into(), None);
        }
        if !self.recursive {
            return each(path.into(), Some(Error::ImageFolder));
        }
        let names: io::Result<Vec<OsString>> =
            fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
        let mut names = match names {
            Ok(names) => names,
            Err(error) => return each(path.into(), Some(Error::io(path, &error))),
        };
        names.sort();
        for path in names.iter().map(|name| path.join(name)) {
            let format = path.extension().and_then(|ending| Format::of_extension(&ending.to_string_lossy()));
            // A link to a folder is not followed: it could lead back here. A pipe or a device is read only if it is named itself.
            let wanted = match path.metadata() {
                Ok(meta) if meta.is_dir() => !path.is_symlink(),
                Ok(meta) if !meta.is_file() => false,
                _ => format.is_some_and(Format::is_read),
            };
            if wanted {
                self.one(&path, each)?;
            }
        }
        Ok(())
    }
}

/// Unix file names are bytes, whatever their encoding.
#[cfg(unix)]
pub(super) fn path_of(line: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(line).into()
}

#[cfg(not(unix))]
pub(super) fn path_of(line: &[u8]) -> PathBuf {
    String::from_utf8_lossy(line).into_owned().into()
}

/// A path as records have it: text, with every byte that is not as `\xff`.
pub(super) fn text_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}
