//! The command on a terminal: output for people only, and the same data as in a pipe.
#![cfg(unix)]

use std::{fs, path::Path, process::Command};

use rexpect::{
    process::WaitStatus,
    session::{PtySession, spawn_command},
};

use crate::{Folder, adapter, err, out, residua};

/// Longest time in milliseconds for a command, including the compilation of kernels.
const PATIENCE: u64 = 120_000;

fn start(command: Command) -> PtySession {
    spawn_command(command, Some(PATIENCE)).unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command
        .args(arguments)
        .env("WGPU_ADAPTER_NAME", adapter())
        .env_remove("NO_COLOR")
        .env("TERM", "xterm-256color")
        .env("COLUMNS", "100");
    command
}

/// The text on the terminal at the end, and the exit status.
fn finish(mut session: PtySession) -> (String, i32) {
    let shown = session.exp_eof().unwrap();
    match session.process().wait().unwrap() {
        WaitStatus::Exited(_, status) => (shown.replace("\r\n", "\n"), status),
        other => panic!("{other:?}: {shown}"),
    }
}

fn on_terminal(arguments: &[&str]) -> (String, i32) {
    finish(start(command(arguments)))
}

#[test]
fn data_is_the_same_on_a_terminal_and_in_a_pipe() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 90, 60);
    let (crop, heat) = (folder.path("crop.png"), folder.path("heat.png"));
    let commands: [&[&str]; 11] = [
        &["classify", &photo],
        &["classify", &photo, "--format", "jsonl"],
        &["embed", &photo],
        &["explain", &photo, "-o", &heat],
        &["preprocess", &photo, "-o", &crop],
        &["info"],
        &["info", "-v"],
        &["devices"],
        &["verify"],
        &["man", "classify"],
        &["completions", "fish"],
    ];
    for arguments in commands {
        let arguments = [arguments, &["-q"]].concat();
        let piped = residua(&arguments);
        assert_eq!(on_terminal(&arguments), (out(&piped), 0), "{arguments:?}");
    }
}

#[test]
fn who_names_no_model_is_told_that_builtin_knows_ten_classes() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 90, 60);
    let told = "only the ten classes";
    assert!(on_terminal(&["classify", &photo]).0.contains(told));
    for arguments in [["classify", &photo, "-q"], ["classify", &photo, "--format=jsonl"]] {
        assert!(!on_terminal(&arguments).0.contains(told), "{arguments:?}");
    }
    assert!(!err(&residua(&["classify", &photo])).contains(told));
}

#[test]
fn errors_are_red_unless_colours_are_unwanted() {
    let folder = Folder::new();
    let missing = folder.path("missing.png");
    let arguments = ["classify", "--device", "cpu", missing.as_str()];
    let (shown, status) = on_terminal(&arguments);
    assert!(status == 1 && shown.contains("\x1b[31mresidua: ") && shown.contains("[io]"), "{shown:?}");
    for (shown, status) in [
        on_terminal(&[&arguments[..], &["--no-color"]].concat()),
        finish(start({
            let mut command = command(&arguments);
            command.env("NO_COLOR", "1");
            command
        })),
    ] {
        assert!(status == 1 && !shown.contains('\x1b') && shown.contains("[io]"), "{shown:?}");
    }
    let piped = String::from_utf8(residua(&arguments).stderr).unwrap();
    assert!(!piped.contains('\x1b'), "{piped:?}");
}

/// A folder with this many copies of an image that takes a while to read.
fn album(folder: &Folder, copies: usize) -> String {
    let photo = folder.image("0.png", 1200, 900);
    fs::create_dir(folder.path("album")).unwrap();
    for i in 0..copies {
        fs::hard_link(&photo, folder.path(&format!("album/{i:03}.png"))).unwrap();
    }
    folder.path("album")
}

#[test]
fn a_bar_shows_images_a_second_and_time_left_and_goes_away() {
    let folder = Folder::new();
    let (album, rows) = (album(&folder, 150), folder.path("rows.jsonl"));
    let line = format!("{} classify --device cpu -r {album} --format jsonl > {rows}", env!("CARGO_BIN_EXE_residua"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &line]).env("TERM", "xterm-256color");
    let (shown, status) = finish(start(shell));
    assert_eq!(status, 0, "{shown}");
    assert!(shown.contains("of 150 images") && shown.contains("images/s") && shown.contains("left"), "{shown:?}");
    assert!(!shown.trim_end().ends_with("left"), "the bar stays: {shown:?}");
    assert_eq!(fs::read_to_string(&rows).unwrap().lines().count(), 150);
    let piped = residua(&["classify", "--device", "cpu", "-r", &album]);
    assert!(!String::from_utf8(piped.stderr).unwrap().contains("images/s"));
}

#[test]
fn ctrl_c_ends_it_behind_a_complete_line() {
    let folder = Folder::new();
    let album = album(&folder, 400);
    let mut session = start(command(&["classify", "--device", "cpu", "-r", &album, "--format", "jsonl", "-q"]));
    for _ in 0..3 {
        session.read_line().unwrap();
    }
    session.send_control('c').unwrap();
    let (shown, status) = finish(session);
    assert_eq!(status, 130, "{shown}");
    let records = shown.lines().filter(|line| !line.starts_with("^C"));
    let whole = records
        .map(|line| line.trim_start_matches("^C"))
        .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok());
    assert!(whole, "{shown}");
    assert!(shown.lines().count() < 397, "it ran to the end");
}

/// The commands in a guide with their output: lines that start with `$`, indented by four.
pub(crate) fn sessions(readme: &str) -> Vec<(String, String)> {
    let mut sessions: Vec<(String, String)> = Vec::new();
    let (mut inside, mut blank) = (false, 0);
    for line in readme.lines() {
        match line.strip_prefix("    ") {
            Some(line) if line.starts_with("$ ") => {
                sessions.push((line[2..].into(), String::new()));
                (inside, blank) = (true, 0);
            }
            None if inside && line.is_empty() => blank += 1,
            Some(line) if inside => {
                let (_, printed) = sessions.last_mut().unwrap();
                printed.push_str(&"\n".repeat(std::mem::take(&mut blank)));
                printed.push_str(line);
                printed.push('\n');
            }
            _ => inside = false,
        }
    }
    sessions
}

#[test]
fn the_readme_shows_what_is_printed() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sessions = sessions(&fs::read_to_string(root.join("README.md")).unwrap());
    assert!(!sessions.is_empty());
    for (line, printed) in sessions {
        let line = line.replace("residua ", concat!(env!("CARGO_BIN_EXE_residua"), " "));
        // Run without a driver: the README does not depend on the adapters, and the CPU path gives the same scores.
        let mut shell = Command::new("sh");
        shell.args(["-c", &line]).current_dir(root).env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none");
        let output = shell.output().unwrap();
        assert_eq!(out(&output), printed, "{line}");
    }
}
