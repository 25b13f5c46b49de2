//! The extension module `residua._residua`: the library's public face for the Python package around it.
//!
//! The library runs with the interpreter detached, on threads of its own; all Python code runs on the thread that called. The
//! package's `_inputs.py` turns every kind of image into one of three: a path, bytes, or pixels.

mod engine;
mod errors;
mod explanation;
mod inputs;
mod logging;
mod run;
mod settings;
mod wait;

use pyo3::prelude::*;

/// The library for the package `residua`.
#[pymodule]
mod _residua {
    use pyo3::{prelude::*, types::PyDict};

    #[pymodule_export]
    use crate::{engine::Engine, explanation::Explanation, run::Run};

    /// The adapters in the order of their indices, as dictionaries.
    #[pyfunction]
    fn devices(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
        crate::logging::start(py)?;
        let devices = crate::wait::on_thread(py, residua::devices)?;
        devices.iter().map(|device| crate::engine::device(py, device)).collect()
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
