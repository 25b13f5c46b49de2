//! Sources beside a file's tensors: the configuration in its folder, its name, the text in its metadata.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
};

use common::save;
use residua::{Builder, Classifier, Error, models::Architecture};
use tempfile::TempDir;

/// timm's configuration of a network with three classes.
fn timm(architecture: &str) -> String {
    format!(
        r#"{{"architecture": "{architecture}", "num_classes": 3, "label_names": ["ant", "bee", "cat"],
            "pretrained_cfg": {{"input_size": [3, 160, 160], "crop_pct": 0.95}}}}"#
    )
}

/// A folder with files of these names, each with the weights of a network with three classes, and a `config.json`.
fn folder(files: &[(&str, &str)], config: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, architecture) in files {
        let architecture = Architecture::by_name(architecture).unwrap().with_classes(3);
        save(&folder.path().join(file), &architecture.graph().tensors());
    }
    fs::write(folder.path().join("config.json"), config).unwrap();
    folder
}

/// Opens on the CPU, because nothing is run here.
fn builder(path: impl AsRef<Path>) -> Builder {
    Classifier::builder().model(path.as_ref().to_str().unwrap()).device("cpu")
}

/// The name of the second class, the size of the input, and the notes.
fn open(path: impl AsRef<Path>) -> (String, usize, String) {
    let classifier = builder(path).open().unwrap();
    let model = classifier.model();
    (
        model.labels.name(1),
        model.preprocess.height,
        classifier.notes().iter().map(ToString::to_string).collect::<Vec<_>>().join("; "),
    )
}

fn refused(path: impl AsRef<Path>) -> Error {
    match builder(path.as_ref()).open() {
        Err(error) => error,
        Ok(classifier) => panic!("{} is opened, {:?}", path.as_ref().display(), classifier.notes()),
    }
}

/// The network's name, its anti-aliasing, and where that is stated.
fn anti_aliasing(path: impl AsRef<Path>) -> (String, String, Option<String>) {
    let classifier = builder(path).open().unwrap();
    let model = classifier.model();
    let row = model.structure.iter().find(|row| row.key == "anti-aliasing").unwrap();
    (model.architecture.clone(), row.value.clone(), row.stated_in.clone())
}

const STATED: (&str, usize, &str) = ("bee", 160, "");
const BARE: (&str, usize, &str) = ("1", 224, "");

fn is(found: &(String, usize, String), (label, size, note): (&str, usize, &str)) -> bool {
    let noted = if note.is_empty() { found.2.is_empty() } else { found.2.contains(note) };
    found.0 == label && found.1 == size && noted
}

#[track_caller]
fn check(path: impl AsRef<Path>, expected: (&str, usize, &str)) {
    let found = open(path);
    assert!(is(&found, expected), "{found:?}, not {expected:?}");
}

#[test]
fn the_only_file_of_weights_in_a_folder_is_taken_and_said() {
    let one = folder(&[("best.safetensors", "resnet18")], &timm("resnet18"));
    fs::write(one.path().join("optimizer.bin"), b"not a network").unwrap();
    check(one.path(), ("bee", 160, "using best.safetensors"));
    let two = folder(&[("a.safetensors", "resnet18"), ("b.safetensors", "resnet18")], "{}");
    let error = refused(two.path());
    assert_eq!(error.code(), "model.not_found");
    assert!(error.to_string().contains("a.safetensors and b.safetensors"), "{error}");
    let none = folder(&[], "{}");
    assert_eq!(refused(none.path()).code(), "model.not_found");
}

#[test]
fn a_file_is_opened_as_its_folder_is() {
    let nets = folder(&[("model.safetensors", "resnet18"), ("best.safetensors", "resnet18")], &timm("resnet18"));
    check(nets.path(), STATED);
    check(nets.path().join("model.safetensors"), STATED);
    check(nets.path().join("best.safetensors"), STATED);
    let without = builder(nets.path().join("best.safetensors")).no_config(true).open().unwrap();
    assert_eq!((without.model().labels.name(1).as_str(), without.model().preprocess.height), ("1", 224));
    assert_eq!(builder(nets.path()).no_config(true).open().unwrap().model().labels.name(1), "1");
}

