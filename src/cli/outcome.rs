//! The outcome of a command.

use std::{io, path::Path};

use residua::Error;

/// Why a command ended early.
pub(crate) enum Stop {
    /// Nothing reads stdout any more.
    Closed,
    /// Ctrl-C.
    Interrupted,
    /// Something that concerns the whole command.
    Failed(Error),
}

impl Stop {
    /// Converts an error of writing to `place`.
    pub(crate) fn of(place: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Stop::Closed,
            _ => Stop::Failed(Error::io(place, error)),
        }
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Failed(error)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::of(Path::new("stdout"), &error)
    }
}

/// Whether everything succeeded: `false` is exit status 1.
pub(crate) type Outcome = Result<bool, Stop>;
