//! Configurations as timm and transformers write them, and bad ones.

use std::{collections::BTreeMap, fs, path::Path};

use residua::{
    Error,
    checkpoint::{Claims, ConfigFiles, Framing, ModelConfig, ProblemType, published},
    image::{CropRounding, Filter, Resize},
    structure::{Activation, Dilation, GlobalPool, StrideIn, Structure},
};

fn from_folder(folder: &Path) -> residua::Result<Option<ModelConfig>> {
    ConfigFiles::read(folder)?.map(|files| files.parse()).transpose()
}

fn hub(repository: &str) -> ModelConfig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hub").join(repository);
    from_folder(&folder).unwrap().unwrap()
}

fn square(side: usize, shorter: usize) -> Framing {
    Framing { height: side, width: side, resize: Resize::Shorter(shorter) }
}

/// The field that the error names.
fn refused(config: &str, preprocessor: Option<&str>) -> String {
    match ModelConfig::from_json("config.json", config, preprocessor) {
        Err(Error::ConfigValue { field, .. }) => field,
        other => panic!("{config} {preprocessor:?}: {other:?}"),
    }
}

#[test]
fn timm_configurations_of_the_hub() {
    let a1 = hub("timm--resnet50.a1_in1k");
    let pixels = a1.preprocess.unwrap();
    assert_eq!(a1.architecture.as_deref(), Some("resnet50"));
    assert_eq!(a1.license.as_deref(), Some("apache-2.0"));
    assert_eq!((a1.labels, a1.problem_type, a1.structure.stride_in), (None, None, None));
    assert_eq!((pixels.framing, pixels.test_framing), (square(224, 235), Some(square(288, 288))));
    assert_eq!((pixels.filter, pixels.rounding), (Filter::Bicubic, CropRounding::HalfEven));
    assert_eq!((pixels.mean, pixels.std), ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]));

    let tv = hub("timm--resnet50.tv_in1k").preprocess.unwrap();
    assert_eq!((tv.framing, tv.test_framing, tv.filter), (square(224, 256), None, Filter::Bilinear));

    let tv2 = hub("timm--wide_resnet50_2.tv2_in1k").preprocess.unwrap();
    assert_eq!((tv2.framing, tv2.test_framing), (square(176, 201), Some(square(224, 232))));

    let ra = hub("timm--densenet121.ra_in1k").preprocess.unwrap();
    assert_eq!((ra.framing, ra.test_framing), (square(224, 256), Some(square(288, 303))));
}

#[test]
fn transformers_configurations_of_the_hub() {
    let config = hub("microsoft--resnet-50");
    let pixels = config.preprocess.unwrap();
    assert_eq!((pixels.framing, pixels.test_framing), (square(224, 256), None));
    assert_eq!((pixels.filter, pixels.rounding), (Filter::Bicubic, CropRounding::Floor));
    assert_eq!(config.structure.stride_in, Some(StrideIn::ThreeByThree));
    let labels = config.labels.unwrap();
    assert_eq!((labels.len(), labels[999].as_str()), (1000, "LABEL_999"));
    assert_eq!(hub("microsoft--resnet-18").architecture, None);
}

/// Input size, crop_pct, interpolation, test_input_size, test_crop_pct and mean of red, from timm.
type Recipe = (usize, f64, String, Option<usize>, Option<f64>, f32);

