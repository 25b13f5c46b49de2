//! The library's log as Python's `logging`: the logger `residua`, and one below it for each module.

use log::LevelFilter;
use pyo3::{prelude::*, sync::PyOnceLock};
use pyo3_log::{Caching, Logger};

/// Starts to hand over the library's log; further calls do nothing. Passes on debug and above from the library, but only warnings
/// from the graphics layer, which logs each of its calls below that. Asks Python for its level at each message, because there are
/// few.
pub(crate) fn start(py: Python<'_>) -> PyResult<()> {
    static STARTED: PyOnceLock<()> = PyOnceLock::new();
    STARTED
        .get_or_try_init(py, || {
            let mut logger = Logger::new(py, Caching::Nothing)?.filter(LevelFilter::Warn);
            for module in ["residua", "_residua"] {
                logger = logger.filter_target(module.into(), LevelFilter::Debug);
            }
            // This cannot fail: no other extension sets this module's logger.
            let _ = logger.install();
            // A panic of a decoder becomes an error; log its place only for debugging.
            std::panic::set_hook(Box::new(|panicked| log::debug!(target: "residua", "{panicked}")));
            Ok(())
        })
        .copied()
}
