//! The benchmark: images per second and milliseconds per batch, with synthetic weights or a checkpoint, from host tensor to host logits.
//!
//! Each case runs in its own process, so that its memory and its time to the first result are not shared.

mod case;
mod gemm;
mod plot;
mod print;

use std::{
    env, fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::{self, Command, ExitCode, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use case::Case;
use clap::{Parser, ValueEnum};
use residua::{Precision, program::environment};

/// Measure images/s and ms per batch
#[derive(Debug, Clone, Parser)]
#[command(
    version,
    after_help = "Examples:
  residua-bench
  residua-bench -m resnet18,resnet50 --batch 1,8 --format markdown
  residua-bench -m resnet50 --batch 1 --cold
  residua-bench -m resnet50 --batch 1,8 --tune --format csv > tuned.csv
  residua-bench -m resnet18,resnet50 --gemm
  residua-bench -m resnet50 --batch 8,64 --stream
  residua-bench --batch 1,2,4,8,16 --plot speed.svg --peak 125
  residua-bench -m model.safetensors --input 288x288 --precision f16

load ms is the time from the start of the process until the model is read (or made up) and the device is open. first ms is the time
until the first logits: kernels are compiled, weights are packed and uploaded, and one batch runs. With --cold, the shader caches
are empty, and restart ms is first ms of a second process that finds them filled. With --gemm, GEMM ms is the time of the network's
multiply-accumulates as bare matrix products, and of GEMM is that time divided by the network's."
)]
struct Args {
    /// Architectures (with synthetic weights), .safetensors files, folders, names on the hub, or builtin
    #[arg(short, long, value_delimiter = ',', default_value = "resnet18,resnet50")]
    model: Vec<String>,
    /// Images per submission
    #[arg(long, value_delimiter = ',', default_value = "1,8", value_parser = clap::value_parser!(u32).range(1..=4096))]
    batch: Vec<u32>,
    /// Device, as for `residua` [default: auto]
    #[arg(long)]
    device: Option<String>,
    /// Storage type of weights and activations
    #[arg(long, value_enum, default_value = "auto")]
    precision: Precision,
    /// Output format
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Time each case for at least this many seconds, and at least 5 runs
    #[arg(long, default_value_t = 3.0, value_parser = seconds)]
    min_time: f64,
    /// Rows and columns of the input, instead of the network's own
    #[arg(long, value_name = "HxW", value_parser = size)]
    input: Option<(usize, usize)>,
    /// First measure the fastest kernels for layers without timings, like `residua --tune`
    #[arg(long)]
    tune: bool,
    /// Choose kernels by rules only, and ignore all timings
    #[arg(long, conflicts_with = "tune")]
    no_tune: bool,
    /// Start each case with empty shader caches, then again with the caches of that run
    #[arg(long, conflicts_with = "tune")]
    cold: bool,
    /// Also time bare matrix products in the shapes of the network's convolutions, alternating with the network
    #[arg(long)]
    gemm: bool,
    /// Also measure images/s of two concurrent callers: one transfers its data while the other computes
    #[arg(long)]
    stream: bool,
    /// Also plot images/s against the batch size, as SVG
    #[arg(long, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// The device's peak rate, from its data sheet: a dashed line on the plot for each model, at two operations per multiply-accumulate
    /// (Winograd's convolution needs fewer)
    #[arg(long, value_name = "GFLOP/S", requires = "plot", value_parser = gflops)]
    peak: Option<f64>,
    /// Measure one case in this process; the number is the start time of the process, in ns since 1970
    #[arg(long, hide = true)]
    started: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Markdown,
    Csv,
    Json,
}

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(started) = args.started {
        let started = UNIX_EPOCH + Duration::from_nanos(started);
        let case = case::measure(&args, &args.model[0], args.batch[0] as usize, started);
        return finish(serde_json::to_writer(io::stdout(), &case).map_err(io::Error::from), true);
    }
    if let Some(note) = environment::note() {
        let _ = writeln!(io::stderr(), "residua-bench: {note}");
    }
    let mut cases = Vec::new();
    for model in &args.model {
        for &batch in &args.batch {
            if io::stderr().is_terminal() {
                let _ = writeln!(io::stderr(), "residua-bench: {model}, batch {batch}");
            }
            let case = run(&args, model, batch).unwrap_or_else(|error| {
                Case::failed(model, batch as usize, "io", format!("process of the case: {error}"))
            });
            if let Case::Failed(failure) = &case {
                let (code, message) = (&failure.code, &failure.message);
                let _ = writeln!(io::stderr(), "residua-bench: {model}, batch {batch}: {message} [{code}]");
            }
            cases.push(case);
        }
    }
    let all = cases.iter().all(|case| matches!(case, Case::Measured(_)));
    let plotted = args.plot.as_ref().zip(plot::draw(&cases, args.peak)).map(|(path, svg)| fs::write(path, svg));
    if let (Some(Err(error)), Some(path)) = (&plotted, &args.plot) {
        let _ = writeln!(io::stderr(), "residua-bench: {}: {error}", path.display());
        return ExitCode::from(2);
    }
    finish(print::print(args.format, &cases), all)
}

