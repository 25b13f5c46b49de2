//! Features of images: what they are, and how they are written.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use residua::{
    Classifier,
    checkpoint::{Checkpoint, Synthetic},
    models::Architecture,
};
use serde_json::Value;

fn residua(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_residua")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An image in which no two pixels of a row are alike.
fn photo(seed: u32, width: u32, height: u32) -> image::DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + seed * 31) as u8, (y * 5 + seed) as u8, (x * seed + y) as u8]);
    image::RgbImage::from_fn(width, height, pixel).into()
}

/// Saves made-up weights of `resnet20` without or with its head.
fn save(path: &Path, head: bool) -> Vec<(String, Vec<usize>)> {
    let weights = Synthetic { salt: "embeddings".into(), damped: Some("bn2.weight".into()), damp: 0.25 };
    let mut tensors = Architecture::by_name("cifar_resnet20a").unwrap().graph().tensors();
    tensors.retain(|(name, _)| head || !name.starts_with("linear"));
    let bytes = tensors.iter().map(|(name, shape)| bytemuck::pod_collect_to_vec(&weights.tensor(name, shape)));
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
    tensors
}

#[test]
fn features_are_what_the_head_reads() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, headless) = (folder.path().join("whole.safetensors"), folder.path().join("headless.safetensors"));
    save(&whole, true);
    save(&headless, false);
    let open = |path: &Path, device: &str| {
        Classifier::builder().model(path.to_str().unwrap()).device(device).open().unwrap_or_else(|e| panic!("{e}"))
    };
    let images = [photo(1, 60, 40), photo(2, 30, 50), photo(3, 32, 32)];
    let checkpoint = Checkpoint::open(&whole).unwrap();
    let (weight, bias) = (checkpoint.tensor("linear.weight", &[10, 64]), checkpoint.tensor("linear.bias", &[10]));
    let (weight, bias) = (weight.unwrap(), bias.unwrap());
    for device in ["auto", "cpu"] {
        let classifier = open(&whole, device);
        assert_eq!(classifier.model().features, 64);
        let batch = classifier.embed_batch(&images).unwrap();
        for image in &images {
            let features = &classifier.embed(image).unwrap();
            let input = classifier.model().preprocess.normalise(&[classifier.preprocess(image).unwrap()]).unwrap();
            let logits = classifier.logits(&input).unwrap();
            for (class, (row, bias)) in weight.chunks(64).zip(bias.iter()).enumerate() {
                let terms = || row.iter().zip(features).map(|(w, x)| f64::from(w * x));
                // Sums of 64 products in f32: half a unit in the last place for each step, of the sum of magnitudes at most.
                let bound =
                    65.0 * f64::from(f32::EPSILON) * (terms().map(f64::abs).sum::<f64>() + f64::from(bias.abs()));
                let expected = terms().sum::<f64>() + f64::from(*bias);
                let got = f64::from(logits.data[class]);
                assert!((got - expected).abs() <= bound, "{device}: {got} and {expected}, bound {bound}");
            }
        }
        assert!(batch[0] != batch[1] && batch.iter().all(|features| features.iter().any(|&x| x > 0.0)));
        let alone = open(&headless, device);
        assert_eq!(alone.embed_batch(&images).unwrap(), batch, "{device}");
        assert_eq!(alone.embed_batch(&[]).unwrap(), Vec::<Vec<f32>>::new());
        let refused = alone.infer(&images[0]).unwrap_err();
        assert_eq!((alone.model().classes, refused.code()), (0, "model.no_classifier"));
    }
}

#[test]
fn json_lines_and_numpy_arrays_hold_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
    for (i, name) in ["a.png", "c.png"].iter().enumerate() {
        photo(i as u32 + 1, 40, 40).save(path(name)).unwrap();
    }
    fs::write(path("b.png"), "no image").unwrap();
    let options = ["embed", "--device", "cpu", "-r"];
    let output = residua(&[&options[..], &[&path("")]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let records: Vec<Value> =
        String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let keys: Vec<&String> = records[0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["embedding", "model", "path"]);
    assert_eq!(records[1]["error"]["code"], "image.decode", "{}", records[1]);

    let array = path("out.npy");
    let output = residua(&[&options[..], &["--format", "npy", "-o", &array, &path("")]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let bytes = fs::read(&array).unwrap();
    let output = residua(&[&options[..], &["--format", "npy", &path("")]].concat());
    assert_eq!(output.stdout, bytes, "through a pipe");
    // The header of numpy.lib.format, version 1.0.
    assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
    let header = String::from_utf8(bytes[10..128].to_vec()).unwrap();
    assert_eq!(header.trim_end(), "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 64), }");
    assert!(header.ends_with('\n'));
    let values: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes[128..]);
    assert_eq!(values.len(), 3 * 64);
    for (row, record) in values.chunks(64).zip(&records) {
        match record["embedding"].as_array() {
            Some(embedding) => {
                assert!(row.iter().zip(embedding).all(|(x, json)| json.as_f64().unwrap() as f32 == *x), "{row:?}");
            }
            None => assert!(row.iter().all(|x| x.is_nan()), "the row of an image that failed"),
        }
    }
    let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names.len(), 4, "nothing is left over: {names:?}");
}
