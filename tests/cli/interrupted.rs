//! Ctrl-C while a head is fitted and while a model is measured: status 130, and no file that is not whole.
#![cfg(unix)]

use std::{fs, path::Path, process::Command};

use rexpect::{process::WaitStatus, session::spawn_command};

use crate::{Folder, err, on_cpu, out};

/// Timeout of each step in milliseconds.
const PATIENCE: u64 = 120_000;

/// Runs a command on a terminal, and presses Ctrl-C when its bar shows `text`. What was shown.
fn interrupted(arguments: &[&str], text: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(arguments).args(["--device", "cpu"]).env("TERM", "xterm-256color").env("COLUMNS", "100");
    let mut session = spawn_command(command, Some(PATIENCE)).unwrap();
    session.exp_string(text).unwrap();
    session.send_control('c').unwrap();
    let shown = session.exp_eof().unwrap();
    match session.process().wait().unwrap() {
        WaitStatus::Exited(_, status) => assert_eq!(status, 130, "{shown}"),
        other => panic!("{other:?}: {shown}"),
    }
    shown
}

/// This many hard links to a few photos, each in the folder of a class.
fn album(folder: &Folder, classes: usize, of_each: usize, side: u32) -> String {
    let photos: Vec<String> = (0..20)
        .map(|i| {
            folder.photo(&format!("{i}.png"), [(i * 12) as u8, 90, (i * 7) as u8], i);
            let small = image::open(folder.path(&format!("{i}.png"))).unwrap();
            small
                .resize_exact(side, side, image::imageops::FilterType::Triangle)
                .save(folder.path(&format!("{i}.png")))
                .unwrap();
            folder.path(&format!("{i}.png"))
        })
        .collect();
    for class in 0..classes {
        fs::create_dir_all(folder.path(&format!("album/{class:02}"))).unwrap();
        for image in 0..of_each {
            // Classes are assigned at random, so that there is nothing to learn and the search takes long.
            let photo = &photos[(class * 7919 + image * 104_729 + image * image) % photos.len()];
            fs::hard_link(photo, folder.path(&format!("album/{class:02}/{image:03}.png"))).unwrap();
        }
    }
    folder.path("album")
}

#[test]
fn features_that_are_done_are_kept() {
    let folder = Folder::new();
    let (album, mine, verdict) =
        (album(&folder, 2, 150, 900), folder.path("mine.safetensors"), folder.path("verdict.json"));
    let fit = ["fit", &album, "-o", &mine, "--json", &verdict];
    interrupted(&fit, "images/s");
    assert!(!Path::new(&mine).exists() && !Path::new(&verdict).exists());
    let index = fs::metadata(folder.path("mine.index")).unwrap().len();
    let output = on_cpu(&fit);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(index < fs::metadata(folder.path("mine.index")).unwrap().len(), "it ran to the end");
    let left: Vec<_> = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 20 + 4, "a temporary file stayed: {left:?}");
}

#[test]
fn a_regression_ends_without_a_file() {
    let folder = Folder::new();
    let (album, mine) = (album(&folder, 60, 30, 32), folder.path("mine.safetensors"));
    let shown = interrupted(&["fit", &album, "-o", &mine], "fitting");
    assert!(!Path::new(&mine).exists(), "{shown}");
    assert!(Path::new(&folder.path("mine.index")).exists(), "the features are kept");
}

#[test]
fn an_evaluation_goes_on_where_it_was_stopped() {
    let folder = Folder::new();
    let (album, records) = (album(&folder, 2, 150, 900), folder.path("records.jsonl"));
    let evaluate = ["evaluate", &album, "--resume", &records, "--format", "json"];
    interrupted(&evaluate, "images/s");
    let lines = fs::read_to_string(&records).unwrap();
    let (count, whole) = (lines.lines().count(), lines.is_empty() || lines.ends_with('\n'));
    assert!(count < 300 && whole, "{count} records");
    let output = on_cpu(&evaluate);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let report: serde_json::Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(report["images"], 300);
}
