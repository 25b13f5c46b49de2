//! Events of a download, for progress displays.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use crate::Error;

/// An event of a download.
#[doc(hidden)]
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// Progress of a file. The first event counts the bytes of an earlier run; the last one has `done == size`.
    Progress {
        /// The repository.
        model: &'a str,
        /// The file in the repository.
        file: &'a str,
        /// Bytes downloaded so far.
        done: u64,
        /// Bytes in total, if the hub announced them.
        size: Option<u64>,
    },
    /// Another process is downloading the same file; this one waits for it.
    Waiting {
        /// The lock that the other process holds.
        lock: &'a Path,
    },
    /// A request failed and will be tried again.
    Again {
        /// Why it failed.
        error: &'a Error,
        /// Pause before the next attempt.
        pause: Duration,
    },
}

/// Called with each [`Event`] on the downloading thread. The default does nothing.
#[doc(hidden)]
#[derive(Clone, Default)]
pub struct Watch(Option<Arc<Call>>);

type Call = dyn Fn(&Event<'_>) + Send + Sync;

impl Watch {
    /// Calls `watch` with each event.
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
