//! Whole networks against PyTorch: synthetic weights in, logits and stages out.

mod common;

use common::{F32_BOUND, Golden};
use residua::{executor::reference, models::Architecture};

/// Builds the network of that name and compares `images` images on the CPU reference.
fn on_reference(name: &str, images: usize) {
    let golden = Golden::load(name);
    let architecture = Architecture::by_name(name).unwrap();
    let graph = architecture.graph();
    let checkpoint = golden.synthetic().checkpoint(name, &graph.tensors()).unwrap();
    golden.check(&graph, &checkpoint, images, F32_BOUND, reference::values);
}

/// The same in the spelling of transformers.
fn in_transformers_spelling(name: &str, repository: &str) {
    let golden = Golden::load(name);
    let (graph, checkpoint) = golden.in_transformers_spelling(repository);
    golden.check(&graph, &checkpoint, 1, F32_BOUND, reference::values);
}

macro_rules! reference_tests {
    ($($test:ident: $images:expr;)*) => {
        $(#[test] fn $test() { on_reference(stringify!($test), $images); })*
    };
}

// One image of the large networks: both images take the same way, and the time is the tests'.
reference_tests! {
    resnet18: 2;
    resnet50: 1;
    resnext50_32x4d: 1;
    densenet121: 1;
    resnet18d: 1;
    seresnet18: 1;
    seresnext26t_32x4d: 1;
    resnetrs50: 1;
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
}

#[test]
fn hf_resnet18() {
    in_transformers_spelling("hf_resnet18", "microsoft--resnet-18");
}

#[test]
fn hf_resnet50() {
    in_transformers_spelling("hf_resnet50", "microsoft--resnet-50");
}

#[test]
fn hf_resnet50_v1_strides_in_the_first_convolution() {
    in_transformers_spelling("hf_resnet50_v1", "microsoft--resnet-50");
}
