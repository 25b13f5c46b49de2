//! Notes and errors on stderr.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use residua::Error;

use crate::cli::{hints, options::Global};

impl Global {
    /// Writes a note to stderr, unless -q was given.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "residua: {text}");
        }
    }

    /// Reports on stderr the damage of an image that was decoded anyway.
    pub(crate) fn note_flaw(&self, path: &Path, flaw: Option<String>) {
        if let Some(flaw) = flaw {
            self.note(&format!("{}: {flaw}", path.display()));
        }
    }

    /// Reports the error of one input on stderr.
    pub(crate) fn complain_of(&self, path: &Path, error: &Error) {
        let place = match error {
            Error::Io { path: at, .. } if at == path => String::new(),
            _ => format!("{}: ", path.display()),
        };
        self.complain(&format!("{place}{}", hints::of_error(error)));
    }

    /// Writes an error to stderr.
    pub(crate) fn complain(&self, text: &str) {
        let unwanted = self.no_color || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = io::stderr().is_terminal() && !unwanted;
        let (red, plain) = if colour { ("\x1b[31m", "\x1b[0m") } else { ("", "") };
        let _ = writeln!(io::stderr(), "{red}residua: {text}{plain}");
    }
}
