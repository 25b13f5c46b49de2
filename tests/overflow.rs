//! Numbers that overflow inside a network: the error names the layer.

mod common;

use std::{collections::HashMap, path::Path};

use common::in_time;
use image::DynamicImage;
use residua::{
    Classifier, Precision,
    executor::reference,
    tensor::{StorageType, Tensor},
};
use safetensors::{Dtype, tensor::TensorView};

/// `builtin` with the batch norms of one block scaled: all weights are finite, but the block's second convolution
/// overflows.
fn overflowing(path: &Path, factor: f32) {
    let builtin = Classifier::builder().device("cpu").open().unwrap();
    let checkpoint = builtin.network().checkpoint();
    let values: HashMap<&String, Vec<f32>> = checkpoint
        .shapes()
        .iter()
        .map(|(name, shape)| {
            let scaled = ["layer2.0.bn1.weight", "layer2.0.bn2.weight"].contains(&&**name);
            let factor = if scaled { factor } else { 1.0 };
            (name, checkpoint.tensor(name, shape).unwrap().iter().map(|value| factor * value).collect())
        })
        .collect();
    let view = |(name, shape): (&String, &Vec<usize>)| {
        (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(&values[name])).unwrap())
    };
    safetensors::serialize_to_file(checkpoint.shapes().iter().map(view), None, path).unwrap();
}

#[test]
fn numbers_that_overflow_name_their_layer() {
    in_time(|| {
        let folder = tempfile::tempdir().unwrap();
        let photo = DynamicImage::ImageRgb8(image::RgbImage::from_fn(32, 32, |x, y| {
            image::Rgb([x as u8 * 8, y as u8 * 8, 99])
        }));
        let adapter = common::adapter();
        let mut cases: Vec<(&str, _, _, _)> =
            [&*adapter, "cpu", "reference"].map(|device| (device, Precision::F32, 1e20, f32::MAX)).into();
        if common::precisions(&common::device(), "numbers that overflow").contains(&StorageType::F16) {
            cases.push((&adapter, Precision::F16, 300.0, 65504.0));
        }
        for (device, storage, factor, largest) in cases {
            let path = folder.path().join("overflowing.safetensors");
            overflowing(&path, factor);
            let model = path.to_str().unwrap();
            let classifier = Classifier::builder().model(model).device(device).precision(storage).open().unwrap();
            // The reference in f32 shows where the first value is that the storage type cannot hold.
            let network = classifier.network();
            let pixels = classifier.preprocess(&photo).unwrap();
            let normalised = classifier.model().preprocess.normalise(&[pixels]).unwrap();
            let values =
                reference::values(network.graph(), network.checkpoint(), &normalised, &network.values()).unwrap();
            let overflows = |value: &Tensor| value.data.iter().any(|x| x.is_nan() || x.abs() > largest);
            let first = &network.layers()[values.iter().position(overflows).unwrap()].name;
            assert_eq!(first, "layer2.0.conv2");
            for error in [classifier.infer(&photo).unwrap_err(), classifier.embed(&photo).unwrap_err()] {
                assert_eq!(error.code(), "gpu.not_finite");
                let text = error.to_string();
                assert!(text.contains(&format!("layer {first} is the first to make ")), "{device} {storage:?}: {text}");
                assert_eq!(text.contains("65504"), storage == Precision::F16, "{text}");
            }
        }
    });
}
