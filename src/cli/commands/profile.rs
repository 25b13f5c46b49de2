//! `residua profile`: times every kernel or operator on this device; writes a table, a trace and a picture.

use std::{io::Write, time::Duration};

use residua::{
    check::profile::{Profile, Row},
    stream::Batch,
};
use serde_json::{Value, json};

use crate::cli::{args, draw::chart, io::files::write_file, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, command: &args::Profile, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(&command.model.model)?;
    let batch = if let Batch::Of(n) = global.batch { n.get() } else { 1 };
    let profile = classifier.profile(batch, command.runs)?;
    let device = classifier.device();
    let (name, precision) = (&classifier.model().name, classifier.precision());
    let title = format!("{name}, batch {batch}, {precision}, on {} ({})", device.name, device.driver);
    table(&profile, &title, out)?;
    if let Some(path) = &command.output {
        write_file(path, format!("{:#}\n", trace(&profile, &title)).as_bytes())?;
    }
    if let Some(path) = &command.svg {
        write_file(path, chart::draw(&profile, &title).as_bytes())?;
    }
    Ok(true)
}

fn table(profile: &Profile, title: &str, out: &mut dyn Write) -> std::io::Result<()> {
    let heads = ["ms", "GFLOP/s", "GB/s", "of total", "of floor"];
    let heads: Vec<String> = heads.iter().map(|head| format!("{head:>9}")).collect();
    writeln!(out, "{:<28} {}  kernel", "layer", heads.join(" "))?;
    let line = |out: &mut dyn Write, name: &str, times: [Duration; 2], flops: u64, bytes: u64, kernel: &str| {
        let [time, floor] = times.map(|time| time.as_secs_f64().max(1e-9));
        let giga = |amount: u64| amount as f64 / time / 1e9;
        let (ms, share) = (1e3 * time, 100.0 * time / profile.total().as_secs_f64().max(1e-9));
        let (rate, speed, of_floor) = (giga(flops), giga(bytes), 100.0 * floor / time);
        let text = format!("{name:<28} {ms:>9.3} {rate:>9.1} {speed:>9.1} {share:>7.1} % {of_floor:>7.0} %  {kernel}");
        writeln!(out, "{}", text.trim_end())
    };
    for Row { layer, kernel, time, flops, bytes, floor, .. } in &profile.rows {
        line(out, layer, [*time, *floor], *flops, *bytes, kernel)?;
    }
    let sum = |amount: fn(&Row) -> u64| profile.rows.iter().map(amount).sum::<u64>();
    line(out, "total", [profile.total(), profile.floor()], sum(|row| row.flops), sum(|row| row.bytes), "")?;
    writeln!(out, "{title}: {} steps, medians of {} runs by {}", profile.rows.len(), profile.runs, profile.clock)?;
    let (flops, bandwidth) = (profile.limits.flops / 1e9, profile.limits.bandwidth / 1e9);
    writeln!(
        out,
        "floor: the larger of operations at {flops:.1} GFLOP/s and bytes at {bandwidth:.1} GB/s, the best rates of this profile"
    )?;
    if let Some(peak) = profile.peak {
        let share = 100.0 * sum(|row| row.flops) as f64 / profile.total().as_secs_f64().max(1e-9) / peak;
        writeln!(
            out,
            "peak: {:.1} GFLOP/s of multiply-adds in registers; the network reaches {share:.0} % of it",
            peak / 1e9
        )?;
    }
    profile.memory.map_or(Ok(()), |memory| writeln!(out, "device memory {memory}"))
}

/// The steps, one after the other, in Chrome's trace event format, with times in microseconds.
fn trace(profile: &Profile, title: &str) -> Value {
    let name = |what: &str, name: &str| json!({"ph": "M", "pid": 1, "tid": 1, "name": what, "args": {"name": name}});
    let mut events = vec![name("process_name", title), name("thread_name", "device")];
    let mut start = Duration::ZERO;
    for Row { layer, kernel, time, flops, bytes, floor, .. } in &profile.rows {
        let us = |time: Duration| time.as_secs_f64() * 1e6;
        events.push(json!({
            "ph": "X", "pid": 1, "tid": 1, "cat": "kernel", "name": layer, "ts": us(start), "dur": us(*time),
            "args": {"kernel": kernel, "flops": flops, "bytes": bytes, "floor_us": us(*floor)},
        }));
        start += *time;
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}
