//! Shows the progress of downloads.

use std::{
    env,
    io::{self, IsTerminal, Write},
    sync::Mutex,
};

use indicatif::{ProgressBar, ProgressStyle};
use residua::hub::{Event, Watch};

use crate::cli::options::Global;

/// Smaller files are downloaded silently.
const SMALL: u64 = 1 << 20;

/// Shows downloads with a bar on a terminal, otherwise with one line per file.
pub(crate) fn watch(global: &Global) -> Watch {
    let quiet = global.quiet;
    let bars_unwanted = ["1", "ON", "YES", "TRUE"];
    let unwanted = env::var("HF_HUB_DISABLE_PROGRESS_BARS");
    let unwanted = unwanted.is_ok_and(|value| bars_unwanted.contains(&value.to_uppercase().as_str()));
    let bars = io::stderr().is_terminal() && !quiet && !unwanted;
    let shown: Mutex<Option<ProgressBar>> = Mutex::default();
    Watch::new(move |event| {
        let Ok(mut shown) = shown.lock() else { return };
        let note = |text: String, shown: &Option<ProgressBar>| match shown {
            _ if quiet => {}
            Some(bar) => bar.println(text),
            None => drop(writeln!(io::stderr(), "{text}")),
        };
        match event {
            Event::Progress { size: Some(size), .. } if *size < SMALL => {}
            Event::Progress { model, file, done, size } => {
                let first = shown.is_none();
                let bar =
                    shown.get_or_insert_with(|| if bars { bar(file, *size, *done) } else { ProgressBar::hidden() });
                bar.set_position(*done);
                if first && !bars {
                    let of = size.map_or(String::new(), |size| format!(", {:.1} MB", size as f64 / 1e6));
                    let left = if *done > 0 {
                        format!(", {:.1} MB already downloaded", *done as f64 / 1e6)
                    } else {
                        String::new()
                    };
                    note(format!("residua: downloading {model}: {file}{of}{left}"), &None);
                }
                if *size == Some(*done) {
                    bar.finish_and_clear();
                    *shown = None;
                }
            }
            Event::Waiting { lock } => {
                note(
                    format!("residua: waiting for another process that downloads the same file ({})", lock.display()),
                    &shown,
                );
            }
            Event::Again { error, pause } => {
                note(format!("residua: {error}; trying again in {:.0} s", pause.as_secs_f64().ceil()), &shown);
            }
            _ => {}
        }
    })
}

fn bar(file: &str, size: Option<u64>, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(size.unwrap_or(0)).with_message(file.to_string());
    let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.reset_eta();
    bar.set_position(done);
    bar
}
