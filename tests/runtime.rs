//! How plans run: the same bits in every run and every batch, memory as computed, clocks, and pipelines kept on disk.

mod common;

use std::{fs, sync::Arc};

use common::device;
use residua::{
    Classifier,
    cache::Cache,
    checkpoint::{Checkpoint, Synthetic},
    executor::gpu::{
        Clock, Device, Executor,
        kernels::Caps,
        plan::{Options, Plan},
    },
    graph::{Conv2dParams, Graph, Op, Plain},
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

fn synthetic() -> Synthetic {
    Synthetic { salt: "runtime".into(), damped: Some("bn2.weight".into()), damp: 0.05 }
}

fn executor(graph: Graph, options: Options) -> Executor {
    let checkpoint = synthetic().checkpoint("runtime", &graph.tensors()).unwrap();
    Executor::new(device(), Network::new(graph, checkpoint), options)
}

fn images(n: usize, graph: &Graph, side: usize) -> Tensor {
    let Op::Input { channels } = graph.nodes()[0].op else { panic!("the first node is the input") };
    Tensor::new(Shape::new(n, channels, side, side), synthetic().input([n, channels, side, side]))
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn a_thousand_runs_give_the_same_bits() {
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let input = images(1, &graph, 32);
    let executor = executor(graph, Options::new(StorageType::F32));
    let run = || bits(&pollster::block_on(executor.run(&input)).unwrap().data);
    let first = run();
    assert!((1..1000).all(|_| run() == first));
}

/// The bottleneck block of a ResNet-50's last stage, narrower: few tiles in one image, many in a batch.
fn bottleneck() -> Graph {
    let mut graph = Graph::new(256);
    let input = graph.input();
    let mut value = input;
    for (name, in_channels, out_channels, kernel) in
        [("conv1", 256, 64, 1), ("conv2", 64, 64, 3), ("conv3", 64, 256, 1)]
    {
        let padding = kernel / 2;
        let params = Conv2dParams { in_channels, out_channels, kernel, stride: 1, padding, dilation: 1, groups: 1 };
        value = graph.push(name, Op::Conv2d { weight: format!("{name}.weight"), bias: None, params }, &[value]);
    }
    let sum = graph.push("add", Op::Add, &[value, input]);
    let pooled = graph.push("pool", Plain::GlobalAvgPool, &[sum]);
    let op = Plain::Linear { in_features: 256, out_features: 10 };
    let head = Op::Plain { op, weights: vec!["fc.weight".into()] };
    graph.push("fc", head, &[pooled]);
    graph
}

fn kernels(plan: &Plan) -> Vec<residua::executor::gpu::kernels::KernelId> {
    plan.steps.iter().map(|step| step.kernel).collect()
}

#[test]
fn kernels_that_are_chosen_for_one_batch_give_an_image_the_same_bits_in_every_batch() {
    let networks = [(Architecture::by_name("cifar_resnet20a").unwrap().graph(), 32), (bottleneck(), 7)];
    for (graph, side) in networks {
        let all = images(64, &graph, side);
        let fastest = executor(graph, Options::new(StorageType::F32));
        let choice = |n| kernels(&fastest.plan(Shape { n, ..all.shape }).unwrap());
        assert_ne!(choice(1), choice(64), "the case shows nothing");
        for chosen_for in [1, 8, 64] {
            let options = Options { chosen_for: Some(chosen_for), ..Options::new(StorageType::F32) };
            let executor = fastest.with_options(options);
            let logits = |n: usize| {
                let shape = Shape { n, ..all.shape };
                let batch = Tensor::new(shape, all.data[..shape.elements()].to_vec());
                pollster::block_on(executor.run(&batch)).unwrap()
            };
            let (one, seven, most) = (logits(1), logits(7), logits(64));
            assert_eq!(bits(one.image(0)), bits(most.image(0)), "chosen for {chosen_for}");
            for n in 0..7 {
                assert_eq!(bits(seven.image(n)), bits(most.image(n)), "image {n}, chosen for {chosen_for}");
            }
            let kernels = |n| kernels(&executor.plan(Shape { n, ..all.shape }).unwrap());
            assert_eq!(kernels(1), kernels(64), "chosen for {chosen_for}");
        }
    }
}

/// A network of each family.
const EACH_FAMILY: [&str; 26] = [
    "resnet18",
    "resnet50",
    "resnext50_32x4d",
    "densenet121",
    "cifar_resnet56a",
    "seresnet50",
    "ecaresnet26t",
    "legacy_seresnet18",
    "regnetx_002",
    "regnety_002",
    "regnetz_005",
    "regnetv_040",
    "resnetv2_18",
    "resnetv2_50x1_bit",
    "resnetv2_50d_evos",
    "res2net50_26w_4s",
    "resnest14d",
    "skresnet18",
    "dla46x_c",
    "hrnet_w18_small",
    "cspresnext50",
    "gcresnext26ts",
    "resnet50_clip",
    "tresnet_m",
    "nf_resnet26",
    "test_resnet",
];

/// Networks that need more than a fifth more than what is alive at once, at most this many times. Their branches have maps of several
/// sizes, and each value gets a buffer of its own for its life: a dispatch must not read and write the same one.
const MORE: [(&str, f64); 3] = [("skresnet18", 1.34), ("hrnet_w18_small", 1.5), ("test_resnet", 1.21)];

#[test]
fn memory_is_little_more_than_weights_and_what_is_alive() {
    // No weights are read: planning needs only their shapes.
    let nothing = Checkpoint::from_bytes("none", [&2_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    let caps = |software, subgroup| Caps {
        device: "imagined".into(),
        software,
        f16: true,
        subgroup,
        cooperative: false,
        registers: 96,
        fixed_registers: false,
        workgroup_bytes: 1 << 15,
        max_binding_bytes: 1 << 31,
        max_workgroups: 1 << 20,
    };
    for name in EACH_FAMILY {
        let most = MORE.iter().find(|(other, _)| *other == name).map_or(1.2, |(_, most)| *most);
        let architecture = Architecture::by_name(name).unwrap();
        let (h, w) = architecture.default_input();
        let network = Network::new(architecture.graph(), nothing.clone());
        let output = network.graph().output();
        for caps in [caps(true, Some(8)), caps(false, Some(32))] {
            for n in [1, 8, 64] {
                for stored in [StorageType::F32, StorageType::F16] {
                    let options = Options::new(stored);
                    let plan = Plan::new(&network, Shape::new(n, 3, h, w), &[output], &options, &caps).unwrap();
                    let memory = plan.footprint;
                    let least = memory.weights + memory.live;
                    // The buffers for input and results are in the host's memory.
                    let device = memory.weights + memory.activations;
                    let ratio = device as f64 / least as f64;
                    assert!(ratio <= most, "{name}, batch {n}, {stored}: {memory}");
                    assert_eq!(memory.activations, plan.buffers.iter().sum::<u64>());
                }
            }
        }
    }
}

#[test]
fn computed_memory_is_what_is_packed() {
    for name in ["cifar_resnet20a", "resnet18"] {
        let graph = Architecture::by_name(name).unwrap().graph();
        let executor = executor(graph, Options::new(StorageType::F32));
        let input = Shape::new(1, 3, 32, 32);
        pollster::block_on(executor.run(&Tensor::zeros(input))).unwrap();
        assert_eq!(executor.plan(input).unwrap().footprint.weights, executor.weight_bytes(), "{name}");
    }
}

/// Winograd's form of 1024 x 1024 channels has 151 MB, more than WebGPU's limit of 128 MiB for a binding.
#[test]
fn weights_that_a_binding_does_not_hold_take_another_form() {
    let graph = Architecture::by_name("wide_resnet50_2").unwrap().graph();
    let none = synthetic().checkpoint("none", &[("none".into(), vec![1])]).unwrap();
    let (output, network) = (graph.output(), Network::new(graph, none));
    let caps = Caps { max_binding_bytes: 1 << 27, ..device().caps().clone() };
    for (software, n) in [(true, 1), (true, 8), (false, 8), (false, 32)] {
        let caps = Caps { software, ..caps.clone() };
        let plan = Plan::new(&network, Shape::new(n, 3, 224, 224), &[output], &Options::new(StorageType::F32), &caps);
        plan.unwrap_or_else(|error| panic!("software {software}, batch {n}: {error}"));
    }
}

#[test]
fn every_clock_times_every_dispatch() {
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let input = images(8, &graph, 32);
    let executor = executor(graph, Options::new(StorageType::F32));
    for clock in [Clock::InsidePasses, Clock::Passes, Clock::Host] {
        let (plan, times) = pollster::block_on(executor.profile(&input, 3, clock)).unwrap();
        assert_eq!(plan.steps.len(), times.len());
        // If the clock stood still or had another unit, convolutions would seem to take no time, or hours.
        for (step, time) in plan.steps.iter().zip(times).filter(|(step, _)| step.macs > 1_000_000) {
            assert!((1e-6..10.0).contains(&time.as_secs_f64()), "{clock}: {}: {time:?}", step.name);
            assert!(step.bytes > 0, "{}", step.name);
        }
    }
}

#[test]
fn row_52_pipelines_are_kept_on_disk_and_broken_files_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("residua");
    let logits = || {
        let classifier = Classifier::builder().device(&common::adapter()).cache(&path).open().unwrap();
        let input = Tensor::zeros(classifier.input_shape(1));
        classifier.logits(&input).unwrap()
    };
    let expected = logits();
    let mut files: Vec<_> = fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()).collect();
    // Beside it is the record that the device has passed its self-test.
    files.retain(|file| !file.file_name().unwrap().to_str().unwrap().starts_with("tested-"));
    let [file] = &files[..] else { panic!("one file, not {files:?}") };
    let whole = fs::read(file).unwrap();
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for broken in [&b""[..], b"not a cache", &whole[..whole.len() / 2], &flipped] {
        fs::write(file, broken).unwrap();
        assert_eq!(logits(), expected);
        assert_eq!(fs::read(file).unwrap(), whole, "it is written anew");
    }
    // A cache folder that cannot be created is not an error.
    let mut device = pollster::block_on(Device::open("auto", residua::Threads::host())).unwrap();
    device.use_cache(Cache::new(file.join("below a file")));
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let input = images(1, &graph, 32);
    let checkpoint = synthetic().checkpoint("runtime", &graph.tensors()).unwrap();
    let executor = Executor::new(Arc::new(device), Network::new(graph, checkpoint), Options::new(StorageType::F32));
    pollster::block_on(executor.run(&input)).unwrap();
}
