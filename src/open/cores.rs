//! A host that reports another number of cores.

use std::{num::NonZero, sync::Arc, time::Duration};

use crate::executor::{Host, Task, Work};

/// `host`, but with `cores` cores.
pub(super) fn limited(host: Arc<dyn Host>, cores: NonZero<usize>) -> Arc<dyn Host> {
    Arc::new(Limited { host, cores })
}

#[derive(Debug)]
struct Limited {
    host: Arc<dyn Host>,
    cores: NonZero<usize>,
}

impl Host for Limited {
    fn now(&self) -> Duration {
        self.host.now()
    }

    fn sleep(&self, time: Duration) -> Work<'_> {
        self.host.sleep(time)
    }

    fn cores(&self) -> usize {
        self.cores.get()
    }

    fn all<'a>(&'a self, works: Vec<Work<'a>>) -> Work<'a> {
        self.host.all(works)
    }

    fn block(&self, wait: &mut dyn FnMut()) {
        self.host.block(wait);
    }

    fn detach(&self, task: Task) {
        self.host.detach(task);
    }
}
