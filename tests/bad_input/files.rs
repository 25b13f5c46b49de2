//! Ctrl-C, and missing folders.
#![cfg(unix)]

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::Folder;

fn residua() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The first Ctrl-C waits for the running batch: use a slow network.
#[test]
fn row_48_the_second_ctrl_c_ends_it_at_once() {
    let folder = Folder::new();
    image::RgbImage::new(32, 32).save(folder.path("photo.png")).unwrap();
    // One batch on the slow reference path.
    let list = folder.file("list", format!("{}\n", folder.path("photo.png")).repeat(2000));
    let mut child =
        residua().args(["classify", "--device", "reference", "--batch", "2000", &format!("@{list}")]).spawn().unwrap();
    thread::sleep(Duration::from_millis(1000));
    let interrupt = |id: u32| assert!(Command::new("kill").args(["-INT", &id.to_string()]).status().unwrap().success());
    interrupt(child.id());
    thread::sleep(Duration::from_millis(300));
    assert_eq!(child.try_wait().unwrap(), None, "the first one waits for the batch");
    let began = Instant::now();
    interrupt(child.id());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// Without a home folder, or if HOME is a file, there is no cache, and everything else works.
#[test]
fn row_49_without_a_home() {
    let folder = Folder::new();
    image::RgbImage::new(32, 32).save(folder.path("photo.png")).unwrap();
    let classify = |command: &mut Command| {
        assert!(command.args(["classify", "-k", "1", &folder.path("photo.png")]).status().unwrap().success());
    };
    classify(residua().env_remove("HOME").env_remove("XDG_CACHE_HOME"));
    classify(residua().env("XDG_CACHE_HOME", folder.path("photo.png")));
    let output = Command::new(env!("CARGO_BIN_EXE_residua")).args(["pull", "resnet18"]).env_clear().output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("[hub.cache]"), "{err}");
}
