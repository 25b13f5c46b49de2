//! The images in a folder and the folders below it: which files are taken, in which order, and what is left out and why.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use globset::{GlobBuilder, GlobMatcher};
use walkdir::{DirEntry, WalkDir};

use crate::{Error, image::Format};

/// Names of files and folders that a system or a NAS keeps among the photos for itself, in small letters. Those that begin with a dot
/// (macOS's `._x`, `.thumbnails`, `.Trash-1000`) need no list.
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

/// Which files of a folder are taken: all images of kinds that this build reads, unless a setting or [`Reason`] leaves them out.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Choice {
    /// Take hidden files and folders too, and those that a system keeps for itself: names that begin with a dot, `Thumbs.db`, `@eaDir`
    /// and their like.
    pub hidden: bool,
    /// Leave out files and folders that one of these is about.
    pub exclude: Vec<Pattern>,
}

/// A pattern of names and paths: `*` is a part of a name, `**` any folders, `{a,b}` one or the other. One without `/` is compared with
/// every name, one with `/` with the path below the folder that is walked.
#[derive(Debug, Clone)]
pub struct Pattern(GlobMatcher);

impl FromStr for Pattern {
    type Err = String;

    /// # Errors
    /// What is wrong with the pattern.
    fn from_str(text: &str) -> Result<Self, String> {
        let pattern = text.trim_end_matches('/').trim_start_matches("./");
        let glob =
            GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())?;
        Ok(Pattern(glob.compile_matcher()))
    }
}

impl Pattern {
    /// Whether it is about the file or folder `name` at `below`, a path below the folder that is walked.
    fn is_about(&self, name: &Path, below: &Path) -> bool {
        self.0.is_match(if self.0.glob().glob().contains('/') { below } else { name })
    }
}

/// What is found in a folder.
#[derive(Debug)]
#[non_exhaustive]
pub enum Found {
    /// An image, by its name.
    Image(PathBuf),
    /// Something that cannot be read, or the folder itself if there is no image in it.
    Failed(PathBuf, Error),
    /// A file, or a folder with all that is in it, that is left out.
    LeftOut {
        /// Why.
        reason: Reason,
        /// It is a folder.
        is_folder: bool,
    },
}

/// Why a file or folder is left out.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Files of this ending, in small letters, are not images, or not read.
    Ending(String),
    /// Its name begins with a dot, or a system keeps it for itself.
    Hidden,
    /// A pattern is about it.
    Excluded,
    /// It is a link to a folder, which could lead back here.
    LinkToFolder,
    /// A pipe, a device, a socket.
    Special,
}

impl Choice {
    /// Calls `each` with what is in `folder` and the folders below it, until that fails. Entries come sorted by name, a folder in its
    /// place among them.
    ///
    /// # Errors
    /// What `each` returns.
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

    /// The names of the folders right in `folder` that are taken, sorted.
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

    /// Why an entry is left out. A folder's entries are asked about one by one.
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
        // A link to a folder is not followed: it could lead back here. A pipe or a device is read only if it is named itself. A link that
        // leads nowhere is told of if it should be an image.
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

/// Whether people do not see this file or folder in a listing, or did not put it there.
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
