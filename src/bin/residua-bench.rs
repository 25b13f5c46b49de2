//! The benchmark: images per second and milliseconds per batch, on made-up weights or a checkpoint, from host tensor to host logits.

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::{Parser, ValueEnum};
use residua::{
    Classifier, Error, Precision,
    checkpoint::Synthetic,
    hub::Hub,
    tensor::{Shape, Tensor},
};
use serde::Serialize;

/// Largest input, in numbers: 1 GiB of f32.
const MAX_ELEMENTS: usize = 1 << 28;

/// Measure images/s and ms per batch.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  residua-bench
  residua-bench -m resnet18,resnet50 --batch 1,8 --format markdown
  residua-bench -m model.safetensors --input 288x288 --precision f16"
)]
struct Args {
    /// Architectures (made-up weights), or .safetensors files, folders, models of the hub or builtin
    #[arg(short, long, value_delimiter = ',', default_value = "resnet18,resnet50")]
    model: Vec<String>,
    /// Images per submission
    #[arg(long, value_delimiter = ',', default_value = "1,8", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Vec<u32>,
    /// Where to run, as for `residua`
    #[arg(long, default_value = "auto")]
    device: String,
    /// How weights and activations are stored
    #[arg(long, value_enum, default_value = "auto")]
    precision: PrecisionArg,
    /// Form of the output
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Time runs of each case for at least this many seconds, and at least 5 times
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    min_time: f64,
    /// Rows and columns of the input, instead of the network's own
    #[arg(long, value_name = "HxW", value_parser = size)]
    input: Option<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PrecisionArg {
    Auto,
    F32,
    F16,
}

/// One case. Times are wall clock, in milliseconds.
#[derive(Debug, Serialize)]
struct Row {
    model: String,
    batch: usize,
    precision: String,
    device: String,
    driver: String,
    /// Median of the timed runs.
    median_ms: f64,
    /// Fastest of them.
    min_ms: f64,
    /// Median distance from the median.
    spread_ms: f64,
    images_per_s: f64,
    /// From opening the model to its first logits, shader compilation included.
    first_ms: f64,
    runs: usize,
    /// Highest resident memory of this process so far; none where the system does not tell.
    peak_memory_mib: Option<u64>,
}

/// A case that could not be measured.
#[derive(Debug, Serialize)]
struct Failure {
    model: String,
    batch: usize,
    code: &'static str,
    message: String,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Case {
    Measured(Row),
    Failed(Failure),
}

fn main() -> ExitCode {
    let args = Args::parse();
    let mut cases = Vec::new();
    for model in &args.model {
        for batch in args.batch.iter().map(|&batch| batch as usize) {
            if io::stderr().is_terminal() {
                let _ = writeln!(io::stderr(), "residua-bench: {model}, batch {batch}");
            }
            cases.push(measure(&args, model, batch).map_or_else(
                |error| {
                    let _ = writeln!(io::stderr(), "residua-bench: {model}, batch {batch}: {error} [{}]", error.code());
                    let message = error.to_string();
                    Case::Failed(Failure { model: model.clone(), batch, code: error.code(), message })
                },
                Case::Measured,
            ));
        }
    }
    match print(args.format, &cases) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "residua-bench: stdout: {error}");
            ExitCode::from(2)
        }
        _ if cases.iter().all(|case| matches!(case, Case::Measured(_))) => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

fn measure(args: &Args, model: &str, batch: usize) -> Result<Row, Error> {
    let began = Instant::now();
    let precision = match args.precision {
        PrecisionArg::Auto => Precision::Auto,
        PrecisionArg::F32 => Precision::F32,
        PrecisionArg::F16 => Precision::F16,
    };
    let builder =
        Classifier::builder().hub(Hub::from_vars(|name| env::var_os(name))).device(&args.device).precision(precision);
    let named = residua::models::Architecture::by_name(model).is_some();
    let classifier = if named { builder.synthetic(model) } else { builder.model(model) }.open()?;
    let mut shape = classifier.input_shape(batch);
    if let Some((h, w)) = args.input {
        shape = Shape { h, w, ..shape };
    }
    if shape.elements() > MAX_ELEMENTS {
        return Err(Error::ConfigValue {
            place: "option".into(),
            field: "--batch and --input".into(),
            value: shape.to_string(),
            expected: format!("at most {MAX_ELEMENTS} numbers"),
        });
    }
    let images = Synthetic { salt: "bench".into(), damped: None, damp: 1.0 };
    let input = Tensor::new(shape, images.input([shape.n, shape.c, shape.h, shape.w]));
    // The classifier refuses logits that are not finite; equal logits run after run prove the runs did the same work.
    let expected = classifier.logits(&input)?;
    let first_ms = ms(began.elapsed());
    classifier.logits(&input)?;
    let mut times = Vec::new();
    let started = Instant::now();
    while times.len() < 5 || started.elapsed().as_secs_f64() < args.min_time {
        let run = Instant::now();
        let logits = classifier.logits(&input)?;
        times.push(ms(run.elapsed()));
        if logits != expected {
            return Err(Error::GpuLost { device: classifier.device().name.clone(), reason: "two runs differ".into() });
        }
    }
    let median_ms = median(&mut times);
    let mut distances: Vec<f64> = times.iter().map(|time| (time - median_ms).abs()).collect();
    Ok(Row {
        model: model.into(),
        batch,
        precision: classifier.precision().to_string(),
        device: classifier.device().name.clone(),
        driver: classifier.device().driver.clone(),
        median_ms,
        min_ms: times[0],
        spread_ms: median(&mut distances),
        images_per_s: batch as f64 * 1e3 / median_ms,
        first_ms,
        runs: times.len(),
        peak_memory_mib: peak_memory_mib(),
    })
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Sorts `values`, of which there is at least one.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

fn peak_memory_mib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib / 1024)
}

