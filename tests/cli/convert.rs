//! `residua convert`: from any spelling to torchvision's, and the same bits as before.

use std::{collections::BTreeMap, fs, path::Path};

use residua::{
    Classifier,
    checkpoint::{Backbone, Checkpoint, Stored, Synthetic, save},
    learn::Head,
};
use safetensors::{Dtype, tensor::TensorView};
use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

fn golden(name: &str) -> String {
    format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The tensors that the files of `tests/golden/pth` hold.
fn plain() -> Checkpoint {
    Checkpoint::open(Path::new(&golden("pth/plain.safetensors"))).unwrap()
}

fn counter(name: &str) -> Stored<'static> {
    let bytes = 7_i64.to_le_bytes().to_vec().into();
    Stored { name: name.into(), dtype: Dtype::I64, shape: Vec::new(), bytes }
}

impl Folder {
    /// The file that `residua logits` writes for the model that `options` name.
    fn logits(&self, options: &[&str]) -> Vec<u8> {
        let input: Vec<f32> = (0..2 * 3 * 40 * 36).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
        let view = TensorView::new(Dtype::F32, vec![2, 3, 40, 36], bytemuck::cast_slice(&input)).unwrap();
        let input = self.file("in.safetensors", safetensors::serialize([("input", view)], None).unwrap());
        let logits = self.path("logits.safetensors");
        let output = on_cpu(&[&["logits", "--input", &input, "--output", &logits], options].concat());
        assert_eq!(output.status.code(), Some(0), "{options:?}: {}", err(&output));
        fs::read(logits).unwrap()
    }

    /// Converts the model that `options` name into the file `name`.
    fn converted(&self, name: &str, options: &[&str]) -> String {
        let path = self.path(name);
        let output = residua(&[&["convert", "-o", &path], options].concat());
        assert_eq!(output.status.code(), Some(0), "{options:?}: {}", err(&output));
        assert!(out(&output).contains(&path) && out(&output).contains(" tensors, "), "{}", out(&output));
        path
    }

    /// Converts the model that `options` name, and checks the file: it computes the same bits, states all properties that no tensor shows,
    /// and converts to itself.
    fn check(&self, options: &[&str]) -> Checkpoint {
        let file = self.converted("converted.safetensors", options);
        let model = [&["-m"], options].concat();
        assert!(self.logits(&["-m", &file]) == self.logits(&model), "{options:?}: other logits");
        let (told, before) = (on_cpu(&["info", &file]), on_cpu(&[&["info"], &model[..]].concat()));
        assert!(
            err(&told).is_empty() && !out(&told).contains("(assumed)"),
            "{options:?}: {}{}",
            err(&told),
            out(&told)
        );
        for key in ["architecture", "parameters", "preprocessing", "mean, std", "classes", "scores", "licence"] {
            let line = |text: String| text.lines().find(|line| line.starts_with(key)).unwrap().to_string();
            let (line, before) = (line(out(&told)), line(out(&before)));
            // Counts the tensors of a file that belong to its network, whether they are read or not.
            assert_eq!(line.split(" in ").next(), before.split(" in ").next(), "{options:?}");
        }
        let again = self.converted("again.safetensors", &[&file]);
        assert!(fs::read(&file).unwrap() == fs::read(again).unwrap(), "{options:?}: another file the second time");
        Checkpoint::open(Path::new(&file)).unwrap()
    }
}

/// The names of all tensors of a file, in torchvision's spelling.
fn names(checkpoint: &Checkpoint) -> Vec<String> {
    let mut names: Vec<String> = checkpoint.stored().map(|(_, tensor)| tensor.name).collect();
    names.sort();
    names
}

