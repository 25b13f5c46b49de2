//! Times every kernel on every layer of the real models, by the device's clock: `cargo bench --bench kernels -- [FILTER]
//! [--quick]`.
//!
//! A benchmark is called `MODEL/LAYER BATCH PRECISION/KERNEL`, for example `resnet18/64x56x56 3x3 64 b1 f32/conv2d.registers`;
//! FILTER is a regular expression on that. A layer that several models have is listed under the first. Each kernel is compared
//! with the reference loops before it is timed, within the bounds of `residua verify`.
#![allow(clippy::print_stderr, reason = "a bench talks to its reader")]
#![allow(missing_docs, reason = "criterion's macros generate items without documentation")]

use std::{cell::OnceCell, sync::Arc, time::Duration};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use residua::{
    checkpoint::Checkpoint,
    executor::{
        gpu::{
            Device, Executor, Stopwatch,
            kernels::{KernelId, Problem, View, conv2d::Conv2d},
            plan::{self, Candidates, Case, Options, SingleLayer},
        },
        reference,
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

const MODELS: [&str; 6] =
    ["resnet18", "resnet50", "resnext50_32x4d", "densenet121", "wide_resnet50_2", "cifar_resnet20a"];
const BATCHES: [usize; 3] = [1, 8, 64];

fn kernels(criterion: &mut Criterion) {
    let device =
        pollster::block_on(Device::open("auto", residua::Threads::host())).unwrap_or_else(|error| panic!("{error}"));
    let device = Arc::new(device);
    // Planning needs only the weights' shapes.
    let nothing = Checkpoint::from_bytes("none", [&2_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    let mut seen = Vec::new();
    for model in MODELS {
        let architecture = Architecture::by_name(model).unwrap();
        let (h, w) = architecture.default_input();
        let network = Network::new(architecture.graph(), nothing.clone());
        for (images, stored) in BATCHES.into_iter().flat_map(|n| [(n, StorageType::F32), (n, StorageType::F16)]) {
            if stored == StorageType::F16 && !device.caps().f16 {
                continue;
            }
            let cases = plan::cases(&network, Shape::new(images, 3, h, w), stored).unwrap();
            for case in &cases {
                if !seen.contains(case) {
                    seen.push(*case);
                    let times = cases.iter().filter(|other| *other == case).count();
                    group(criterion, &device, model, case, times);
                }
            }
        }
    }
}

/// The layer in words.
fn name(case: &Case) -> String {
    let extents = |view: &View| format!("{}x{}x{}", view.shape.c, view.shape.h, view.shape.w);
    match &case.problem {
        Problem::Conv2d(Conv2d { params, x, prologue, .. }) => {
            let mut name = format!("{} {}x{} {}", extents(x), params.kernel, params.kernel, params.out_channels);
            for (is, part) in [
                (params.stride > 1, format!("/{}", params.stride)),
                (params.groups > 1, format!(" g{}", params.groups)),
                (*prologue, " norm".into()),
            ] {
                name += if is { &part } else { "" };
            }
            name
        }
        Problem::Plain(plain) => format!("{} {}", extents(&plain.x), plain.op),
        Problem::Pool2d(pool) => {
            let kind = if pool.max { "maximum" } else { "mean" };
            format!("{} {kind} {}/{}", extents(&pool.x), pool.params.kernel, pool.params.stride)
        }
        other => format!("{} elements", extents(&other.output())),
    }
}

/// The kernels of a layer that a model has `times` times.
fn group(criterion: &mut Criterion, device: &Arc<Device>, model: &str, case: &Case, times: usize) {
    let (images, stored) = (case.problem.images(), case.stored);
    let name = format!("{model}/{}", name(case));
    let count = if times > 1 { format!(" x{times}") } else { String::new() };
    let mut group = criterion.benchmark_group(format!("{name} b{images} {stored}{count}"));
    group.throughput(Throughput::Elements(2 * (case.problem.output().shape.elements() * case.problem.terms()) as u64));
    // The input and the reference's output are made once, and only if a kernel of this layer is timed.
    let expected = OnceCell::new();
    for kernel in Candidates::of(case, &Options::new(stored), device.caps()).kernels {
        let stopwatch = OnceCell::new();
        group.bench_function(BenchmarkId::from_parameter(kernel), |bencher| {
            let expected = expected.get_or_init(|| reference(case));
            let stopwatch = stopwatch.get_or_init(|| ready(device, case, kernel, expected));
            bencher.iter_custom(|runs| (0..runs).map(|_| time(device, stopwatch)).sum());
        });
    }
    group.finish();
}

/// The reference loops' output for the case.
fn reference(case: &Case) -> Tensor {
    let alone = SingleLayer::new(case).unwrap();
    reference::values(alone.network.graph(), alone.network.checkpoint(), &alone.input, &alone.values[..1])
        .unwrap()
        .remove(0)
}

/// The kernel, checked against the reference.
fn ready(device: &Arc<Device>, case: &Case, kernel: KernelId, expected: &Tensor) -> Stopwatch {
    let alone = SingleLayer::new(case).unwrap();
    let options = Options { forced: Some(kernel), ..Options::new(case.stored) };
    let executor = Executor::new(device.clone(), alone.network, options);
    let stopwatch = pollster::block_on(executor.stopwatch(alone.input.shape, &alone.values)).unwrap();
    let got = pollster::block_on(stopwatch.run(&alone.input)).unwrap().remove(0);
    let largest = expected.data.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let differences = got.data.iter().zip(&expected.data).map(|(a, b)| (a - b).abs());
    let error = differences.fold(0.0, f32::max) / largest;
    let bound = if case.stored == StorageType::F32 { 1e-4 } else { 2e-2 };
    assert!(error <= bound, "{kernel} is wrong: off by {error:e}, bound {bound:e}");
    stopwatch
}

/// The device's time for the layer, without the layer that reads it.
fn time(device: &Device, stopwatch: &Stopwatch) -> Duration {
    let times = pollster::block_on(stopwatch.times(device.clock())).unwrap();
    let steps = stopwatch.plan().steps.iter().zip(times);
    steps.filter(|(step, _)| step.name == "layer").map(|(_, time)| time).sum()
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = kernels
}
criterion_main!(benches);
