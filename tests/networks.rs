//! Compares whole networks with PyTorch on every executor: synthetic weights in, logits and stages out.

mod common;

use common::{
    F32_BOUND, Golden, device,
    executors::{machine, output},
};
use residua::{
    checkpoint::Synthetic,
    executor::{
        Executor,
        gpu::{
            self,
            kernels::{candidates, registers, tiled::Tile, winograd_tiled},
            plan::{Options, Plan},
        },
        reference,
    },
    graph::ValueId,
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// Bound for f16 storage.
const F16_BOUND: f32 = 2e-2;

/// Largest number of multiply-accumulates for a slow executor: as many as ResNet-50 has.
const MOST_MACS: u64 = 4_250_000_000;

/// Compares the logits and stages of the first `images` golden images, on every executor that stores f32. A slow
/// executor gets one image, and only networks that are not too large for it.
fn check(name: &str, images: usize) {
    let golden = Golden::load(name);
    let architecture = Architecture::by_name(name).unwrap();
    let graph = architecture.graph();
    let checkpoint = golden.synthetic().checkpoint(name, &graph.tensors()).unwrap();
    let [.., height, width] = golden.row.input;
    let macs = architecture.macs(height, width).unwrap();
    for executor in machine().executors.iter().filter(|executor| executor.stored == StorageType::F32) {
        let images = if !executor.slow || images as u64 * macs < MOST_MACS / 8 { images } else { 1 };
        if !executor.slow || macs <= MOST_MACS {
            check_on(&*executor.open(&graph, &checkpoint), &golden, images);
        }
    }
}

/// The network of `executor`.
fn check_on(executor: &dyn Executor, golden: &Golden, images: usize) {
    let (name, network, input) = (&golden.name, executor.network(), golden.input(images));
    let bound = if executor.stored() == StorageType::F16 { F16_BOUND } else { F32_BOUND };
    let layers = network.values();
    let traced = pollster::block_on(executor.trace((&input).into(), &layers)).unwrap();
    golden.check(network.graph(), network.checkpoint(), images, bound, |_, _, _, wanted| {
        let of = |id: &ValueId| traced[layers.iter().position(|layer| layer == id).expect("a layer")].clone();
        Ok(wanted.iter().map(of).collect())
    });
    if executor.footprint(input.shape).unwrap().is_none() {
        // Without buffers, no values can share one, and no run can leave something in one.
        return;
    }
    // With shared buffers, twice: the same bits. Without the values inside residual blocks, the order of sums may
    // differ.
    let logits = output(executor, &input);
    if executor.layers(input.shape).unwrap().len() >= layers.len() {
        assert_eq!(Some(&logits), traced.last(), "{name}: shared buffers change the result");
    } else {
        let wanted = &golden.logits[..images * golden.row.classes];
        common::compare(&logits.data, wanted, bound).unwrap_or_else(|e| panic!("{name}: in blocks: {e}"));
    }
    assert_eq!(output(executor, &input), logits, "{name}: the second run differs");
}

/// The golden network of that name on the device that `auto` picks.
fn check_on_gpu(name: &str, images: usize, options: Options) {
    let golden = Golden::load(name);
    let graph = Architecture::by_name(name).unwrap().graph();
    let checkpoint = golden.synthetic().checkpoint(name, &graph.tensors()).unwrap();
    check_on(&gpu::Executor::new(device(), Network::new(graph, checkpoint), options), &golden, images);
}

macro_rules! networks {
    ($($(#[$attribute:meta])* $test:ident: $images:expr;)*) => {
        $($(#[$attribute])* #[test] fn $test() { check(stringify!($test), $images); })*
    };
}

networks! {
    resnet18: 2;
    resnet34: 1;
    resnet50: 2;
    resnet101: 1;
    resnet152: 1;
    resnet18d: 2;
    resnet50d: 1;
    seresnet18: 2;
    seresnet50: 1;
    seresnext26t_32x4d: 1;
    resnetrs50: 1;
    ecaresnet26t: 2;
    ecaresnet50d: 1;
    ecaresnet50t: 1;
    resnetv2_18: 2;
    resnetv2_50d: 1;
    resnetv2_50d_gn: 2;
    resnetv2_50d_evos: 2;
    resnetv2_50d_frn: 2;
    resnetv2_50x1_bit: 2;
    res2net50_26w_4s: 1;
    res2next50: 2;
    resnest14d: 2;
    resnest50d_4s2x40d: 2;
    resnest50d_1s4x24d: 1;
    skresnet18: 2;
    skresnext50_32x4d: 1;
    dla34: 2;
    dla46x_c: 1;
    dla60_res2next: 1;
    hrnet_w18_small: 2;
    cspresnet50: 2;
    cspresnext50: 1;
    resnet32ts: 2;
    seresnet33ts: 1;
    eca_resnext26ts: 1;
    resnet51q: 1;
    resnet61q: 1;
    resnet50_clip_gap: 2;
    resnet50_clip: 1;
    resnet50x4_clip: 1;
    resnet50_mlp: 1;
    gcresnet50t: 2;
    gcresnext26ts: 2;
    tresnet_m: 2;
    tresnet_v2_l: 1;
    nf_resnet26: 2;
    nf_seresnet26: 2;
    nf_ecaresnet50: 1;
    resnet50_gn: 1;
    regnety_040_sgn: 1;
    wide_resnet50_2: 1;
    wide_resnet101_2: 1;
    resnext50_32x4d: 2;
    resnext101_32x8d: 1;
    resnext101_64x4d: 1;
    densenet121: 2;
    densenet161: 1;
    densenet169: 1;
    densenet201: 1;
    test_resnet: 2;
    legacy_seresnet18: 2;
    legacy_seresnet50: 1;
    regnetx_002: 2;
    regnety_002: 2;
    regnetz_005: 2;
    regnetv_040: 1;
    regnetv_064: 1;
    cifar_resnet20a: 2;
    cifar_resnet20b: 2;
    cifar_resnet32a: 2;
    cifar_resnet32b: 2;
    cifar_resnet44a: 2;
    cifar_resnet44b: 2;
    cifar_resnet56a: 2;
    cifar_resnet56b: 2;
    cifar_resnet110a: 2;
    cifar_resnet110b: 2;
    cifar_resnet1202a: 1;
    cifar_resnet1202b: 1;
}

#[test]
fn in_the_spelling_of_transformers() {
    let hub = [("hf_resnet18", "18"), ("hf_resnet50", "50"), ("hf_resnet50_v1", "50")];
    for (name, depth) in hub {
        let golden = Golden::load(name);
        let (graph, checkpoint) = golden.in_transformers_spelling(&format!("microsoft--resnet-{depth}"));
        for executor in machine().executors.iter().filter(|executor| executor.stored == StorageType::F32) {
            check_on(&*executor.open(&graph, &checkpoint), &golden, 1);
        }
    }
}

/// Compares unusual input sizes with the CPU reference: odd sizes have rows that strides skip, and windows that cross the edge.
#[test]
fn inputs_of_other_sizes() {
    let machine = machine();
    let cases: [(&str, [usize; 3]); 11] = [
        ("resnet18", [3, 160, 192]),
        ("resnet26", [1, 197, 231]),
        ("resnext50_32x4d", [1, 97, 131]),
        ("densenet121", [1, 97, 131]),
        ("seresnext26t_32x4d", [3, 64, 97]),
        ("ecaresnet26t", [2, 97, 64]),
        ("regnety_002", [2, 97, 64]),
        ("regnetz_005", [1, 75, 97]),
        ("resnet50d", [1, 97, 131]),
        ("cifar_resnet20a", [3, 37, 29]),
        ("cifar_densenet_bc_100_12", [2, 29, 37]),
    ];
    for (name, [n, h, w]) in cases {
        let graph = Architecture::by_name(name).unwrap().graph();
        let ends = |end: &str| graph.tensors().iter().any(|(name, _)| name.ends_with(end));
        let last = ["conv3.bn", "bn3", "bn2"].into_iter().find(|norm| ends(&format!("{norm}.weight")));
        let damped = last.map(|norm| format!("{norm}.weight"));
        let weights = Synthetic { salt: "sizes".into(), damped, damp: 0.3 };
        let checkpoint = weights.checkpoint(name, &graph.tensors()).unwrap();
        let input = Tensor::new(Shape::new(n, 3, h, w), weights.input([n, 3, h, w]));
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for executor in machine.executors.iter().filter(|executor| executor.stored == StorageType::F32) {
            let got = executor.output(&graph, &checkpoint, &input);
            let compared = common::compare(&got.data, &expected.data, F32_BOUND);
            compared.unwrap_or_else(|e| panic!("{name} {n}x{h}x{w}, {executor}: {e}"));
        }
    }
}

#[test]
fn f16_storage() {
    let machine = machine();
    let executors = || machine.executors.iter().filter(|executor| executor.stored == StorageType::F16);
    for name in [
        "resnet18",
        "cifar_resnet56a",
        "densenet121",
        "resnext50_32x4d",
        "seresnet50",
        "resnet50d",
        "ecaresnet26t",
        "regnety_002",
        "regnetz_005",
    ] {
        let golden = Golden::load(name);
        let graph = Architecture::by_name(name).unwrap().graph();
        let checkpoint = golden.synthetic().checkpoint(name, &graph.tensors()).unwrap();
        executors().for_each(|executor| check_on(&*executor.open(&graph, &checkpoint), &golden, 1));
    }
}

#[test]
fn every_kernel_in_a_whole_network() {
    for kernel in candidates(device().caps()) {
        check_on_gpu("cifar_resnet20a", 2, Options { forced: Some(kernel), ..Options::new(StorageType::F32) });
    }
}

/// Winograd's rounding errors grow with depth and channels.
#[test]
fn winograd_without_subgroups_in_a_network_of_many_channels() {
    let winograd = winograd_tiled::id(Tile::P128C64);
    check_on_gpu("resnet18", 1, Options { forced: Some(winograd), ..Options::new(StorageType::F32) });
}

#[test]
fn given_values_are_those_of_the_trace_and_nothing_behind_them_runs() {
    let golden = Golden::load("cifar_resnet20a");
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let checkpoint = golden.synthetic().checkpoint("cifar_resnet20a", &graph.tensors()).unwrap();
    for stored in common::precisions(&device(), "given values") {
        let network = Network::new(graph.clone(), checkpoint.clone());
        // Use a kernel that does not compute whole residual blocks, since a trace cannot have those.
        let options = Options { forced: Some(registers::ID), ..Options::new(stored) };
        let executor = gpu::Executor::new(device(), network, options);
        let input = golden.input(2);
        let layers = executor.network().values();
        let trace = pollster::block_on(executor.trace((&input).into(), &layers)).unwrap();
        let traced = |id| layers.iter().position(|layer| *layer == id).map(|at| trace[at].clone());
        let (features, early) = (graph.features(), graph.stages()[0].1);
        let map = graph.nodes()[features.0].inputs[0];
        for wanted in [vec![features, early, map, graph.output()], vec![map, map], vec![]] {
            for _ in 0..2 {
                let values = pollster::block_on(executor.values(&input, &wanted)).unwrap();
                let expected: Vec<Tensor> = wanted.iter().map(|id| traced(*id).unwrap()).collect();
                if stored == StorageType::F32 || wanted.contains(&graph.output()) {
                    assert!(values == expected, "{stored} {wanted:?}");
                } else {
                    // No step reads the map, so it is f32 here; in the trace it was rounded to f16, by half a unit in
                    // the last place.
                    for (value, expected) in values.iter().zip(&expected) {
                        common::compare(&value.data, &expected.data, 1.0 / 2048.0).unwrap();
                    }
                }
            }
        }
        let steps = |keep| {
            let plan = Plan::new(executor.network(), input.shape, keep, &executor.options(), executor.device().caps());
            plan.unwrap().steps.len()
        };
        assert_eq!(steps(&[map]) + 2, steps(&[graph.output()]), "pooling and head are left out");
        let fused = graph.nodes().iter().position(|node| node.name == "conv1").unwrap();
        let refused = pollster::block_on(executor.values(&input, &[ValueId(fused)])).unwrap_err();
        assert_eq!(refused.code(), "graph.no_value");
        assert!(refused.to_string().contains("conv1"), "{refused}");
    }
}
