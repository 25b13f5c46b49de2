//! Images ready for the network: one thread walks the inputs, one a core decodes and resizes, and they come out in the order of
//! the inputs. What is not taken yet is bounded, so a folder of a million images costs no more memory than one of a thousand.

use std::{
    num::NonZero,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use residua::{Error, Pixels};

use super::{Stop, args::Inputs, interrupt::Interrupt, left_out::LeftOut};

/// How often a wait for the next image looks whether Ctrl-C was pressed.
const PATIENCE: Duration = Duration::from_millis(50);

type Ready = Result<Pixels, Error>;

/// The images of some inputs, in order.
pub(super) struct Feed {
    ordered: Receiver<(PathBuf, Receiver<Ready>)>,
    /// Walks the inputs, to their end if it may.
    walk: JoinHandle<Option<LeftOut>>,
    interrupt: Interrupt,
}

impl Feed {
    /// Starts walking `inputs` without those that `skip` says are done, and calls `prepare` for each on one thread a core. At
    /// most `ahead` images are walked that are not taken yet. The threads end with the inputs, or when the feed is dropped and
    /// they want to hand over the next image.
    pub(super) fn start(
        inputs: Inputs,
        mut skip: impl FnMut(&Path) -> bool + Send + 'static,
        prepare: impl Fn(&Path) -> Ready + Send + Sync + 'static,
        ahead: usize,
        interrupt: Interrupt,
    ) -> Self {
        let (to_order, ordered) = mpsc::sync_channel(ahead);
        let (to_decode, jobs) = mpsc::channel::<(PathBuf, SyncSender<Ready>)>();
        let (jobs, prepare) = (Arc::new(Mutex::new(jobs)), Arc::new(prepare));
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (jobs, prepare) = (Arc::clone(&jobs), Arc::clone(&prepare));
            thread::spawn(move || {
                while let Ok((path, ready)) = { jobs.lock().unwrap_or_else(PoisonError::into_inner).recv() } {
                    // Nobody waits for it any more if the command was stopped.
                    let _ = ready.send(prepare(&path));
                }
            });
        }
        let walk = thread::spawn(move || {
            let walked = inputs.walk(&mut |path, error| {
                if skip(&path) { Ok(()) } else { hand_over(path, error, &to_order, &to_decode) }
            });
            walked.ok()
        });
        Feed { ordered, walk, interrupt }
    }

    /// What was left out of the inputs, once all of them were walked; nothing if they were not.
    pub(super) fn left_out(self) -> Option<LeftOut> {
        drop(self.ordered);
        self.walk.join().ok().flatten()
    }

    /// The next image, or what is wrong with it; nothing after the last one.
    pub(super) fn next(&self) -> Result<Option<(PathBuf, Ready)>, Stop> {
        let Some((path, ready)) = self.wait(&self.ordered)? else { return Ok(None) };
        let ready = self.wait(&ready)?.expect("a thread that decodes answers or panics");
        Ok(Some((path, ready)))
    }

    fn wait<T>(&self, receiver: &Receiver<T>) -> Result<Option<T>, Stop> {
        loop {
            self.interrupt.check()?;
            match receiver.recv_timeout(PATIENCE) {
                Ok(value) => return Ok(Some(value)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

/// Puts an input into the order of results, then out to be decoded; `Err` if nobody wants it any more.
fn hand_over(
    path: PathBuf,
    error: Option<Error>,
    to_order: &SyncSender<(PathBuf, Receiver<Ready>)>,
    to_decode: &Sender<(PathBuf, SyncSender<Ready>)>,
) -> Result<(), ()> {
    let (ready, result) = mpsc::sync_channel(1);
    to_order.send((path.clone(), result)).map_err(drop)?;
    match error {
        Some(error) => ready.send(Err(error)).map_err(drop),
        None => to_decode.send((path, ready)).map_err(drop),
    }
}
