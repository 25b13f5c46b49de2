//! Bad input, row by row: each ends in an error with a stable code, in bounded time and memory. Tests have the number
//! of their row in their names, here and elsewhere: `cargo test row_26`.

mod checkpoint;
mod codes;
mod device;
mod files;
#[path = "../common/folder.rs"]
mod folder;
mod image;
mod model;
mod pickle;

use std::{
    fs,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use folder::Folder;

/// The last row.
const ROWS: usize = 52;

/// Devices that fail while they work: `tests/faults.rs` and `tests/concurrency.rs`.
const ROWS_OF_FAULTS: RangeInclusive<usize> = 42..=46;

/// Limits that no bad input may exceed.
const MOST_TIME: Duration = Duration::from_secs(2);
const MOST_MEMORY: u64 = 300 << 20;

/// A run of the command.
struct Run {
    status: Option<i32>,
    err: String,
    out: String,
    /// Time on all cores together.
    time: Duration,
    /// Largest resident set, bytes.
    memory: u64,
}

/// Runs the command on the CPU and measures its time and memory.
fn run(arguments: &[&str]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(arguments).args(["--device", "cpu"]).env("HF_HUB_OFFLINE", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (began, process) = (Instant::now(), format!("/proc/{}", child.id()));
    let (mut memory, mut time) = (0, Duration::ZERO);
    while child.try_wait().unwrap().is_none() {
        memory = memory.max(peak(&process).unwrap_or(0));
        time = time.max(spent(&process).unwrap_or(Duration::ZERO));
        assert!(began.elapsed() < 20 * MOST_TIME, "{arguments:?} does not end");
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Run { status: output.status.code(), err: text(output.stderr), out: text(output.stdout), time, memory }
}

/// The largest resident set of a run of the command so far. `None` without `/proc`, and for a process that has ended or
/// not yet begun: until the child executes the command, it shows the memory of the tests.
fn peak(process: &str) -> Option<u64> {
    if fs::read_link(format!("{process}/exe")).ok()? != fs::canonicalize(env!("CARGO_BIN_EXE_residua")).ok()? {
        return None;
    }
    let status = fs::read_to_string(format!("{process}/status")).ok()?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(kilobytes.trim().trim_end_matches(" kB").parse::<u64>().ok()? << 10)
}

/// Time of a process so far: fields 14 and 15, counted past the name, in hundredths of a second.
fn spent(process: &str) -> Option<Duration> {
    let stat = fs::read_to_string(format!("{process}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(Duration::from_millis(10 * (fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)))
}

/// Runs the command, which must end with `code` (or succeed, for `ok`) within the bounds, and prints its time and memory.
#[allow(
    clippy::print_stdout,
    reason = "rows for the table in the documentation of `residua::error`, shown with --nocapture"
)]
fn costs(what: &str, code: &str, arguments: &[&str]) -> Run {
    let run = run(arguments);
    let expected = if code == "ok" { run.status == Some(0) } else { run.err.contains(&format!("[{code}]")) };
    assert!(expected && !run.err.contains("panicked"), "{what}: wanted {code}: {:?} {}", run.status, run.err);
    println!("| {what} | `{code}` | {:.2} | {} |", run.time.as_secs_f64(), run.memory >> 20);
    assert!(run.time <= MOST_TIME, "{what}: {:?}", run.time);
    assert!(run.memory <= MOST_MEMORY, "{what}: {} MiB", run.memory >> 20);
    run
}

/// Runs `classify` on one photo with a model, as [`costs`] does.
fn model_costs(what: &str, code: &str, model: &str, options: &[&str]) -> Run {
    let photo = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/formats/rgb.bmp");
    costs(what, code, &[&["classify", "-m", model, photo.to_str().unwrap()], options].concat())
}

/// All Rust files below the folders `src` and `tests`.
fn sources() -> Vec<PathBuf> {
    let mut folders = ["src", "tests"].map(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).to_vec();
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            match path.extension() {
                _ if path.is_dir() => folders.push(path),
                Some(ending) if ending == "rs" => files.push(path),
                _ => {}
            }
        }
    }
    files
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_that_of_the_command() {
    assert_eq!(peak("/proc/self"), None, "these are the tests");
    assert!(model_costs("no bad input", "ok", "builtin", &[]).memory > 1 << 20);
}

#[test]
fn every_row_has_a_test() {
    let mut tested = [false; ROWS + 1];
    for file in sources() {
        for name in fs::read_to_string(file).unwrap().split("fn row_").skip(1) {
            name.split('_').map_while(|part| part.parse::<usize>().ok()).for_each(|row| tested[row] = true);
        }
    }
    let missing: Vec<usize> = (1..=ROWS).filter(|row| !tested[*row] && !ROWS_OF_FAULTS.contains(row)).collect();
    assert!(missing.is_empty(), "rows without a test: {missing:?}");
}
