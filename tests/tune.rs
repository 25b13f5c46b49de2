//! Kernels chosen by measurement: the choice follows a table, which is kept in a file and used only where it fits.

#[path = "common/mod.rs"]
mod common;

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use common::device;
use residua::{
    Classifier, DeviceInfo,
    check::tune::{self, Measure, Tune, Watch},
    checkpoint::Synthetic,
    executor::{
        DeviceKind,
        gpu::{
            Executor,
            kernels::{
                Caps, KernelId, Shader, grouped, registers,
                tiled::{self, Tile},
            },
            plan::{self, Candidates, Options, Plan, Reason, Table, Timing},
        },
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

const PLAIN: KernelId = registers::ID;
const SMALL: KernelId = tiled::id(Tile::P32C32);
const STORED: StorageType = StorageType::F32;

fn network() -> Network {
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let weights = Synthetic { salt: "tune".into(), damped: Some("bn2.weight".into()), damp: 0.3 };
    Network::new(graph.clone(), weights.checkpoint("tune", &graph.tensors()).unwrap())
}

/// A table in which `fastest` is the fastest for every convolution of batches of `images` images.
fn table(network: &Network, caps: &Caps, images: usize, fastest: KernelId) -> Table {
    let mut table = Table::new("device", "driver");
    for case in plan::cases(network, Shape::new(images, 3, 32, 32), STORED).unwrap() {
        let Candidates { kernels, wgsl } = Candidates::of(&case, &Options::new(STORED), caps);
        let ms = |kernel| Duration::from_millis(if kernel == fastest { 2 } else { 4 });
        let times: Vec<_> = kernels.into_iter().map(|kernel| (kernel, ms(kernel))).collect();
        table.insert(Timing::new(case, wgsl, &times));
    }
    table
}

fn with(tables: Vec<Table>) -> Options {
    Options { tuned: Arc::new(tables), ..Options::new(STORED) }
}

fn plan(network: &Network, caps: &Caps, images: usize, options: &Options) -> Plan {
    Plan::new(network, Shape::new(images, 3, 32, 32), &[network.graph().output()], options, caps).unwrap()
}

/// The shaders of the convolutions, and the number of convolutions chosen by measurement.
fn convolutions(plan: &Plan) -> (Vec<&'static Shader>, usize) {
    let steps = || plan.steps.iter().filter(|step| step.key.shader.name.starts_with("conv2d"));
    let measured = steps().filter(|step| matches!(step.reason, Reason::Measured { .. })).count();
    (steps().map(|step| step.key.shader).collect(), measured)
}

#[test]
fn the_choice_follows_the_table_for_its_batches() {
    let network = network();
    // Pretend that every device has the lanes that the usual choice needs; the plans are not run.
    let caps = &Caps { subgroup: Some(8), ..device().caps().clone() };
    let options = with(vec![table(&network, caps, 8, PLAIN), table(&network, caps, 64, SMALL)]);
    let shaders = |images| convolutions(&plan(&network, caps, images, &options));
    let ruled = |images| convolutions(&plan(&network, caps, images, &Options::new(STORED)));
    assert_ne!(ruled(8).0[0], &registers::SHADER, "the case shows nothing");
    for images in [2, 8, 16] {
        let (chosen, measured) = shaders(images);
        assert!(chosen.iter().all(|shader| **shader == registers::SHADER), "{images}: {chosen:?}");
        assert_eq!(measured, chosen.len());
    }
    assert!(shaders(17).0.iter().all(|shader| **shader == tiled::SHADER));
    assert_eq!(shaders(1), ruled(1), "nothing was measured for one image");
    let reason = plan(&network, caps, 8, &options).steps[0].reason.to_string();
    assert_eq!(reason, "measured with 8 images: 2.000 ms, next best 4.000 ms");
}

#[test]
fn what_does_not_fit_the_kernels_is_not_believed() {
    let (network, device) = (network(), device());
    let caps = device.caps();
    let ruled = convolutions(&plan(&network, caps, 1, &Options::new(STORED)));
    let good = table(&network, caps, 1, PLAIN).text();
    let read = |text: &str| convolutions(&plan(&network, caps, 1, &with(vec![Table::parse(text).unwrap()])));
    assert_ne!(read(&good), ruled, "the case shows nothing");
    let wgsl = good.split("\"wgsl\":\"").nth(1).unwrap().split('"').next().unwrap();
    let first = read(&good.replace(wgsl, "0123456789abcdef"));
    assert!(first.1 < read(&good).1, "kernels that have changed since");
    // Names of kernels that do not exist, or do not serve the convolution, are ignored.
    let foreign = good.replace("conv2d.registers", "conv2d.grouped").replace("conv2d.tiled", "conv2d.tilted");
    assert!(!read(&foreign).0.contains(&&grouped::SHADER));
    let others = good.replace("\"in_channels\":", "\"in_channels\":1").replace("\"in_features\":", "\"in_features\":1");
    assert_eq!(read(&others), ruled, "other layers");
    let faulty = Options { faulty: vec![(PLAIN, STORED)], ..with(vec![table(&network, caps, 1, PLAIN)]) };
    let (shaders, _) = convolutions(&plan(&network, caps, 1, &faulty));
    assert!(!shaders.contains(&&registers::SHADER), "a kernel that verify found wrong: {shaders:?}");
}

#[test]
fn deterministic_kernels_are_those_measured_for_one_image() {
    let (network, device) = (network(), device());
    let caps = device.caps();
    let tables = [(1, PLAIN), (8, SMALL), (64, SMALL)].map(|(images, fastest)| table(&network, caps, images, fastest));
    let options = Options { chosen_for: Some(1), ..with(tables.to_vec()) };
    let executor = Executor::new(device, network, options);
    let images = Synthetic { salt: "images".into(), damped: None, damp: 1.0 }.input([64, 3, 32, 32]);
    let logits = |n: usize| {
        let input = Tensor::new(Shape::new(n, 3, 32, 32), images[..n * 3 * 32 * 32].to_vec());
        pollster::block_on(executor.run(&input)).unwrap()
    };
    let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    let (one, seven, most) = (logits(1), logits(7), logits(64));
    assert_eq!(bits(one.image(0)), bits(most.image(0)));
    (0..7).for_each(|n| assert_eq!(bits(seven.image(n)), bits(most.image(n)), "image {n}"));
    let kernels = |n| convolutions(&executor.plan(Shape::new(n, 3, 32, 32)).unwrap());
    assert_eq!((kernels(64).0, kernels(64).1 > 0), (kernels(1).0, true));
}

/// A network with few distinct convolutions.
fn open(cache: &std::path::Path, tune: Tune) -> Classifier {
    Classifier::builder()
        .device(&common::adapter())
        .synthetic("cifar_resnet20a")
        .cache(cache)
        .tune(tune)
        .open()
        .unwrap()
}

/// Measures what is missing, and returns the number of convolutions measured.
fn measure(cache: &std::path::Path, anew: bool) -> (Classifier, usize) {
    let total = Arc::new(Mutex::new(0));
    let seen = total.clone();
    let watch = Watch::new(move |progress| *seen.lock().unwrap() = progress.total);
    let classifier = open(cache, Tune::Measure(Measure { batches: vec![1], anew, watch, ..Measure::default() }));
    let total = *total.lock().unwrap();
    (classifier, total)
}

#[test]
fn what_was_measured_is_kept_in_a_file_and_used_from_then_on() {
    let folder = tempfile::tempdir().unwrap();
    let measured = |classifier: &Classifier| classifier.describe().unwrap().matches("measured with 1 image: ").count();
    let (classifier, total) = measure(folder.path(), false);
    // Convolutions of residual blocks are measured too, although one image is computed in whole blocks.
    assert!(total > 4 && measured(&classifier) > 4, "{total}: {}", classifier.describe().unwrap());
    let path = tune::path(folder.path(), classifier.device());
    let text = fs::read_to_string(&path).unwrap();
    let table = Table::parse(&text).unwrap();
    assert_eq!((&table.device, &table.driver), (&classifier.device().name, &classifier.device().driver));
    assert!(table.timings().len() == total && table.timings().iter().all(|timing| timing.ms.len() > 1), "{text}");

    assert_eq!(
        measured(&open(folder.path(), Tune::Known)),
        measured(&classifier),
        "the file is used without measuring"
    );
    assert_eq!(measured(&open(folder.path(), Tune::Never)), 0);
    assert_eq!(measure(folder.path(), false).1, 0, "nothing is missing");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    // If one timing of an edited file is stale, only that one is measured again. A broken file counts as missing.
    let wgsl = &table.timings().last().unwrap().wgsl;
    fs::write(&path, text.replacen(wgsl.as_str(), "0", 1)).unwrap();
    assert_eq!(measure(folder.path(), false).1, 1);
    for broken in ["", "{}", "[1, 2", &text[..text.len() / 2], &text.replace(&*table.driver, "another")] {
        fs::write(&path, broken).unwrap();
        assert_eq!(measured(&open(folder.path(), Tune::Known)), 0, "{broken:.40}");
    }
}

#[test]
fn it_is_offered_once_on_a_gpu_without_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut gpu = device().info().clone();
    (gpu.name, gpu.kind) = ("An Imagined GPU / 2".into(), DeviceKind::DiscreteGpu);
    assert!(tune::offer(folder.path(), &gpu));
    assert!(!tune::offer(folder.path(), &gpu), "not again");
    gpu.driver = "another".into();
    assert!(tune::offer(folder.path(), &gpu), "another driver, other times");
    let software = DeviceInfo::reference();
    assert!(!tune::offer(folder.path(), &software));
    gpu.name = "third".into();
    fs::write(tune::path(folder.path(), &gpu), "anything").unwrap();
    assert!(!tune::offer(folder.path(), &gpu));
}
