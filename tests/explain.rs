//! Class-activation maps compared with PyTorch, and their place in a photo.

mod common;

use std::{collections::BTreeMap, fs};

use common::{F32_BOUND, compare, device, golden_dir, rows};
use image::{DynamicImage, RgbImage};
use residua::{
    Classifier, Explanation,
    checkpoint::Synthetic,
    executor::{
        gpu::{Executor, plan::Options},
        reference,
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};
use serde::Deserialize;

/// Maps of some classes for the first golden image, from `tests/golden/make_cam.py`.
#[derive(Deserialize)]
struct Cam {
    classes: Vec<usize>,
    maps: Vec<Vec<f32>>,
}

/// The golden network `name` up to its head, its input, and PyTorch's maps.
fn golden(name: &str) -> (Network, Tensor, Cam) {
    let text = fs::read_to_string(golden_dir().join("cam.json")).unwrap();
    let cam = serde_json::from_str::<BTreeMap<String, Cam>>(&text).unwrap().remove(name).unwrap();
    let row = rows().remove(name).unwrap();
    let weights = Synthetic { salt: row.salt.clone(), damped: row.damped.clone(), damp: row.damp };
    let graph = Architecture::by_name(name).unwrap().graph();
    let checkpoint = weights.checkpoint(name, &graph.tensors()).unwrap();
    let [_, c, h, w] = row.input;
    let input = Tensor::new(Shape::new(1, c, h, w), weights.input([1, c, h, w]));
    (Network::new(graph.class_maps().unwrap(), checkpoint), input, cam)
}

fn check(name: &str, maps: &Tensor, cam: &Cam) {
    let pixels = maps.shape.pixels();
    for (class, want) in cam.classes.iter().zip(&cam.maps) {
        let got = &maps.data[class * pixels..][..pixels];
        compare(got, want, F32_BOUND).unwrap_or_else(|error| panic!("{name}, class {class}: {error}"));
    }
}

#[test]
fn maps_are_those_of_pytorch_on_the_gpu() {
    let device = device();
    for name in ["cifar_resnet20a", "resnet18", "resnext50_32x4d", "densenet121"] {
        let (network, input, cam) = golden(name);
        let executor = Executor::new(device.clone(), network, Options::new(StorageType::F32));
        check(name, &pollster::block_on(executor.run(&input)).unwrap(), &cam);
    }
}

#[test]
fn maps_are_those_of_pytorch_on_the_reference_path() {
    let (network, input, cam) = golden("cifar_resnet20a");
    check("cifar_resnet20a", &reference::logits(network.graph(), network.checkpoint(), &input).unwrap(), &cam);
}

fn photo(width: u32, height: u32) -> DynamicImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 3 % 256) as u8, (y * 5 % 256) as u8, (x ^ y) as u8]))
        .into()
}

fn mean(explanation: &Explanation) -> f32 {
    explanation.map.iter().sum::<f32>() / explanation.map.len() as f32
}

#[test]
fn a_map_averages_to_the_logit_that_classify_gives() {
    for device in [&*common::adapter(), "cpu", "reference"] {
        let classifier = Classifier::builder().device(device).open().unwrap();
        let photo = photo(80, 60);
        let prediction = classifier.infer(&photo).unwrap();
        let input = classifier.model().preprocess.normalise(&[classifier.preprocess(&photo).unwrap()]).unwrap();
        let logits = classifier.logits(&input).unwrap();
        let best = classifier.explain(&photo, None).unwrap();
        assert_eq!(best.class.label, prediction.top(1)[0].label);
        for class in 0..10 {
            let explanation = classifier.explain(&photo, Some(class)).unwrap();
            assert_eq!((explanation.class.index, explanation.rows, explanation.columns), (class, 8, 8));
            // Both sides are means of 64 f32 sums, in another order: allow several rounding errors of the largest
            // logit.
            let largest = logits.data.iter().fold(0.0_f32, |max, l| max.max(l.abs()));
            assert!(
                (mean(&explanation) + explanation.bias - logits.data[class]).abs() < 1e-5 * largest,
                "{explanation:?}"
            );
            assert!((explanation.class.score - prediction.scores[class]).abs() < 1e-5);
        }
        assert_eq!(classifier.explain(&photo, Some(10)).unwrap_err().code(), "config.value");
    }
}

#[test]
fn the_region_is_what_resize_and_crop_leave_of_the_photo() {
    let region = |classifier: &Classifier, width, height| {
        let region = classifier.explain(&photo(width, height), None).unwrap().region;
        [region.left, region.top, region.width, region.height]
    };
    let open = || Classifier::builder().device("cpu");
    // The builtin network squashes the whole photo.
    assert_eq!(region(&open().open().unwrap(), 90, 60), [0.0, 0.0, 90.0, 60.0]);
    // Shorter side to 40, centre 32: margins of 4 rows and 14 columns of a photo of 60 by 40, which is 1.5 times as large.
    let cropping = open().resize(40).crop(32).open().unwrap();
    assert_eq!(region(&cropping, 90, 60), [21.0, 6.0, 48.0, 48.0]);
    // A crop larger than the image has a border, half of it before the image.
    let padding = open().resize(16).crop(32).open().unwrap();
    assert_eq!(region(&padding, 32, 64), [-16.0, 0.0, 64.0, 64.0]);
}

#[test]
fn the_peak_follows_what_is_in_the_photo() {
    let classifier = Classifier::builder().device("cpu").open().unwrap();
    let ship = image::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images/ship.png")).unwrap();
    let (x, y) = classifier.explain(&ship, None).unwrap().peak();
    assert!((80.0..560.0).contains(&x) && (120.0..340.0).contains(&y), "{x}, {y} is off the ship");
    let (mirrored, _) = classifier.explain(&ship.fliph(), None).unwrap().peak();
    assert!((mirrored - (640.0 - x)).abs() <= 80.0, "mirrored, the peak moves from {x} to {mirrored}");
}