/// The table of published weights agrees with timm, for all weights of all networks that have a name.
#[test]
fn published_weights_are_known_by_their_name() {
    let text =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/timm_recipes.json")).unwrap();
    let rows: BTreeMap<String, Recipe> = serde_json::from_str(&text).unwrap();
    assert_eq!(rows.len(), 328);
    for (weights, (size, crop_pct, filter, test_size, test_crop_pct, mean)) in rows {
        let (architecture, _) = weights.split_once('.').unwrap();
        let at = |size, crop_pct| square(size, (size as f64 / crop_pct) as usize);
        let pixels = published(&format!("/models/{weights}.safetensors"), architecture).expect(&weights);
        assert_eq!(pixels.framing, at(size, crop_pct), "{weights}");
        assert_eq!(pixels.test_framing, test_size.map(|size| at(size, test_crop_pct.unwrap_or(crop_pct))), "{weights}");
        assert_eq!(pixels.filter == Filter::Bicubic, filter == "bicubic", "{weights}");
        assert_eq!(pixels.mean[0], mean, "{weights}");
        assert_eq!(
            published(&format!("models--timm--{weights}/snapshots/main/model.safetensors"), architecture),
            Some(pixels)
        );
    }
    let torchvision = published("resnet50-11ad3fa6.pth", "resnet50").unwrap();
    assert_eq!((torchvision.framing, torchvision.filter), (square(224, 232), Filter::Bilinear));
    let swag = published("regnet_y_16gf_swag-43afe44d.pth", "regnety_160").unwrap();
    assert_eq!((swag.framing, swag.filter), (square(384, 384), Filter::Bicubic));
    let second = published("regnet_y_400mf-e6988f5f.pth", "regnety_004").unwrap();
    assert_eq!((second.framing, second.filter), (square(224, 232), Filter::Bilinear));
    for (path, architecture) in [
        ("regnet_y_400mf-c65dace8.pth", "regnety_004"),
        ("regnet_y_400mf-e6988f5f.pth", "regnety_002"),
        ("resnet50-0676ba61.safetensors", "resnet50"),
        ("resnet50.a1_in1k.safetensors", "resnet18"),
        ("wide_resnet50_2.tv2_in1k.safetensors", "resnet50"),
        ("my_resnet50.a1_in1k.safetensors", "resnet50"),
        ("resnet50.a1_in1k.finetuned.safetensors", "resnet50"),
        ("resnet50.a1_in1k.safetensors.d", "resnet50"),
        ("", "resnet50"),
    ] {
        assert_eq!(published(path, architecture), None, "{path}");
    }
}

#[test]
fn a_configuration_in_the_metadata() {
    let config = r#"{"architecture": "cifar_resnet20a", "label_names": ["cat", "dog"],
        "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 1.0, "interpolation": "bilinear", "license": "mit"}}"#;
    let metadata = BTreeMap::from([("config".to_string(), config.to_string())]);
    let config = ModelConfig::from_metadata(&metadata).unwrap().unwrap();
    assert_eq!(config.labels.unwrap(), ["cat", "dog"]);
    assert_eq!(config.preprocess.unwrap().framing, square(32, 32));
    assert_eq!(ModelConfig::from_metadata(&BTreeMap::new()), Ok(None));
    let broken = r#"{"pretrained_cfg": {"crop_pct": 7}}"#;
    let broken = BTreeMap::from([("config".to_string(), broken.to_string())]);
    assert_eq!(ModelConfig::from_metadata(&broken).unwrap_err().code(), "config.value");
}

#[test]
fn text_in_the_metadata_that_is_not_a_configuration_says_nothing() {
    for text in [
        "{",
        "",
        "resnet18, trained by me",
        "[1, 2]",
        "7",
        "null",
        r#"{"lr": 0.1, "epochs": 90}"#,
        "lr: 0.1\nmodel: resnet18",
    ] {
        let metadata = ["config", "notes", "pretrained_cfg"].map(|key| (key.to_string(), text.to_string()));
        assert_eq!(ModelConfig::from_metadata(&BTreeMap::from(metadata)), Ok(None), "{text}");
    }
}

#[test]
fn folders_without_and_with_unreadable_files() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(from_folder(folder.path()), Ok(None));
    fs::write(folder.path().join("config.json"), [0xff, 0xfe]).unwrap();
    assert_eq!(from_folder(folder.path()).unwrap_err().code(), "io");
}

