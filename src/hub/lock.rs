//! One download of a file at a time, over all processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::Path,
    thread,
    time::Duration,
};

use super::events::{Event, Watch};

/// How often a lock that is held is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// A lock of the operating system on a file, as Python's `filelock` takes it. It ends with its owner, however that ends; the
/// file stays, since removing it would let two processes hold it.
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else has the lock. Where the file system has no locks, goes on without: whoever fetches a file
    /// compares its hash before others see it.
    pub(super) fn wait(path: &Path, watch: &Watch) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // A lock that another user made may not be writable.
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
