//! Models that are truncated, foreign, absurd or inconsistent, opened by the command and by [`Builder`].

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
};

use residua::{
    Builder, Classifier, Error, Note, Pixels, Precision,
    checkpoint::{Checkpoint, ModelConfig, Synthetic},
    image::Preprocess,
    models::Architecture,
    tensor::{Shape, Tensor},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::{Folder, model_costs};

const BUILTIN: &[u8] = include_bytes!("../../weights/builtin.safetensors");

/// A small network's weights, which `edit` may change or leave out, and an additional tensor.
fn weights(edit: impl Fn(&str, &mut Vec<f32>) -> bool, extra: Option<&str>) -> Vec<u8> {
    let synthetic = Synthetic { salt: "bad".into(), damped: Some("bn2.weight".into()), damp: 0.3 };
    let mut tensors = Architecture::by_name("cifar_resnet20a").unwrap().graph().tensors();
    tensors.extend(extra.map(|name| (name.to_string(), vec![2])));
    let mut kept = Vec::new();
    for (name, shape) in tensors {
        let mut values = synthetic.tensor(&name, &shape);
        if edit(&name, &mut values) {
            kept.push((name, shape, bytemuck::cast_slice::<f32, u8>(&values).to_vec()));
        }
    }
    let views =
        kept.iter().map(|(name, shape, bytes)| (name, TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    safetensors::serialize(views, None).unwrap()
}

fn on_cpu(bytes: Vec<u8>) -> Builder {
    Classifier::builder().checkpoint(Checkpoint::from_bytes("test", bytes).unwrap(), None).device("cpu")
}

/// A file with a header for F32 tensors of these shapes, and their zeros, which take no space on the disk.
fn sparse(folder: &Folder, tensors: &[(String, Vec<usize>)]) -> String {
    let (mut entries, mut end) = (Vec::new(), 0_u64);
    for (name, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().map(|&extent| extent as u64).product::<u64>();
        entries.push(format!(r#""{name}":{{"dtype":"F32","shape":{shape:?},"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let path = folder.path("sparse.safetensors");
    let mut file = File::create(&path).unwrap();
    file.write_all(&(header.len() as u64).to_le_bytes()).unwrap();
    file.write_all(header.as_bytes()).unwrap();
    file.set_len(8 + header.len() as u64 + end).unwrap();
    path
}

#[test]
fn row_01_02_03_broken_headers_cost_nothing() {
    let folder = Folder::new();
    let model = |bytes: &[u8]| folder.file("model.safetensors", bytes);
    model_costs("weights of 0 bytes", "model.truncated", &model(b""), &[]);
    for length in [1_u64 << 63, 100_000_001, 99_000_000] {
        let bytes = [&length.to_le_bytes()[..], b"{}"].concat();
        model_costs(&format!("header of {length} bytes announced"), "model.header", &model(&bytes), &[]);
    }
    let with = |header: String| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes()].concat();
    let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(3000), "]".repeat(3000));
    model_costs("header nested 3000 deep", "model.header", &model(&with(deep)), &[]);
    let many: Vec<String> =
        (0..900_000).map(|i| format!(r#""t{i}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    model_costs("header of 900000 tensors", "model.header", &model(&with(format!("{{{}}}", many.join(",")))), &[]);
    let many = many[..85_000].join(",");
    model_costs("header of 85000 tensors", "model.unknown_architecture", &model(&with(format!("{{{many}}}"))), &[]);
}

/// A file that is not a network is recognised by its header, however large it is.
#[test]
fn row_09_a_language_model_is_not_read() {
    let folder = Folder::new();
    let layers: Vec<(String, Vec<usize>)> =
        (0..32).map(|i| (format!("model.layers.{i}.self_attn.q_proj.weight"), vec![8192, 8192])).collect();
    let path = sparse(&folder, &layers);
    let run = model_costs("language model of 8 GiB", "model.unknown_architecture", &path, &[]);
    assert!(run.err.contains("supported are ResNet"), "{}", run.err);
}

/// Consistent throughout, and larger than any memory.
#[test]
fn row_08_a_network_of_absurd_size_is_an_error() {
    let folder = Folder::new();
    let tensors = Architecture::by_name("resnet18").unwrap().with_classes(1 << 31).graph().tensors();
    let path = sparse(&folder, &tensors);
    let run = model_costs("ResNet-18 of 2^31 classes, 4 TiB", "io", &path, &[]);
    assert!(run.err.contains("do not fit into memory"), "{}", run.err);
}

/// Numbers for which no arithmetic may overflow and no memory be allocated.
#[test]
fn row_08_absurd_shapes_of_inputs_and_layers_are_errors() {
    let classifier = Classifier::builder().device("cpu").open().unwrap();
    for n in [1 << 40, 1 << 62, usize::MAX] {
        for shape in [Shape::new(n, 3, 32, 32), Shape::new(1, 3, n, 32), Shape::new(n, 3, n, n)] {
            let input = Tensor { shape, data: Vec::new() };
            assert_eq!(classifier.logits(&input).unwrap_err().code(), "graph.shape", "{shape}");
            assert_eq!(classifier.network().graph().infer_shapes(shape).unwrap_err().code(), "graph.shape", "{shape}");
        }
    }
    let mut large = Preprocess::torchvision();
    (large.height, large.width) = (8192, 8192);
    let small = Pixels { width: 1, height: 1, data: vec![0; 3] };
    assert_eq!(large.normalise(&vec![small; 5000]).unwrap_err().code(), "graph.shape");

    for name in ["cifar_densenet_bc_100_12", "cifar_resnet20a", "seresnet50"] {
        let tensors = Architecture::by_name(name).unwrap().graph().tensors();
        for extent in [usize::MAX, usize::MAX / 2, 1 << 32] {
            for layer in
                tensors.iter().filter_map(|(name, _)| name.strip_suffix(".running_var").or(name.strip_suffix(".bias")))
            {
                let damaged = |(name, shape): &(String, Vec<usize>)| {
                    let hit = name.strip_prefix(layer).is_some_and(|rest| rest.starts_with('.'));
                    (name.clone(), if hit { vec![extent, 0] } else { shape.clone() })
                };
                let error = Architecture::detect("absurd", &tensors.iter().map(damaged).collect()).unwrap_err();
                assert!(error.code().starts_with("model."), "{name} {layer}: {error}");
            }
        }
    }
}

#[test]
fn row_11_extra_tensors_are_left_out_on_request() {
    let folder = Folder::new();
    let path = folder.file("extra.safetensors", weights(|_, _| true, Some("head.decay")));
    model_costs("a tensor too many", "model.unexpected_tensor", &path, &[]);
    let run = model_costs("a tensor too many, --allow-extra", "ok", &path, &["--allow-extra"]);
    assert!(run.err.contains("left out") && run.err.contains("head.decay"), "{}", run.err);
    let (plain, with) = (on_cpu(weights(|_, _| true, None)), on_cpu(fs::read(&path).unwrap()).allow_extra(true));
    let [plain, with] = [plain, with].map(|builder| builder.open().unwrap());
    let input = Tensor::zeros(plain.input_shape(1));
    assert_eq!(plain.logits(&input).unwrap(), with.logits(&input).unwrap());
}

#[test]
fn row_16_weights_that_are_not_finite_are_opened_on_request_and_named() {
    let spoil = |name: &str, values: &mut Vec<f32>| {
        if name == "layer2.1.conv1.weight" {
            values[3..5].fill(f32::NAN);
        }
        true
    };
    let folder = Folder::new();
    let path = folder.file("nan.safetensors", weights(spoil, None));
    model_costs("NaN among the weights", "model.value", &path, &[]);
    let run = crate::run(&["info", &path, "--allow-nonfinite"]);
    assert_eq!(run.status, Some(0), "{}", run.err);
    assert!(run.out.contains("cifar_resnet20a") && run.err.contains("layer2.1.conv1.weight (2 of "), "{}", run.err);
    model_costs("NaN among the weights, --allow-nonfinite", "gpu.not_finite", &path, &["--allow-nonfinite"]);
}

#[test]
fn row_18_weights_beyond_f16_are_stored_as_f32() {
    let large = |name: &str, values: &mut Vec<f32>| {
        match name {
            "layer1.0.conv1.weight" => values.iter_mut().for_each(|value| *value *= 1e6),
            "layer1.0.bn1.running_var" => values.iter_mut().for_each(|value| *value = 1e-5),
            _ => {}
        }
        true
    };
    let open = |precision| {
        let checkpoint = Checkpoint::from_bytes("large", weights(large, None)).unwrap();
        Classifier::builder().device("0").checkpoint(checkpoint, None).precision(precision).open()
    };
    let expected = open(Precision::F32).unwrap();
    let opened = match open(Precision::F16) {
        Ok(opened) => opened,
        // Without f16 support there is nothing to fall back from.
        Err(error) => return assert_eq!(error.code(), "gpu.feature"),
    };
    assert_eq!(opened.precision(), residua::tensor::StorageType::F32);
    assert!(
        opened
            .notes()
            .iter()
            .any(|note| matches!(note, Note::BeyondF16 { layer, .. } if layer.contains("layer1.0.conv1"))),
        "{:?}",
        opened.notes()
    );
    let input = Tensor::zeros(opened.input_shape(1));
    assert_eq!(opened.logits(&input).unwrap(), expected.logits(&input).unwrap());
}

/// The weights decide the number of classes, and a list of another length names none of them.
#[test]
fn row_20_labels_that_are_not_those_of_the_head() {
    let open = |config: &str| {
        let checkpoint = Checkpoint::from_bytes("test", weights(|_, _| true, None)).unwrap();
        let config = ModelConfig::from_json("config.json", config, None).unwrap();
        Classifier::builder().checkpoint(checkpoint, Some(config)).device("cpu").open().unwrap()
    };
    let many: BTreeMap<String, String> = (0..21_841).map(|i| (i.to_string(), format!("name {i}"))).collect();
    let classifier =
        open(&format!(r#"{{"num_labels": 21841, "id2label": {}}}"#, serde_json::to_string(&many).unwrap()));
    assert_eq!((classifier.model().classes, classifier.model().labels.name(3).as_str()), (10, "3"));
    assert!(
        classifier.notes()[0].to_string().contains("names 21841 classes, the weights have 10"),
        "{:?}",
        classifier.notes()
    );
    let classifier = open(r#"{"id2label": {"0": "a", "4": "e"}}"#);
    let names = [0, 1, 4, 9].map(|class| classifier.model().labels.name(class));
    assert_eq!(names, ["a", "1", "e", "9"]);
    assert!(classifier.notes()[0].to_string().contains("5 labels for 10 classes"), "{:?}", classifier.notes());
    let classifier = open("{}");
    assert_eq!((classifier.model().labels.name(3).as_str(), classifier.notes()), ("3", Vec::new()));
}

/// The built-in weights in two files, and their index, whose text `change` may change.
fn sharded(folder: &Folder, change: impl Fn(String) -> String) -> String {
    let whole = SafeTensors::deserialize(BUILTIN).unwrap();
    let mut map = BTreeMap::new();
    for (i, shard) in ["model-1.safetensors", "model-2.safetensors"].into_iter().enumerate() {
        let part: Vec<_> =
            whole.tensors().into_iter().enumerate().filter(|(n, _)| n % 2 == i).map(|(_, tensor)| tensor).collect();
        map.extend(part.iter().map(|(name, _)| (name.clone(), shard)));
        folder.file(shard, safetensors::serialize(part, None).unwrap());
    }
    let index = serde_json::json!({"metadata": {"total_size": 1}, "weight_map": map});
    folder.file("model.safetensors.index.json", change(index.to_string()))
}

/// The layout of the hub's cache: the shards are beside the link in the snapshot, and the index itself is a blob.
#[cfg(unix)]
#[test]
fn a_link_to_the_index_of_several_files_opens_them() {
    use std::os::unix::fs::symlink;
    let (folder, cache) = (Folder::new(), Folder::new());
    let index = sharded(&cache, |index| index);
    std::fs::rename(&index, cache.path("blob")).unwrap();
    symlink("blob", &index).unwrap();
    let link = folder.path("any.index.json");
    symlink(&index, &link).unwrap();
    let open = |model: &str| Classifier::builder().model(model).device("cpu").open().unwrap();
    assert_eq!(open(&link).fingerprint(), open(&index).fingerprint());
}

#[test]
fn row_22_checkpoints_in_several_files() {
    let folder = Folder::new();
    let index = sharded(&folder, |index| index);
    let input = Tensor::zeros(Classifier::builder().device("cpu").open().unwrap().input_shape(1));
    let logits = |model: &str| Classifier::builder().model(model).device("cpu").open().unwrap().logits(&input).unwrap();
    assert_eq!(logits(&index), logits("builtin"), "by the index");
    assert_eq!(logits(&folder.path("")), logits("builtin"), "by the folder");

    for (shard, code) in [
        ("../../etc/passwd", "config.path"),
        ("/etc/passwd", "config.path"),
        ("..", "config.path"),
        ("below/model.safetensors", "config.path"),
        ("C:model.safetensors", "config.path"),
        ("..\\\\model.safetensors", "config.path"),
        ("", "config.path"),
        ("model-3.safetensors", "io"),
        ("model-1.safetensors", "model.header"),
    ] {
        let index = sharded(&folder, |index| index.replace("model-2.safetensors", shard));
        let run = model_costs(&format!("a shard {shard:?}"), code, &index, &[]);
        assert!(code != "config.path" || run.err.contains("is not a plain file name"), "{}", run.err);
    }
    for text in ["{}", "[]", r#"{"weight_map": {}}"#, r#"{"weight_map": {"a": 1}}"#, "not JSON"] {
        model_costs(&format!("an index {text}"), "model.header", &sharded(&folder, |_| text.into()), &[]);
    }
    let twice = sharded(&folder, |index| index);
    fs::copy(folder.path("model-1.safetensors"), folder.path("model-2.safetensors")).unwrap();
    let Err(Error::ModelHeader { reason, .. }) = Checkpoint::open(twice.as_ref()) else { panic!() };
    assert!(reason.contains("which the index does not list for this file"), "{reason}");
}
