//! One case: a model at a batch size.

use std::{
    env, fs, panic, thread,
    time::{Duration, Instant, SystemTime},
};

use residua::{
    Classifier, Error,
    check::tune::{Measure, Tune},
    checkpoint::Synthetic,
    hub::Hub,
    models::Architecture,
    program::environment,
    tensor::{Shape, Tensor},
};
use serde::{Deserialize, Serialize};

use crate::{Args, gemm::Products};

/// Largest number of values in an input: 1 GiB of f32.
const MAX_ELEMENTS: usize = 1 << 28;

/// A measured case.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Case {
    Measured(Measurement),
    Failed(Failure),
}

/// Times are wall-clock times in milliseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Measurement {
    pub(crate) model: String,
    pub(crate) batch: usize,
    pub(crate) precision: String,
    /// `rules` with --no-tune; otherwise `tuned`: chosen by times measured on the device or shipped with the crate, or by rules if there are none.
    pub(crate) kernels: String,
    pub(crate) device: String,
    pub(crate) driver: String,
    /// Median of the timed runs.
    pub(crate) median_ms: f64,
    /// Fastest of the timed runs.
    pub(crate) min_ms: f64,
    /// Median absolute deviation from the median.
    pub(crate) spread_ms: f64,
    pub(crate) images_per_s: f64,
    /// Images per second of two concurrent callers.
    #[serde(default)]
    pub(crate) streamed_images_per_s: Option<f64>,
    /// From process start until the model is read (or synthesised) and the device is open.
    pub(crate) load_ms: f64,
    /// From process start to the first logits, including shader compilation.
    pub(crate) first_ms: f64,
    /// The same for a second process, with the shader caches of the first.
    pub(crate) restart_ms: Option<f64>,
    pub(crate) runs: usize,
    /// Median time of bare matrix products in the shapes of the network's convolutions.
    #[serde(default)]
    pub(crate) gemm_ms: Option<f64>,
    /// Device memory of the plan; `None` for the reference.
    pub(crate) device_memory_mib: Option<f64>,
    /// Multiply-accumulates for one image; `None` if the input does not have the model's own size.
    pub(crate) macs: Option<u64>,
    /// Peak resident memory of the process; `None` if the system does not report it.
    pub(crate) peak_memory_mib: Option<u64>,
}

/// A case that could not be measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) model: String,
    pub(crate) batch: usize,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Case {
    pub(crate) fn failed(model: &str, batch: usize, code: &str, message: String) -> Self {
        Case::Failed(Failure { model: model.into(), batch, code: code.into(), message })
    }
}

/// Measures in this process, which was started at `started`.
pub(crate) fn measure(args: &Args, model: &str, batch: usize, started: SystemTime) -> Case {
    match row(args, model, batch, started) {
        Ok(row) => Case::Measured(row),
        Err(error) => Case::failed(model, batch, error.code(), error.to_string()),
    }
}

fn row(args: &Args, model: &str, batch: usize, started: SystemTime) -> Result<Measurement, Error> {
    let since_start = || ms(started.elapsed().unwrap_or_default());
    let hub = Hub::from_vars(|name| env::var_os(name));
    let tune = match (args.tune, args.no_tune) {
        (true, _) => Tune::Measure(Measure { batches: vec![batch], size: args.input, ..Measure::default() }),
        (false, true) => Tune::Never,
        (false, false) => Tune::Known,
    };
    let wanted = environment::wanted(args.device.as_deref())?;
    let builder =
        Classifier::builder().hub(hub).adapter(wanted.clone()).precision(args.precision).tune(tune).prepare(batch);
    let builder = match environment::cache_folder() {
        Some(folder) => builder.cache(folder),
        None => builder,
    };
    let named = Architecture::by_name(model).is_some();
    let classifier = if named { builder.synthetic(model) } else { builder.model(model) }.open()?;
    let load_ms = since_start();
    let mut shape = classifier.input_shape(batch);
    if let Some((h, w)) = args.input {
        shape = Shape { h, w, ..shape };
    }
    if shape.elements() > MAX_ELEMENTS {
        let expected = format!("at most {MAX_ELEMENTS} numbers");
        return Err(Error::config_value("option", "--batch and --input", shape.to_string(), expected));
    }
    let images = Synthetic { salt: "bench".into(), damped: None, damp: 1.0 };
    let input = Tensor::new(shape, images.input([shape.n, shape.c, shape.h, shape.w]));
    // The classifier refuses logits that are not finite; equal logits in every run show that the runs did the same work.
    let expected = classifier.logits(&input)?;
    let first_ms = since_start();
    classifier.logits(&input)?;
    let products = |stored| Products::new(classifier.network(), shape, wanted.clone(), stored);
    let products = args.gemm.then(|| products(classifier.precision())).transpose()?;
    let (mut times, mut gemm_times) = (Vec::new(), Vec::new());
    let began = Instant::now();
    while times.len() < 5 || began.elapsed().as_secs_f64() < args.min_time {
        let run = Instant::now();
        let logits = classifier.logits(&input)?;
        times.push(ms(run.elapsed()));
        if logits != expected {
            return Err(differ(&classifier));
        }
        if let Some(products) = &products {
            gemm_times.push(ms(products.time()?));
        }
    }
    let median_ms = median(&mut times);
    let mut distances: Vec<f64> = times.iter().map(|time| (time - median_ms).abs()).collect();
    Ok(Measurement {
        model: model.into(),
        batch,
        precision: classifier.precision().to_string(),
        kernels: if args.no_tune { "rules" } else { "tuned" }.into(),
        device: classifier.device().name.clone(),
        driver: classifier.device().driver.clone(),
        median_ms,
        min_ms: times[0],
        spread_ms: median(&mut distances),
        images_per_s: batch as f64 * 1e3 / median_ms,
        streamed_images_per_s: args
            .stream
            .then(|| streamed(&classifier, &input, &expected, args.min_time))
            .transpose()?,
        load_ms,
        first_ms,
        restart_ms: None,
        gemm_ms: products.map(|_| median(&mut gemm_times)),
        runs: times.len(),
        device_memory_mib: classifier.footprint(shape)?.map(|memory| memory.total() as f64 / f64::from(1 << 20)),
        macs: args.input.is_none().then_some(classifier.model().macs),
        peak_memory_mib: peak_memory_mib(),
    })
}

/// Images per second of two concurrent callers, measured for `min_time` seconds and at least five calls each.
fn streamed(classifier: &Classifier, input: &Tensor, expected: &Tensor, min_time: f64) -> Result<f64, Error> {
    let began = Instant::now();
    let calls = || {
        let mut calls = 0;
        while calls < 5 || began.elapsed().as_secs_f64() < min_time {
            if classifier.logits(input)? != *expected {
                return Err(differ(classifier));
            }
            calls += 1;
        }
        Ok(calls)
    };
    let calls = thread::scope(|scope| {
        let other = scope.spawn(calls);
        let mine = calls();
        Ok::<usize, Error>(mine? + other.join().unwrap_or_else(|cause| panic::resume_unwind(cause))?)
    })?;
    Ok((calls * input.shape.n) as f64 / began.elapsed().as_secs_f64())
}

fn differ(classifier: &Classifier) -> Error {
    Error::GpuLost { device: classifier.device().name.clone(), reason: "two runs differ".into() }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// Sorts `values`, which must not be empty.
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