#[test]
fn pickles_become_safetensors_bit_for_bit() {
    let (folder, wanted) = (Folder::new(), plain());
    for name in ["zip.pth", "legacy.pth.tar", "old.tar.pth", "whole.pt", "channels_last.pth", "teacher.pth", "half.bin"]
    {
        let converted = folder.check(&[&golden(&format!("pth/{name}"))]);
        for (tensor, shape) in wanted.shapes() {
            let stored = converted.stored().find(|(_, stored)| stored.name == *tensor).unwrap().1;
            assert_eq!((&stored.shape, stored.dtype == Dtype::F16), (shape, name == "half.bin"), "{name}: {tensor}");
            if name != "half.bin" {
                assert_eq!(converted.tensor(tensor, shape).unwrap(), wanted.tensor(tensor, shape).unwrap(), "{name}");
            }
        }
    }
    folder.check(&[&golden("pth/bfloat16.th")]);
    let teacher = folder.check(&[&golden("pth/teacher.pth"), "--part", "teacher"]);
    assert_eq!(teacher.shapes(), wanted.shapes());
    assert_eq!(teacher.tensor("fc.bias", &[5]).unwrap()[0], 0.5 * wanted.tensor("fc.bias", &[5]).unwrap()[0]);
}

#[test]
fn a_prefix_goes_and_what_lies_beside_the_network_too() {
    let (folder, plain) = (Folder::new(), plain());
    let mut tensors = vec![
        counter("student.net.bn1.num_batches_tracked"),
        counter("teacher.net.bn1.num_batches_tracked"),
        Stored::f32("queue", vec![2, 3], &[0.5; 6]),
        Stored::f32("projector.weight", vec![2, 5], &[0.5; 10]),
    ];
    for (canonical, tensor) in plain.stored() {
        let Some(name) = canonical else { continue };
        for (part, sign) in [("student", 0), ("teacher", 0x80)] {
            let mut bytes = tensor.bytes.to_vec();
            // Flips the sign of the last value in the teacher's tensors, except in variances.
            let last = bytes.last_mut().unwrap();
            *last ^= if name.ends_with("running_var") { 0 } else { sign };
            tensors.push(Stored { name: format!("{part}.net.{name}"), bytes: bytes.into(), ..tensor.clone() });
        }
    }
    let file = folder.path("both.safetensors");
    save(Path::new(&file), &tensors, &BTreeMap::new()).unwrap();
    let (student, teacher) = (folder.check(&[&file]), folder.check(&[&file, "--part", "teacher"]));
    let mut wanted: Vec<String> = plain.shapes().keys().cloned().collect();
    wanted.push("bn1.num_batches_tracked".into());
    wanted.sort();
    assert_eq!((names(&student), names(&teacher)), (wanted.clone(), wanted));
    let bias = |checkpoint: &Checkpoint| checkpoint.tensor("fc.bias", &[5]).unwrap()[4];
    assert_eq!((bias(&student), bias(&teacher)), (bias(&plain), -bias(&plain)));
}

#[test]
fn the_builtin_network_and_a_spelling_of_transformers() {
    let folder = Folder::new();
    folder.check(&["builtin"]);
    let place = folder.path("hf");
    fs::create_dir(&place).unwrap();
    for name in ["config.json", "preprocessor_config.json"] {
        let from = golden(&format!("hub/microsoft--resnet-18/{name}"));
        fs::copy(from, format!("{place}/{name}")).unwrap();
    }
    let rows = fs::read_to_string(golden("hub/microsoft--resnet-18/tensors.json")).unwrap();
    let rows: Vec<(String, Vec<usize>, String)> = serde_json::from_str(&rows).unwrap();
    let weights = Synthetic { salt: "cli".into(), damped: None, damp: 1.0 };
    let tensors: Vec<Stored<'_>> = rows
        .iter()
        .map(|(name, shape, _)| {
            let counts = name.ends_with("num_batches_tracked");
            if counts { counter(name) } else { Stored::f32(name, shape.clone(), &weights.tensor(name, shape)) }
        })
        .collect();
    save(Path::new(&format!("{place}/model.safetensors")), &tensors, &BTreeMap::new()).unwrap();
    let converted = names(&folder.check(&[&place]));
    assert_eq!(converted.len(), tensors.len());
    for name in ["conv1.weight", "layer2.0.downsample.1.num_batches_tracked", "layer4.1.conv2.weight", "fc.bias"] {
        assert!(converted.iter().any(|converted| converted == name), "{name}: {converted:?}");
    }
}

