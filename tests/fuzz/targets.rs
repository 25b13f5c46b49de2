//! The fuzz targets: `fuzz/` runs them with endless inputs, `main.rs` with the inputs kept. A panic or a failed assertion is a
//! finding.

use std::{collections::HashMap, fs, path::Path};

use residua::{
    Classifier, Error, Result, cache,
    check::verify::Fault,
    checkpoint::{Checkpoint, ModelConfig, shard_files},
    executor::gpu::{
        kernels::Caps,
        plan::{self, Operand, Options, Plan, Table},
    },
    image::{DecodeOptions, Preprocess, decode},
    labels::Labels,
    search::index,
    tensor::StorageType,
};

use crate::generated::Generated;

/// A target: its name, which is also the name of its folder of inputs, and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// All targets.
pub(crate) const TARGETS: [Target; 7] = [
    ("checkpoint", checkpoint),
    ("network", network),
    ("image", image),
    ("cache", cache_file),
    ("index", index_file),
    ("text", text),
    ("pickle", pickle),
];

/// Runs the target with this name.
pub(crate) fn run(name: &str, data: &[u8]) {
    let (_, target) = TARGETS.iter().find(|(target, _)| *target == name).expect("a target");
    target(data);
}

/// Largest network to run, in multiply-accumulates.
const MACS: u64 = 1 << 20;

/// `config.json`, NUL, `preprocessor_config.json`, NUL, a safetensors file; each of the texts may be empty.
fn checkpoint(data: &[u8]) {
    let mut parts = data.splitn(3, |byte| *byte == 0);
    let (Some(config), Some(preprocessor), Some(file)) = (parts.next(), parts.next(), parts.next()) else { return };
    let _ = configured(config, preprocessor).and_then(|config| load(file.to_vec(), config));
}

/// A checkpoint as `torch.save` writes it. It must be a file, because its tensors are read from any position.
fn pickle(data: &[u8]) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), data).expect("what was fuzzed");
    let Ok(checkpoint) = Checkpoint::open(file.path()) else { return };
    let held = checkpoint.shapes().values().map(|shape| shape.iter().product::<usize>()).sum::<usize>();
    assert!(held <= 4 * data.len() + 64 * checkpoint.shapes().len(), "{held} values of {}", data.len());
    for (name, shape) in checkpoint.shapes() {
        let _ = checkpoint.tensor(name, shape);
    }
}

fn configured(config: &[u8], preprocessor: &[u8]) -> Result<Option<ModelConfig>> {
    let [config, preprocessor] = [config, preprocessor].map(String::from_utf8_lossy);
    if config.is_empty() {
        return Ok(None);
    }
    ModelConfig::from_json("config.json", &config, (!preprocessor.is_empty()).then_some(&*preprocessor)).map(Some)
}

/// The checkpoint of a generated network, intact or damaged.
fn network(data: &[u8]) {
    let Some(generated) = Generated::read(data) else { return };
    let whole = generated.is_whole();
    let outcome = load(generated.file(), None);
    if whole {
        outcome.unwrap_or_else(|error| panic!("an intact network is refused: {error}"));
    }
}

/// From the bytes of a file to packed weights, and to scores if that is cheap.
fn load(file: Vec<u8>, config: Option<ModelConfig>) -> Result<()> {
    let checkpoint = Checkpoint::from_bytes("fuzzed", file)?;
    let classifier = Classifier::builder().checkpoint(checkpoint, config).device("cpu").open()?;
    let (network, shape) = (classifier.network(), classifier.input_shape(1));
    let least = Caps::least();
    let most = Caps {
        device: "most".into(),
        f16: true,
        subgroup: Some(32),
        cooperative: true,
        workgroup_bytes: 64 << 10,
        max_binding_bytes: 1 << 40,
        ..Caps::least()
    };
    let mut packed = Vec::new();
    for (stored, caps) in [(StorageType::F32, least), (StorageType::F16, most)] {
        let plan = Plan::new(network, shape, &[network.graph().output()], &Options::new(stored), &caps)?;
        for operand in plan.steps.iter().flat_map(|step| &step.operands) {
            if let Operand::Weights(id) = operand {
                plan::pack(network, *id, &mut packed)?;
            }
        }
    }
    if classifier.model().macs < MACS {
        let pixels = classifier.preprocess(&image::DynamicImage::new_rgb8(3, 2))?;
        match classifier.predict(&[pixels]) {
            Ok(predictions) => assert!(predictions[0].scores.iter().all(|score| score.is_finite())),
            Err(Error::NotFinite { .. } | Error::NoClassifier { .. }) => {}
            Err(error) => panic!("an opened network fails: {error}"),
        }
    }
    Ok(())
}

