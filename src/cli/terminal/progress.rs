//! A progress bar on stderr: images done, images per second, time left; or the percentage of a computation. It appears only on a terminal,
//! and only if the work takes a while.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::options::Global;

/// Work that ends within this time shows no bar.
const DELAY: Duration = Duration::from_millis(500);

/// Interval between redraws, so that the time advances while a batch runs.
const TICK: Duration = Duration::from_millis(200);

/// Steps of a bar that shows a percentage.
const PARTS: u64 = 1000;

/// Counts the images of a run.
pub(crate) type Count = Box<dyn FnOnce(&dyn Fn() -> bool) -> Option<u64> + Send>;

/// The bar, or `None` without a terminal.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    /// Shows a run's progress after a short delay. An earlier run did `done` images. `count` returns the number of images, if they can be
    /// walked more than once. It calls its argument from time to time, and gives up when the argument says that the run is over.
    pub(crate) fn start(global: &Global, done: u64, count: Option<Count>) -> Self {
        let started = Self::hidden(global);
        let Some(bar) = &started.0 else { return started };
        bar.set_style(style("{spinner} {pos} images, {rate}"));
        if let Some(count) = count {
            let counted = bar.clone();
            thread::spawn(move || {
                if let Some(images) = count(&|| counted.is_finished()) {
                    counted.set_length(images.saturating_sub(done));
                    counted.set_style(style("{bar:30} {pos} of {len} images, {rate}, {eta} left"));
                }
            });
        }
        started
    }

    /// Shows the percentage of a computation that is done, after a short delay; `what` names the computation.
    pub(crate) fn of_share(global: &Global, what: &str) -> Self {
        let bar = Self::hidden(global);
        if let Bar(Some(bar)) = &bar {
            bar.set_length(PARTS);
            bar.set_style(style(&format!("{{bar:30}} {what}, {{percent}} %, {{eta}} left")));
        }
        bar
    }

    /// Sets the share that is done, from 0 to 1.
    pub(crate) fn set(&self, share: f64) {
        if let Some(bar) = &self.0 {
            bar.set_position((share * PARTS as f64) as u64);
        }
    }

    /// A bar that appears after a while.
    fn hidden(global: &Global) -> Self {
        if global.quiet || !io::stderr().is_terminal() {
            return Bar(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        let shown = bar.clone();
        thread::spawn(move || {
            thread::sleep(DELAY);
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        Bar(Some(bar))
    }

    /// Adds to the number of images done.
    pub(crate) fn add(&self, images: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(images as u64);
        }
    }

    /// Hides the bar while `write` runs, which may write to the terminal.
    pub(crate) fn beside<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let rate = |state: &ProgressState, text: &mut dyn Write| {
        let _ = write!(text, "{:.1} images/s", state.per_sec());
    };
    ProgressStyle::with_template(template).expect("the template is valid").with_key("rate", rate)
}
