//! Stress test with random calls for minutes or hours, for maintainers: `cargo run --example soak -- --minutes 60`. Every result must equal
//! the first of its kind, memory must not grow, and no call may hang.

mod calls;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    process::{self, ExitCode},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use calls::{Call, Calls, Outcome};
use clap::Parser;
use fastrand::Rng;
use residua::{Error, Precision};

/// Number of calling threads.
const THREADS: usize = 4;

/// Seconds after which a call counts as hanging. Even a slow machine compiles a network's kernels in far less time.
const PATIENCE: u32 = 300;

/// Largest growth of memory from the median of the first third of the samples, one per minute, to the median of the last third.
const GROWTH: f64 = 0.02;

/// Shortest run that judges the growth of the device's memory: in a shorter one, first entries in caches would count.
const DEVICE_JUDGED: Duration = Duration::from_secs(120);

/// The same for the host's memory, whose single samples are off by up to 6 %, because of free blocks in the heap.
const HOST_JUDGED: Duration = Duration::from_secs(30 * 60);

const TICK: Duration = Duration::from_secs(1);

/// Stress a device: random calls for minutes or hours; fail if a result or the memory changes, or if a call hangs.
///
/// Four threads classify, embed and explain in batches of 1 to 8 with several networks, open and close classifiers, drop unfinished calls
/// and pass bad images and checkpoints. Exit status 1 if a result differs from an earlier one of the same call, if an error is unexpected
/// or missing, if a call hangs, or if memory grows by more than 2 % from the first third of the minutes to the last (medians; the host's
/// memory only in runs of at least half an hour, since single samples are off by up to 6 %).
///
/// With glibc, set MALLOC_ARENA_MAX=1 and MALLOC_MMAP_THRESHOLD_=65536: its malloc gives each thread a heap and keeps freed memory, so that
/// memory of a closed device looks like growth.
#[derive(Debug, Parser)]
struct Args {
    /// builtin, a .safetensors file, a folder or a name on the hub; used beside networks with synthetic weights
    #[arg(short, long, default_value = "builtin")]
    model: String,
    /// Device, as for `residua`; auto is the best adapter, if there is any
    #[arg(long, default_value = "auto")]
    device: String,
    /// Storage type of weights and activations
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Length of the run
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,
    /// Seed for the order of calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn minutes(text: &str) -> Result<f64, String> {
    let week = 7.0 * 24.0 * 60.0;
    text.parse().ok().filter(|&n: &f64| n > 0.0 && n <= week).ok_or_else(|| "expected minutes, up to a week".into())
}

/// State that the threads share.
struct Soak {
    calls: Calls,
    counts: Mutex<Counts>,
    /// The call of each thread, and its ticks so far. The last entry belongs to the sampling thread.
    doing: Vec<Mutex<Option<(Call, u32)>>>,
    /// Held for reading during a call, and for writing while no call may run.
    still: RwLock<()>,
    over: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    calls: u64,
    right: u64,
    dropped: u64,
    /// Expected errors, by code.
    refused: BTreeMap<&'static str, u64>,
    /// Errors of devices that failed on purpose, by code.
    failed: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

/// Bytes in use while no call runs, with the same cached state at every sample; `None` if the system does not report them.
#[derive(Debug, Clone, Copy)]
struct Memory {
    host: Option<u64>,
    device: Option<u64>,
}

fn main() -> ExitCode {
    match run(&Args::parse(), &mut io::stdout()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(io::stderr(), "soak: {error} [{}]", error.code());
            ExitCode::from(2)
        }
    }
}

/// Whether all outcomes were right.
fn run(args: &Args, out: &mut dyn Write) -> Result<bool, Error> {
    let length = Duration::from_secs_f64(60.0 * args.minutes);
    let soak = Arc::new(Soak {
        calls: Calls::open(args)?,
        counts: Mutex::default(),
        doing: (0..=THREADS).map(|_| Mutex::default()).collect(),
        still: RwLock::default(),
        over: AtomicBool::default(),
    });
    let interrupted = soak.clone();
    // Without a handler, Ctrl-C would end the process without a verdict.
    let _ = ctrlc::set_handler(move || interrupted.over.store(true, Ordering::Relaxed));
    let printed = soak.run(args.seed, length, out);
    printed.map_err(|error| Error::io("stdout", &error))
}

