//! A bar on stderr: images done, images a second, time left. Only on a terminal, and only if the work takes a while.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
    thread,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use crate::cli::{io::inputs::Inputs, options::Global};

/// Work that is done by then has no bar.
const DELAY: Duration = Duration::from_millis(500);

/// How often the bar is drawn, so that time passes on it while a batch runs.
const TICK: Duration = Duration::from_millis(200);

/// The bar, or nothing where there is no terminal.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows `inputs`, of which `done` images are done already, from a while after now on.
    pub(crate) fn start(global: &Global, inputs: &Inputs, done: u64) -> Self {
        if global.quiet || !io::stderr().is_terminal() {
            return Progress(None);
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        bar.set_style(style("{spinner} {pos} images, {rate}"));
        let shown = bar.clone();
        thread::spawn(move || {
            thread::sleep(DELAY);
            if !shown.is_finished() {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(TICK);
            }
        });
        if inputs.rereadable() {
            let (inputs, counted) = (inputs.clone(), bar.clone());
            // Counting walks the folders a second time and reads no image.
            thread::spawn(move || {
                let mut images = 0_u64;
                let whole = inputs.walk(&mut |_, _| {
                    images += 1;
                    if counted.is_finished() { Err(()) } else { Ok(()) }
                });
                if whole.is_ok() {
                    counted.set_length(images.saturating_sub(done));
                    counted.set_style(style("{bar:30} {pos} of {len} images, {rate}, {eta} left"));
                }
            });
        }
        Progress(Some(bar))
    }

    /// So many more images are done.
    pub(crate) fn add(&self, images: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(images as u64);
        }
    }

    /// Calls `write`, which may write to the terminal, with the bar out of the way.
    pub(crate) fn beside<R>(&self, write: impl FnOnce() -> R) -> R {
        match &self.0 {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }
}

impl Drop for Progress {
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
