//! `residua soak`: mixed work at random for a given time. Every result is compared with the first of its kind, memory must not grow,
//! and nothing may hang.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    panic::{self, AssertUnwindSafe},
    process,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fastrand::Rng;

use crate::cli::{
    args,
    commands::row,
    mixture::{Call, Mixture, Outcome as Came},
    options::Global,
    outcome::Outcome,
    terminal::interrupt::Interrupt,
};

/// Threads that call at the same time.
const THREADS: usize = 4;

/// Seconds after which a call is said to hang. A slow machine compiles a network's kernels in far less.
const PATIENCE: u32 = 300;

/// Largest growth of memory from the median of the first third of the samples, one a minute, to that of the last.
const GROWTH: f64 = 0.02;

/// Shorter runs do not judge the growth of the device's memory: what is cached for the first time would count.
const DEVICE_JUDGED: Duration = Duration::from_secs(120);

/// The same of the host's, whose single samples are off by up to 6 %, by what lies free in the heap.
const HOST_JUDGED: Duration = Duration::from_secs(30 * 60);

const TICK: Duration = Duration::from_secs(1);

/// What the threads share.
struct Soak {
    mixture: Mixture,
    tally: Mutex<Tally>,
    /// What each thread does, and for how many ticks; the last place is that of the thread that takes the samples.
    doing: Vec<Mutex<Option<(Call, u32)>>>,
    /// Held for reading during a call, and for writing while all is still.
    still: RwLock<()>,
    over: AtomicBool,
}

#[derive(Debug, Default, Clone)]
struct Tally {
    calls: u64,
    right: u64,
    dropped: u64,
    /// Errors that were to be, by code.
    refused: BTreeMap<&'static str, u64>,
    /// Errors of devices that failed on purpose, by code.
    failed: BTreeMap<&'static str, u64>,
    wrong: Vec<String>,
}

/// Bytes in use while nothing runs and the same is kept as at every sample; none where the system does not tell.
#[derive(Debug, Clone, Copy)]
struct Memory {
    host: Option<u64>,
    device: Option<u64>,
}

pub(super) fn run(global: &Global, command: &args::Soak, out: &mut dyn Write) -> Outcome {
    let interrupt = Interrupt::install();
    let length = Duration::from_secs_f64(60.0 * command.minutes);
    let soak = Arc::new(Soak {
        mixture: Mixture::open(global, &command.model.model)?,
        tally: Mutex::default(),
        doing: (0..=THREADS).map(|_| Mutex::default()).collect(),
        still: RwLock::default(),
        over: AtomicBool::default(),
    });
    writeln!(out, "{} minutes, {THREADS} threads, seed {}", command.minutes, command.seed)?;
    out.flush()?;
    let watched = soak.clone();
    thread::spawn(move || watched.watch());
    let all = soak.mixture.all();
    writeln!(out, "{} different calls, each alone", all.len())?;
    out.flush()?;
    all.into_iter().for_each(|call| soak.call(THREADS, call));
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let soak = soak.clone();
            let random = Rng::with_seed(command.seed.wrapping_add(thread as u64));
            thread::spawn(move || soak.work(thread, random))
        })
        .collect();
    let began = Instant::now();
    let first_minute = Duration::from_secs(60).min(length / 2);
    let mut samples = Vec::new();
    let mut due = first_minute;
    while began.elapsed() < length && interrupt.check().is_ok() {
        thread::sleep(TICK.min(length / 10));
        if began.elapsed() >= due && due < length {
            let memory = soak.sample();
            samples.push(memory);
            writeln!(out, "{:6.1} min: {}; {memory}", began.elapsed().as_secs_f64() / 60.0, soak.tally())?;
            out.flush()?;
            due += Duration::from_secs(60);
        }
    }
    soak.over.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| drop(thread.join()));
    samples.push(soak.sample());
    let steady = memory_rows(out, &samples, began.elapsed())?;
    let tally = soak.tally().clone();
    verdict(out, &tally)?;
    interrupt.check()?;
    Ok(steady && tally.wrong.is_empty())
}

