//! Finds the images in a folder and its subfolders, in a fixed order, and says why other files are left out.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::{Error, image::Format};

/// Lower-case names of files and folders that a system or a NAS keeps among the photos for its own use. Names that begin with a dot
/// (macOS's `._x`, `.thumbnails`, `.Trash-1000`) need no entry.
const SYSTEM_NAMES: [&str; 15] = [
    "$recycle.bin",
    "#recycle",
    "#snapshot",
    "@eadir",
    "@recently-snapshot",
    "@recycle",
    "@tmp",
    "__macosx",
    "desktop.ini",
    "ehthumbs.db",
    "lost+found",
    "network trash folder",
    "system volume information",
    "temporary items",
    "thumbs.db",
];

/// Which files of a folder to take: all images that this build can read, except those left out for a [`Reason`].
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Choice {
    /// Include hidden files and folders, and those that a system keeps for its own use: names that begin with a dot, `Thumbs.db`,
    /// `@eaDir` and similar ones.
    pub hidden: bool,
    /// Leave out files and folders that match one of these patterns.
    pub exclude: Vec<Pattern>,
}

/// A pattern for names and paths: `*` matches a part of a name, `**` any folders, `{a,b}` one or the other. A pattern without `/` is
/// compared with every name; a pattern with `/` is compared with the path below the walked folder.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl FromStr for Pattern {
    type Err = String;

    /// # Errors
    /// The reason why the pattern is invalid.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.trim_end_matches('/').trim_start_matches("./");
        let glob =
            GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        Ok(Pattern(glob.compile_matcher()))
    }
}

impl Pattern {
    /// Whether the pattern matches the file or folder `name` at `below`, its path below the walked folder.
    fn is_about(&self, name: &Path, below: &Path) -> bool {
        self.0.is_match(if self.0.glob().glob().contains('/') { below } else { name })
    }
}

/// An entry found in a folder.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// An image, judged by its name.
    Image(PathBuf),
    /// An entry that cannot be read, or the folder itself if it contains no image.
    Failed(PathBuf, Error),
    /// A file, or a folder with all of its contents, that is left out.
    LeftOut {
        /// The reason.
        reason: Reason,
        /// Whether it is a folder.
        is_folder: bool,
    },
}

/// Why a file or folder is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Files with this extension, in lower case, are not images, or this build cannot read them.
    Ending(String),
    /// Its name begins with a dot, or a system keeps it for its own use.
    Hidden,
    /// It matches a pattern.
    Excluded,
    /// It is a link to a folder; following it could lead in a circle.
    LinkToFolder,
    /// A pipe, a device, a socket.
    Special,
}

impl Choice {
    /// Calls `each` for every entry of `folder` and its subfolders, until `each` fails. Entries are sorted by name; a subfolder's entries
    /// come at its place.
    ///
    /// # Errors
    /// The error of `each`.
    pub fn walk<E>(&self, folder: &Path, each: &mut dyn FnMut(Found) -> Result<(), E>) -> Result<(), E> {
        let (mut images, mut failed) = (0_u64, false);
        let mut entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    failed = true;
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    let error = Error::io(&path, &error.into());
                    each(Found::Failed(path, error))?;
                    continue;
                }
            };
            let is_folder = entry.file_type().is_dir();
            match self.reason(folder, &entry) {
                Some(reason) => {
                    each(Found::LeftOut { reason, is_folder })?;
                    if is_folder {
                        entries.skip_current_dir();
                    }
                }
                None if is_folder => {}
                None => {
                    images += 1;
                    each(Found::Image(entry.into_path()))?;
                }
            }
        }
        if images == 0 && !failed { each(Found::Failed(folder.into(), Error::ImageNone)) } else { Ok(()) }
    }

    /// Names of the folders directly in `folder` that are read, sorted.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn folders_in(&self, folder: &Path) -> Result<Vec<String>, Error> {
        let entries = WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name();
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| Error::io(folder, &error.into()))?;
            if entry.file_type().is_dir() && self.reason(folder, &entry).is_none() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        Ok(names)
    }

    /// Why an entry is left out, if it is. The entries of a folder are judged one by one.
    fn reason(&self, folder: &Path, entry: &DirEntry) -> Option<Reason> {
        let name = Path::new(entry.file_name());
        if !self.hidden && is_hidden(entry.file_name()) {
            return Some(Reason::Hidden);
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(name);
        if self.exclude.iter().any(|pattern| pattern.is_about(name, below)) {
            return Some(Reason::Excluded);
        }
        if entry.file_type().is_dir() {
            return None;
        }
        // Links to folders are not followed: they could lead in a circle. A pipe or a device is read only if it is named as an input. A
        // broken link is reported if its name is an image's.
        let there = if entry.path_is_symlink() { fs::metadata(entry.path()).ok() } else { None };
        let kind = there.map_or(entry.file_type(), |there| there.file_type());
        if kind.is_dir() {
            return Some(Reason::LinkToFolder);
        }
        if !kind.is_file() && !kind.is_symlink() {
            return Some(Reason::Special);
        }
        let ending = name.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_read = Format::of_extension(&ending).is_some_and(Format::is_read);
        if is_read { None } else { Some(Reason::Ending(ending)) }
    }
}

/// Whether listings hide this file or folder, or a system made it.
fn is_hidden(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_lowercase();
    name.starts_with('.') || SYSTEM_NAMES.contains(&name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_systems_are_hidden_and_those_of_people_are_not() {
        for name in [
            "._a.jpg",
            ".thumbnails",
            ".Trash-1000",
            "@eaDir",
            "@Recently-Snapshot",
            "$RECYCLE.BIN",
            "__MACOSX",
            "Thumbs.db",
            "Temporary Items",
        ] {
            assert!(is_hidden(OsStr::new(name)), "{name}");
        }
        for name in ["a.jpg", "_a.jpg", "@home", "#1.png", "Trash", "thumbs", "MACOSX"] {
            assert!(!is_hidden(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_read_is_refused() {
        let pattern = |text: &str| text.parse::<Pattern>();
        assert!(pattern("[a").is_err() && pattern("{a,b").is_err());
        assert!(pattern("*.png").unwrap().is_about(Path::new("a.png"), Path::new("b/a.png")));
        let is_below = |path: &str| pattern("a/*.png").unwrap().is_about(Path::new("c.png"), Path::new(path));
        assert!(is_below("a/c.png") && !is_below("a/b/c.png"), "* is a part of one name");
    }
}