fn print(format: Format, cases: &[Case]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if format == Format::Json {
        serde_json::to_writer_pretty(&mut out, cases)?;
        return writeln!(out);
    }
    let first = cases.iter().find_map(|case| if let Case::Measured(row) = case { Some(row) } else { None });
    if let Some(row) = first {
        writeln!(out, "{} ({}), {}\n", row.device, row.driver, row.precision)?;
    }
    let (bar, end) = if format == Format::Markdown { (" | ", " |") } else { ("  ", "") };
    let start = if format == Format::Markdown { "| " } else { "" };
    let heads = ["batch", "median ms", "min ms", "spread ms", "images/s", "first ms", "peak MiB"];
    let heads: Vec<String> = heads.iter().map(|head| format!("{head:>9}")).collect();
    writeln!(out, "{start}{:<22}{bar}{}{end}", "model", heads.join(bar))?;
    if format == Format::Markdown {
        writeln!(out, "|---{}|", "|--:".repeat(heads.len()))?;
    }
    for case in cases {
        let (model, batch, cells) = match case {
            Case::Measured(row) => {
                let numbers = [row.median_ms, row.min_ms, row.spread_ms, row.images_per_s, row.first_ms];
                let peak = row.peak_memory_mib.map_or("-".into(), |mib| mib.to_string());
                let numbers = numbers.iter().map(|number| format!("{number:.1}"));
                (&row.model, row.batch, numbers.chain([peak]).collect::<Vec<_>>())
            }
            Case::Failed(failure) => {
                let mut cells = vec![String::new(); heads.len() - 1];
                cells[0] = failure.code.into();
                (&failure.model, failure.batch, cells)
            }
        };
        let cells: Vec<String> =
            [batch.to_string()].into_iter().chain(cells).map(|cell| format!("{cell:>9}")).collect();
        let line = format!("{start}{model:<22}{bar}{}{end}", cells.join(bar));
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("seconds, 0 to 3600".into()),
    }
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('x').map(|(h, w)| (h.parse(), w.parse()));
    match parts {
        Some((Ok(h @ 1..=8192), Ok(w @ 1..=8192))) => Ok((h, w)),
        _ => Err("rows x columns, such as 224x224".into()),
    }
}
