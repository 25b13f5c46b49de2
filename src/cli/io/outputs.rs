//! Checks output files before a command computes for long.

use std::{
    fs,
    io::{Error as IoError, ErrorKind},
    path::Path,
};

use residua::Error;

use super::files::NewFile;

/// An option and the file that it names, if it was given.
pub(crate) type Named<'a> = (&'a str, Option<&'a Path>);

/// Checks the files that options name: they differ from each other and from the files that the command reads, and can be written.
///
/// # Errors
/// [`Error::ConfigValue`] for a file that is named twice or read; [`Error::Io`] for one that cannot be written.
pub(crate) fn check(outputs: &[Named<'_>], read: &[Named<'_>]) -> Result<(), Error> {
    let outputs: Vec<(&str, &Path)> = outputs.iter().filter_map(given).collect();
    let mut others: Vec<(&str, &Path)> = read.iter().filter_map(given).collect();
    for (option, path) in outputs {
        if path.is_dir() {
            return Err(Error::io(path, &IoError::from(ErrorKind::IsADirectory)));
        }
        // A device such as /dev/null takes anything, several times too.
        if path.exists() && !path.is_file() {
            continue;
        }
        if let Some((other, _)) = others.iter().find(|(_, other)| is_same(other, path)) {
            let expected = format!("another file than {other}");
            return Err(Error::config_value("option", option, path.display().to_string(), expected));
        }
        // A file that is not finished leaves nothing.
        drop(NewFile::create(path)?);
        others.push((option, path));
    }
    Ok(())
}

fn given<'a>((option, path): &Named<'a>) -> Option<(&'a str, &'a Path)> {
    Some((option, (*path)?))
}

fn is_same(a: &Path, b: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).ok();
    a == b || real(a).is_some() && real(a) == real(b)
}