#[test]
fn numbers_that_only_python_writes_matter_where_they_are_read() {
    let config = |fields: &str| format!(r#"{{"model_type": "resnet", "hidden_act": "relu", {fields}}}"#);
    let ignored = config(r#""initializer_range": NaN, "task_specific_params": {"a": [-Infinity, Infinity]}"#);
    let plain = config(r#""initializer_range": 0.02"#);
    assert_eq!(ModelConfig::from_json("", &ignored, None), ModelConfig::from_json("", &plain, None));
    assert_eq!(refused(&config(r#""norm_eps": NaN"#), None), "JSON");
}

#[test]
fn labels_in_every_form() {
    let labels = |text: &str| ModelConfig::from_json("config.json", text, None).unwrap().labels;
    assert_eq!(labels(r#"{"label_names": ["a", "b"]}"#).unwrap(), ["a", "b"]);
    assert_eq!(labels(r#"{"id2label": {"1": "b", "0": "a", "10": "k"}}"#).unwrap()[8..], ["8", "9", "k"]);
    assert_eq!(
        labels(r#"{"pretrained_cfg": {}, "label_names": ["n01", "n02"], "label_descriptions": {"n02": "goldfish"}}"#),
        Some(vec!["n01".into(), "goldfish".into()])
    );
    assert_eq!(labels("{}"), None);
    assert_eq!(labels(r#"{"label_names": []}"#), None);
    assert_eq!(labels(r#"{"id2label": {"0": 7, "1": 0.5, "2": true, "3": null}}"#).unwrap(), ["7", "0.5", "true", "3"]);
    assert_eq!(labels(r#"{"label2id": {"b": 1, "a": 0}}"#).unwrap(), ["a", "b"]);
    assert_eq!(labels(r#"{"label_names": {"0": "a", "1": "b"}}"#).unwrap(), ["a", "b"]);
    assert_eq!(labels(r#"{"architecture": "resnet18", "labels": ["a", 2]}"#).unwrap(), ["a", "2"]);
    assert_eq!(labels(r#"{"architecture": "resnet18", "labels": 5}"#), None);
    assert_eq!(
        labels(r#"{"pretrained_cfg": {"label_names": ["n01", "n02"], "label_descriptions": ["tench", "goldfish"]}}"#)
            .unwrap(),
        ["tench", "goldfish"]
    );
    assert_eq!(
        labels(r#"{"pretrained_cfg": {}, "label_names": ["timm"], "id2label": {"0": "other"}}"#).unwrap(),
        ["timm"]
    );
    assert_eq!(labels(r#"{"label_names": ["other"], "id2label": {"0": "transformers"}}"#).unwrap(), ["transformers"]);
    for key in ["-1", "x", "4000000000"] {
        assert_eq!(refused(&format!(r#"{{"id2label": {{"{key}": "a"}}}}"#), None), "id2label");
    }
}

#[test]
fn problem_types() {
    let of = |text: &str| ModelConfig::from_json("config.json", text, None).unwrap().problem_type;
    assert_eq!(of(r#"{"problem_type": "multi_label_classification"}"#), Some(ProblemType::MultiLabelClassification));
    assert_eq!(of(r#"{"problem_type": "regression"}"#), Some(ProblemType::Regression));
    assert_eq!(of(r#"{"problem_type": "single_label_classification"}"#), Some(ProblemType::SingleLabelClassification));
    assert_eq!(of(r#"{"problem_type": null}"#), None);
    assert_eq!(refused(r#"{"problem_type": "segmentation"}"#, None), "JSON");
}

#[test]
fn row_21_timm_values_out_of_range() {
    let cases = [
        ("mean", "[0.5, 0.5]"),
        ("mean", "7"),
        ("mean", "[0.5, 0.5, 0.5, 0.5]"),
        ("mean", "[-0.1, 0.5, 0.5]"),
        ("mean", "[123.7, 116.3, 103.5]"),
        ("std", "[0.0, 0.2, 0.2]"),
        ("std", "[0.2, -0.2, 0.2]"),
        ("std", "[1e-60, 0.2, 0.2]"),
        ("std", "[58.4, 57.1, 57.4]"),
        ("std", "[]"),
        ("crop_pct", "0"),
        ("crop_pct", "1.5"),
        ("crop_pct", "-0.5"),
        ("crop_pct", "1e-9"),
        ("test_crop_pct", "0.0"),
        ("input_size", "[3, 0, 0]"),
        ("input_size", "[3, 1, 1]"),
        ("input_size", "[3, 31, 31]"),
        ("input_size", "[3, 1000000000, 1000000000]"),
        ("input_size", "[3, -224, -224]"),
        ("input_size", "[0, 224, 224]"),
        ("input_size", "[224, 224]"),
        ("input_size", "[3, 224, 192]"),
        ("test_input_size", "[3, 4096, 4096]"),
        ("interpolation", "\"lanczos\""),
        ("crop_mode", "\"border\""),
    ];
    for (field, value) in cases {
        assert_eq!(refused(&format!(r#"{{"pretrained_cfg": {{"{field}": {value}}}}}"#), None), field, "{value}");
    }
    for text in
        ["", "[1]", "null", r#"{"pretrained_cfg": {"crop_pct": NaN}}"#, r#"{"pretrained_cfg": {"crop_pct": "1"}}"#]
    {
        assert_eq!(refused(text, None), "JSON", "{text}");
    }
}

#[test]
fn timm_networks_that_are_not_built() {
    let cases = [
        ("global_pool", r#"{"global_pool": "map"}"#),
        ("output_stride", r#"{"model_args": {"output_stride": 4}}"#),
        ("act_layer", r#"{"model_args": {"act_layer": "prelu"}}"#),
        ("norm_layer", r#"{"model_args": {"norm_layer": "groupnorm"}}"#),
        ("norm_eps", r#"{"model_args": {"bn_eps": 0.0}}"#),
        ("aa_layer", r#"{"model_args": {"aa_layer": "blurpc"}}"#),
        ("linear_out", r#"{"model_args": {"linear_out": true}}"#),
    ];
    for (field, text) in cases {
        assert_eq!(refused(text, None), field, "{text}");
    }
    let plain = r#"{"global_pool": "avg", "model_args": {"in_chans": 3, "num_classes": 7, "drop_rate": 0.1}}"#;
    assert!(ModelConfig::from_json("config.json", plain, None).is_ok());
}

/// The form that timm wrote before 0.8: no `pretrained_cfg`, and all fields at the top level.
#[test]
fn timm_configurations_with_all_fields_at_the_top() {
    let text = r#"{"architecture": "resnet18", "num_classes": 2, "num_features": 512, "input_size": [3, 160, 160], "crop_pct": 0.95,
        "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": 0.25, "pool_size": [5, 5], "first_conv": "conv1",
        "classifier": "fc", "labels": ["cat", "dog"], "license": "mit", "fixed_input_size": false, "custom_load": false}"#;
    let flat = ModelConfig::from_json("config.json", text, None).unwrap();
    let pixels = flat.preprocess.unwrap();
    assert_eq!((pixels.framing, pixels.filter), (square(160, 168), Filter::Bilinear));
    assert_eq!((pixels.mean, pixels.std), ([0.5; 3], [0.25; 3]));
    assert_eq!((flat.labels.unwrap().join(" ").as_str(), flat.license.as_deref()), ("cat dog", Some("mit")));
    assert_eq!(
        (flat.claims.classes, flat.claims.features, flat.claims.first_conv.as_deref()),
        (Some(2), Some(512), Some("conv1"))
    );
    // Only timm's configurations are read in this form.
    let other = ModelConfig::from_json("config.json", r#"{"architecture": "amd64", "std": "c++20"}"#, None);
    assert_eq!(other.unwrap_err().code(), "config.value");
    for text in [r#"{"architecture": "amd64"}"#, r#"{"mean": [0.1, 0.1, 0.1], "std": 7}"#] {
        assert_eq!(ModelConfig::from_json("config.json", text, None).unwrap().preprocess, None, "{text}");
    }
    let nested = text.replace("\"input_size\"", "\"default_cfg\": {\"crop_pct\": 0.5}, \"input_size\"");
    let nested = ModelConfig::from_json("config.json", &nested, None).unwrap();
    assert_eq!(nested.preprocess.unwrap().framing, square(224, 448));
}

#[test]
fn claims_are_what_a_configuration_says_of_the_tensors() {
    let timm = r#"{"architecture": "resnet34", "num_classes": 10, "pretrained_cfg": {"num_classes": 1000, "first_conv": "conv1.0"}}"#;
    let claims = Claims::of(timm).unwrap();
    assert_eq!((claims.architecture.as_deref(), claims.classes), (Some("resnet34"), Some(10)));
    assert_eq!(claims.first_conv.as_deref(), Some("conv1.0"));
    let transformers = r#"{"model_type": "resnet", "depths": [3, 4], "hidden_sizes": [8, 16], "embedding_size": 4,
        "layer_type": "basic", "id2label": {"0": "a", "1": "b"}}"#;
    let claims = Claims::of(transformers).unwrap();
    assert_eq!((claims.depths, claims.hidden_sizes), (Some(vec![3, 4]), Some(vec![8, 16])));
    assert_eq!(
        (claims.embedding_size, claims.layer_type.as_deref(), claims.classes),
        (Some(4), Some("basic"), Some(2))
    );
    let gaps = Claims::of(r#"{"id2label": {"0": "a", "7": "b"}}"#).unwrap();
    assert_eq!(gaps.classes, None);
    for text in ["", "{}", "[]", "not JSON", r#"{"name": "my-app", "port": 80}"#] {
        assert_eq!(Claims::of(text), None, "{text}");
    }
}

/// The properties that `config` states.
fn structure(config: &str) -> Structure {
    ModelConfig::from_json("config.json", config, None).unwrap().structure
}

#[test]
fn what_timm_states_of_a_network_is_read_and_model_args_win() {
    let stated = structure(
        r#"{"architecture": "resnet18", "global_pool": "avg", "pretrained_cfg": {},
        "model_args": {"global_pool": "fastcatavgmax", "output_stride": 16, "act_layer": "leaky_relu", "norm_eps": 0.001,
        "norm_layer": "BatchNorm2d"}}"#,
    );
    assert_eq!((stated.stated_in.as_str(), stated.global_pool), ("config.json", Some(GlobalPool::CatAvgMax)));
    assert_eq!((stated.dilation, stated.norm_eps), (Some(Dilation::OutputStride(16)), Some(0.001)));
    assert_eq!((stated.activation, stated.stem_pool), (Some(Activation::LeakyRelu(0.01)), None));
    let top = structure(r#"{"global_pool": "", "act_layer": "hard_swish", "output_stride": 8}"#);
    assert_eq!((top.global_pool, top.activation), (Some(GlobalPool::None), Some(Activation::HardSwish)));
    assert_eq!(top.dilation, Some(Dilation::OutputStride(8)));
    assert_eq!(structure(r#"{"global_pool": null, "model_args": {"act_layer": null}}"#).global_pool, None);
}

#[test]
fn what_transformers_states_of_a_network_is_read() {
    let stated = structure(
        r#"{"model_type": "resnet", "hidden_act": "gelu_new", "downsample_in_first_stage": true, "downsample_in_bottleneck": true,
        "batch_norm_eps": 0.01}"#,
    );
    assert_eq!((stated.activation, stated.layer1_stride), (Some(Activation::GeluTanh), Some(2)));
    assert_eq!(stated.block_activation, Some(Activation::Relu), "as transformers builds its blocks");
    assert_eq!((stated.stride_in, stated.norm_eps), (Some(StrideIn::OneByOne), Some(0.01)));
    assert_eq!(structure(r#"{"model_type": "resnet", "downsample_in_first_stage": false}"#).layer1_stride, Some(1));
}

#[test]
fn timm_squash_keeps_both_sides() {
    let text = r#"{"pretrained_cfg": {"crop_mode": "squash", "input_size": [3, 192, 256], "crop_pct": 0.96}}"#;
    let framing = ModelConfig::from_json("config.json", text, None).unwrap().preprocess.unwrap().framing;
    assert_eq!(framing, Framing { height: 192, width: 256, resize: Resize::Squash { height: 200, width: 266 } });
}

#[test]
fn transformers_networks_that_are_not_built() {
    assert_eq!(refused(r#"{"model_type": "convnext"}"#, None), "model_type");
    assert_eq!(refused(r#"{"model_type": "resnet", "hidden_act": "laplace"}"#, None), "hidden_act");
}

/// A processor with every field given, overridden by `change`.
fn processor(change: &str) -> String {
    let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_str(
        r#"{"size": 224, "crop_pct": 0.875, "resample": 3, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"#,
    )
    .unwrap();
    fields.extend(serde_json::from_str::<serde_json::Map<_, _>>(change).unwrap());
    fields.retain(|_, value| !value.is_null());
    serde_json::to_string(&fields).unwrap()
}

#[test]
fn transformers_framings() {
    let framing = |change: &str| {
        let text = processor(change);
        ModelConfig::from_json("config.json", "{}", Some(&text)).unwrap().preprocess.unwrap().framing
    };
    let squashed = |side| Framing { height: side, width: side, resize: Resize::Squash { height: side, width: side } };
    assert_eq!(framing(r#"{"size": {"shortest_edge": 224}, "crop_pct": 0.95}"#), square(224, 235));
    assert_eq!(framing(r#"{"size": {"shortest_edge": 384}}"#), squashed(384));
    assert_eq!(framing(r#"{"image_processor_type": "ConvNextImageProcessor", "crop_pct": null}"#), square(224, 256));
    assert_eq!(framing(r#"{"feature_extractor_type": "ViTFeatureExtractor"}"#), squashed(224));
    assert_eq!(
        framing(r#"{"crop_pct": null, "size": {"height": 192, "width": 256}}"#),
        Framing { height: 192, width: 256, resize: Resize::Squash { height: 192, width: 256 } }
    );
    let cropped = r#"{"crop_pct": null, "size": {"shortest_edge": 256}, "do_center_crop": true, "crop_size": {"height": 224, "width": 224}}"#;
    assert_eq!(framing(cropped), square(224, 256));
}

/// The meaning of a number and the defaults depend on the class of the processor.
#[test]
fn transformers_classes_have_their_own_defaults() {
    let of = |text: &str, config: &str| {
        ModelConfig::from_json("config.json", config, Some(text)).unwrap().preprocess.unwrap()
    };
    let squash = |side, resized| Framing {
        height: side,
        width: side,
        resize: Resize::Squash { height: resized, width: resized },
    };
    let cases = [
        (r#"{"feature_extractor_type": "ViTFeatureExtractor"}"#, squash(224, 224), Filter::Bilinear, 0.5),
        (
            r#"{"feature_extractor_type": "ConvNextFeatureExtractor", "size": 224}"#,
            square(224, 256),
            Filter::Bicubic,
            0.5,
        ),
        (r#"{"image_processor_type": "DeiTImageProcessor", "size": 256}"#, squash(224, 256), Filter::Bicubic, 0.5),
        (
            r#"{"image_processor_type": "CLIPImageProcessorFast", "size": 336, "crop_size": 336}"#,
            square(336, 336),
            Filter::Bicubic,
            0.481_454_66,
        ),
        (
            r#"{"image_processor_type": "BitImageProcessor", "crop_size": [192, 192]}"#,
            square(192, 224),
            Filter::Bicubic,
            0.481_454_66,
        ),
        (
            r#"{"image_processor_type": "ViTImageProcessor", "image_mean": 0.25, "size": [96, 96]}"#,
            squash(96, 96),
            Filter::Bilinear,
            0.25,
        ),
    ];
    for (text, framing, filter, mean) in cases {
        let pixels = of(text, "{}");
        assert_eq!((pixels.framing, pixels.filter, pixels.mean[0]), (framing, filter, mean), "{text}");
    }
    let untold = of(r#"{"size": {"shortest_edge": 224}}"#, r#"{"model_type": "resnet"}"#);
    assert_eq!((untold.framing, untold.filter), (square(224, 256), Filter::Bicubic));
}

#[test]
fn a_processor_configuration_holds_that_of_its_images() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    let framing = || from_folder(folder.path()).unwrap().unwrap().preprocess.unwrap();
    write("config.json", r#"{"model_type": "resnet"}"#);
    write("preprocessor_config.json", &processor(r#"{"size": 192}"#));
    assert_eq!(framing().framing, square(192, 219));
    write("processor_config.json", r#"{"processor_class": "OtherProcessor"}"#);
    assert_eq!(framing().framing, square(192, 219));
    write("processor_config.json", &format!(r#"{{"image_processor": {}}}"#, processor(r#"{"size": 160}"#)));
    assert_eq!((framing().framing, framing().stated_in.as_str()), (square(160, 182), "processor_config.json"));
}

#[test]
fn transformers_without_normalisation() {
    let text = processor(r#"{"do_normalize": false}"#);
    let pixels = ModelConfig::from_json("config.json", "{}", Some(&text)).unwrap().preprocess.unwrap();
    assert_eq!((pixels.mean, pixels.std), ([0.0; 3], [1.0; 3]));
}

#[test]
fn row_21_transformers_values_out_of_range() {
    let cases = [
        ("size", r#"{"size": 0}"#),
        ("size", r#"{"size": null}"#),
        (
            "size",
            r#"{"crop_pct": null, "size": {"shortest_edge": 224}, "do_center_crop": true, "crop_size": null, "size": 4096}"#,
        ),
        ("crop_size", r#"{"crop_pct": null, "size": {"shortest_edge": 256}, "do_center_crop": true}"#),
        ("crop_pct", r#"{"crop_pct": 2}"#),
        ("resample", r#"{"resample": 1}"#),
        ("resample", r#"{"resample": null}"#),
        ("image_mean", r#"{"image_mean": [0.5, 0.5]}"#),
        ("do_pad", r#"{"do_pad": true}"#),
        ("do_flip_channel_order", r#"{"do_flip_channel_order": true}"#),
        ("size", r#"{"size": {"shortest_edge": 224, "longest_edge": 300}}"#),
        ("JSON", r#"{"crop_pct": null, "size": {"longest_edge": 300}}"#),
        ("image_processor_type", r#"{"image_processor_type": "LevitImageProcessor"}"#),
        ("do_center_crop", r#"{"do_center_crop": true, "crop_size": 192}"#),
        ("image_mean", r#"{"image_mean": null}"#),
        ("image_std", r#"{"image_std": [0, 1, 1]}"#),
        ("do_resize", r#"{"do_resize": false}"#),
        ("do_rescale", r#"{"do_rescale": false}"#),
        ("rescale_factor", r#"{"rescale_factor": 1.0}"#),
    ];
    for (field, change) in cases {
        assert_eq!(refused("{}", Some(&processor(change))), field, "{change}");
    }
}
