//! Options on which files of a folder are images.

use clap::Args;
use residua::folder::{Choice, Pattern};

/// Which files of a folder are taken.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FolderOptions {
    /// Also take hidden files and folders, and those that a system keeps for itself, out of a folder
    ///
    /// Without this option names that begin with a dot are left out (AppleDouble files ._x, .thumbnails, .Trash-1000), and @eaDir,
    /// @Recycle, @tmp, #recycle, #snapshot, $RECYCLE.BIN, __MACOSX, lost+found, "System Volume Information", Thumbs.db, desktop.ini. A
    /// file or folder that is named itself is taken, whatever its name.
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
    /// As the library takes them.
    pub(super) fn choice(&self) -> Choice {
        let mut choice = Choice::default();
        choice.hidden = self.hidden;
        choice.exclude = self.exclude.clone();
        choice
    }
}