impl Soak {
    fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }

    /// Calls one after the other, until it is over.
    fn work(&self, thread: usize, mut random: Rng) {
        while !self.over.load(Ordering::Relaxed) {
            let call = self.mixture.random(&mut random);
            let _running = self.still.read().unwrap_or_else(PoisonError::into_inner);
            self.call(thread, call);
        }
    }

    fn call(&self, thread: usize, call: Call) {
        *lock(&self.doing[thread]) = Some((call.clone(), 0));
        let failed = &mut |code| *self.tally().failed.entry(code).or_default() += 1;
        let came = panic::catch_unwind(AssertUnwindSafe(|| self.mixture.run(&call, failed)));
        *lock(&self.doing[thread]) = None;
        let mut tally = self.tally();
        tally.calls += 1;
        match came {
            Ok(Came::Right) => tally.right += 1,
            Ok(Came::Dropped) => tally.dropped += 1,
            Ok(Came::Refused(code)) => *tally.refused.entry(code).or_default() += 1,
            Ok(Came::Failed(error)) => tally.wrong.push(format!("{call:?}: {error}")),
            Ok(Came::Wrong(what)) => tally.wrong.push(what),
            Err(_) => tally.wrong.push(format!("{call:?}: a panic")),
        }
    }

    /// The memory while no other thread runs, after the same calls every time.
    fn sample(&self) -> Memory {
        let _still = self.still.write().unwrap_or_else(PoisonError::into_inner);
        self.mixture.settling().into_iter().for_each(|call| self.call(THREADS, call));
        Memory { host: host_memory(), device: self.mixture.device_memory() }
    }

    /// Ends the process when a call hangs. It counts its own ticks, so that a process that was stopped for a while does not count as hung.
    fn watch(&self) {
        loop {
            thread::sleep(TICK);
            for doing in &self.doing {
                let mut doing = lock(doing);
                let Some((call, ticks)) = &mut *doing else { continue };
                *ticks += 1;
                if *ticks == PATIENCE {
                    let _ = writeln!(io::stderr(), "residua: {call:?} hangs: {PATIENCE} s; so far {}", self.tally());
                    process::exit(1);
                }
            }
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let refused: u64 = self.refused.values().sum();
        let failed: u64 = self.failed.values().sum();
        let Tally { calls, right, dropped, wrong, .. } = self;
        write!(f, "{calls} calls: {right} right, {refused} refused, {dropped} dropped, {} wrong", wrong.len())?;
        write!(f, "; {failed} times a failing device")
    }
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "host {}, device {}", mib(self.host), mib(self.device))
    }
}

/// Whether memory has not grown, as far as that is judged after so long a run.
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
            None => "not told by this system".into(),
            Some(growth) => {
                steady &= growth <= GROWTH || length < judged;
                let (first, last) = (mib(first), mib(last));
                format!("{first} at first, {last} at the end, medians of {of}: {:+.2} %", 100.0 * growth)
            }
        };
        if length < judged {
            text += &format!("; too short a run to judge that: less than {} s", judged.as_secs());
        }
        row(out, name, text)?;
    }
    Ok(steady)
}

/// The median of a figure of `samples`; none where one has none.
fn median(samples: &[Memory], figure: impl Fn(&Memory) -> Option<u64>) -> Option<u64> {
    let mut figures: Vec<u64> = samples.iter().map(figure).collect::<Option<_>>()?;
    figures.sort_unstable();
    Some(figures[figures.len() / 2])
}

fn verdict(out: &mut dyn Write, tally: &Tally) -> io::Result<()> {
    row(out, "calls", tally.calls)?;
    row(out, "right", format!("{}, with the bits of the first time", tally.right))?;
    row(out, "dropped", format!("{}, before they were ready", tally.dropped))?;
    for (code, count) in &tally.refused {
        row(out, "refused", format!("{count}, as was to be, with {code}"))?;
    }
    for (code, count) in &tally.failed {
        row(out, "failing device", format!("{count} times {code}, and then right"))?;
    }
    row(out, "wrong", tally.wrong.len())?;
    tally.wrong.iter().take(10).try_for_each(|what| writeln!(out, "  {what}"))
}

fn mib(bytes: Option<u64>) -> String {
    bytes.map_or("?".into(), |bytes| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20)))
}

/// Resident memory of this process, in bytes, where Linux tells it.
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

    /// Whether samples of the host's and the device's memory, in MiB, pass after so many minutes.
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
        assert!(steady(&growing, &same, 29) && steady(&same, &growing, 1), "too short to tell");
        assert!(!steady(&scattered, &growing, 5), "the device's memory is told sooner");
        assert!(memory_rows(&mut io::sink(), &[Memory { host: None, device: None }], Duration::MAX).unwrap());
    }
}
