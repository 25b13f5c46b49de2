//! Runs the library on a thread of its own, while Python goes on: other threads run, and signals are handled.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::RecvTimeoutError,
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use pyo3::prelude::*;
use residua::workers;

use crate::errors::of_package;

/// Interval at which to check for signals.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);

/// How long to wait for work after Ctrl-C. A process should not end while a driver is working.
const GRACE: Duration = Duration::from_secs(3);

/// The outcome of `work`. After Ctrl-C, waits for it a while longer, then abandons it.
pub(crate) fn on_thread<T: Send + 'static>(py: Python<'_>, work: impl FnOnce() -> T + Send + 'static) -> PyResult<T> {
    until_done(py, || {}, work)
}

/// As [`on_thread`], for `work` that can end early: it gets a function that says whether Ctrl-C was pressed.
pub(crate) fn on_stoppable_thread<T: Send + 'static>(
    py: Python<'_>,
    work: impl FnOnce(&dyn Fn() -> bool) -> T + Send + 'static,
) -> PyResult<T> {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    until_done(py, || stop.store(true, Ordering::Relaxed), move || work(&|| stopped.load(Ordering::Relaxed)))
}

/// The outcome of `work`. After Ctrl-C, calls `interrupt`, and waits for the work a while longer, then abandons it.
fn until_done<T: Send + 'static>(
    py: Python<'_>,
    interrupt: impl Fn(),
    work: impl FnOnce() -> T + Send + 'static,
) -> PyResult<T> {
    let mut outcome = workers::start(work);
    // A receiver belongs to one thread at a time: this one.
    let mut wait = || {
        let waiting = &mut outcome;
        py.detach(move || waiting.recv_timeout(PATIENCE))
    };
    loop {
        match wait() {
            Ok(Ok(outcome)) => return Ok(outcome),
            Ok(Err(panicked)) => return Err(bug(py, &words(&*panicked))),
            Err(RecvTimeoutError::Disconnected) => return Err(bug(py, "a thread ended early")),
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Err(signal) = py.check_signals() {
            interrupt();
            let began = Instant::now();
            while wait().is_err() && began.elapsed() < GRACE && py.check_signals().is_ok() {}
            return Err(signal);
        }
    }
}

/// Waits for a while, or until the next signal, for the end of a thread.
pub(crate) fn ended(py: Python<'_>, thread: &JoinHandle<()>) {
    let began = Instant::now();
    while !thread.is_finished() && began.elapsed() < GRACE && py.check_signals().is_ok() {
        py.detach(|| thread::sleep(Duration::from_millis(5)));
    }
}

/// The panic that ended a thread without an outcome.
pub(crate) fn panicked(py: Python<'_>, thread: JoinHandle<()>) -> PyErr {
    match py.detach(|| thread.join()) {
        Ok(()) => bug(py, "a thread ended early"),
        Err(payload) => bug(py, &words(&*payload)),
    }
}

fn bug(py: Python<'_>, words: &str) -> PyErr {
    of_package(py, "bug", &format!("a bug in residua, please report it: {words}"))
}

fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").into()
}