/// An image file.
fn image(data: &[u8]) {
    let mut options = DecodeOptions::default();
    options.max_pixels = 1 << 18;
    options.allow_truncated = data.len() % 2 == 1;
    options.strict = data.len() % 3 == 1;
    match decode(data, &options) {
        Ok(decoded) => {
            assert!(!options.strict || decoded.damage.is_none() && !decoded.truncated, "{:?}", decoded.damage);
            let (width, height) = (decoded.image.width(), decoded.image.height());
            assert!(u64::from(width) * u64::from(height) <= options.max_pixels, "{width}x{height}");
            for preprocess in [Preprocess::torchvision(), Preprocess::square(32, [0.5; 3], [0.5; 3])] {
                let pixels = preprocess.pixels(&decoded.image).expect("a decoded image has pixels");
                assert!(preprocess.normalise(&[pixels]).expect("its own pixels").data.iter().all(|v| v.is_finite()));
            }
        }
        Err(error) => assert!(error.code().starts_with("image."), "{error:?}"),
    }
}

/// A cache file, kernel times, and the faults that `verify` found.
fn cache_file(data: &[u8]) {
    let table = |text: &str| Table::parse(text);
    if let Some(read) = str::from_utf8(data).ok().and_then(table)
        && let Some(again) = table(&read.text())
    {
        assert_eq!(again.timings().len(), read.timings().len());
        assert!(read.timings().iter().all(|timing| read.get(&timing.case).is_some()));
    }
    if let Some(contents) = cache::contents(data, "key") {
        assert!(contents.len() < data.len());
    }
    let Ok(faults) = serde_json::from_slice::<Vec<Fault>>(data) else { return };
    let written = serde_json::to_vec(&faults).expect("values that were read can be written");
    assert_eq!(serde_json::from_slice::<Vec<Fault>>(&written).expect("and can be read again"), faults);
}

/// The index file of a search.
fn index_file(data: &[u8]) {
    let source = HashMap::from([("format".to_string(), "residua index 1".to_string())]);
    let Ok(images) = index::read("index", data, &source) else { return };
    let columns = images.first().map_or(1, |image| image.features.len());
    let written = index::write(&images, columns, &source).expect("values that were read can be written");
    let again = index::read("index", &written, &source).expect("and can be read again");
    // NaN is not equal to itself.
    let bits = |images: &[index::Indexed]| -> Vec<(Vec<u8>, [i64; 2], Vec<u32>)> {
        let numbers = |features: &[f32]| features.iter().map(|feature| feature.to_bits()).collect();
        images.iter().map(|image| (image.path.clone(), [image.size, image.mtime], numbers(&image.features))).collect()
    };
    assert_eq!(bits(&again), bits(&images));
}

/// Texts from users: class names, configurations, model names.
fn text(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(labels) = Labels::parse("labels", &text) {
        assert!(labels.len() <= 1 << 20 || labels.len() <= data.len(), "{} labels", labels.len());
        assert!(!labels.name(labels.len()).is_empty());
    }
    for preprocessor in [None, Some(&*text)] {
        let config = if preprocessor.is_some() { "{}" } else { &*text };
        if let Ok(ModelConfig { preprocess: Some(stated), .. }) = ModelConfig::from_json("test", config, preprocessor) {
            for framing in [Some(stated.framing), stated.test_framing].into_iter().flatten() {
                assert!((1..=2048).contains(&framing.height) && (1..=2048).contains(&framing.width), "{framing:?}");
            }
            assert!(stated.std.iter().all(|std| *std > 0.0), "{stated:?}");
        }
    }
    if let Ok(files) = shard_files("model.safetensors.index.json", &text) {
        let plain = |file: &String| Path::new(file).file_name().is_some_and(|name| name == file.as_str());
        assert!(!files.is_empty() && files.iter().all(plain), "{files:?}");
    }
    if let Some(id) = residua::hub::ModelId::parse(&text) {
        assert!(!id.repository().contains(".."), "{id}");
    }
}
