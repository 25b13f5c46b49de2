//! `residua classify`: every input gets a result or an error.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

#[test]
fn classify_without_options_names_the_classes_on_whatever_device_there_is() {
    let folder = Folder::new();
    let output = residua(&["classify", &folder.image("photo.png", 90, 60)]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let text = out(&output);
    assert_eq!(text.lines().count(), 6, "{text}");
    assert!(text.lines().nth(1).unwrap().contains(" %  "), "{text}");
}

#[test]
fn every_image_format_gives_the_same_best_class() {
    let folder = Folder::new();
    let best = |path: &str| {
        let output = on_cpu(&["classify", "-k", "1", "--format", "jsonl", path]);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        let record: Value = serde_json::from_str(&out(&output)).unwrap();
        record["predictions"][0]["label"].as_str().unwrap().to_string()
    };
    let expected = best(&folder.image("a.png", 64, 64));
    for name in ["a.bmp", "a.webp", "a.gif", "a.jpg", "called-wrongly.png"] {
        let path = if name == "called-wrongly.png" {
            folder.file(name, fs::read(folder.image("b.bmp", 64, 64)).unwrap())
        } else {
            folder.image(name, 64, 64)
        };
        assert_eq!(best(&path), expected, "{name}");
    }
}

#[test]
fn row_23_28_47_bad_images_are_reported_and_the_others_served() {
    let folder = Folder::new();
    let jpeg = fs::read(folder.image("whole.jpg", 200, 200)).unwrap();
    let bad = [
        (folder.path("missing.png"), "io"),
        (folder.path(""), "image.folder"),
        (folder.file("text.jpg", "this is a text file, not a photo\n"), "image."),
        (folder.file("empty.png", ""), "image.decode"),
        (folder.file("cut.jpg", &jpeg[..jpeg.len() / 2]), "image.truncated"),
    ];
    let good =
        [folder.image("first.png", 50, 40), folder.image("extreme.png", 65535, 1), folder.image("last.png", 1, 1)];
    let mut inputs = vec![good[0].as_str()];
    inputs.extend(bad.iter().map(|(path, _)| path.as_str()));
    inputs.extend([good[1].as_str(), good[2].as_str()]);
    for batch in ["1", "3"] {
        let output = on_cpu(&[&["classify", "--format", "jsonl", "--batch", batch], &inputs[..]].concat());
        assert_eq!(output.status.code(), Some(1));
        let records: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), inputs.len());
        for (record, path) in records.iter().zip(&inputs) {
            assert_eq!(record["path"], **path);
            match bad.iter().find(|(bad, _)| bad == path) {
                Some((_, code)) => {
                    assert!(record["error"]["code"].as_str().unwrap().starts_with(code), "{record}");
                    assert!(err(&output).contains(code), "{}", err(&output));
                }
                None => assert_eq!(record["predictions"].as_array().unwrap().len(), 5, "{record}"),
            }
        }
    }
    let output = on_cpu(&["classify", "--allow-truncated", &bad[4].0]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
}

#[test]
fn folders_lists_and_stdin() {
    let folder = Folder::new();
    fs::create_dir(folder.path("sub")).unwrap();
    let (a, b) = (folder.image("b.png", 30, 30), folder.image("sub/a.JPG", 30, 30));
    folder.file("notes.txt", "no image");
    let paths = |output: &Output| -> Vec<String> {
        let rows = out(output);
        let mut reader = csv::Reader::from_reader(rows.as_bytes());
        reader.records().map(|row| row.unwrap()[0].to_string()).collect()
    };
    let output = on_cpu(&["classify", "-k", "1", "--format", "csv", "-r", &folder.path("")]);
    assert_eq!((output.status.code(), paths(&output)), (Some(0), vec![a.clone(), b.clone()]), "{}", err(&output));
    let list = folder.file("list.txt", format!("{b}\n\n{a}\n"));
    let output = on_cpu(&["classify", "-k", "1", "--format", "csv", &format!("@{list}")]);
    assert_eq!(paths(&output), [b, a.clone()]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(["classify", "--device", "cpu", "-"]).stdin(fs::File::open(&a).unwrap());
    let output = command.output().unwrap();
    assert!(output.status.success() && out(&output).starts_with("-\n"), "{}", err(&output));
}

/// A folder with more photos than a batch holds.
fn many_photos(folder: &Folder) -> String {
    let path = folder.path("many");
    fs::create_dir(&path).unwrap();
    for i in 0..70_u32 {
        let pixel = |x: u32, y: u32| image::Rgb([(x * i) as u8, (7 * y + i) as u8, (x * y) as u8]);
        image::RgbImage::from_fn(40, 40, pixel).save(format!("{path}/{i:02}.png")).unwrap();
    }
    path
}

#[test]
fn the_same_command_gives_the_same_bytes_each_time_and_after_a_resume() {
    let folder = Folder::new();
    let many = many_photos(&folder);
    let embed = || residua(&["embed", "-q", "-r", &many, "--format", "npy"]).stdout;
    let first = embed();
    assert!((0..5).all(|_| embed() == first));
    let record = folder.path("classes.jsonl");
    let classify = || residua(&["classify", "-q", "-r", &many, "--format", "jsonl", "--resume", &record]);
    assert_eq!(classify().status.code(), Some(0));
    let whole = fs::read_to_string(&record).unwrap();
    assert_eq!(whole.lines().count(), 70);
    for done in [1, 33, 69] {
        let lines: Vec<&str> = whole.lines().take(done).collect();
        fs::write(&record, lines.join("\n") + "\n").unwrap();
        assert_eq!(classify().status.code(), Some(0));
        assert_eq!(fs::read_to_string(&record).unwrap(), whole, "{done} records of an earlier run");
    }
}

#[test]
fn gpu_and_cpu_give_the_same_scores() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 120, 80);
    let scores = |output: &Output| -> Vec<f64> {
        let record: Value = serde_json::from_str(&out(output)).unwrap();
        record["predictions"].as_array().unwrap().iter().map(|class| class["score"].as_f64().unwrap()).collect()
    };
    let (gpu, cpu) =
        (residua(&["classify", "--format", "jsonl", &photo]), on_cpu(&["classify", "--format", "jsonl", &photo]));
    for (gpu, cpu) in scores(&gpu).iter().zip(scores(&cpu)) {
        assert!((gpu - cpu).abs() < 1e-5, "{gpu} and {cpu}");
    }
}

