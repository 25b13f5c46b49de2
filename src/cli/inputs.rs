//! What INPUT means: files, folders, stdin, lists. Nothing is collected beyond the names in one folder.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use residua::{
    Error,
    image::{self, DecodeOptions, Decoded},
};

/// Largest image file that is read, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// Endings of the files that are taken out of a folder.
const ENDINGS: [&str; 6] = ["bmp", "gif", "jpeg", "jpg", "png", "webp"];

/// Calls `each` with every image that `inputs` names, in order, or with what is wrong with a name. `each` may stop it.
pub(super) fn walk<E>(
    inputs: &[PathBuf],
    recursive: bool,
    each: &mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>,
) -> Result<(), E> {
    for input in inputs {
        match input.to_str().and_then(|text| text.strip_prefix('@')) {
            Some(list) => listed(input, Path::new(list), recursive, each)?,
            None => one(input, recursive, each)?,
        }
    }
    Ok(())
}

/// The paths in the file `list`, a path a line, which was given as `input`.
fn listed<E>(
    input: &Path,
    list: &Path,
    recursive: bool,
    each: &mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>,
) -> Result<(), E> {
    let file = match File::open(list) {
        Ok(file) => file,
        Err(error) => return each(input.into(), Some(Error::io(list, &error))),
    };
    for line in BufReader::new(file).split(b'\n') {
        match line {
            Ok(line) if line.trim_ascii().is_empty() => {}
            Ok(line) => one(&path_of(line.strip_suffix(b"\r").unwrap_or(&line)), recursive, each)?,
            Err(error) => return each(input.into(), Some(Error::io(list, &error))),
        }
    }
    Ok(())
}

/// Unix file names are bytes, whatever their encoding.
#[cfg(unix)]
fn path_of(line: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(line).into()
}

#[cfg(not(unix))]
fn path_of(line: &[u8]) -> PathBuf {
    String::from_utf8_lossy(line).into_owned().into()
}

fn one<E>(
    path: &Path,
    recursive: bool,
    each: &mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>,
) -> Result<(), E> {
    if !path.is_dir() {
        return each(path.into(), None);
    }
    if !recursive {
        return each(path.into(), Some(Error::ImageFolder));
    }
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => return each(path.into(), Some(Error::io(path, &error))),
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
        // A link to a folder is not followed: it could lead back here. A pipe or a device is read only if it is named itself.
        let wanted = match path.metadata() {
            Ok(meta) if meta.is_dir() => !path.is_symlink(),
            Ok(meta) if !meta.is_file() => false,
            _ => ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str())),
        };
        if wanted {
            one(&path, recursive, each)?;
        }
    }
    Ok(())
}

/// Reads and decodes the image at `path`, or on stdin for `-`.
pub(super) fn read(path: &Path, options: &DecodeOptions) -> Result<Decoded, Error> {
    let mut bytes = Vec::new();
    let read = if path.as_os_str() == "-" {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)
    } else {
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
    };
    read.map_err(|error| Error::io(path, &error))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Error::ImageUnsupported { reason: format!("the file has more than {MAX_BYTES} bytes") });
    }
    image::decode(&bytes, options)
}
