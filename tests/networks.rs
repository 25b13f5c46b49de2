//! Whole networks on the GPU against PyTorch: synthetic weights in, logits and stages out.

mod common;

use common::{F32_BOUND, Golden, device};
use residua::{
    gpu::Executor,
    kernels::{Precision, conv2d::Variant},
    models::Architecture,
    plan::{Network, Options},
    tensor::Tensor,
};

/// Bound for f16 storage.
const F16_BOUND: f32 = 2e-2;

/// Runs the first `images` golden images and compares logits and stages.
fn check(name: &str, images: usize, options: Options) {
    let golden = Golden::load(name);
    let graph = Architecture::by_name(name).unwrap().graph();
    let checkpoint = golden.synthetic().checkpoint(name, &graph.tensors()).unwrap();
    let executor = Executor::new(device(), Network::new(graph.clone(), checkpoint.clone()), options);
    let bound = if options.stored == Precision::F16 { F16_BOUND } else { F32_BOUND };
    let mut traced = None;
    golden.check(&graph, &checkpoint, images, bound, |_, _, input, wanted| {
        let values = pollster::block_on(executor.trace(input))?;
        traced = values.last().map(|(_, logits)| logits.clone());
        let of = |id| values.iter().find(|(value, _)| *value == id).map(|(_, tensor)| tensor.clone());
        Ok(wanted.iter().map(|id| of(*id).unwrap_or_else(|| panic!("{name}: no step yields {id:?}"))).collect())
    });
    // The same with shared buffers, twice: the same bits.
    let run = || -> Tensor { pollster::block_on(executor.run(&golden.input(images))).unwrap() };
    assert_eq!(Some(run()), traced, "{name}: shared buffers change the result");
    assert_eq!(Some(run()), traced, "{name}: the second run differs");
}

macro_rules! networks {
    ($($(#[$attribute:meta])* $test:ident: $images:expr;)*) => {
        $($(#[$attribute])* #[test] fn $test() { check(stringify!($test), $images, Options::new(Precision::F32)); })*
    };
}

networks! {
    resnet18: 2;
    resnet34: 1;
    resnet50: 2;
    resnet101: 1;
    resnet152: 1;
    wide_resnet50_2: 1;
    wide_resnet101_2: 1;
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
fn f16_storage() {
    for name in ["resnet18", "cifar_resnet56a"] {
        check(name, 1, Options::new(Precision::F16));
    }
}

#[test]
fn every_kernel_variant_in_a_whole_network() {
    for variant in Variant::all(device().caps().subgroup) {
        check("cifar_resnet20a", 2, Options { conv2d: Some(variant), ..Options::new(Precision::F32) });
    }
}
