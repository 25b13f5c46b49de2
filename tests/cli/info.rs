//! `residua info`, `verify` and `preprocess`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

#[test]
fn info_verify_and_preprocess() {
    let output = residua(&["info", "-v"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for part in ["architecture", "GMACs", "airplane", "conv2d_", "fused into"] {
        assert!(out(&output).contains(part), "{part}: {}", out(&output));
    }
    let folder = Folder::new();
    let report = folder.path("report.json");
    let output = residua(&["verify", "--json", &report]);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert!(report["ok"].as_bool().unwrap() && report["layers"].as_array().unwrap().len() > 10);
    let crop: PathBuf = folder.path("crop.png").into();
    let arguments = ["preprocess", &folder.image("photo.png", 300, 200), "-o", crop.to_str().unwrap()];
    let output = on_cpu(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(image::image_dimensions(&crop).unwrap(), (32, 32));
}

#[test]
fn preprocess_names_the_image_that_it_cannot_read() {
    let folder = Folder::new();
    let text = folder.file("not", "text, not pixels");
    let output = on_cpu(&["preprocess", &text, "-o", &folder.path("crop.png")]);
    assert_fails(&output, 1, "image.decode");
    assert!(err(&output).contains(&text), "{}", err(&output));
    assert!(!Path::new(&folder.path("crop.png")).exists());
    assert_eq!(residua(&["classify", "-k", "0", "x"]).status.code(), Some(2));
}
