//! Which files of a folder are images, and which are left out.

use std::path::{Path, PathBuf};

use clap::Args;
use residua::{
    Error,
    folder::{Choice, Found, Pattern},
};

use super::left_out::LeftOut;

/// Takes an image, or an input and its error, and may stop the walk.
pub(crate) type Each<'a, E> = &'a mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>;

/// The files of a folder to read.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FolderOptions {
    /// Also read hidden files and folders, and those of the operating system
    ///
    /// Without this option residua leaves out names that begin with a dot (AppleDouble files ._x, .thumbnails, .Trash-1000), and @eaDir,
    /// @Recycle, @Recently-Snapshot, @tmp, #recycle, #snapshot, $RECYCLE.BIN, __MACOSX, lost+found, "Network Trash Folder",
    /// "System Volume Information", "Temporary Items", Thumbs.db, desktop.ini. A file or folder given on the command line is always read.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Leave out files and folders that match this pattern (may be repeated)
    ///
    /// In a pattern, * stands for a part of a name, ** for any folders, {a,b} for a or b. A pattern without / is compared with every name,
    /// a pattern with / with the path below the given folder.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<Pattern>,
}

impl FolderOptions {
    /// The names of the folders directly in `folder` that are to be read.
    pub(crate) fn folders_in(&self, folder: &Path) -> Result<Vec<String>, Error> {
        self.choice().folders_in(folder)
    }

    fn choice(&self) -> Choice {
        let mut choice = Choice::default();
        choice.hidden = self.hidden;
        choice.exclude = self.exclude.clone();
        choice
    }

    /// Calls `each` with every image in `folder` and its subfolders, and with the error of every entry that cannot be read. Counts in
    /// `left_out` the entries that are not images or not wanted.
    pub(crate) fn walk<E>(&self, folder: &Path, left_out: &mut LeftOut, each: Each<'_, E>) -> Result<(), E> {
        self.choice().walk(folder, &mut |found| match found {
            Found::Image(path) => each(path, None),
            Found::Failed(path, error) => each(path, Some(error)),
            Found::LeftOut { reason, is_folder } => {
                left_out.add(reason, is_folder);
                Ok(())
            }
            _ => Ok(()),
        })
    }
}
