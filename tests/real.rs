//! Real checkpoints on real photos. Neither can be part of the project, so these tests run only with `--ignored`;
//! `tests/check` runs them if `RESIDUA_REAL_DATA` or `../shared` has the data. They compare with PyTorch's pixels,
//! which need the feature `libjpeg`.
#![cfg(feature = "libjpeg")]
mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use common::real_data;
use residua::{Classifier, Pixels, image};
use serde_json::Value;

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn photo(path: &Path) -> ::image::DynamicImage {
    image::decode(&fs::read(path).unwrap(), &image::DecodeOptions::default()).unwrap().image
}

/// Unpacks an archive or a file with the system's tar and xz.
fn unpack(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

fn f32s(values: &Value) -> Vec<f32> {
    values.as_array().unwrap().iter().map(|v| v.as_f64().unwrap() as f32).collect()
}

/// All images of a folder of class folders, in order, with their class, and the path below the folder.
fn class_folders(root: &Path, classes: &Value) -> Vec<(PathBuf, usize, String)> {
    let mut images = Vec::new();
    for (index, class) in classes.as_array().unwrap().iter().enumerate() {
        let class = class.as_str().unwrap();
        let mut files: Vec<PathBuf> = fs::read_dir(root.join(class)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        images.extend(files.into_iter().map(|path| {
            let name = format!("{class}/{}", path.file_name().unwrap().to_str().unwrap());
            (path, index, name)
        }));
    }
    images
}

/// The test images, unpacked, and PyTorch's results for them.
struct Cifar10 {
    data: PathBuf,
    golden: Value,
    images: Vec<(PathBuf, usize, String)>,
    _folder: tempfile::TempDir,
}

impl Cifar10 {
    fn load() -> Self {
        let data = real_data();
        let golden = json(&data.join("golden/cifar10-real.json"));
        let folder = tempfile::tempdir().unwrap();
        let archive = data.join("data/cifar10/test-even.tar.xz");
        unpack(Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(folder.path()));
        let root = if folder.path().join("airplane").is_dir() {
            folder.path().to_path_buf()
        } else {
            fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path()
        };
        let images = class_folders(&root, &golden["classes"]);
        assert_eq!(images.len() as u64, golden["images"].as_u64().unwrap());
        Cifar10 { data, golden, images, _folder: folder }
    }

    /// The number of right answers differs from PyTorch's by at most 3, and the first image of each class has PyTorch's
    /// logits.
    fn check(&self, name: &str) {
        let golden = &self.golden[name];
        let wanted = golden["correct"].as_u64().unwrap();
        let model = self.data.join(format!("weights/{name}.safetensors"));
        let mut builder = Classifier::builder().device(&common::adapter()).model(model.to_str().unwrap());
        if let (Some(mean), Some(std)) = (golden.get("mean"), golden.get("std")) {
            builder = builder.mean(f32s(mean).try_into().unwrap()).std(f32s(std).try_into().unwrap());
        }
        let classifier = builder.open().unwrap();
        let pixels: Vec<Pixels> =
            self.images.iter().map(|(path, ..)| classifier.preprocess(&photo(path)).unwrap()).collect();
        let predictions: Vec<_> = pixels.chunks(100).flat_map(|chunk| classifier.predict(chunk).unwrap()).collect();
        let classes = self.images.iter().map(|(_, class, _)| *class);
        let right = predictions.iter().zip(classes).filter(|(p, class)| p.top(1)[0].index == *class).count() as u64;
        common::say(&format!("{name}: {right} of {} right, PyTorch {wanted}", pixels.len()));
        assert!(right.abs_diff(wanted) <= 3, "{name}: {right} right, PyTorch {wanted}");
        let first = self.golden["first"].as_array().unwrap();
        for (file, logits) in first.iter().zip(golden["logits"].as_array().unwrap()) {
            let at = self.images.iter().position(|(.., path)| path == file.as_str().unwrap()).unwrap();
            let input = classifier.model().preprocess.normalise(&pixels[at..=at]).unwrap();
            let got = classifier.logits(&input).unwrap();
            common::compare(&got.data, &f32s(logits), 1e-3).unwrap_or_else(|e| panic!("{name} {file}: {e}"));
        }
    }
}

#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn cifar10_resnets_count_as_pytorch_does() {
    let cifar10 = Cifar10::load();
    for depth in [20, 32, 44, 56] {
        let name = format!("cifar10-resnet{depth}");
        cifar10.check(&name);
    }
}

#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn cifar10_densenet_counts_as_pytorch_does() {
    let cifar10 = Cifar10::load();
    cifar10.check("cifar10-densenet_bc_100_12");
}

fn imagenet(name: &str) {
    let data = real_data();
    let golden = json(&data.join(format!("golden/imagenet-{name}.json")));
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("model.safetensors");
    let packed = data.join(format!("weights/imagenet-{name}.safetensors.xz"));
    unpack(Command::new("xz").arg("-dkc").arg(packed).stdout(fs::File::create(&model).unwrap()));
    let classifier = Classifier::builder().device(&common::adapter()).model(model.to_str().unwrap()).open().unwrap();
    assert_eq!(classifier.model().architecture, name);
    let rows = golden["rows"].as_array().unwrap();
    let mut same = 0;
    for row in rows {
        let path = data.join("data/imagenet/images").join(row["file"].as_str().unwrap());
        let best = classifier.infer(&photo(&path)).unwrap().top(1)[0].index;
        same += usize::from(best as u64 == row["top5"][0].as_u64().unwrap());
    }
    common::say(&format!("{name}: PyTorch's best class on {same} of {} photos", rows.len()));
    assert!(same >= 99, "{name}: PyTorch's best class on {same} of {} photos only", rows.len());
}

#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn imagenet_resnet18_agrees_on_photos() {
    imagenet("resnet18");
}

#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn imagenet_resnet50_agrees_on_photos() {
    imagenet("resnet50");
}
