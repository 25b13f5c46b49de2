//! The extension module `residua._residua`: the library's public face for the Python package around it.
//!
//! The library runs with the interpreter detached, on threads of its own; all Python code runs on the thread that called. The
//! package's `_inputs.py` turns every kind of image into one of three: a path, bytes, or pixels.

mod engine;
mod errors;
mod explanation;
mod inputs;
mod learn;
mod logging;
mod run;
mod settings;
mod wait;

use pyo3::prelude::*;

/// The library for the package `residua`.
#[pymodule]
mod _residua {
    use std::path::PathBuf;

    use pyo3::{prelude::*, types::PyDict};
    use residua::folder::{Choice, Found};

    #[pymodule_export]
    use crate::{
        engine::Engine,
        explanation::Explanation,
        learn::{fit_head, measured, measured_tags},
        run::Run,
    };

    /// The adapters in the order of their indices, as dictionaries.
    #[pyfunction]
    fn devices(py: Python<'_>) -> PyResult<Vec<Bound<'_, PyDict>>> {
        crate::logging::start(py)?;
        let devices = crate::wait::on_thread(py, residua::devices)?;
        devices.iter().map(|device| crate::engine::device(py, device)).collect()
    }

    /// The images in a folder and its subfolders, in the order of the command line, and the names of the folders right in it.
    #[pyfunction]
    fn images_in(py: Python<'_>, folder: PathBuf) -> PyResult<(Vec<PathBuf>, Vec<String>)> {
        let listed = crate::wait::on_thread(py, move || {
            let (choice, mut images) = (Choice::default(), Vec::new());
            choice.walk(&folder, &mut |found| {
                match found {
                    Found::Image(path) => images.push(path),
                    Found::Failed(path, error) if path == folder => return Err(error),
                    // What cannot be read is told of when its turn comes.
                    Found::Failed(path, _) => images.push(path),
                    _ => {}
                }
                Ok(())
            })?;
            Ok((images, choice.folders_in(&folder)?))
        })?;
        listed.map_err(|error| crate::errors::raised(py, &error))
    }

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
