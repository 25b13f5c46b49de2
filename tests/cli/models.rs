//! Refused models, and one that overflows.

use std::fs;

use serde_json::Value;

use crate::{Folder, assert_fails, on_cpu, out, residua};

/// Changes a tensor, or leaves it out by returning `false`.
type Edit = dyn Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool;

#[test]
fn bad_models_are_refused_by_code() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let keep = |_: &str, _: &mut Vec<usize>, _: &mut Vec<f32>| true;
    let whole = fs::read(folder.checkpoint("whole.safetensors", "cifar_resnet20a", keep)).unwrap();
    let changed = |name: &str, edit: &Edit| folder.checkpoint(name, "cifar_resnet20a", edit);
    let cases = [
        (folder.path("nowhere.safetensors"), "model.not_found"),
        (folder.file("cut.safetensors", &whole[..whole.len() - 1]), "model.truncated"),
        (folder.file("short.safetensors", &whole[..7]), "model.truncated"),
        (folder.file("weights.pth", b"PK\x03\x04 archive/data.pkl"), "model.header"),
        (changed("missing.safetensors", &|name, _, _| name != "layer2.1.conv2.weight"), "model.missing_tensor"),
        (
            changed("shape.safetensors", &|name, shape, values| {
                if name == "layer2.1.bn1.bias" {
                    shape[0] -= 1;
                    values.pop();
                }
                true
            }),
            "model.shape",
        ),
        (
            changed("nan.safetensors", &|name, _, values| {
                if name == "layer3.0.conv1.weight" {
                    values[17] = f32::NAN;
                }
                true
            }),
            "model.value",
        ),
        (changed("other.safetensors", &|name, _, _| name.starts_with("linear")), "model.unknown_architecture"),
    ];
    for (path, code) in &cases {
        assert_fails(&on_cpu(&["classify", "-m", path, &photo]), 2, code);
    }
}

#[test]
fn an_image_whose_logits_overflow_is_its_own_error() {
    // With mean 0, a black image is zero throughout, and a white one makes the head overflow f32.
    let folder = Folder::new();
    let model = folder.checkpoint("overflow.safetensors", "cifar_resnet20a", |name, _, values| {
        let zero = name.ends_with(".running_mean") || (name.ends_with(".bias") && name != "linear.bias");
        for value in values {
            *value = match name {
                _ if zero => 0.0,
                "linear.weight" => f32::MAX,
                _ => *value,
            };
        }
        true
    });
    let plain = |name: &str, value: u8| {
        image::RgbImage::from_pixel(32, 32, image::Rgb([value; 3])).save(folder.path(name)).unwrap();
        folder.path(name)
    };
    let (first, bad, last) = (plain("first.png", 0), plain("bad.png", 255), plain("last.png", 0));
    for device in ["0", "cpu", "reference"] {
        let options = ["--format", "jsonl", "--batch", "3", "--mean", "0,0,0", "--device", device, "-m", &model];
        let output = residua(&[&["classify"], &options[..], &[&first, &bad, &last]].concat());
        assert_fails(&output, 1, "gpu.not_finite");
        let records: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 3, "{device}");
        assert_eq!(records[1]["error"]["code"], "gpu.not_finite", "{device}");
        for i in [0, 2] {
            assert_eq!(records[i]["predictions"].as_array().unwrap().len(), 5, "{device}: {}", records[i]);
        }
    }
}
