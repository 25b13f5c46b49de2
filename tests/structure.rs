//! Properties that tensors do not show: compares networks that differ only in them with PyTorch. A structure or a
//! configuration states each property.

mod common;

use std::fs;

use common::{F32_BOUND, compare, device, golden_dir};
use residua::{
    Classifier, Error, Structure,
    check::verify::Coverage,
    checkpoint::{Checkpoint, ModelConfig, Synthetic},
    executor::{
        gpu::{Executor, plan::Options},
        reference,
    },
    graph::Graph,
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};
use serde::Deserialize;

/// The file that tests/golden/make_structure.py writes.
#[derive(Deserialize)]
struct Golden {
    salt: String,
    damp: f64,
    /// Names and shapes of tensors.
    bases: Vec<Vec<(String, Vec<usize>)>>,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    name: String,
    structure: String,
    config: Option<serde_json::Value>,
    /// Whether the spelling of the tensors implies the structure.
    implied: bool,
    base: usize,
    damped: Option<String>,
    input: [usize; 4],
    logits: Vec<Vec<f32>>,
}

impl Golden {
    fn load() -> Self {
        serde_json::from_str(&fs::read_to_string(golden_dir().join("structure.json")).unwrap()).unwrap()
    }

    fn row(&self, name: &str) -> &Row {
        self.rows.iter().find(|row| row.name == name).unwrap()
    }

    fn synthetic(&self, row: &Row) -> Synthetic {
        Synthetic { salt: self.salt.clone(), damped: row.damped.clone(), damp: self.damp }
    }

    fn checkpoint(&self, row: &Row) -> Checkpoint {
        self.synthetic(row).checkpoint(&row.name, &self.bases[row.base]).unwrap()
    }

    fn input(&self, row: &Row) -> Tensor {
        let [n, c, h, w] = row.input;
        Tensor::new(Shape::new(n, c, h, w), self.synthetic(row).input(row.input))
    }
}

impl Row {
    /// The structure that the option states; empty for empty text.
    fn stated(&self) -> Structure {
        if self.structure.is_empty() { Structure::default() } else { self.structure.parse().unwrap() }
    }

    fn graph(&self, checkpoint: &Checkpoint) -> Graph {
        detect(checkpoint, &self.stated(), &Structure::default())
            .unwrap_or_else(|e| panic!("{}: {e}", self.name))
            .graph()
    }

    fn check(&self, got: &Tensor) {
        compare(&got.data, &self.logits.concat(), F32_BOUND).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }
}

fn detect(checkpoint: &Checkpoint, asked: &Structure, configured: &Structure) -> residua::Result<Architecture> {
    let (architecture, extra) = Architecture::detect_stated("test", checkpoint.shapes(), asked, configured)?;
    assert!(extra.is_empty(), "{extra:?}");
    Ok(architecture)
}

#[test]
fn every_property_gives_pytorchs_logits_on_the_reference() {
    let golden = Golden::load();
    for row in &golden.rows {
        let checkpoint = golden.checkpoint(row);
        row.check(&reference::logits(&row.graph(&checkpoint), &checkpoint, &golden.input(row)).unwrap());
    }
}

#[test]
fn every_property_gives_pytorchs_logits_on_the_device() {
    let (golden, device) = (Golden::load(), device());
    for row in &golden.rows {
        let checkpoint = golden.checkpoint(row);
        let network = Network::new(row.graph(&checkpoint), checkpoint);
        let executor = Executor::new(device.clone(), network, Options::new(StorageType::F32));
        row.check(&pollster::block_on(executor.run(&golden.input(row))).unwrap());
    }
}

#[test]
fn a_configuration_states_the_same_as_the_option() {
    let golden = Golden::load();
    let configured = golden.rows.iter().filter_map(|row| Some((row, row.config.as_ref()?.to_string())));
    assert!(configured.clone().count() > 20);
    for (row, config) in configured {
        let checkpoint = golden.checkpoint(row);
        let stated = ModelConfig::from_json("config.json", &config, None).unwrap().structure;
        let architecture = detect(&checkpoint, &Structure::default(), &stated).unwrap();
        assert_eq!(architecture.graph(), row.graph(&checkpoint), "{}", row.name);
        assert!(row.structure.is_empty() || !architecture.unseen(|_| None).iter().all(|p| p.usual), "{}", row.name);
    }
}

