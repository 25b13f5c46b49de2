//! Ctrl-C, full disks and missing folders.
#![cfg(unix)]

use std::{
    fs,
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

/// The first waits for the batch in hand; a network that takes long has one.
#[test]
fn row_48_the_second_ctrl_c_ends_it_at_once() {
    let folder = Folder::new();
    image::RgbImage::new(32, 32).save(folder.path("photo.png")).unwrap();
    // A hundred images of the slow reference path in one batch.
    let list = folder.file("list", format!("{}\n", folder.path("photo.png")).repeat(2000));
    let mut child =
        residua().args(["classify", "--device", "cpu", "--batch", "2000", &format!("@{list}")]).spawn().unwrap();
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

/// Without a home there is no cache, and everything else goes on; on a disk that takes no more, too.
#[test]
fn row_49_without_a_home_or_room_for_the_cache() {
    let folder = Folder::new();
    image::RgbImage::new(32, 32).save(folder.path("photo.png")).unwrap();
    let classify =
        |command: &mut Command| command.args(["classify", "-k", "1", &folder.path("photo.png")]).output().unwrap();
    for name in ["HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"] {
        assert!(classify(residua().env_remove("HOME").env_remove(name)).status.success(), "{name}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_residua")).args(["pull", "resnet18"]).env_clear().output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && err.contains("[hub.cache]"), "{err}");
    // A file of more than no block is one too many.
    let command = r#"trap "" XFSZ; ulimit -f 0; exec "$0" classify -k 1 "$1""#;
    let full = Command::new("sh")
        .args(["-c", command, env!("CARGO_BIN_EXE_residua"), &folder.path("photo.png")])
        .env("XDG_CACHE_HOME", folder.path("cache"))
        .output()
        .unwrap();
    assert!(full.status.success(), "{}", String::from_utf8_lossy(&full.stderr));
    assert!(
        fs::read_dir(folder.path("cache")).map_or(true, |mut left| left.all(|entry| entry.unwrap().path().is_dir()))
    );
}
