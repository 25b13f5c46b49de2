//! Ctrl-C: the first ends the command after the current record, the second ends it at once.

use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::cli::outcome::Stop;

/// Exit status after Ctrl-C: 128 plus the signal's number.
pub(crate) const STATUS: u8 = 130;

/// Whether Ctrl-C was pressed.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for Ctrl-C from now on. Call once per process.
    pub(crate) fn install() -> Self {
        let pressed = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&pressed);
        // Without a handler Ctrl-C still ends the process, at once.
        let _ = ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::Relaxed) {
                process::exit(i32::from(STATUS));
            }
        });
        Interrupt(pressed)
    }

    /// Returns [`Stop::Interrupted`] once Ctrl-C was pressed.
    pub(crate) fn check(&self) -> Result<(), Stop> {
        if self.0.load(Ordering::Relaxed) { Err(Stop::Interrupted) } else { Ok(()) }
    }
}
