//! Threads that are reused. A driver or its library may keep memory for every thread that ever called it: `wgpu` keeps an entry for each
//! thread that pushed an error scope. With a new thread for every batch, that memory would grow as long as the program runs.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    process,
    sync::{
        Mutex, PoisonError,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

type Job = Box<dyn FnOnce() + Send>;

/// The idle threads, and the process that they belong to.
static IDLE: Mutex<(u32, Vec<Sender<Job>>)> = Mutex::new((0, Vec::new()));

/// Starts `work` on an idle thread, or on a new one. The receiver gets its result or its panic.
///
/// # Panics
/// If the system cannot start a thread.
pub fn start<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Receiver<thread::Result<T>> {
    let (done, outcome) = mpsc::sync_channel(1);
    let job: Job = Box::new(move || {
        // The caller may have dropped the receiver.
        let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
    });
    let worker = idle(Vec::pop).unwrap_or_else(spawn);
    worker.send(job).expect("a worker waits for jobs for as long as there is a sender");
    outcome
}

/// A thread that does one job after another.
fn spawn() -> Sender<Job> {
    let (worker, jobs) = mpsc::channel::<Job>();
    let again = worker.clone();
    thread::spawn(move || {
        for job in jobs {
            job();
            idle(|workers| workers.push(again.clone()));
        }
    });
    worker
}

/// Calls `change` with the idle threads of this process. A forked child has none of its parent's threads.
fn idle<R>(change: impl FnOnce(&mut Vec<Sender<Job>>) -> R) -> R {
    let mut place = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
    let (owner, workers) = &mut *place;
    if *owner != process::id() {
        // The parent's channels may be in any state, so they are not touched.
        mem::forget(mem::take(workers));
        *owner = process::id();
    }
    change(workers)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn threads_are_used_again_also_after_a_panic() {
        let mut ids = HashSet::new();
        for _ in 0..50 {
            ids.insert(start(|| thread::current().id()).recv().unwrap().unwrap());
            assert!(start(|| panic!("as planned")).recv().unwrap().is_err());
        }
        assert!(ids.len() < 20, "{} threads for 100 jobs", ids.len());
    }
}
