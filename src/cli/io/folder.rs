//! Which files of a folder are images, and which are left out.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use globset::{Glob, GlobBuilder, GlobMatcher};
use residua::{Error, image::Format};
use walkdir::{DirEntry, WalkDir};

use super::left_out::{LeftOut, Reason};

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

/// Takes an image, or an input and its error, and may stop the walk.
pub(crate) type Each<'a, E> = &'a mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>;

/// Which files of a folder are taken.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FolderOptions {
    /// Also take hidden files and folders, and those that a system keeps for itself, out of a folder
    ///
    /// Without this option names that begin with a dot are left out (AppleDouble files ._x, .thumbnails, .Trash-1000), and @eaDir,
    /// @Recycle, @Recently-Snapshot, @tmp, #recycle, #snapshot, $RECYCLE.BIN, __MACOSX, lost+found, "Network Trash Folder",
    /// "System Volume Information", "Temporary Items", Thumbs.db, desktop.ini. A file or folder that is named itself is taken, whatever its name.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Leave these files and folders out of a folder: * is a part of a name, ** any folders, {a,b} one or the other
    ///
    /// A pattern without / is compared with every name, one with / with the path below the folder that was given. May be given more
    /// than once.
    #[arg(long, value_name = "GLOB", value_parser = pattern)]
    pub(crate) exclude: Vec<Glob>,
}

fn pattern(text: &str) -> Result<Glob, String> {
    let pattern = text.trim_end_matches('/').trim_start_matches("./");
    GlobBuilder::new(pattern).literal_separator(true).build().map_err(|error| error.kind().to_string())
}

impl FolderOptions {
    /// Calls `each` with the images in `folder` and the folders below it, and with what cannot be read. Entries come sorted by name, a
    /// folder in its place among them. Counts in `left_out` what is no image or is not wanted.
    pub(crate) fn walk<E>(&self, folder: &Path, left_out: &mut LeftOut, each: Each<'_, E>) -> Result<(), E> {
        let excluded: Vec<GlobMatcher> = self.exclude.iter().map(Glob::compile_matcher).collect();
        let mut images = 0_u64;
        let mut failed = false;
        let mut entries = WalkDir::new(folder).min_depth(1).sort_by_file_name().into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    failed = true;
                    let path = error.path().unwrap_or(folder).to_path_buf();
                    let error = Error::io(&path, &error.into());
                    each(path, Some(error))?;
                    continue;
                }
            };
            match self.reason(folder, &entry, &excluded) {
                Some(reason) => {
                    left_out.add(reason, entry.file_type().is_dir());
                    if entry.file_type().is_dir() {
                        entries.skip_current_dir();
                    }
                }
                None if entry.file_type().is_dir() => {}
                None => {
                    images += 1;
                    each(entry.into_path(), None)?;
                }
            }
        }
        if images == 0 && !failed { each(folder.into(), Some(Error::ImageNone)) } else { Ok(()) }
    }

    /// Why an entry is left out. A folder's entries are asked about one by one.
    fn reason(&self, folder: &Path, entry: &DirEntry, excluded: &[GlobMatcher]) -> Option<Reason> {
        let name = Path::new(entry.file_name());
        if !self.hidden && is_hidden(entry.file_name()) {
            return Some(Reason::Hidden);
        }
        let below = entry.path().strip_prefix(folder).unwrap_or(name);
        if excluded.iter().any(|glob| glob.is_match(if glob.glob().glob().contains('/') { below } else { name })) {
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
        assert!(pattern("[a").is_err() && pattern("{a,b").is_err());
        assert!(pattern("*.png").unwrap().compile_matcher().is_match("a.png"));
        assert!(!pattern("a/*.png").unwrap().compile_matcher().is_match("a/b/c.png"), "* is a part of one name");
    }
}
