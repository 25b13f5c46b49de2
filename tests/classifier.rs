//! Calls that the library refuses, and embeddings.

mod common;

use std::{fs, path::Path};

use residua::{
    Classifier, Error, Labels,
    checkpoint::{Checkpoint, Synthetic},
    executor::reference,
    graph::{Conv2dParams, Graph, Op, Plain},
    image::{DecodeOptions, DynamicImage},
    models::Architecture,
    tensor::{Shape, Tensor},
};

fn on_each_path(test: impl Fn(&Classifier)) {
    for device in [&*common::adapter(), "cpu", "reference"] {
        test(&Classifier::builder().device(device).open().unwrap());
    }
}

#[test]
fn an_input_that_is_not_finite_is_refused_not_clamped_away() {
    on_each_path(|classifier| {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut input = Tensor::zeros(classifier.input_shape(1));
            input.data[1234] = value;
            assert_eq!(classifier.logits(&input).map_err(|error| error.code()), Err("config.value"), "{value}");
        }
    });
}

#[test]
fn an_input_that_is_not_of_its_shape_is_an_error() {
    on_each_path(|classifier| {
        let shape = classifier.input_shape(2);
        let short = Tensor { shape, data: vec![0.0; shape.elements() - 1] };
        assert_eq!(classifier.logits(&short).map_err(|error| error.code()), Err("graph.shape"));
        for shape in [Shape { n: 0, ..shape }, Shape { c: 4, ..shape }] {
            let input = Tensor::zeros(shape);
            assert_eq!(classifier.logits(&input).map_err(|error| error.code()), Err("graph.shape"), "{shape}");
        }
    });
}

/// An image in which no two pixels of a row are alike.
fn photo(seed: u32, width: u32, height: u32) -> image::DynamicImage {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + seed * 31) as u8, (y * 5 + seed) as u8, (x * seed + y) as u8]);
    image::RgbImage::from_fn(width, height, pixel).into()
}

