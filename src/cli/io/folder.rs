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
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<Pattern>,
}

impl FolderOptions {
    /// The names of the folders right in `folder` that are taken.
    pub(crate) fn folders_in(&self, folder: &Path) -> Result<Vec<String>, Error> {
        self.choice().folders_in(folder)
    }

    fn choice(&self) -> Choice {
        let mut choice = Choice::default();
        choice.hidden = self.hidden;
        choice.exclude = self.exclude.clone();
        choice
    }

    /// Calls `each` with the images in `folder` and the folders below it, and with what cannot be read. Counts in `left_out` what is no
    /// image or is not wanted.
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