#[test]
fn the_spellings_of_repositories_imply_their_structure() {
    let golden = Golden::load();
    let implied = golden.rows.iter().filter(|row| row.implied);
    assert!(implied.clone().count() > 15 && implied.clone().any(|row| !row.structure.is_empty()));
    for row in implied {
        let opened = Classifier::builder().checkpoint(golden.checkpoint(row), None).device("cpu").open();
        let classifier = opened.unwrap_or_else(|e| panic!("{}: {e}", row.name));
        row.check(&classifier.logits(&golden.input(row)).unwrap());
    }
}

/// detectron2's names, for a network whose 1x1 convolutions stride.
#[test]
fn detectron2_has_to_state_which_convolution_strides() {
    let golden = Golden::load();
    let row = golden.row("stride in 1x1");
    let renamed = |name: &str| {
        let mut parts: Vec<String> = name.split('.').map(Into::into).collect();
        for part in &mut parts {
            if let Some(number) = part.strip_prefix("bn") {
                *part = format!("conv{number}.norm");
            }
        }
        if let Some(stage) = parts[0].strip_prefix("layer") {
            parts[0] = format!("res{}", stage.parse::<u32>().unwrap() + 1);
        } else if parts[0].starts_with("conv1") {
            parts[0] = format!("stem.{}", parts[0]);
        }
        let name = format!("backbone.{}", parts.join("."));
        name.replace("downsample.0", "shortcut")
            .replace("downsample.1", "shortcut.norm")
            .replace("backbone.fc", "linear")
    };
    let file: Vec<_> = golden.bases[row.base]
        .iter()
        .map(|(name, shape)| (renamed(name), shape.clone(), golden.synthetic(row).tensor(name, shape)))
        .collect();
    assert!(file.iter().any(|(name, ..)| name == "backbone.res2.0.conv1.norm.weight"));
    let checkpoint = Checkpoint::from_bytes("test", common::safetensors(&file)).unwrap();
    let builder = || Classifier::builder().checkpoint(checkpoint.clone(), None).device("cpu");
    let error = builder().open().unwrap_err();
    assert_eq!(error.code(), "config.value");
    assert!(error.to_string().contains("stride-in=1x1"), "{error}");
    let classifier = builder().structure(row.stated()).open().unwrap();
    row.check(&classifier.logits(&golden.input(row)).unwrap());
}

/// Logits distinguish each row's network from the usual one, except where both compute the same.
#[test]
fn without_being_told_the_logits_are_others() {
    let golden = Golden::load();
    for row in golden.rows.iter().filter(|row| !row.structure.is_empty() && row.name != "global catavgmax") {
        let checkpoint = golden.checkpoint(row);
        let usual = detect(&checkpoint, &Structure::default(), &Structure::default()).unwrap();
        let logits = reference::logits(&usual.graph(), &checkpoint, &golden.input(row)).unwrap();
        assert!(compare(&logits.data, &row.logits.concat(), F32_BOUND).is_err(), "{}", row.name);
    }
}

