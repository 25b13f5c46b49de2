//! Devices that lack something, and odd batches.

use std::{collections::BTreeSet, fmt::Write, process::Command};

use residua::{
    Classifier, Error, Precision,
    checkpoint::Checkpoint,
    executor::gpu::{
        kernels::Caps,
        plan::{Options, Plan},
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType},
};
use serde_json::Value;

use crate::Folder;

/// Networks whose widest convolutions have more bytes of weights than WebGPU's smallest limit for a binding.
const WIDEST: [&str; 3] = ["resnetv2_152x4_bit", "regnety_1280", "regnety_2560"];

#[test]
fn row_40_every_network_runs_within_webgpus_least_limits_or_says_which() {
    // Planning reads no weights.
    let nothing = Checkpoint::from_bytes("none", [&2_u64.to_le_bytes()[..], b"{}"].concat()).unwrap();
    for name in Architecture::names().iter().filter(|name| !name.contains("1202")) {
        let architecture = Architecture::by_name(name).unwrap();
        let (height, width) = architecture.default_input();
        let network = Network::new(architecture.graph(), nothing.clone());
        let plan = |caps: &Caps| {
            let keep = [network.graph().output()];
            Plan::new(&network, Shape::new(1, 3, height, width), &keep, &Options::new(StorageType::F32), caps)
        };
        let plan_of_least = match plan(&Caps::least()) {
            Ok(plan) => plan,
            Err(Error::GpuLimits { limit, .. }) if WIDEST.contains(&name.as_str()) => {
                assert_eq!(limit, Caps::least().max_binding_bytes);
                continue;
            }
            Err(error) => panic!("{name}: {error}"),
        };
        for step in &plan_of_least.steps {
            assert!(step.operands.len() <= 8, "{name}: {} storage buffers in {}", step.operands.len(), step.name);
        }
        let small = Caps { max_binding_bytes: 1 << 10, ..Caps::least() };
        let Err(Error::GpuLimits { device, needed, limit, .. }) = plan(&small) else { panic!("{name}") };
        assert!(device == "least" && needed > limit && limit == 1 << 10, "{name}: {needed}");
    }
}

#[test]
fn row_41_f16_where_there_is_none() {
    let refused = Classifier::builder().device("cpu").precision(Precision::F16).open().unwrap_err();
    assert_eq!(refused.code(), "gpu.feature");
    let auto = Classifier::builder().device("cpu").precision(Precision::Auto).open().unwrap();
    assert_eq!(auto.precision(), StorageType::F32);
}

#[test]
fn row_47_a_batch_of_none_and_one_bad_image_in_a_thousand() {
    let classifier = Classifier::builder().device("0").open().unwrap();
    assert_eq!(classifier.infer_batch(&[]).unwrap(), []);

    let folder = Folder::new();
    let mut list = String::new();
    for size in 1..=10 {
        image::RgbImage::from_pixel(size, 7, image::Rgb([size as u8 * 20; 3]))
            .save(folder.path(&format!("{size}.png")))
            .unwrap();
    }
    let bad = folder.file("bad.png", "no image");
    for i in 0..1000 {
        let path = if i == 617 { bad.clone() } else { folder.path(&format!("{}.png", 1 + i % 10)) };
        writeln!(list, "{path}").unwrap();
    }
    let list = folder.file("list.txt", list);
    // The last batch is not full.
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(["classify", "-q", "-k", "1", "--format", "jsonl", "--batch", "64", &format!("@{list}")]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let records: Vec<Value> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    let failed: Vec<usize> = (0..records.len()).filter(|&i| records[i]["error"]["code"] == "image.decode").collect();
    assert_eq!((records.len(), failed), (1000, vec![617]));
    // Equal images get equal answers in every batch.
    let answers: BTreeSet<String> =
        records.iter().map(|record| format!("{} {}", record["path"], record["predictions"])).collect();
    assert_eq!(answers.len(), 11);
    assert_eq!(
        Command::new(env!("CARGO_BIN_EXE_residua"))
            .args(["classify", "--batch", "0", &bad])
            .output()
            .unwrap()
            .status
            .code(),
        Some(2)
    );
}
