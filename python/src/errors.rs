//! Errors of the library as exceptions of the package.

use std::path::Path;

use pyo3::prelude::*;
use residua::Error;

/// The exception for `error`, which concerns the image at `path` or `index` if one is given.
pub(crate) fn exception<'py>(
    py: Python<'py>,
    error: &Error,
    path: Option<&Path>,
    index: Option<usize>,
) -> PyResult<Bound<'py, PyAny>> {
    let message = match (path, error) {
        (Some(path), Error::Io { path: at, .. }) if at == path => error.to_string(),
        (Some(path), _) => format!("{}: {error}", path.display()),
        (None, _) => error.to_string(),
    };
    py.import("residua._errors")?.call_method1("from_code", (error.code(), message, index))
}

/// The same, raised.
pub(crate) fn raised(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error, None, None).map_or_else(|failure| failure, PyErr::from_value)
}

/// An exception with one of the package's own codes.
pub(crate) fn of_package(py: Python<'_>, code: &str, message: &str) -> PyErr {
    let made = py.import("residua._errors").and_then(|errors| errors.call_method1("from_code", (code, message)));
    made.map_or_else(|failure| failure, PyErr::from_value)
}