#[test]
fn the_index_of_several_files_is_opened_as_its_folder_is() {
    let nets = folder(&[("part.safetensors", "resnet18")], &timm("resnet18"));
    let names = Architecture::by_name("resnet18").unwrap().graph().tensors();
    let map: Vec<String> = names.iter().map(|(name, _)| format!(r#""{name}": "part.safetensors""#)).collect();
    let index = nets.path().join("model.safetensors.index.json");
    fs::write(&index, format!(r#"{{"weight_map": {{{}}}}}"#, map.join(", "))).unwrap();
    check(nets.path(), STATED);
    check(index, STATED);
}

/// The hub's cache: a snapshot of links to blobs. `elsewhere` is a link to the one in the snapshot.
#[cfg(unix)]
fn cached(repository: &str, architecture: &str, config: Option<&str>) -> (TempDir, PathBuf, PathBuf) {
    use std::os::unix::fs::symlink;
    let cache = tempfile::tempdir().unwrap();
    let repository = cache.path().join(repository);
    let snapshot = repository.join("snapshots/0123abcd");
    fs::create_dir_all(repository.join("blobs")).unwrap();
    fs::create_dir_all(&snapshot).unwrap();
    let architecture = Architecture::by_name(architecture).unwrap().with_classes(3);
    save(&repository.join("blobs/beef"), &architecture.graph().tensors());
    symlink("../../blobs/beef", snapshot.join("model.safetensors")).unwrap();
    if let Some(config) = config {
        fs::write(repository.join("blobs/c0de"), config).unwrap();
        symlink("../../blobs/c0de", snapshot.join("config.json")).unwrap();
    }
    fs::create_dir(cache.path().join("mine")).unwrap();
    let elsewhere = cache.path().join("mine/net.safetensors");
    symlink(snapshot.join("model.safetensors"), &elsewhere).unwrap();
    (cache, snapshot, elsewhere)
}

#[cfg(unix)]
#[test]
fn links_are_followed_to_the_folder_that_has_the_configuration() {
    let (cache, snapshot, elsewhere) = cached("models--me--net", "resnet18", Some(&timm("resnet18")));
    check(&snapshot, STATED);
    check(snapshot.join("model.safetensors"), STATED);
    check(&elsewhere, STATED);
    // The configuration nearest to the link counts, unless it belongs to another program.
    fs::write(cache.path().join("mine/config.json"), r#"{"editor": "vi"}"#).unwrap();
    check(&elsewhere, ("bee", 160, "is not a model's configuration"));
    fs::write(cache.path().join("mine/config.json"), timm("resnet18").replace("bee", "wasp")).unwrap();
    check(&elsewhere, ("wasp", 160, ""));
}

#[cfg(unix)]
#[test]
fn the_name_of_a_folder_in_the_cache_counts() {
    let (_cache, snapshot, elsewhere) = cached("models--timm--resnetaa50.a1h_in1k", "resnet50", None);
    for path in [snapshot.clone(), snapshot.join("model.safetensors"), elsewhere] {
        assert_eq!(anti_aliasing(&path), ("resnetaa50".into(), "avg".into(), Some("the name resnetaa50".into())));
    }
}

/// A valid file is not refused because of another file in its folder, and does not use a configuration that is not its
/// own.
#[test]
fn a_configuration_of_something_else_is_not_used() {
    let files = [("mine.safetensors", "resnet18")];
    let transformers = r#"{"model_type": "resnet", "id2label": {"0": "x", "1": "y", "2": "z"}, "#.to_string();
    let cases = [
        (timm("resnet34"), "architecture = resnet34"),
        (timm("resnet18").replace("\"num_classes\"", "\"num_features\": 2048, \"num_classes\""), "num_features = 2048"),
        (
            timm("of_my_own").replace("\"input_size\"", "\"first_conv\": \"stem.0\", \"input_size\""),
            "first_conv = stem.0",
        ),
        (timm("convnext_tiny"), "architecture = convnext_tiny"),
        (timm("vgg16"), "architecture = vgg16"),
        (timm("resnet18_gn"), "architecture = resnet18_gn"),
        (timm("ecaresnet18"), "architecture = ecaresnet18"),
        (timm("resnet50"), "architecture = resnet50"),
        // An error inside another network's configuration does not matter.
        (timm("resnet34").replace("0.95", "7"), "architecture = resnet34"),
        (r#"{"model_type": "vit", "id2label": {"0": "x", "1": "y", "2": "z"}}"#.into(), "model_type = vit"),
        (transformers.clone() + r#""depths": [3, 4, 6, 3]}"#, "depths = [3, 4, 6, 3]"),
        (transformers.clone() + r#""hidden_sizes": [256, 512, 1024, 2048]}"#, "hidden_sizes = [256, 512, 1024, 2048]"),
        (transformers.clone() + r#""embedding_size": 32}"#, "embedding_size = 32"),
        (transformers.clone() + r#""layer_type": "bottleneck"}"#, "layer_type = bottleneck"),
        (r#"{"name": "my-app", "port": 8080, "labels": {"0": "x"}}"#.into(), "not a model's configuration"),
        ("[]".into(), "not a model's configuration"),
        ("// comments\n{}".into(), "not a model's configuration"),
    ];
    for (config, note) in cases {
        let nets = folder(&files, &config);
        check(nets.path().join("mine.safetensors"), (BARE.0, BARE.1, note));
    }
    let nets = folder(&files, "");
    fs::write(nets.path().join("config.json"), [0xff, 0xfe]).unwrap();
    check(nets.path().join("mine.safetensors"), (BARE.0, BARE.1, "is not used"));
}

/// A folder's configuration belongs to its model. If it describes another network, one of the two is mislabelled.
#[test]
fn a_folder_with_the_configuration_of_another_network_is_refused() {
    for (config, field) in [
        (timm("resnet34"), "architecture"),
        (r#"{"model_type": "resnet", "depths": [3, 4, 6, 3]}"#.into(), "depths"),
        (r#"{"model_type": "resnet", "layer_type": "bottleneck"}"#.into(), "layer_type"),
        (r#"{"model_type": "vit"}"#.into(), "model_type"),
        ("{".into(), "JSON"),
    ] {
        let nets = folder(&[("model.safetensors", "resnet18")], &config);
        for path in [nets.path().to_path_buf(), nets.path().join("model.safetensors")] {
            match refused(&path) {
                Error::ConfigValue { field: found, .. } => assert_eq!(found, field),
                other => panic!("{other}"),
            }
            assert!(builder(&path).no_config(true).open().is_ok());
        }
    }
}

#[test]
fn names_of_classes_of_another_head_are_not_used() {
    let ids = r#"{"model_type": "resnet", "id2label": {"0": "x", "1": "y"}}"#;
    let unnamed = r#"{"architecture": "resnet18", "num_classes": 1000}"#;
    let five = timm("resnet18").replace("\"num_classes\": 3", "\"num_classes\": 5");
    for (config, size, note) in [
        (ids, 224, "names 2 classes, the weights have 3"),
        (unnamed, 224, "is for 1000 classes, the weights have 3"),
        (&five, 160, "names 5 classes, the weights have 3"),
    ] {
        let nets = folder(&[("model.safetensors", "resnet18")], config);
        check(nets.path(), ("1", size, note));
    }
}

#[test]
fn a_configuration_that_declares_a_look_alike_is_obeyed_beside_a_file() {
    let nets =
        folder(&[("weights.safetensors", "resnet50"), ("resnet50.safetensors", "resnet50")], &timm("resnetblur50"));
    let weights = anti_aliasing(nets.path().join("weights.safetensors"));
    assert_eq!((weights.0.as_str(), weights.1.as_str()), ("resnetblur50", "blur"));
    check(
        nets.path().join("resnet50.safetensors"),
        (BARE.0, BARE.1, "declares resnetblur50, but the file is named resnet50"),
    );
}

#[test]
fn a_name_that_only_a_look_alike_has_is_refused() {
    let file = "deeplabv3_resnet50_coco-cd0a2569.safetensors";
    let nets = folder(&[(file, "resnet50")], r#"{"name": "x"}"#);
    let error = refused(nets.path().join(file));
    assert!(error.code() == "model.unknown_architecture" && error.to_string().contains("dilated"), "{error}");
}

#[test]
fn a_name_states_the_anti_aliasing_that_no_tensor_shows() {
    for (file, tensors, name, kind) in [
        ("resnetblur50.bt_in1k.safetensors", "resnet50", "resnetblur50", "blur"),
        ("my_resnetaa50d-best.safetensors", "resnet50d", "resnetaa50d", "avg"),
        ("seresnextaa101d_32x8d.ah.safetensors", "seresnext101d_32x8d", "seresnextaa101d_32x8d", "avg"),
    ] {
        let nets = folder(&[(file, tensors)], r#"{"name": "x"}"#);
        let found = anti_aliasing(nets.path().join(file));
        assert_eq!((found.0.as_str(), found.1.as_str()), (name, kind), "{file}");
    }
    // The configuration belongs to a network with other tensors: a note says so, and it is not used.
    let nets = folder(&[("resnetaa34d.safetensors", "resnet18")], "{}");
    assert_eq!(anti_aliasing(nets.path().join("resnetaa34d.safetensors")).1, "none");
    assert!(open(nets.path().join("resnetaa34d.safetensors")).2.contains("named resnetaa34d"));
    let nets = folder(&[], "{}");
    fs::create_dir(nets.path().join("resnetaa50")).unwrap();
    let file = nets.path().join("resnetaa50/model.safetensors");
    save(&file, &Architecture::by_name("resnet50").unwrap().graph().tensors());
    assert_eq!(anti_aliasing(&file).1, "avg");
    assert_eq!(
        builder(&file).structure("anti-aliasing=none".parse().unwrap()).open().unwrap().model().architecture,
        "resnet50"
    );
    // The configuration of a folder says more than the folder's name.
    fs::write(nets.path().join("resnetaa50/config.json"), r#"{"architecture": "resnet50"}"#).unwrap();
    assert!(open(&file).2.contains("named resnetaa50"));
    assert_eq!(anti_aliasing(&file).1, "none");
}

#[test]
fn a_name_that_contradicts_the_tensors_is_told() {
    let files = [
        "resnet34.safetensors",
        "my-resnet18.safetensors",
        "ecaresnet50d.miil_in1k.safetensors",
        "aa_blur.safetensors",
    ];
    let nets = folder(&files.map(|file| (file, "resnet18")), r#"{"name": "x"}"#);
    fs::remove_file(nets.path().join("config.json")).unwrap();
    for (file, note) in
        files.into_iter().zip(["named resnet34, but its tensors belong to resnet18", "", "named ecaresnet50d", ""])
    {
        check(nets.path().join(file), ("1", 224, note));
    }
}

/// Text in the metadata does not make a valid checkpoint invalid.
#[test]
fn free_text_in_the_metadata_is_not_a_reason_to_refuse() {
    let weights = fs::read(folder_file()).unwrap();
    let file = safetensors::SafeTensors::deserialize(&weights).unwrap();
    for text in [
        "trained by me",
        "{",
        "[]",
        "12",
        r#"{"lr": 0.1}"#,
        r#"{"model_type": "resnet50", "lr": 0.1}"#,
        r#"{"architecture": {"depth": 18}}"#,
    ] {
        let metadata = ["config", "labels", "format"].map(|key| (key.to_string(), text.to_string())).into();
        let bytes = safetensors::serialize(file.tensors(), Some(metadata)).unwrap();
        let checkpoint = residua::checkpoint::Checkpoint::from_bytes("with text", bytes).unwrap();
        let opened = Classifier::builder().checkpoint(checkpoint, None).device("cpu").open();
        assert!(opened.is_ok(), "{text}: {}", opened.unwrap_err());
    }
}

/// The small network that comes with the library.
fn folder_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/builtin.safetensors")
}

#[test]
fn a_part_of_the_network_is_never_left_out() {
    let nets = folder(&[], "{}");
    let path = nets.path().join("net.safetensors");
    fs::remove_file(nets.path().join("config.json")).unwrap();
    let with = |extra: &[(&str, usize)]| {
        let mut tensors = Architecture::by_name("resnet18").unwrap().graph().tensors();
        tensors.extend(extra.iter().map(|(name, extent)| (name.to_string(), vec![*extent])));
        save(&path, &tensors);
        builder(&path).allow_extra(true).open()
    };
    for extra in ["layer1.0.fc3.weight", "layer2.0.gate.weight", "bn2.weight", "avgpool.p", "sa.conv1.weight"] {
        let error = with(&[(extra, 4), ("projector.weight", 4)]).map(|_| extra).unwrap_err();
        assert!(error.code() == "model.unexpected_tensor" && error.to_string().contains(extra), "{error}");
        assert!(!error.to_string().contains("projector"), "{error}");
    }
    // Half a gate.
    let error = with(&[("layer1.0.fc1.weight", 4)]).map(|_| ()).unwrap_err();
    assert!(error.code() == "model.unknown_architecture" && error.to_string().contains("se.fc1.weight"), "{error}");
    let beside =
        [("projector.0.weight", 4), ("queue", 4), ("model_ema.layer1.0.conv1.weight", 4), ("optimizer.state", 2)];
    let classifier = with(&beside).unwrap();
    for (name, _) in beside {
        assert!(
            classifier
                .notes()
                .iter()
                .any(|note| note.to_string().contains("left out") && note.to_string().contains(name)),
            "{:?}",
            classifier.notes()
        );
    }
}
