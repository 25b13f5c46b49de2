//! `--tune` and related options: which kernels to measure, the progress, and the offer to measure.

use std::{
    io::{self, IsTerminal, Write},
    sync::Mutex,
    time::Instant,
};

use residua::{
    DeviceInfo,
    check::tune::{self, Measure, Progress, Tune, Watch},
    program::environment::cache_folder,
    stream::Batch,
    tensor::Shape,
};

use crate::cli::options::Global;

/// The measurements that the options request, for an input of shape `input`, or else for `--batch` images of the model's own size.
pub(crate) fn tune(global: &Global, input: Option<Shape>) -> Tune {
    if global.no_tune {
        return Tune::Never;
    }
    if !global.tune && !global.retune {
        return Tune::Known;
    }
    let batches = match (input, global.batch) {
        (Some(shape), _) => vec![shape.n],
        (None, Batch::Of(n)) => vec![n.get()],
        (None, Batch::Auto) => Vec::new(),
    };
    let watch = if global.quiet { Watch::default() } else { watch() };
    Tune::Measure(Measure { batches, size: input.map(|shape| (shape.h, shape.w)), anew: global.retune, watch })
}

/// Writes progress to stderr: a line that is redrawn on a terminal, otherwise one line at the start and one at the end.
fn watch() -> Watch {
    let began = Mutex::new(None);
    let terminal = io::stderr().is_terminal();
    Watch::new(move |Progress { done, total, .. }| {
        let Ok(mut began) = began.lock() else { return };
        let seconds = began.get_or_insert_with(Instant::now).elapsed().as_secs_f64();
        let mut stderr = io::stderr().lock();
        let start = if terminal { "\r" } else { "" };
        let _ = match (done, total) {
            (_, 0) => writeln!(stderr, "residua: all kernels are already measured"),
            _ if done == total => {
                writeln!(stderr, "{start}residua: kernels of {total} layers measured in {seconds:.0} s")
            }
            _ if terminal => {
                write!(stderr, "\rresidua: measuring kernels of {total} layers: {done}, {seconds:.0} s")
            }
            (0, _) => writeln!(stderr, "residua: measuring kernels of {total} layers"),
            _ => Ok(()),
        };
    })
}

/// Suggests once on each GPU to measure kernels.
pub(crate) fn offer(global: &Global, device: &DeviceInfo) {
    let wanted = !global.quiet && !global.no_tune && !global.tune && !global.retune;
    if let Some(folder) = cache_folder().filter(|_| wanted)
        && tune::offer(&folder, device)
    {
        let how = "`residua classify --tune ...` measures them once on this device, in about a minute";
        global.note(&format!("kernels are chosen by rules; {how} (shown only once)"));
    }
}
