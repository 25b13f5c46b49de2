//! What happens during a download, for whoever shows it.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use crate::Error;

/// A step of a download.
#[doc(hidden)]
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// So many bytes of a file are there. The first one tells what an earlier run left; the last one has `done == size`.
    Progress {
        /// Repository.
        model: &'a str,
        /// File in it.
        file: &'a str,
        /// Bytes on this machine.
        done: u64,
        /// Bytes in all, if the hub told.
        size: Option<u64>,
    },
    /// Another process is fetching the same file, and is waited for.
    Waiting {
        /// The lock that it holds.
        lock: &'a Path,
    },
    /// A request failed and is tried again.
    Again {
        /// Why it failed.
        error: &'a Error,
        /// How long it is waited before.
        pause: Duration,
    },
}

/// Called with each [`Event`], from the thread that downloads. The default does nothing.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Call>>);

type Call = dyn Fn(&Event<'_>) + Send + Sync;

impl Watch {
    /// Calls `watch`.
    pub fn new(watch: impl Fn(&Event<'_>) + Send + Sync + 'static) -> Self {
        Watch(Some(Arc::new(watch)))
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        if let Some(watch) = &self.0 {
            watch(event);
        }
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Watch" } else { "no watch" })
    }
}
