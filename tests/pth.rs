//! Checkpoints as `torch.save` writes them: each format gives the same tensors, and none of their code is run.
//! `tests/golden/make_pth.py` made the files.

mod common;

use std::{fs, path::PathBuf, process::Command};

use residua::{Classifier, Note, checkpoint::Checkpoint};

fn file(name: &str) -> PathBuf {
    common::golden_dir().join("pth").join(name)
}

/// Every value in a file is `scale` times the one in `plain.safetensors`, with a relative error of at most `bound`.
fn check(name: &str, part: Option<&str>, scale: f32, bound: f32) {
    let plain = Checkpoint::open(&file("plain.safetensors")).unwrap();
    let mut builder = Classifier::builder().model(file(name).to_str().unwrap()).device("cpu");
    if let Some(part) = part {
        builder = builder.part(part);
    }
    let classifier = builder.open().unwrap();
    assert!(classifier.notes().contains(&Note::Pickled), "{name}");
    let checkpoint = classifier.network().checkpoint();
    assert_eq!(checkpoint.shapes(), plain.shapes(), "{name}");
    for (tensor, shape) in plain.shapes() {
        let (got, want) = (checkpoint.tensor(tensor, shape).unwrap(), plain.tensor(tensor, shape).unwrap());
        for (got, want) in got.iter().zip(want.iter().map(|value| scale * value)) {
            assert!((got - want).abs() <= bound * want.abs(), "{name}: {tensor}: {got} and not {want}");
        }
    }
}

#[test]
fn every_format_gives_the_same_tensors() {
    for name in ["zip.pth", "legacy.pth.tar", "old.tar.pth", "whole.pt", "channels_last.pth", "tied.pth", "views.pth"] {
        check(name, None, 1.0, 0.0);
    }
    // Half a unit in the last of 11 and of 8 bits.
    check("half.bin", None, 1.0, 2.0_f32.powi(-11));
    check("bfloat16.th", None, 1.0, 2.0_f32.powi(-8));
    check("teacher.pth", None, 1.0, 0.0);
    check("teacher.pth", Some("teacher"), 0.5, 0.0);
    check("tied.pth", Some("model_ema"), 1.0, 0.0);
}

/// A checkpoint in memory has parts too: all of its tensors were read.
#[test]
fn a_part_of_a_checkpoint_in_memory() {
    let checkpoint = Checkpoint::open(&file("teacher.pth")).unwrap();
    let plain = checkpoint.tensor("fc.bias", &[5]).unwrap().into_owned();
    let builder = Classifier::builder().checkpoint(checkpoint, None).part("teacher").device("cpu");
    let teacher = builder.open().unwrap();
    let halved: Vec<f32> = plain.iter().map(|value| 0.5 * value).collect();
    assert_eq!(teacher.network().checkpoint().tensor("fc.bias", &[5]).unwrap(), halved);
}

#[test]
fn a_folder_with_a_pickle_alone_is_opened_and_a_safetensors_file_goes_before_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(file("zip.pth"), folder.path().join("pytorch_model.bin")).unwrap();
    fs::write(
        folder.path().join("config.json"),
        r#"{"architecture": "net", "label_names": ["a", "b", "c", "d", "e"]}"#,
    )
    .unwrap();
    let open = || Classifier::builder().model(folder.path().to_str().unwrap()).device("cpu").open().unwrap();
    assert_eq!(open().model().labels.name(4), "e");
    assert!(open().notes().contains(&Note::Pickled));
    fs::copy(file("plain.safetensors"), folder.path().join("model.safetensors")).unwrap();
    assert!(!open().notes().contains(&Note::Pickled));
}

/// Python runs the command of this file when it loads it.
#[test]
fn no_code_is_run() {
    let folder = tempfile::tempdir().unwrap();
    let photo = common::golden_dir().join("formats/rgb.bmp");
    let plain = folder.path().join("plain.pth");
    fs::write(&plain, b"cposix\nsystem\n(S'touch pwned'\ntR.").unwrap();
    for (model, ends) in [(file("evil.pth"), 0), (plain, 2)] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
        command.current_dir(folder.path()).args(["classify", "--device", "cpu", "-m"]).args([&model, &photo]);
        let output = command.env("HF_HUB_OFFLINE", "1").output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(ends), "{err}");
        assert!(ends > 0 || err.contains("without running any of its code"), "{err}");
        assert!(!folder.path().join("pwned").exists(), "{} was run", model.display());
    }
}

/// Cutting a file, or changing any byte of it, never panics and never gives values that are not finite.
#[test]
fn no_damage_panics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("damaged");
    for name in ["zip.pth", "legacy.pth.tar", "old.tar.pth"] {
        let whole = fs::read(file(name)).unwrap();
        let look = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            if let Ok(checkpoint) = Checkpoint::open(&path) {
                for (name, shape) in checkpoint.shapes() {
                    let _ = checkpoint.tensor(name, shape);
                }
            }
        };
        for at in (0..whole.len()).step_by(61) {
            look(&whole[..at]);
            let mut bytes = whole.clone();
            bytes[at] ^= 0x80;
            look(&bytes);
        }
    }
}
