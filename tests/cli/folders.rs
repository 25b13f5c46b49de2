//! Many images: folders and lists, output in order, stopping and resuming.
#![cfg(unix)]

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::Write,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A folder with 24 images in subfolders, two of them unreadable. The first ones take longer to decode than the others.
fn album() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..24_u32 {
        let below = folder.path().join(format!("{}", i / 6));
        fs::create_dir_all(&below).unwrap();
        let path = below.join(format!("{i:02}, \"quoted\".png"));
        if i % 15 == 7 {
            fs::write(path, "no image").unwrap();
            continue;
        }
        let side = if i < 3 { 900 } else { 20 + i };
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 + i * 40) as u8, (y * 5) as u8, (x + y * i) as u8]);
        image::RgbImage::from_fn(side, side, pixel).save(path).unwrap();
    }
    folder
}

/// `residua classify` on the CPU path, where scores do not depend on the batches of a run.
fn classify(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(["classify", "--device", "cpu", "--batch", "2"]).args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    classify(arguments).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn records(jsonl: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(jsonl).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// Waits until `path` has `lines` lines while `child` runs.
fn wait_for(path: &Path, lines: usize, child: &mut Child) {
    let start = Instant::now();
    while fs::read(path).map_or(0, |bytes| bytes.iter().filter(|&&byte| byte == b'\n').count()) < lines {
        assert!(child.try_wait().unwrap().is_none(), "the command ended before it was stopped");
        assert!(start.elapsed() < Duration::from_secs(60), "the command writes nothing");
        thread::sleep(Duration::from_millis(2));
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn results_come_in_order_and_failures_are_counted() {
    let album = album();
    let output = run(&["-k", "1", "--format", "jsonl", "-r", text(album.path())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(err(&output).contains("2 of 24 images failed"), "{}", err(&output));
    let records = records(&output.stdout);
    let paths: Vec<&str> = records.iter().map(|record| record["path"].as_str().unwrap()).collect();
    assert!(paths.len() == 24 && paths.is_sorted(), "{paths:?}");
    assert_eq!(records.iter().filter(|record| record["error"]["code"].is_string()).count(), 2);
}

#[test]
fn a_killed_run_goes_on_without_losing_or_doubling_a_line() {
    let album = album();
    let first = album.path().join("0/00, \"quoted\".png");
    let scratch = tempfile::tempdir().unwrap();
    for (format, stops) in [("jsonl", [1, 9, 17]), ("csv", [2, 25, 45])] {
        // A path that is given twice gets two records.
        let arguments = ["-k", "3", "--format", format, "-r", text(&first), text(album.path()), text(&first)];
        let whole = run(&arguments);
        assert_eq!(whole.status.code(), Some(1), "{}", err(&whole));
        let target = scratch.path().join(format);
        let resume = [&arguments[..], &["--resume", text(&target)]].concat();
        for lines in stops {
            let mut child = classify(&resume).stderr(Stdio::null()).spawn().unwrap();
            wait_for(&target, lines, &mut child);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        let check = |what: &str| {
            let output = run(&resume);
            assert_eq!(output.status.code(), Some(1), "failures of the earlier run count: {}", err(&output));
            assert!(output.stdout.is_empty());
            let file = fs::read(&target).unwrap();
            assert!(file == whole.stdout, "{format}, {what}: {}", String::from_utf8_lossy(&file));
        };
        check("killed three times");
        check("nothing left to do");
        // Everywhere a write may be cut off.
        let length = whole.stdout.len();
        for cut in [0, 1, 3, length - 1, length - 2, length - 30, length - 77, length - 150, length - 200, length - 333]
        {
            fs::write(&target, &whole.stdout[..cut]).unwrap();
            check(&format!("cut to {cut} of {length} bytes"));
        }
    }
}

#[test]
fn resume_does_not_touch_files_of_another_kind() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let refused = |content: &str, format: &str| {
        fs::write(&target, content).unwrap();
        let output = run(&["--format", format, "--resume", text(&target), "nowhere.png"]);
        assert_eq!(output.status.code(), Some(2), "{content}: {}", err(&output));
        assert!(err(&output).contains("[config.value]"), "{}", err(&output));
        assert_eq!(fs::read_to_string(&target).unwrap(), content);
    };
    let done = "{\"path\":\"a\",\"model\":\"builtin\",\"device\":\"cpu\",\"predictions\":[]}\n";
    for content in
        ["my only copy", "a\nb\n", "{\"path\":\"a\"}\n", &done.replace("builtin", "other"), &format!("{done}x")]
    {
        refused(content, "jsonl");
    }
    for content in ["my only copy", "path,rank\n", done, "path,rank,index,label,score,error\na,b\nc,d\n"] {
        refused(content, "csv");
    }
    refused("", "text");
}

#[test]
fn row_48_ctrl_c_leaves_complete_lines_and_exits_130() {
    let album = album();
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out.jsonl");
    let arguments = ["-k", "1", "--format", "jsonl", "-r", text(album.path()), text(album.path())];
    let mut child = classify(&arguments).stdout(File::create(&target).unwrap()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&target, 3, &mut child);
    let interrupted = |child: &Child| Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted(&child).success());
    let status: ExitStatus = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    let lines = records(&fs::read(&target).unwrap());
    assert!((3..48).contains(&lines.len()), "{}", lines.len());

    // It does not wait for a list that never comes.
    let mut child =
        classify(&["@-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let open = child.stdin.take();
    thread::sleep(Duration::from_millis(500));
    assert!(interrupted(&child).success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    drop(open);
}

#[test]
fn row_37_lists_on_stdin_and_odd_names() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &[u8]| folder.path().join(OsStr::from_bytes(name));
    let (odd, newline): (PathBuf, PathBuf) = (path(b"odd\xff.png"), path(b"two\nlines.png"));
    for path in [&odd, &newline] {
        image::RgbImage::new(9, 9).save(path).unwrap();
    }
    let listed = |arguments: &[&str], list: &[u8]| {
        let mut child =
            classify(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(list).unwrap();
        child.wait_with_output().unwrap()
    };
    let nul = [odd.as_os_str().as_bytes(), b"\0", newline.as_os_str().as_bytes(), b"\0"].concat();
    let output = listed(&["-k", "1", "--format", "jsonl", "-0", "@-"], &nul);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let records = records(&output.stdout);
    assert!(records[0]["path"].as_str().unwrap().ends_with("/odd\\xff.png"), "{records:?}");
    assert_eq!(records[1]["path"], text(&newline));
    let output = listed(&["-k", "1", "--format", "csv", "@-"], odd.as_os_str().as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(String::from_utf8(output.stdout).unwrap().contains("odd\\xff.png,1,"));
}

#[test]
fn min_score_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let photo = folder.path().join("photo.png");
    image::RgbImage::new(40, 40).save(&photo).unwrap();
    let labels = folder.path().join("labels.txt");
    fs::write(&labels, (0..10).map(|i| format!("class {i}\n")).collect::<String>()).unwrap();
    let predictions = |least: &str| {
        let output =
            run(&["-k", "10", "--min-score", least, "--labels", text(&labels), "--format", "jsonl", text(&photo)]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        records(&output.stdout)[0]["predictions"].as_array().unwrap().clone()
    };
    let all = predictions("0");
    assert!(all.len() == 10 && all[0]["label"].as_str().unwrap().starts_with("class "), "{all:?}");
    let second = all[1]["score"].as_f64().unwrap();
    assert_eq!(predictions(&second.to_string()), all[..2]);
    let output = run(&["--min-score", "1.1", "--format", "csv", text(&photo)]);
    let rows = String::from_utf8(output.stdout).unwrap();
    assert_eq!(rows.lines().nth(1).unwrap(), format!("{},,,,,", photo.display()));
}
