//! Checks that the comparison in the golden tests can fail.

mod common;

use common::{F32_BOUND, Golden, compare};
use residua::{executor::reference, models::Architecture};

#[test]
fn equal_values_pass_and_the_bound_is_sharp() {
    let want = [1.0, -4.0, 0.0];
    assert_eq!(compare(&want, &want, 0.0), Ok(0.0));
    assert_eq!(compare(&[1.0, -4.0, 0.5], &want, 0.125), Ok(0.125));
    assert!(compare(&[1.0, -4.0, 0.51], &want, 0.125).unwrap_err().contains("element 2"));
}

#[test]
fn what_is_no_comparison_fails() {
    assert!(compare(&[1.0], &[1.0, 2.0], 1.0).is_err());
    assert!(compare(&[], &[], 1.0).is_err());
    assert!(compare(&[0.0, 0.0], &[0.0, 0.0], 1.0).is_err());
    for odd in [f32::NAN, f32::INFINITY] {
        assert!(compare(&[1.0, odd], &[1.0, 2.0], f32::MAX).is_err());
        assert!(compare(&[1.0, 2.0], &[1.0, odd], f32::MAX).is_err());
    }
}

#[test]
#[should_panic(expected = "stage layer1")]
fn one_changed_weight_is_noticed() {
    let golden = Golden::load("cifar_resnet20a");
    let graph = Architecture::by_name(&golden.name).unwrap().graph();
    let mut synthetic = golden.synthetic();
    synthetic.damp *= 1.01;
    let checkpoint = synthetic.checkpoint("damped otherwise", &graph.tensors()).unwrap();
    golden.check(&graph, &checkpoint, 1, F32_BOUND, reference::values);
}

#[test]
#[should_panic(expected = "logits")]
fn logits_of_the_wrong_image_are_noticed() {
    let golden = Golden::load("cifar_resnet20a");
    let graph = Architecture::by_name(&golden.name).unwrap().graph();
    let checkpoint = golden.synthetic().checkpoint("swapped", &graph.tensors()).unwrap();
    golden.check(&graph, &checkpoint, 2, F32_BOUND, |graph, checkpoint, input, wanted| {
        let mut values = reference::values(graph, checkpoint, input, wanted)?;
        if let Some(logits) = values.last_mut() {
            logits.data.rotate_left(10);
        }
        Ok(values)
    });
}