impl Soak {
    /// Runs for `length` and prints the outcome. Returns whether all was right.
    fn run(self: &Arc<Self>, seed: u64, length: Duration, out: &mut dyn Write) -> io::Result<bool> {
        writeln!(out, "{:.1} minutes, {THREADS} threads, seed {seed}", length.as_secs_f64() / 60.0)?;
        let watched = self.clone();
        thread::spawn(move || watched.watch());
        let all = self.calls.all();
        writeln!(out, "{} different calls, each alone", all.len())?;
        out.flush()?;
        all.into_iter().for_each(|call| self.call(THREADS, call));
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let soak = self.clone();
                let random = Rng::with_seed(seed.wrapping_add(thread as u64));
                thread::spawn(move || soak.work(thread, random))
            })
            .collect();
        let began = Instant::now();
        let first_minute = Duration::from_secs(60).min(length / 2);
        let mut samples = Vec::new();
        let mut due = first_minute;
        while began.elapsed() < length && !self.over.load(Ordering::Relaxed) {
            thread::sleep(TICK.min(length / 10));
            if began.elapsed() >= due && due < length {
                let memory = self.sample();
                samples.push(memory);
                writeln!(out, "{:6.1} min: {}; {memory}", began.elapsed().as_secs_f64() / 60.0, self.counts())?;
                out.flush()?;
                due += Duration::from_secs(60);
            }
        }
        self.over.store(true, Ordering::Relaxed);
        threads.into_iter().for_each(|thread| drop(thread.join()));
        samples.push(self.sample());
        let steady = memory_rows(out, &samples, began.elapsed())?;
        let counts = self.counts().clone();
        verdict(out, &counts)?;
        Ok(steady && counts.wrong.is_empty())
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        lock(&self.counts)
    }

    /// Makes random calls until the end of the run.
    fn work(&self, thread: usize, mut random: Rng) {
        while !self.over.load(Ordering::Relaxed) {
            let call = self.calls.random(&mut random);
            let _running = self.still.read().unwrap_or_else(PoisonError::into_inner);
            self.call(thread, call);
        }
    }

    fn call(&self, thread: usize, call: Call) {
        *lock(&self.doing[thread]) = Some((call.clone(), 0));
        let failed = &mut |code| *self.counts().failed.entry(code).or_default() += 1;
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.calls.run(&call, failed)));
        *lock(&self.doing[thread]) = None;
        let mut counts = self.counts();
        counts.calls += 1;
        match outcome {
            Ok(Outcome::Right) => counts.right += 1,
            Ok(Outcome::Dropped) => counts.dropped += 1,
            Ok(Outcome::Refused(code)) => *counts.refused.entry(code).or_default() += 1,
            Ok(Outcome::Failed(error)) => counts.wrong.push(format!("{call:?}: {error}")),
            Ok(Outcome::Wrong(what)) => counts.wrong.push(what),
            Err(_) => counts.wrong.push(format!("{call:?}: panicked")),
        }
    }

    /// Samples the memory while no other thread runs, always after the same calls.
    fn sample(&self) -> Memory {
        let _still = self.still.write().unwrap_or_else(PoisonError::into_inner);
        self.calls.settling().into_iter().for_each(|call| self.call(THREADS, call));
        Memory { host: host_memory(), device: self.calls.device_memory() }
    }

    /// Ends the process if a call hangs. Counts its own ticks, so that a suspended process does not count as hanging.
    fn watch(&self) {
        loop {
            thread::sleep(TICK);
            for doing in &self.doing {
                let mut doing = lock(doing);
                let Some((call, ticks)) = &mut *doing else { continue };
                *ticks += 1;
                if *ticks == PATIENCE {
                    let _ = writeln!(io::stderr(), "soak: {call:?} hangs: {PATIENCE} s; so far {}", self.counts());
                    process::exit(1);
                }
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let failed: u64 = self.failed.values().sum();
        let Counts { calls, right, dropped, wrong, .. } = self;
        write!(f, "{calls} calls: {right} right, {refused} refused, {dropped} dropped, {} wrong", wrong.len())?;
        write!(f, "; {failed} device failures")
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host {}, device {}", mib(self.host), mib(self.device))
    }
}

/// Whether memory has not grown, as far as a run of this length can judge.
fn memory_rows(out: &mut dyn Write, samples: &[Memory], length: Duration) -> io::Result<bool> {
    let of = (samples.len() / 3).max(1);
    let (early, late) = (&samples[..of], &samples[samples.len() - of..]);
    let host = |memory: &Memory| memory.host;
    let device = |memory: &Memory| memory.device;
    let mut steady = true;
    for (name, first, last, judged) in [
        ("host memory", median(early, host), median(late, host), HOST_JUDGED),
        ("device memory", median(early, device), median(late, device), DEVICE_JUDGED),
    ] {
        let growth = first.zip(last).map(|(first, last)| (last as f64 - first as f64) / first.max(1) as f64);
        let mut text = match growth {
            None => "not reported by this system".into(),
            Some(growth) => {
                steady &= growth <= GROWTH || length < judged;
                let (first, last) = (mib(first), mib(last));
                format!("{first} at first, {last} at the end, medians of {of}: {:+.2} %", 100.0 * growth)
            }
        };
        if length < judged {
            text += &format!("; not judged: the run is shorter than {} s", judged.as_secs());
        }
        row(out, name, text)?;
    }
    Ok(steady)
}

/// The median of a figure of `samples`; `None` if a sample lacks it.
fn median(samples: &[Memory], figure: impl Fn(&Memory) -> Option<u64>) -> Option<u64> {
    let mut figures: Vec<u64> = samples.iter().map(figure).collect::<Option<_>>()?;
    figures.sort_unstable();
    Some(figures[figures.len() / 2])
}

/// One line of a two-column listing.
fn row(out: &mut dyn Write, name: &str, value: impl fmt::Display) -> io::Result<()> {
    writeln!(out, "{name:<15} {value}")
}

fn verdict(out: &mut dyn Write, counts: &Counts) -> io::Result<()> {
    row(out, "calls", counts.calls)?;
    row(out, "right", format!("{}, with the same bits as the first time", counts.right))?;
    row(out, "dropped", format!("{}, before they were ready", counts.dropped))?;
    for (code, count) in &counts.refused {
        row(out, "refused", format!("{count} with {code}, as expected"))?;
    }
    for (code, count) in &counts.failed {
        row(out, "failing device", format!("{count} times {code}, then right"))?;
    }
    row(out, "wrong", counts.wrong.len())?;
    counts.wrong.iter().take(10).try_for_each(|what| writeln!(out, "  {what}"))
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or("?".into(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
}

/// Resident memory of this process in bytes, if Linux reports it.
fn host_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether samples of the host's and the device's memory, in MiB, pass after this many minutes.
    fn steady(host: &[u64], device: &[u64], minutes: u64) -> bool {
        let samples = host.iter().zip(device).map(|(h, d)| Memory { host: Some(h << 20), device: Some(d << 20) });
        let length = Duration::from_secs(60 * minutes);
        memory_rows(&mut io::sink(), &samples.collect::<Vec<_>>(), length).unwrap()
    }

    #[test]
    fn growth_is_seen_and_scatter_is_not() {
        let (scattered, same) = ([1000, 1060, 980, 1040, 990, 1010, 1055, 985, 1005], [300; 9]);
        assert!(steady(&scattered, &same, 60));
        let growing: Vec<u64> = (0..9).map(|minute| 1000 + 5 * minute).collect();
        assert!(!steady(&growing, &same, 60), "3 % from the second to the eighth sample");
        assert!(steady(&growing, &same, 29) && steady(&same, &growing, 1), "too short to judge");
        assert!(!steady(&scattered, &growing, 5), "the device's memory is judged sooner");
        assert!(memory_rows(&mut io::sink(), &[Memory { host: None, device: None }], Duration::MAX).unwrap());
    }
}
