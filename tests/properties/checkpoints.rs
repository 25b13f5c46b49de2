//! Random checkpoints open and give the right values; damaged ones are refused with a code, or give the same values.

use std::fs;

use proptest::{prelude::*, test_runner::TestRunner};
use residua::{
    Classifier, Error,
    checkpoint::{Checkpoint, Synthetic},
    executor::{
        gpu::{Executor, plan::Options},
        reference,
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    bound, common, config,
    files::{self, Damage, Recipe},
};

fn pixels(images: usize) -> Tensor {
    let weights = Synthetic { salt: "pixels".into(), damped: None, damp: 1.0 };
    Tensor::new(Shape::new(images, 3, SIDE, SIDE), weights.input([images, 3, SIDE, SIDE]))
}

/// Rows and columns of the input: small, and odd after a stem halves them.
const SIDE: usize = 38;

#[test]
fn a_checkpoint_of_any_family_type_and_spelling_computes_what_its_weights_say() {
    let device = common::device();
    let outcome = TestRunner::new(config(40)).run(&files::recipe(), |recipe| {
        let checkpoint = Checkpoint::from_bytes("random", files::file(&recipe.stored())).unwrap();
        let detected = Architecture::detect("random", checkpoint.shapes());
        prop_assert_eq!(detected.as_ref().map_err(Error::to_string), Ok(&recipe.architecture));
        let (graph, input) = (recipe.architecture.graph(), pixels(2));
        let plain = Checkpoint::from_bytes("plain", common::safetensors(&recipe.tensors())).unwrap();
        let expected = reference::logits(&graph, &plain, &input).unwrap();
        prop_assert_eq!(&reference::logits(&graph, &checkpoint, &input).unwrap(), &expected, "type and spelling");
        let bounds = bound::bounds(&graph, &plain, &input, StorageType::F32).pop().unwrap();
        let network = Network::new(graph, checkpoint);
        let executor = Executor::new(device.clone(), network, Options::new(StorageType::F32));
        let got = pollster::block_on(executor.run(&input)).unwrap();
        prop_assert_eq!(got.shape, expected.shape);
        for (i, ((got, expected), bound)) in got.data.iter().zip(&expected.data).zip(&bounds.data).enumerate() {
            prop_assert!((got - expected).abs() <= *bound, "{i}: {got}, expected {expected}, bound {bound:e}");
        }
        let worst = common::compare(&got.data, &expected.data, common::F32_BOUND);
        prop_assert!(worst.is_ok() || expected.data.iter().all(|x| *x == 0.0), "{worst:?}");
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The output of a file's network, through the public API, without a GPU.
fn logits(bytes: &[u8]) -> Result<Tensor, Error> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("random.safetensors");
    fs::write(&path, bytes).unwrap();
    let classifier = Classifier::builder().model(path.to_str().unwrap()).device("cpu").crop(SIDE).open()?;
    classifier.logits(&pixels(1))
}

fn check(recipe: &Recipe, damage: &Damage) -> Result<(), TestCaseError> {
    let tensors = recipe.stored();
    let whole = logits(&files::file(&tensors)).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let (bytes, harmless) = damage.apply(tensors);
    match logits(&bytes) {
        Err(error) => prop_assert!(error.code().starts_with("model."), "{}: {error}", error.code()),
        Ok(got) => {
            prop_assert!(harmless, "the file must be refused");
            prop_assert_eq!(got, whole);
        }
    }
    Ok(())
}

#[test]
fn a_damaged_checkpoint_is_refused_or_computes_the_same() {
    let with_head = files::recipe().prop_filter("no classifier", |recipe| recipe.architecture.classes().is_some());
    let strategy = (with_head, files::damage());
    let outcome = TestRunner::new(config(150)).run(&strategy, |(recipe, damage)| check(&recipe, &damage));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