#[test]
fn row_38_a_closed_stdout_is_a_quiet_success() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(["classify", "--device", "cpu"]).args(std::iter::repeat_n(photo, 50));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(!err(&output).contains("panicked") && !err(&output).contains("[io]"), "{}", err(&output));
}

#[cfg(unix)]
#[test]
fn row_36_special_files_are_neither_waited_for_nor_replaced() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let folder = Folder::new();
    let photo = folder.image("z.png", 32, 32);
    assert!(Command::new("mkfifo").arg(folder.path("x.png")).status().unwrap().success());
    symlink("nowhere", folder.path("y.png")).unwrap();
    let classify = ["classify", "-k", "1", "--format", "jsonl", "-r"];
    let output = on_cpu(&[&classify[..], &[folder.path("").as_str()]].concat());
    let records: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((output.status.code(), records.len()), (Some(1), 2), "{}", err(&output));
    assert!(records[0]["error"]["code"] == "io" && records[1]["path"] == photo.as_str(), "{records:?}");

    let odd = std::path::PathBuf::from(folder.path("")).join(std::ffi::OsStr::from_bytes(b"odd\xff.png"));
    fs::copy(&photo, &odd).unwrap();
    let list = folder.file("list.txt", [photo.as_bytes(), b"\r\n", odd.as_os_str().as_bytes()].concat());
    let output = on_cpu(&["classify", "-k", "1", "--format", "csv", &format!("@{list}")]);
    assert_eq!((output.status.code(), out(&output).lines().count()), (Some(0), 3), "{}", err(&output));

    symlink("target.png", folder.path("link.png")).unwrap();
    assert!(on_cpu(&["preprocess", &photo, "-o", &folder.path("link.png")]).status.success());
    assert!(Path::new(&folder.path("link.png")).is_symlink() && Path::new(&folder.path("target.png")).is_file());
    assert_fails(&on_cpu(&["preprocess", &photo, "-o", &folder.path("")]), 2, "io");
    let mut names = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains(".part")), "a temporary file is left");
}

/// A photo with all pixels but without its end: a result with a note, and an error with --strict.
#[test]
fn damage_is_told_on_stderr_and_refused_with_strict() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.png");
    image::RgbImage::new(40, 30).save(&path).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 12]).unwrap();
    let path = path.to_str().unwrap();
    for command in ["classify", "embed"] {
        let run = |options: &[&str]| {
            let mut residua = Command::new(env!("CARGO_BIN_EXE_residua"));
            residua.args([command, "--device", "cpu", path]).args(options).output().unwrap()
        };
        let err = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
        let told = run(&[]);
        let note = format!("{path}: it is damaged but was decoded: after its pixels: ");
        assert!(told.status.success() && err(&told).contains(&note), "{}", err(&told));
        assert!(!err(&run(&["-q"])).contains("damaged"));
        let refused = run(&["--strict"]);
        assert!(refused.status.code() == Some(1) && err(&refused).contains("it is damaged: "), "{}", err(&refused));
        assert!(refused.stdout.is_empty() || command == "embed");
        assert!(err(&run(&["--strict", "--allow-truncated"])).contains("cannot be used with"));
    }
}
