//! The CPU executor: its bits, and its memory. Its values are tested together with every other executor's.

use std::num::NonZero;

use residua::{
    Classifier,
    checkpoint::Synthetic,
    tensor::{Shape, Tensor},
};

/// A network with each kind of convolution. It is small, so that rows of patches and strips are cut in many ways.
const NETWORKS: [(&str, usize); 5] =
    [("cifar_resnet20a", 32), ("resnet18", 96), ("resnext50_32x4d", 64), ("densenet121", 80), ("ecaresnet26t", 64)];

fn opened(name: &str, threads: usize) -> Classifier {
    let threads = NonZero::new(threads).unwrap();
    Classifier::builder().synthetic(name).device("cpu").threads(threads).prepare(0).open().unwrap()
}

#[test]
fn an_image_has_the_same_bits_in_every_batch_and_on_any_number_of_threads() {
    for (name, side) in NETWORKS {
        let images = Synthetic { salt: "cpu".into(), damped: None, damp: 1.0 };
        let all = Tensor::new(Shape::new(5, 3, side, side), images.input([5, 3, side, side]));
        let expected = opened(name, 1).logits(&all).unwrap();
        for threads in [2, 3] {
            let classifier = opened(name, threads);
            assert_eq!(classifier.logits(&all).unwrap(), expected, "{name}: {threads} threads");
            for image in 0..5 {
                let alone = Tensor::new(Shape { n: 1, ..all.shape }, all.image(image).to_vec());
                let logits = classifier.logits(&alone).unwrap();
                assert_eq!(logits.data, expected.image(image), "{name}: image {image} alone, {threads} threads");
            }
        }
    }
}

#[test]
fn activations_take_little_more_than_what_is_alive_at_once() {
    for name in ["resnet18", "resnet50", "resnext50_32x4d", "densenet121", "res2net50_26w_4s", "dla46x_c"] {
        let classifier = opened(name, 1);
        for images in [1, 8] {
            let memory = classifier.footprint(classifier.input_shape(images)).unwrap().unwrap();
            assert!(memory.activations as f64 <= 1.2 * memory.live as f64, "{name}: {memory}");
        }
    }
}