fn finish(printed: io::Result<()>, all: bool) -> ExitCode {
    match printed {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            let _ = writeln!(io::stderr(), "residua-bench: stdout: {error}");
            ExitCode::from(2)
        }
        _ if all => ExitCode::SUCCESS,
        _ => ExitCode::from(1),
    }
}

/// Measures a case in its own process, or in two with `--cold`.
fn run(args: &Args, model: &str, batch: u32) -> io::Result<Case> {
    if args.tune {
        // Tune in a process that is not timed.
        child(args, model, batch, 0.0, None)?;
    }
    if !args.cold {
        return child(&Args { tune: false, ..args.clone() }, model, batch, args.min_time, None);
    }
    let caches = Caches::new()?;
    let mut case = child(args, model, batch, args.min_time, Some(&caches.0))?;
    if let Case::Measured(row) = &mut case
        && let Case::Measured(again) = child(args, model, batch, 0.0, Some(&caches.0))?
    {
        row.restart_ms = Some(again.first_ms);
    }
    Ok(case)
}

fn child(args: &Args, model: &str, batch: u32, min_time: f64, caches: Option<&Path>) -> io::Result<Case> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["--model", model, "--batch", &batch.to_string()]);
    if let Some(device) = &args.device {
        command.args(["--device", device]);
    }
    if let Some(precision) = args.precision.to_possible_value() {
        command.args(["--precision", precision.get_name()]);
    }
    command.args(["--min-time", &min_time.to_string()]);
    if let Some((h, w)) = args.input {
        command.args(["--input", &format!("{h}x{w}")]);
    }
    let flags = [("--tune", args.tune), ("--no-tune", args.no_tune), ("--gemm", args.gemm), ("--stream", args.stream)];
    command.args(flags.iter().filter(|(_, on)| *on).map(|(name, _)| name));
    // The folders in which residua, Mesa and NVIDIA's driver keep compiled shaders.
    if let Some(folder) = caches {
        for variable in ["XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH"] {
            command.env(variable, folder);
        }
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let output = command.args(["--started", &now.as_nanos().to_string()]).stderr(Stdio::inherit()).output()?;
    serde_json::from_slice(&output.stdout).map_err(|_| io::Error::other(format!("ended with {}", output.status)))
}

/// A temporary folder, removed when the value is dropped.
struct Caches(PathBuf);

impl Caches {
    fn new() -> io::Result<Self> {
        let folder = env::temp_dir().join(format!("residua-bench-{}", process::id()));
        fs::create_dir(&folder).map(|()| Caches(folder))
    }
}

impl Drop for Caches {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(seconds) if (0.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("expected seconds, 0 to 3600".into()),
    }
}

fn gflops(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|gflops| (1e-3..=1e9).contains(gflops)).ok_or_else(|| "expected Gflop/s above zero".into())
}

fn size(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('x').map(|(h, w)| (h.parse(), w.parse()));
    match parts {
        Some((Ok(h @ 1..=8192), Ok(w @ 1..=8192))) => Ok((h, w)),
        _ => Err("expected rows x columns, such as 224x224".into()),
    }
}
