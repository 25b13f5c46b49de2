//! Constructors of errors, and their causes.

use std::{error, fmt, io, ops::Deref, path::PathBuf, sync::Arc};

use super::Error;

/// An error of the system or of another library that caused an [`Error`], which returns it as its
/// [`source`](std::error::Error::source). Two causes are equal if their texts are.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Cause(Arc<dyn error::Error + Send + Sync>);

impl Cause {
    /// A copy of an error of the system.
    pub(crate) fn io(error: &io::Error) -> Self {
        let again = error.raw_os_error().map(io::Error::from_raw_os_error);
        again.unwrap_or_else(|| io::Error::new(error.kind(), error.to_string())).into()
    }
}

impl<E: error::Error + Send + Sync + 'static> From<E> for Cause {
    fn from(error: E) -> Self {
        Cause(Arc::new(error))
    }
}

impl Deref for Cause {
    type Target = dyn error::Error + Send + Sync;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Error {
    /// An [`Error::Io`] from the standard library's error and the path it happened at.
    #[doc(hidden)]
    pub fn io(path: impl Into<PathBuf>, error: &io::Error) -> Self {
        Error::Io { path: path.into(), source: Cause::io(error) }
    }

    /// An [`Error::ModelHeader`] of the file `model`.
    #[doc(hidden)]
    pub fn model_header(model: impl Into<String>, reason: impl Into<String>) -> Self {
        Error::ModelHeader { model: model.into(), reason: reason.into(), source: None }
    }

    /// An [`Error::ConfigValue`]: the `value` of `field` in `place` is not as `expected`.
    #[doc(hidden)]
    pub fn config_value(
        place: impl Into<String>,
        field: impl Into<String>,
        value: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        let (place, field, value, expected) = (place.into(), field.into(), value.into(), expected.into());
        Error::ConfigValue { place, field, value, expected, source: None }
    }

    pub(crate) fn image_decode(reason: impl Into<String>) -> Self {
        Error::ImageDecode { reason: reason.into(), source: None }
    }

    pub(crate) fn image_truncated(reason: impl Into<String>) -> Self {
        Error::ImageTruncated { reason: reason.into(), source: None }
    }

    pub(crate) fn image_unsupported(reason: impl Into<String>) -> Self {
        Error::ImageUnsupported { reason: reason.into(), source: None }
    }

    /// The same error with its cause, if this kind of error has one.
    pub(crate) fn because(mut self, cause: impl Into<Cause>) -> Self {
        match &mut self {
            Error::ModelHeader { source, .. }
            | Error::ConfigValue { source, .. }
            | Error::ImageDecode { source, .. }
            | Error::ImageTruncated { source, .. }
            | Error::ImageUnsupported { source, .. }
            | Error::Hub { source, .. } => *source = Some(cause.into()),
            _ => {}
        }
        self
    }

    /// The kind of the operating system's error that caused it, if one did.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        let mut cause = error::Error::source(self);
        while let Some(error) = cause {
            if let Some(io) = error.downcast_ref::<io::Error>() {
                return Some(io.kind());
            }
            cause = error.source();
        }
        None
    }
}