#[test]
fn what_the_options_say_is_in_the_file() {
    let folder = Folder::new();
    let labels = folder.file("labels.txt", "a\nb\nc\nd\ne \u{e9}\n");
    let model = golden("pth/zip.pth");
    let stated = ["--structure", "stem-pool=max,activation=leaky_relu:0.3,norm-eps=0.003,global-pool=max"];
    let options =
        ["--labels", &labels, "--crop", "48", "--resize", "50", "--mean", "0.1,0.2,0.3", "--filter", "bicubic"];
    let converted = folder.check(&[&[&model[..]], &stated[..], &options].concat());
    let config: Value = serde_json::from_str(&converted.metadata()["config"]).unwrap();
    assert_eq!(config["label_names"][4], "e \u{e9}");

    let headless = folder.converted("headless.safetensors", &[&model, "--structure", "head=none"]);
    assert!(!names(&Checkpoint::open(Path::new(&headless)).unwrap()).iter().any(|name| name.starts_with("fc.")));
    let photo = folder.image("photo.png", 40, 30);
    let embedding = |model: &str| -> Value {
        let output = on_cpu(&["embed", "-m", model, &photo]);
        serde_json::from_str::<Value>(&out(&output)).unwrap()["embedding"].take()
    };
    assert_eq!(embedding(&headless), embedding(&model));
    let again = folder.converted("again.safetensors", &[&headless]);
    assert!(fs::read(again).unwrap() == fs::read(headless).unwrap());
}

#[test]
fn a_head_alone_becomes_a_whole_network_again() {
    let folder = Folder::new();
    let backbone = folder.path("backbone.safetensors");
    fs::copy(golden("pth/plain.safetensors"), &backbone).unwrap();
    let classifier = Classifier::builder().model(&backbone).device("cpu").open().unwrap();
    let head = Head { weights: (0..8).map(|i| i as f32 / 3.0).collect(), biases: vec![0.5, -0.25], neighbours: None };
    let own = classifier.with_head(&head, &["no".into(), "yes".into()], false).unwrap();
    let fingerprint = format!("{:016x}", classifier.fingerprint());
    let of = Backbone { model: "backbone.safetensors".into(), fingerprint };
    let alone = folder.path("head.safetensors");
    own.save(Path::new(&alone), Some(of), Value::Null).unwrap();
    assert_eq!(folder.check(&[&alone]).shapes()["fc.weight"], [2, 4]);
    for read in [&alone, &backbone] {
        assert_fails(&residua(&["convert", &alone, "-o", read]), 2, "io");
    }
    // A head never replaces the file of its backbone.
    assert_eq!(own.save(Path::new(&backbone), None, Value::Null).unwrap_err().code(), "io");
    assert_eq!(fs::read(&backbone).unwrap(), fs::read(golden("pth/plain.safetensors")).unwrap());
}

