//! The library's log as Python's `logging`: the logger `residua`, and one below it for each module.

use log::LevelFilter;
use pyo3::{prelude::*, sync::PyOnceLock};
use pyo3_log::{Caching, Logger};

/// Hands the library's log over from now on; more calls do nothing. Levels are asked for at each message, which are few: debug and
/// above of the library, warnings of the graphics layer, which tells of each of its calls below that.
pub(crate) fn start(py: Python<'_>) -> PyResult<()> {
    static STARTED: PyOnceLock<()> = PyOnceLock::new();
    STARTED
        .get_or_try_init(py, || {
            let mut logger = Logger::new(py, Caching::Nothing)?.filter(LevelFilter::Warn);
            for module in ["residua", "_residua"] {
                logger = logger.filter_target(module.into(), LevelFilter::Debug);
            }
            // Another extension cannot have set this module's logger.
            let _ = logger.install();
            // A decoder that panics gives an error; where it did is for those who look for it.
            std::panic::set_hook(Box::new(|panicked| log::debug!(target: "residua", "{panicked}")));
            Ok(())
        })
        .copied()
}