#[test]
fn the_option_wins_over_the_configuration_and_that_over_what_is_usual() {
    let golden = Golden::load();
    let checkpoint = golden.checkpoint(golden.row("usual"));
    let config = |text: &str| ModelConfig::from_json("a/config.json", text, None).unwrap();
    let silu = config(r#"{"model_args": {"act_layer": "silu", "global_pool": "max"}}"#);
    let open = |asked: &str| {
        let mut builder = Classifier::builder().checkpoint(checkpoint.clone(), Some(silu.clone())).device("cpu");
        if !asked.is_empty() {
            builder = builder.structure(asked.parse().unwrap());
        }
        let classifier = builder.open().unwrap();
        let told = classifier.model().structure.iter().map(|p| (p.key, p.value.clone(), p.stated_in.clone()));
        told.collect::<Vec<_>>()
    };
    let all = open("activation=elu:0.5,stem-pool=none");
    let row = |key: &str, value: &str, place: Option<&str>| {
        let row = all.iter().find(|(known, ..)| *known == key).unwrap();
        assert_eq!((row.1.as_str(), row.2.as_deref()), (value, place), "{key}");
    };
    row("activation", "elu:0.5", Some("option"));
    row("block-activation", "elu:0.5", Some("option"));
    row("stem-pool", "none", Some("option"));
    row("global-pool", "max", Some("a/config.json"));
    row("norm-eps", "1e-5", None);
    row("dilation", "none", None);
    assert!(all.iter().all(|(key, ..)| *key != "stride-in"), "it has no bottlenecks");
    assert!(open("").iter().any(|row| row.1 == "silu" && row.2.as_deref() == Some("a/config.json")));
}

/// The key that the error names, and the place where it is stated.
fn refused(checkpoint: &Checkpoint, asked: &Structure, configured: &Structure) -> (String, String) {
    match detect(checkpoint, asked, configured) {
        Err(Error::ConfigValue { field, place, .. }) => (field, place),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_contradicts_the_tensors_is_an_error() {
    let golden = Golden::load();
    let none = Structure::default();
    let asked = |row: &str, text: &str| refused(&golden.checkpoint(golden.row(row)), &text.parse().unwrap(), &none).0;
    assert_eq!(asked("usual", "stride-in=1x1"), "stride-in");
    assert_eq!(asked("usual", "dilation=layer5"), "dilation");
    assert_eq!(asked("usual", "dilation=layer1"), "dilation");
    assert_eq!(asked("usual", "global-pool=none"), "global-pool");
    assert_eq!(asked("deep stem", "output-stride=16"), "dilation");
    assert_eq!(asked("densenet", "layer1-stride=2"), "layer1-stride");
    assert_eq!(asked("densenet", "output-stride=8"), "dilation");
    let config = |text: &str| ModelConfig::from_json("config.json", text, None).unwrap().structure;
    let usual = golden.checkpoint(golden.row("usual"));
    let densenet = golden.checkpoint(golden.row("densenet"));
    let place = "config.json".to_string();
    assert_eq!(refused(&usual, &none, &config(r#"{"global_pool": ""}"#)), ("global-pool".into(), place.clone()));
    let dilated = config(r#"{"model_args": {"output_stride": 8}}"#);
    assert_eq!(refused(&densenet, &none, &dilated), ("dilation".into(), place));
    // A valid option in its place is accepted.
    assert!(detect(&usual, &"global-pool=max".parse().unwrap(), &config(r#"{"global_pool": ""}"#)).is_ok());
    // A configuration may name every function that its library knows.
    assert!(detect(&usual, &none, &config(r#"{"model_type": "resnet", "downsample_in_bottleneck": true}"#)).is_ok());
    // Twice and half as many features as the head reads.
    let both: Structure = "global-pool=catavgmax".parse().unwrap();
    let other = golden.checkpoint(golden.row("global catavgmax"));
    for (checkpoint, stated) in [(&usual, &both), (&other, &none)] {
        assert_eq!(detect(checkpoint, stated, &none).unwrap_err().code(), "model.shape");
    }
}

#[test]
fn an_unknown_key_or_value_lists_the_known_ones() {
    let error = |text: &str| text.parse::<Structure>().unwrap_err().to_string();
    for text in ["stem-pools=max", "", "max", "=", "stem_pool=max"] {
        assert!(error(text).contains("stem-pool, stem-stride, layer1-stride, stride-in, dilation"), "{}", error(text));
    }
    for (text, known) in [
        ("stem-pool=avg", "max or none"),
        ("stem-pool", "max or none"),
        ("stem-stride=0", "1, 2"),
        ("stride-in=2x2", "1x1 or 3x3"),
        ("dilation=3", "layer3+layer4"),
        ("output-stride=4", "8, 16 or 32"),
        ("global-pool=", "catavgmax"),
        ("global-pool=faster", "catavgmax"),
        ("norm-eps=0", "1e-12"),
        ("norm-eps=NaN", "1e-12"),
        ("activation=prelu", "hard_swish"),
        ("activation=relu:0.1", "hard_swish"),
        ("activation=leaky_relu:inf", "hard_swish"),
        ("activation=celu:0", "hard_swish"),
        ("stem-pool=max,stem-pool=max", "twice"),
        ("dilation=none,output-stride=8", "twice"),
    ] {
        assert!(error(text).contains(known), "{}", error(text));
    }
}

#[test]
fn what_is_told_parses_again() {
    let golden = Golden::load();
    for row in &golden.rows {
        let checkpoint = golden.checkpoint(row);
        let none = Structure::default();
        let architecture = detect(&checkpoint, &row.stated(), &none).unwrap();
        let told: Vec<String> =
            architecture.unseen(|_| None).iter().map(|p| format!("{}={}", p.key, p.value)).collect();
        assert_eq!(detect(&checkpoint, &told.join(",").parse().unwrap(), &none).unwrap(), architecture, "{}", row.name);
    }
}

#[test]
fn a_note_says_which_of_two_common_readings_was_taken() {
    let golden = Golden::load();
    let notes = |row: &str, structure: &str, config: &str| {
        let config = ModelConfig::from_json("config.json", config, None).unwrap();
        let mut builder =
            Classifier::builder().checkpoint(golden.checkpoint(golden.row(row)), Some(config)).device("cpu");
        if !structure.is_empty() {
            builder = builder.structure(structure.parse().unwrap());
        }
        builder.open().unwrap().notes().iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    let small = "stem 3x3/1 and pooling";
    let note = notes(small, "", "{}");
    assert!(note.contains("stem-pool=none") && note.contains("stem-pool=max"), "{note}");
    assert!(notes(small, "stem-stride=2", "{}").contains("stem-pool"));
    assert_eq!(notes(small, "stem-pool=none", "{}"), "");
    assert_eq!(notes(small, "stem-pool=max", "{}"), "");
    assert_eq!(notes(small, "", r#"{"architecture": "cifar_resnet12"}"#), "");
    assert_eq!(notes("usual", "", "{}"), "", "the 7x7 stem of ImageNet has its pooling");
    assert!(Classifier::builder().device("cpu").open().unwrap().notes().is_empty(), "builtin");
}

/// timm's `num_features` is the number of channels of the last map, however many pooled features the head reads.
#[test]
fn a_concatenated_pooling_agrees_with_the_channels_that_its_configuration_names() {
    let golden = Golden::load();
    let checkpoint = golden.checkpoint(golden.row("global catavgmax"));
    let channels = checkpoint.shapes()["fc.weight"][1] / 2;
    let open = |channels: usize| {
        let text = format!(r#"{{"global_pool": "catavgmax", "num_features": {channels}}}"#);
        let config = ModelConfig::from_json("config.json", &text, None).unwrap();
        Classifier::builder().checkpoint(checkpoint.clone(), Some(config)).device("cpu").open().map(drop)
    };
    assert_eq!(open(channels), Ok(()));
    assert_eq!(open(2 * channels).unwrap_err().code(), "config.value");
}

#[test]
fn heat_maps_are_refused_where_the_head_does_not_read_means() {
    let golden = Golden::load();
    let row = golden.row("global avgmax");
    let open = |structure: &str| {
        let builder = Classifier::builder().checkpoint(golden.checkpoint(row), None).device("cpu").crop(64);
        builder.structure(structure.parse().unwrap()).open().unwrap()
    };
    let photo = image::DynamicImage::new_rgb8(64, 64);
    assert_eq!(open("global-pool=avgmax").explain(&photo, None).unwrap_err().code(), "graph.no_class_maps");
    let usual = open("activation=silu");
    let explanation = usual.explain(&photo, None).unwrap();
    let mean = explanation.map.iter().sum::<f32>() / explanation.map.len() as f32;
    assert!((mean + explanation.bias - explanation.logit).abs() < 1e-4 * explanation.logit.abs().max(1.0));
}

#[test]
fn every_kernel_is_verified_on_these_networks() {
    let golden = Golden::load();
    for (row, crop) in
        [("dilation in groups", 40), ("output stride 8", 40), ("activation gelu", 33), ("global catavgmax", 33)]
    {
        let row = golden.row(row);
        let builder = Classifier::builder()
            .device(&common::adapter())
            .checkpoint(golden.checkpoint(row), None)
            .crop(crop)
            .structure(row.stated());
        let verified = builder.open().unwrap().verify(2, Coverage::Every).unwrap();
        assert!(
            verified.ok,
            "{}: {:?}",
            row.name,
            verified.layers.iter().filter(|layer| !layer.ok).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_property_that_the_spelling_implies_has_it_as_its_source() {
    let golden = Golden::load();
    let config = ModelConfig::from_json("a/config.json", r#"{"model_args": {"act_layer": "silu"}}"#, None).unwrap();
    let checkpoint = golden.checkpoint(golden.row("densenet of kuangliu"));
    let classifier = Classifier::builder().checkpoint(checkpoint, Some(config)).device("cpu").open().unwrap();
    let source = |key: &str| classifier.model().structure.iter().find(|p| p.key == key).unwrap().stated_in.as_deref();
    assert_eq!(source("dense-order"), Some("the spelling of its tensors"));
    assert_eq!(source("activation"), Some("a/config.json"));
    assert_eq!(source("norm-eps"), None);
}