/// Saves made-up weights of `resnet20` without or with its head.
fn save(path: &Path, head: bool) {
    let weights = Synthetic { salt: "embeddings".into(), damped: Some("bn2.weight".into()), damp: 0.25 };
    let mut tensors = Architecture::by_name("cifar_resnet20a").unwrap().graph().tensors();
    tensors.retain(|(name, _)| head || !name.starts_with("linear"));
    let bytes = tensors.iter().map(|(name, shape)| bytemuck::pod_collect_to_vec(&weights.tensor(name, shape)));
    let bytes: Vec<Vec<u8>> = bytes.collect();
    let views = tensors.iter().zip(&bytes).map(|((name, shape), bytes)| {
        (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
    });
    fs::write(path, safetensors::serialize(views, None).unwrap()).unwrap();
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
    for device in [&*common::adapter(), "cpu", "reference"] {
        let classifier = open(&whole, device);
        assert_eq!(classifier.model().features, 64);
        let batch = classifier.embed_batch(&images).unwrap();
        for image in &images {
            let features = &classifier.embed(image).unwrap();
            let input = classifier.model().preprocess.normalise(&[classifier.preprocess(image).unwrap()]).unwrap();
            let logits = classifier.logits(&input).unwrap();
            for (class, (row, bias)) in weight.chunks(64).zip(bias.iter()).enumerate() {
                let terms = || row.iter().zip(features).map(|(w, x)| f64::from(w * x));
                // Bound for sums of 64 products in f32: for each step, half a unit in the last place of the sum of
                // magnitudes.
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

fn slices(of: &[Vec<f32>]) -> Vec<&[f32]> {
    of.iter().map(Vec::as_slice).collect()
}

#[test]
fn similarities_are_those_of_all_vectors_to_all_queries() {
    // More vectors than a workgroup has, more queries than a batch, a length that is not a multiple of four.
    let vectors = |salt: usize, count: usize| -> Vec<Vec<f32>> {
        (0..count).map(|i| (0..37).map(|j| ((i * 7 + j * 3 + salt) % 9) as f32 - 4.0).collect()).collect()
    };
    let (queries, vectors) = (vectors(1, 300), vectors(2, 1001));
    on_each_path(|classifier| {
        let mut seen = 0;
        for queries in [&queries[..], &queries[..1]] {
            let mut each = |part: residua::Similarities| {
                for (query, row) in queries[part.query..].iter().zip(&part.rows) {
                    for (vector, got) in vectors[part.vector..].iter().zip(row) {
                        let expected = residua::cosine(query, vector);
                        assert!((got - expected).abs() <= part.error && got.abs() <= 1.0, "{got}, {expected}");
                        seen += 1;
                    }
                }
                Ok::<_, residua::Error>(())
            };
            classifier.similarities(&slices(queries), &slices(&vectors), &mut each).unwrap();
        }
        assert_eq!(seen, 301 * 1001);
        let refused = classifier.similarities(&[&[0.0; 3]], &slices(&vectors), &mut |_| Ok::<_, residua::Error>(()));
        assert_eq!(refused.unwrap_err().code(), "graph.shape");
    });
}

#[test]
fn files_are_decoded_as_the_command_does_and_give_an_error_each() {
    let classifier = Classifier::builder().device("cpu").open().unwrap();
    let golden = |name: &str| format!("{}/tests/golden/formats/{name}", env!("CARGO_MANIFEST_DIR"));
    let (good, bad) = (golden("progressive.jpg"), golden("none.jpg"));
    let bytes = std::fs::read(&good).unwrap();
    let photo = residua::image::open(&good, &DecodeOptions::default()).unwrap().image;
    let (classes, features) = (classifier.infer(&photo).unwrap(), classifier.embed(&photo).unwrap());
    assert_eq!(classifier.infer_path(&good).unwrap(), classes);
    assert_eq!(classifier.infer_bytes(&bytes).unwrap(), classes);
    assert_eq!(classifier.embed_path(&good).unwrap(), features);
    assert_eq!(classifier.embed_bytes(&bytes).unwrap(), features);

    let paths = [bad.clone(), good.clone(), bad, good];
    let files = [&b"text"[..], &bytes, b"", &bytes];
    let codes = |results: [Option<&Error>; 4]| results.map(|error| error.map(Error::code));
    let by_path = classifier.infer_path_batch(&paths).unwrap();
    assert_eq!(codes(std::array::from_fn(|i| by_path[i].as_ref().err())), [Some("io"), None, Some("io"), None]);
    assert_eq!((by_path[1].as_ref().unwrap(), by_path[3].as_ref().unwrap()), (&classes, &classes));
    let decode = Some("image.decode");
    let by_bytes = classifier.embed_bytes_batch(&files).unwrap();
    assert_eq!(codes(std::array::from_fn(|i| by_bytes[i].as_ref().err())), [decode, None, decode, None]);
    assert_eq!((by_bytes[1].as_ref().unwrap(), by_bytes[3].as_ref().unwrap()), (&features, &features));
    assert_eq!(classifier.embed_path_batch(&paths).unwrap()[1].as_ref().unwrap(), &features);
    assert_eq!(classifier.infer_bytes_batch(&files).unwrap()[3].as_ref().unwrap(), &classes);
    assert!(classifier.infer_path_batch(&[] as &[&str]).unwrap().is_empty());
}

#[test]
fn settings_say_how_files_are_decoded() {
    let png = |image: &image::DynamicImage| {
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        bytes.into_inner()
    };
    let stored = png(&photo(5, 40, 30));
    let whole = stored.len() - 12;
    let cut = &stored[..whole];
    let opened = |options: DecodeOptions| Classifier::builder().device("cpu").decode(options).open().unwrap();
    let mut strict = DecodeOptions::default();
    strict.strict = true;
    assert!(opened(DecodeOptions::default()).infer_bytes(cut).is_ok());
    assert_eq!(opened(strict).infer_bytes(cut).unwrap_err().code(), "image.decode");
    let mut small = DecodeOptions::default();
    small.max_pixels = 1199;
    assert_eq!(opened(small).infer_bytes(&stored).unwrap_err().code(), "image.too_large");
}

#[test]
fn a_network_of_ones_own_takes_the_weights_that_its_graph_names() {
    let mut graph = Graph::new(3);
    let params = Conv2dParams { kernel: 3, padding: 1, ..Conv2dParams::pointwise(3, 8) };
    let convolution = Op::Conv2d { weight: "stem.weight".into(), bias: None, params };
    let x = graph.push("stem", convolution, &[graph.input()]);
    let mean = graph.push("mean", Plain::GlobalAvgPool, &[x]);
    graph.push("head", Plain::Linear { in_features: 8, out_features: 4 }.named("head"), &[mean]);
    let weights = Synthetic { salt: "own".into(), damped: None, damp: 1.0 };
    let checkpoint = weights.checkpoint("own", &graph.tensors()).unwrap();
    let own = || Classifier::builder().graph(graph.clone()).crop(16);

    let classifier = own().checkpoint(checkpoint.clone(), None).labels(Labels::new(vec!["a".into()])).open().unwrap();
    let model = classifier.model();
    assert_eq!((model.architecture.as_str(), model.classes, model.features), ("own network", 4, 8));
    let input = Tensor::new(Shape::new(2, 3, 16, 16), weights.input([2, 3, 16, 16]));
    let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
    common::compare(&classifier.logits(&input).unwrap().data, &expected.data, common::F32_BOUND).unwrap();
    let photo = DynamicImage::ImageRgb8(image::RgbImage::from_pixel(40, 30, image::Rgb([200, 30, 90])));
    let classes = classifier.infer(&photo).unwrap().top(4);
    assert!(classes.len() == 4 && classes.iter().any(|class| class.label == "a"), "{classes:?}");

    assert_eq!(own().open().unwrap_err().code(), "config.value");
    let few = weights.checkpoint("few", &graph.tensors()[..1]).unwrap();
    assert_eq!(own().checkpoint(few, None).open().unwrap_err().code(), "model.missing_tensor");
    let four = Classifier::builder().graph(Graph::new(4)).checkpoint(checkpoint, None).open().unwrap();
    assert_eq!(four.infer(&photo).unwrap_err().code(), "graph.shape", "photos do not have four channels");
}
