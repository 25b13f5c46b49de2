//! Prepares images for the network: one thread takes the inputs, one thread per core decodes and resizes, and the images come out in
//! the order of the inputs. The number of waiting images is bounded, so a million images need no more memory than a thousand.

use std::{
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender},
    },
    thread,
    time::Duration,
};

use super::{ImageSource, Stopped, source::Prepared};
use crate::Result;

/// Interval between two checks for a stop while waiting for the next image.
const PATIENCE: Duration = Duration::from_millis(50);

/// The receiver of a decoded image.
type Place = SyncSender<Result<Prepared>>;

/// The decoded images of the inputs, in order.
pub(super) struct Feed<K> {
    ordered: Receiver<(K, Receiver<Result<Prepared>>)>,
    stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl<K: Send + 'static> Feed<K> {
    /// Starts to take `inputs` and calls `prepare` for each, on one thread per core. At most `ahead` images wait to be taken out. The
    /// threads end after the last input, or with their next image once the feed is dropped.
    pub(super) fn start(
        inputs: impl Iterator<Item = (K, Result<ImageSource>)> + Send + 'static,
        prepare: impl Fn(ImageSource) -> Result<Prepared> + Send + Sync + 'static,
        ahead: usize,
        stop: Arc<dyn Fn() -> bool + Send + Sync>,
    ) -> Self {
        let (to_order, ordered) = mpsc::sync_channel(ahead);
        let (to_decode, jobs) = mpsc::channel::<(ImageSource, Place)>();
        let (jobs, prepare) = (Arc::new(Mutex::new(jobs)), Arc::new(prepare));
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            let (jobs, prepare) = (Arc::clone(&jobs), Arc::clone(&prepare));
            thread::spawn(move || {
                while let Ok((source, place)) = { jobs.lock().unwrap_or_else(PoisonError::into_inner).recv() } {
                    // The receiver is gone if the stream was stopped.
                    let _ = place.send(prepare(source));
                }
            });
        }
        thread::spawn(move || {
            for (key, source) in inputs {
                let (place, ready) = mpsc::sync_channel(1);
                if to_order.send((key, ready)).is_err() {
                    return;
                }
                let _ = match source {
                    Ok(source) => to_decode.send((source, place)).map_err(drop),
                    Err(error) => place.send(Err(error)).map_err(drop),
                };
            }
        });
        Feed { ordered, stop }
    }

    /// The next image or its error; `None` after the last one.
    pub(super) fn next(&self) -> Result<Option<(K, Result<Prepared>)>, Stopped> {
        let Some((key, ready)) = self.wait(&self.ordered)? else { return Ok(None) };
        let ready = self.wait(&ready)?.expect("a decoding thread answers or panics");
        Ok(Some((key, ready)))
    }

    fn wait<V>(&self, receiver: &Receiver<V>) -> Result<Option<V>, Stopped> {
        loop {
            if (self.stop)() {
                return Err(Stopped);
            }
            match receiver.recv_timeout(PATIENCE) {
                Ok(value) => return Ok(Some(value)),
                Err(RecvTimeoutError::Disconnected) => return Ok(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}
