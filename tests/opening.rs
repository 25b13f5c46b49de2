//! Models as users have them: folders and files from each library, opened with the preprocessing and the labels that
//! they state.

mod common;

use std::{
    error::Error as _,
    fs,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

use common::save;
use residua::{
    Builder, Classifier, Error,
    checkpoint::{Checkpoint, ModelConfig},
    executor::gpu::{Injection, Moment},
    image::{self, CropRounding, DecodeOptions, Filter, Preprocess, Resize},
    labels::Scoring,
    models::Architecture,
    tensor::Tensor,
};

const IMAGENET: ([f32; 3], [f32; 3]) = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]);

/// A folder as on the hub: the repository's configurations, and weights under its names.
fn folder_of(repository: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let from = common::golden_dir().join("hub").join(repository);
    for file in ["config.json", "preprocessor_config.json"] {
        if from.join(file).exists() {
            fs::copy(from.join(file), folder.path().join(file)).unwrap();
        }
    }
    save(&folder.path().join("model.safetensors"), &common::hub_tensors(repository));
    folder
}

/// Opens on the CPU, because nothing is run here.
fn builder(path: impl AsRef<Path>) -> Builder {
    Classifier::builder().model(path.as_ref().to_str().unwrap()).device("cpu")
}

/// The facts that a repository states: architecture, size of the input and of the shorter side before the crop, the
/// same for tests, filter, rounding, the first and the last label.
type Stated = (&'static str, (usize, usize), Option<(usize, usize)>, Filter, CropRounding, [&'static str; 2]);

fn check(repository: &str, (architecture, size, test_size, filter, rounding, labels): Stated) {
    let folder = folder_of(repository);
    let preprocess = |(side, shorter): (usize, usize)| {
        let mut preprocess = Preprocess::centre_crop(side, shorter, filter);
        (preprocess.mean, preprocess.std) = IMAGENET;
        preprocess.rounding = rounding;
        preprocess
    };
    let classifier = builder(folder.path()).open().unwrap();
    let model = classifier.model();
    assert_eq!(model.architecture, architecture, "{repository}");
    assert_eq!(model.preprocess, preprocess(size), "{repository}");
    assert_eq!((model.classes, &model.scoring), (1000, &Scoring::Softmax), "{repository}");
    assert_eq!([model.labels.name(0), model.labels.name(999)], labels, "{repository}");
    assert!(classifier.notes().is_empty(), "{repository}: {:?}", classifier.notes());
    let at_test_size = builder(folder.path()).test_size(true).open().unwrap();
    assert_eq!(at_test_size.model().preprocess, preprocess(test_size.unwrap_or(size)), "{repository}");
    assert_eq!(at_test_size.notes().is_empty(), test_size.is_some(), "{repository}");
}

