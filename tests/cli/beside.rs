//! Files beside a model's file: its configuration, and label files.

use std::fs;

use serde_json::Value;

use super::{Folder, assert_fails, err, on_cpu, out};

/// The labels of the first photo's ten classes, in the order of their indices.
fn labels(arguments: &[&str]) -> Vec<String> {
    let output = on_cpu(&[&["classify", "-q", "-k", "10", "--format", "jsonl"], arguments].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let record: Value = serde_json::from_str(&out(&output)).unwrap();
    let mut rows = record["predictions"].as_array().unwrap().clone();
    rows.sort_by_key(|row| row["index"].as_u64());
    rows.iter().map(|row| row["label"].as_str().unwrap().to_string()).collect()
}

#[test]
fn the_configuration_beside_a_file_is_read_unless_told_otherwise() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 40, 40);
    let model = folder.checkpoint("model.safetensors", "cifar_resnet20a", |_, _, _| true);
    let names: Vec<String> = (0..10).map(|i| format!("class {i}")).collect();
    folder.file("config.json", format!(r#"{{"architecture": "mine", "num_classes": 10, "labels": {names:?}}}"#));
    let place = folder.path("");
    assert_eq!(labels(&["-m", &place, &photo]), names);
    assert_eq!(labels(&["-m", &model, &photo]), names);
    assert_eq!(labels(&["-m", &model, "--no-config", &photo])[3], "3");
    fs::write(folder.path("config.json"), r#"{"model_type": "resnet", "depths": [3, 4, 6, 3]}"#).unwrap();
    let output = on_cpu(&["info", &model]);
    assert_fails(&output, 2, "config.value");
    assert!(err(&output).contains("depths = [3, 4, 6, 3]: the tensors have [3, 3, 3]"), "{}", err(&output));
}

#[test]
fn label_files_of_other_programs_are_read() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 40, 40);
    let names: Vec<String> = (0..10).map(|i| format!("class {i}")).collect();
    let entries = |entry: &dyn Fn(usize, &String) -> String| {
        let entries: Vec<String> = names.iter().enumerate().map(|(index, name)| entry(index, name)).collect();
        format!("{{{}}}", entries.join(",\n"))
    };
    let files = [
        ("imagenet_class_index.json", entries(&|index, name| format!(r#""{index}": ["n{index:08}", "{name}"]"#))),
        ("by_name.json", entries(&|index, name| format!(r#""{name}": {index}"#))),
        ("printed.txt", entries(&|index, name| format!("{index}: '{name}'"))),
    ];
    for (file, text) in files {
        assert_eq!(labels(&["--labels", &folder.file(file, text), &photo]), names, "{file}");
    }
}
