//! Lets one process at a time download a file.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use super::events::{Event, Watch};

/// Pause between two attempts to take a lock.
const PAUSE: Duration = Duration::from_millis(100);

/// An operating-system lock on a file, compatible with Python's `filelock`. The system releases it when its owner ends, even by a
/// crash. The file stays: removing it would let two processes hold the lock.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until the lock is free, then takes it. Continues without a lock if the file system has none: every download is
    /// compared with its hash before others see it.
    pub(super) fn wait(path: &Path, watch: &Watch) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A lock file of another user may not be writable.
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .or_else(|error| File::open(path).map_err(|_| error))?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Lock { _file: file }),
                Err(TryLockError::WouldBlock) => {
                    if !told {
                        watch.tell(&Event::Waiting { lock: path });
                        told = true;
                    }
                    thread::sleep(PAUSE);
                }
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    return Ok(Lock { _file: file });
                }
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}