macro_rules! repositories {
    ($($test:ident $repository:literal: $stated:expr;)*) => {
        $(#[test] fn $test() { check($repository, $stated); })*
    };
}

const EVEN: CropRounding = CropRounding::HalfEven;
const SYNSETS: [&str; 2] = ["tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue"];
const NUMBERED: [&str; 2] = ["LABEL_0", "LABEL_999"];

repositories! {
    microsoft_resnet_18 "microsoft--resnet-18": ("resnet18", (224, 256), None, Filter::Bicubic, CropRounding::Floor, NUMBERED);
    microsoft_resnet_50 "microsoft--resnet-50": ("resnet50", (224, 256), None, Filter::Bicubic, CropRounding::Floor, NUMBERED);
    timm_densenet121_ra "timm--densenet121.ra_in1k": ("densenet121", (224, 256), Some((288, 303)), Filter::Bicubic, EVEN, SYNSETS);
    timm_resnet18_a1 "timm--resnet18.a1_in1k": ("resnet18", (224, 235), Some((288, 288)), Filter::Bicubic, EVEN, SYNSETS);
    timm_resnet50_a1 "timm--resnet50.a1_in1k": ("resnet50", (224, 235), Some((288, 288)), Filter::Bicubic, EVEN, SYNSETS);
    timm_resnet50_tv "timm--resnet50.tv_in1k": ("resnet50", (224, 256), None, Filter::Bilinear, EVEN, SYNSETS);
    timm_resnext50_a1h "timm--resnext50_32x4d.a1h_in1k":
        ("resnext50_32x4d", (224, 235), Some((288, 288)), Filter::Bicubic, EVEN, SYNSETS);
    timm_wide_resnet50_tv2 "timm--wide_resnet50_2.tv2_in1k":
        ("wide_resnet50_2", (176, 201), Some((224, 232)), Filter::Bilinear, EVEN, SYNSETS);
}

/// A file called `file` with weights of the network.
fn file_of(architecture: &Architecture, file: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(file);
    save(&path, &architecture.graph().tensors());
    (folder, path)
}

#[test]
fn a_bare_file_gets_the_recipe_of_its_name_or_torchvisions() {
    let resnet18 = Architecture::by_name("resnet18").unwrap();
    let (_folder, path) = file_of(&resnet18, "resnet18.a3_in1k.safetensors");
    let classifier = builder(&path).open().unwrap();
    assert_eq!(classifier.model().preprocess, Preprocess::centre_crop(160, 168, Filter::Bicubic));
    assert_eq!(classifier.model().stated.as_ref().unwrap().stated_in, "the name: timm's resnet18.a3_in1k");
    let (_folder, path) = file_of(&resnet18, "model.safetensors");
    let classifier = builder(&path).open().unwrap();
    assert_eq!((&classifier.model().preprocess, &classifier.model().stated), (&Preprocess::torchvision(), &None));
    assert_eq!(builder(&path).resize(232).open().unwrap().model().preprocess.resize, Resize::Shorter(232));
}

#[test]
fn a_head_of_any_size_with_its_own_labels_and_scores() {
    let (folder, _) = file_of(&Architecture::by_name("resnet18").unwrap().with_classes(3), "model.safetensors");
    let open = |config: &str| {
        fs::write(folder.path().join("config.json"), config).unwrap();
        builder(folder.path()).open().unwrap()
    };
    let timm = open(r#"{"architecture": "resnet18", "label_names": ["cat", "dog", "fish"], "pretrained_cfg": {}}"#);
    assert_eq!((timm.model().classes, timm.model().labels.name(2).as_str()), (3, "fish"));
    let ids = r#""id2label": {"0": "a", "1": "b", "2": "c"}"#;
    let many = open(&format!(r#"{{"model_type": "resnet", {ids}, "problem_type": "multi_label_classification"}}"#));
    assert_eq!((&many.model().scoring, many.model().labels.name(1).as_str()), (&Scoring::Sigmoid, "b"));
    let wrapped = open(&format!(r#"{{"model_type": "timm_wrapper", {ids}, "pretrained_cfg": {{"crop_pct": 0.95}}}}"#));
    assert_eq!(wrapped.model().preprocess, Preprocess::centre_crop(224, 235, Filter::Bicubic));
    assert_eq!((&wrapped.model().scoring, wrapped.model().labels.name(0).as_str()), (&Scoring::Softmax, "a"));
    let unnamed = open(r#"{"model_type": "resnet"}"#);
    assert_eq!(unnamed.model().labels.name(2), "2");
}

/// `ResNetModel` of transformers: its names have no prefix `resnet.`, and it has no head.
#[test]
fn a_network_without_a_head_opens_and_gives_no_classes() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = common::hub_tensors("microsoft--resnet-18");
    tensors.retain(|(name, _)| !name.starts_with("classifier."));
    tensors.iter_mut().for_each(|(name, _)| *name = name.strip_prefix("resnet.").unwrap().to_string());
    save(&folder.path().join("model.safetensors"), &tensors);
    fs::write(folder.path().join("config.json"), r#"{"model_type": "resnet", "id2label": {"0": "a"}}"#).unwrap();
    let classifier = builder(folder.path()).open().unwrap();
    assert_eq!((classifier.model().classes, classifier.model().architecture.as_str()), (0, "resnet18"));
    assert!(classifier.notes().is_empty(), "{:?}", classifier.notes());
    let input = Tensor::zeros(classifier.input_shape(1));
    assert_eq!(classifier.logits(&input).map_err(|error| error.code()), Err("model.no_classifier"));
}

#[test]
fn what_opening_prepares_is_not_made_again_for_the_first_image() {
    let injection = Injection::default();
    let opened = |images: Option<usize>| {
        let (before, builder) =
            (injection.seen(Moment::Pipeline), Classifier::builder().device(&common::adapter()).untested(true));
        let builder = images.into_iter().fold(builder.inject(&injection), Builder::prepare);
        let classifier = builder.open().unwrap();
        let opening = injection.seen(Moment::Pipeline) - before;
        let prediction = classifier.infer_path("tests/images/ship.png").unwrap().top(3);
        (opening, injection.seen(Moment::Pipeline) - before - opening, prediction)
    };
    let (opening, first, prediction) = opened(None);
    assert!(opening > 2 && first == 0, "{opening} kernels when it is opened, {first} for the first image");
    assert_eq!(opened(Some(0)), (0, opening, prediction));
}

#[test]
fn errors_keep_the_error_that_brought_them_about() {
    let folder = tempfile::tempdir().unwrap();
    let missing = image::open(folder.path().join("none.png"), &DecodeOptions::default()).unwrap_err();
    assert_eq!((missing.code(), missing.io_kind()), ("io", Some(ErrorKind::NotFound)));
    let system = missing.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert!(system.raw_os_error().is_some() && missing.to_string().ends_with(&system.to_string()), "{missing}");
    assert_eq!(missing, missing.clone());
    for error in [ErrorKind::PermissionDenied.into(), ErrorKind::StorageFull.into(), io::Error::other("of its own")] {
        let kept = Error::io("a", &error);
        assert_eq!((kept.io_kind(), kept.to_string()), (Some(error.kind()), format!("a: {error}")));
    }
    assert_eq!(Checkpoint::open(folder.path()).unwrap_err().io_kind(), Some(ErrorKind::IsADirectory));
    let config = ModelConfig::from_json("config.json", "{", None).unwrap_err();
    let header = Checkpoint::from_bytes("cut", b"\x02\0\0\0\0\0\0\0{x".as_slice()).unwrap_err();
    for (error, code) in [(config, "config.value"), (header, "model.header")] {
        assert_eq!((error.code(), error.io_kind()), (code, None));
        assert!(error.source().unwrap().is::<serde_json::Error>(), "{error}");
    }
    let broken = [fs::read("tests/images/ship.png").unwrap()[..40].to_vec(), b"BM and no more of it".to_vec()];
    for bytes in broken {
        let error = image::decode(&bytes, &DecodeOptions::default()).unwrap_err();
        assert!(error.code().starts_with("image.") && error.source().is_some(), "{error:?}");
    }
    let other = Error::config_value("a", "b", "c", "d");
    assert!(other.source().is_none() && other != Error::config_value("a", "b", "c", "e"));
}