#[test]
fn a_head_keeps_the_number_of_dimensions() {
    let folder = Folder::new();
    let of_shape = |ones: &[usize]| {
        let old = plain();
        let tensors: Vec<Stored<'_>> = old
            .stored()
            .map(|(_, mut tensor)| {
                if tensor.name == "fc.weight" {
                    tensor.shape.extend(ones);
                }
                tensor
            })
            .collect();
        let (linear, own) = (folder.path("old.safetensors"), folder.path("own.safetensors"));
        save(Path::new(&linear), &tensors, &BTreeMap::new()).unwrap();
        let classifier = Classifier::builder().model(&linear).device("cpu").open().unwrap();
        let head =
            Head { weights: (0..8).map(|i| i as f32 / 3.0).collect(), biases: vec![0.5, -0.25], neighbours: None };
        let made = classifier.with_head(&head, &["no".into(), "yes".into()], false).unwrap();
        made.save(Path::new(&own), None, Value::Null).unwrap();
        let checkpoint = Checkpoint::open(Path::new(&own)).unwrap();
        let weight = checkpoint.stored().find(|(_, tensor)| tensor.name == "fc.weight").unwrap().1;
        (weight.shape, folder.logits(&["-m", &own]))
    };
    let ((linear, logits), (convolution, same)) = (of_shape(&[]), of_shape(&[1, 1]));
    assert_eq!((&linear[..], &convolution[..]), (&[2, 4][..], &[2, 4, 1, 1][..]));
    assert!(logits == same);
}

#[test]
fn what_is_read_is_never_written_over() {
    let folder = Folder::new();
    let bytes = fs::read(golden("pth/zip.pth")).unwrap();
    let model = folder.file("a.pth", &bytes);
    let convert = |from: &str, to: &str| residua(&["convert", from, "-o", to]);
    let mut same = vec![(model.clone(), model.clone()), (model.clone(), folder.path("./a.pth"))];
    #[cfg(unix)]
    {
        let link = folder.path("link.safetensors");
        std::os::unix::fs::symlink(&model, &link).unwrap();
        same.extend([(model.clone(), link.clone()), (link.clone(), model.clone()), (link.clone(), link)]);
    }
    for (from, to) in &same {
        let refused = convert(from, to);
        assert_fails(&refused, 2, "io");
        assert!(err(&refused).contains("another name"), "{}", err(&refused));
    }
    // Replacing a hard link to the old file leaves the old file as it was.
    let second = folder.path("second.safetensors");
    fs::hard_link(&model, &second).unwrap();
    assert_eq!(convert(&model, &second).status.code(), Some(0));
    assert_eq!(fs::read(&model).unwrap(), bytes);

    // One of several files.
    let shard = folder.path("model-00001-of-00001.safetensors");
    fs::copy(golden("pth/plain.safetensors"), &shard).unwrap();
    let map: serde_json::Map<String, Value> =
        plain().shapes().keys().map(|name| (name.clone(), "model-00001-of-00001.safetensors".into())).collect();
    let index = serde_json::json!({"metadata": {}, "weight_map": map}).to_string();
    let index = folder.file("model.safetensors.index.json", index);
    for read in [&shard, &index] {
        assert_fails(&convert(&index, read), 2, "io");
    }
    assert_eq!(convert(&index, &folder.path("whole.safetensors")).status.code(), Some(0));
}

#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    let model = golden("pth/zip.pth");
    assert_eq!(residua(&["convert", &model]).status.code(), Some(2));
    assert_fails(&residua(&["convert", &model, "-o", &folder.path("none/a.safetensors")]), 2, "io");
    #[cfg(target_os = "linux")]
    assert_fails(&residua(&["convert", &model, "-o", "/dev/full"]), 2, "io");
    assert_fails(&residua(&["convert", &golden("make_pth.py"), "-o", &folder.path("a")]), 2, "model.format");
    assert_eq!(fs::read_dir(folder.path("")).unwrap().count(), 0);
    // No device is opened.
    let anywhere = folder.path("a.safetensors");
    assert_eq!(residua(&["convert", &model, "-o", &anywhere, "--device", "none such"]).status.code(), Some(0));
}

/// The name of the file and the configuration beside it count when it is opened.
#[test]
fn a_file_that_would_open_as_something_else_is_an_error() {
    let folder = Folder::new();
    let model = golden("pth/zip.pth");
    folder.file("config.json", r#"{"model_args": {"act_layer": "silu"}}"#);
    assert_fails(&residua(&["convert", &model, "-o", &folder.path("model.safetensors")]), 2, "config.value");
    folder.converted("other.safetensors", &[&model]);
}
