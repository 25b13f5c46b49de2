//! Work of the library on a thread of its own, while Python goes on: other threads run, and signals are seen.

use std::{
    any::Any,
    sync::mpsc::{self, RecvTimeoutError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pyo3::prelude::*;

use crate::errors::of_package;

/// How often signals are looked for.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// How long work is waited for after Ctrl-C. A process should not end under a driver at work.
const GRACE: Duration = Duration::from_secs(3);

/// The outcome of `work`. After Ctrl-C it is waited for a while more, and then left to itself.
pub(crate) fn on_thread<T: Send + 'static>(py: Python<'_>, work: impl FnOnce() -> T + Send + 'static) -> PyResult<T> {
    let (done, mut outcome) = mpsc::sync_channel(1);
    let thread = thread::spawn(move || {
        // Nobody waits any more after Ctrl-C.
        let _ = done.send(work());
    });
    loop {
        // A receiver belongs to one thread, and this one has it.
        let waiting = &mut outcome;
        match py.detach(move || waiting.recv_timeout(PATIENCE)) {
            Ok(outcome) => return Ok(outcome),
            Err(RecvTimeoutError::Disconnected) => return Err(panicked(py, thread)),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Err(signal) = py.check_signals() {
            ended(py, &thread);
            return Err(signal);
        }
    }
}

/// Waits for the end of a thread for a while, or until the next signal.
pub(crate) fn ended(py: Python<'_>, thread: &JoinHandle<()>) {
    let began = Instant::now();
    while !thread.is_finished() && began.elapsed() < GRACE && py.check_signals().is_ok() {
        py.detach(|| thread::sleep(Duration::from_millis(5)));
    }
}

/// What a thread that has no outcome died of.
pub(crate) fn panicked(py: Python<'_>, thread: JoinHandle<()>) -> PyErr {
    let words = match py.detach(|| thread.join()) {
        Ok(()) => "a thread ended early".into(),
        Err(payload) => words(&*payload),
    };
    of_package(py, "bug", &format!("a bug in residua, please report it: {words}"))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without words").into()
}
