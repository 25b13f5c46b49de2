//! `residua fit`: a folder a class in, a model of these classes out.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use residua::checkpoint::Checkpoint;
use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out, terminal::sessions};

#[path = "../../examples/parts.rs"]
#[expect(dead_code, reason = "the example runs by itself")]
mod parts;

/// Colours of the classes; a photo has noise of its own besides.
pub(crate) const COLOURS: [(&str, [u8; 3]); 3] =
    [("blue sky", [40, 80, 220]), ("grass", [40, 190, 60]), ("rust", [190, 80, 40])];

impl Folder {
    pub(crate) fn photo(&self, name: &str, colour: [u8; 3], seed: u32) {
        let noise =
            |x: u32, y: u32, c: u32| ((x * 31 + y * 57 + c * 11 + seed * 101).wrapping_mul(2_654_435_761) >> 26) as u8;
        let pixel = |x: u32, y: u32| {
            image::Rgb(std::array::from_fn(|c| colour[c].saturating_add(noise(x, y, c as u32)).saturating_sub(32)))
        };
        let path = self.path(name);
        fs::create_dir_all(Path::new(&path).parent().unwrap()).unwrap();
        image::RgbImage::from_fn(32, 32, pixel).save(path).unwrap();
    }

    /// Photos of each class in a folder of its own.
    pub(crate) fn album(&self, name: &str, of_each: u32, first: u32) -> String {
        for (class, (label, colour)) in COLOURS.iter().enumerate() {
            for i in 0..of_each {
                self.photo(&format!("{name}/{label}/{i}.png"), *colour, first + 50 * class as u32 + i);
            }
        }
        self.path(name)
    }
}

pub(crate) fn json(path: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn a_folder_becomes_a_model_for_every_command() {
    let folder = Folder::new();
    let (train, val) = (folder.album("train", 6, 0), folder.album("val", 3, 1000));
    let (mine, verdict) = (folder.path("mine.safetensors"), folder.path("verdict.json"));
    let fit = ["fit", &train, "-o", &mine, "--json", &verdict];
    let output = on_cpu(&fit);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(
        out(&output).contains("accuracy: 100.0 % ") && out(&output).contains("on 4 held-out images"),
        "{}",
        out(&output)
    );
    assert_eq!(json(&verdict)["classes"], serde_json::json!(["blue sky", "grass", "rust"]));

    // The backbone stays as it is, bit for bit, and the file says what it is.
    let checkpoint = Checkpoint::open(Path::new(&mine)).unwrap();
    let builtin = residua::Classifier::open("builtin").unwrap();
    for (canonical, tensor) in builtin.network().checkpoint().stored() {
        let same = checkpoint.stored().any(|(_, other)| other == tensor);
        assert_eq!(same, !tensor.shape.starts_with(&[10]), "{canonical:?}");
    }
    let config: Value = serde_json::from_str(&checkpoint.metadata()["config"]).unwrap();
    assert_eq!(config["residua"]["made"]["method"], "logistic");

    let (first, second) = (fs::read(&mine).unwrap(), folder.path("again.safetensors"));
    fs::copy(folder.path("mine.index"), folder.path("again.index")).unwrap();
    // A second run takes the features out of the index: the bytes of a photo with the same stamp do not matter.
    let photo = format!("{train}/rust/0.png");
    let (length, time) = (fs::metadata(&photo).unwrap().len(), fs::metadata(&photo).unwrap().modified().unwrap());
    let bytes = fs::read(&photo).unwrap();
    fs::write(&photo, vec![0; length as usize]).unwrap();
    fs::File::options().write(true).open(&photo).unwrap().set_modified(time).unwrap();
    let output = on_cpu(&["fit", &train, "-o", &second]);
    assert_eq!((output.status.code(), fs::read(&second).unwrap() == first), (Some(0), true), "{}", err(&output));
    fs::write(&photo, bytes).unwrap();

    let classes = out(&on_cpu(&["classify", "-m", &mine, "--format", "csv", "-k", "1", "-r", &val]));
    for (label, _) in COLOURS {
        assert_eq!(classes.matches(&format!(",{label},")).count(), 3, "{classes}");
    }
    let info = on_cpu(&["info", &mine]);
    assert!(out(&info).contains('3') && err(&info).is_empty(), "{}{}", out(&info), err(&info));
    let heat = folder.path("heat.png");
    let explained = on_cpu(&["explain", "-m", &mine, &photo, "-o", &heat, "--class", "rust"]);
    assert_eq!(explained.status.code(), Some(0), "{}", err(&explained));

    let head = folder.path("head.safetensors");
    assert!(
        on_cpu(&["fit", &train, "-o", &head, "--head-only", "--index", &folder.path("mine.index")]).status.success()
    );
    assert!(fs::metadata(&head).unwrap().len() < 12_000);
    let by_head = on_cpu(&["classify", "-m", &head, "--format", "csv", "-k", "1", "-r", &val]);
    assert_eq!((out(&by_head), err(&by_head)), (classes, String::new()));

    let checked = on_cpu(&[&fit[..], &["--val", &val]].concat());
    assert!(out(&checked).contains("on 9 images of --val"), "{}{}", out(&checked), err(&checked));
    let others = [["--method", "centroid"], ["--method", "neighbours"], ["--strength", "0.5"]]
        .map(|option| [&fit[..], &option].concat());
    for arguments in others.into_iter().chain([[&fit[..], &["--augment", "--balanced"]].concat()]) {
        let output = on_cpu(&arguments);
        assert!(
            output.status.success() && out(&output).contains("accuracy: 100.0 %"),
            "{arguments:?} {}",
            err(&output)
        );
    }
}

#[test]
fn what_cannot_be_learned_from_is_refused_and_nothing_is_written() {
    let folder = Folder::new();
    let train = folder.album("train", 3, 0);
    let mine = folder.path("mine.safetensors");
    let fails = |arguments: &[&str], status: i32, code: &str| {
        assert_fails(&on_cpu(&[&["fit", "-o", &mine], arguments].concat()), status, code);
        assert!(!Path::new(&mine).exists(), "{arguments:?}");
    };
    fails(&[&folder.path("nowhere")], 2, "io");
    fails(&[&folder.file("a.txt", "a b")], 2, "config.value");
    fails(&[&format!("{train}/rust")], 2, "config.value");
    fails(&[&train, "--exclude", "grass", "--exclude", "rust"], 2, "config.value");
    for option in [&["--multi-label"][..], &["--balanced"], &["--augment"], &["--strength", "1"]] {
        for method in ["centroid", "neighbours"] {
            fails(&[&[&train, "--method", method], option].concat(), 2, "config.value");
        }
    }
    // Files that are named twice, are read, or cannot be written are told before anything is computed.
    fails(&[&train, "--index", &mine], 2, "config.value");
    fails(&[&train, "--json", &mine], 2, "config.value");
    fails(&[&train, "--json", &folder.path("mine.index")], 2, "config.value");
    fails(&[&train, "--json", &folder.path("none/v.json")], 2, "io");
    fails(&[&train, "--index", &train], 2, "io");
    let list = folder.file("list.csv", "train/grass/0.png,grass\n");
    fails(&[&list, "--json", &list], 2, "config.value");
    assert!(!Path::new(&folder.path("mine.index")).exists());
    // One class, none, no image; an image that is a folder; a label that is empty.
    let said = |arguments: &[&str], expected: &str| {
        fails(arguments, 2, "config.value");
        let output = on_cpu(&[&["fit", "-o", &mine], arguments].concat());
        assert!(err(&output).contains(expected), "{arguments:?}: {}", err(&output));
    };
    said(&[&train, "--exclude", "grass", "--exclude", "rust"], "classes = blue sky: 2 at least");
    said(&[&format!("{train}/rust")], "classes = none: 2 at least");
    fs::create_dir(folder.path("bare")).unwrap();
    said(&[&folder.path("bare")], "bare: images = none");
    said(&[&folder.file("a.csv", "train/grass/0.png,grass\ntrain/rust,rust\n")], "path = train/rust: an image");
    said(&[&folder.file("a.jsonl", "{\"path\": \"a\", \"labels\": [\"\"]}"), "--multi-label"], "an empty label");
    said(&[&folder.file("b.csv", "train/grass/0.png,\n"), "--multi-label"], "classes = none: 1 at least");
}

#[test]
fn classes_that_are_too_small_are_named() {
    let folder = Folder::new();
    let train = folder.album("train", 3, 0);
    let mine = folder.path("mine.safetensors");
    fs::create_dir(folder.path("train/nothing")).unwrap();
    let output = on_cpu(&["fit", &train, "-o", &mine]);
    assert_fails(&output, 2, "config.value");
    assert!(err(&output).contains("images of the class nothing = 0"), "{}", err(&output));
    folder.photo("train/nothing/1.png", [0; 3], 1);
    let output = on_cpu(&["fit", &train, "-o", &mine]);
    assert!(err(&output).contains("images of the class nothing = 1"), "{}", err(&output));
    // Two files of which one cannot be read are one image.
    folder.file("train/nothing/2.png", "no image");
    let output = on_cpu(&["fit", &train, "-o", &mine]);
    assert_fails(&output, 2, "config.value");
    assert!(err(&output).contains("images of the class nothing = 1"), "{}", err(&output));
    let output = on_cpu(&["fit", &train, "-o", &mine, "--exclude", "nothing"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let val = folder.path("val");
    folder.photo("val/weeds/1.png", [0; 3], 1);
    let output = on_cpu(&["fit", &train, "-o", &mine, "--exclude", "nothing", "--val", &val]);
    assert!(err(&output).contains("class = weeds"), "{}", err(&output));
}

#[test]
fn bad_images_are_counted_and_repeated_ones_told() {
    let folder = Folder::new();
    let train = folder.album("train", 5, 0);
    folder.file("train/rust/broken.png", "no image");
    fs::copy(folder.path("train/grass/1.png"), folder.path("train/rust/copy.png")).unwrap();
    folder.photo("train/loose.png", [0; 3], 0);
    for i in 10..25 {
        folder.photo(&format!("train/blue sky/{i}.png"), COLOURS[0].1, i);
    }
    let mine = folder.path("mine.safetensors");
    let output = on_cpu(&["fit", &train, "-o", &mine]);
    assert_fails(&output, 1, "image.decode");
    for told in
        ["1 of 33 images failed", "images in two classes: 1, ", "in no folder of a class: 1 images", "--balanced"]
    {
        assert!(err(&output).contains(told), "{told}: {}", err(&output));
    }
    assert!(out(&output).contains("copy.png"), "the copy's label is doubtful: {}", out(&output));
    assert!(Path::new(&mine).exists());
}

#[test]
fn lists_and_several_labels() {
    let folder = Folder::new();
    folder.album("album", 6, 0);
    let mut list = String::from("path,label\n");
    for (i, (label, _)) in COLOURS.iter().enumerate() {
        for photo in 0..6 {
            let second = if i == 0 { ";outdoors" } else { "" };
            list.push_str(&format!("album/{label}/{photo}.png,{label}{second}\n"));
        }
    }
    let list = folder.file("list.csv", list);
    let mine = folder.path("tags.safetensors");
    let output = on_cpu(&["fit", &list, "-o", &mine, "--multi-label"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let photo = folder.path("album/blue sky/1.png");
    let said = out(&on_cpu(&["classify", "-m", &mine, "--format", "csv", "--min-score", "0.5", &photo]));
    assert_eq!(
        (said.matches(",blue sky,").count(), said.matches(",outdoors,").count(), said.lines().count()),
        (1, 1, 3),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_full_disk_leaves_nothing() {
    let folder = Folder::new();
    let (train, place) = (folder.album("train", 3, 0), folder.path("out"));
    fs::create_dir(&place).unwrap();
    let run = |blocks: &str| {
        let line = format!(
            "trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" fit '{train}' -o '{place}/mine.safetensors' --device cpu"
        );
        Command::new("sh").args(["-c", &line, env!("CARGO_BIN_EXE_residua")]).stdin(Stdio::null()).output().unwrap()
    };
    // Too small for the index, and large enough for it but not for the model.
    for blocks in ["1", "100"] {
        assert_fails(&run(blocks), 2, "io");
        let left: Vec<_> = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(left.iter().all(|name| name == "mine.index"), "{blocks}: {left:?}");
    }
    assert_eq!(run("unlimited").status.code(), Some(0));
}

#[test]
fn the_nearest_images_are_a_model_too() {
    let folder = Folder::new();
    let (train, val) = (folder.album("train", 6, 0), folder.album("val", 3, 1000));
    let [mine, head, heat, converted] =
        ["mine", "head", "heat", "converted"].map(|name| folder.path(&format!("{name}.safetensors")));
    let fit = ["fit", &train, "--method", "neighbours", "-o"];
    let output = on_cpu(&[&fit[..], &[&mine]].concat());
    assert!(output.status.success() && out(&output).contains("neighbours 1\n"), "{}{}", out(&output), err(&output));
    let checkpoint = Checkpoint::open(Path::new(&mine)).unwrap();
    assert!(checkpoint.shapes().values().any(|shape| *shape == [18, 96]), "a row for each image");
    let classify =
        |model: &str, k: &str| out(&on_cpu(&["classify", "-m", model, "--format", "csv", "-k", k, "-r", &val]));
    let classes = classify(&mine, "3");
    for (label, _) in COLOURS {
        assert_eq!(classes.matches(&format!(",{label},1,")).count(), 3, "{classes}");
    }
    // Written again, and as a head alone, it says the same.
    assert!(on_cpu(&["convert", &mine, "-o", &converted]).status.success());
    assert!(
        on_cpu(&[&fit[..], &[&head, "--head-only", "--index", &folder.path("mine.index")]].concat()).status.success()
    );
    assert_eq!((classify(&converted, "3"), classify(&head, "3")), (classes.clone(), classes));
    let info = out(&on_cpu(&["info", &mine]));
    assert!(info.contains("shares of the 1 nearest of 18 known images") && info.contains("3: blue sky"), "{info}");
    let photo = folder.path("val/rust/0.png");
    for class in [&[][..], &["--class", "grass"]] {
        let explained = on_cpu(&[&["explain", "-m", &mine, &photo, "-o", &heat], class].concat());
        assert!(explained.status.success(), "{}", err(&explained));
    }
    assert_fails(&on_cpu(&["explain", "-m", &mine, &photo, "-o", &heat, "--class", "3"]), 2, "config.value");
    let report = out(&on_cpu(&["evaluate", "-m", &mine, &val, "--format", "json"]));
    assert_eq!(serde_json::from_str::<Value>(&report).unwrap()["top1"], 9);
    // A network without a head gets one.
    let headless = folder.path("headless.safetensors");
    assert!(on_cpu(&["convert", "builtin", "--structure", "head=none", "-o", &headless]).status.success());
    let output = on_cpu(&[&fit[..], &[&head, "-m", &headless]].concat());
    assert!(output.status.success(), "{}", err(&output));
    assert_eq!(classify(&head, "1").matches(",rust,1,").count(), 3);
}

/// Whether a text equals the guide's. The last digit of a fraction may differ by one: the rounding of sums depends on the processor's
/// vector instructions.
#[cfg(unix)]
fn is_printed(text: &str, guide: &str) -> bool {
    let words = |text: &str| text.split_whitespace().map(str::to_string).collect::<Vec<_>>();
    let digits = |word: &str| word.split_once('.').map_or(0, |(_, fraction)| fraction.len() as i32);
    let alike = |(a, b): (&String, &String)| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(x), Ok(y)) if digits(a) > 0 => digits(a) == digits(b) && (x - y).abs() < 1.5 * 0.1_f64.powi(digits(a)),
        _ => a == b,
    };
    let (lines, words) = (text.lines().count() == guide.lines().count(), (words(text), words(guide)));
    lines && words.0.len() == words.1.len() && words.0.iter().zip(&words.1).all(alike)
}

#[cfg(unix)]
#[test]
fn the_guide_shows_what_is_printed_and_drawn() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("src/fit/README.md")).unwrap();
    let folder = Folder::new();
    parts::draw(Path::new(&folder.path("parts"))).unwrap();
    let programs = Path::new(env!("CARGO_BIN_EXE_residua")).parent().unwrap().display().to_string();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let sessions = sessions(&guide);
    assert!(sessions.len() > 3);
    for (line, printed) in sessions {
        let mut shell = Command::new("sh");
        // Run without a driver, as the README's commands are.
        shell.args(["-c", &line]).current_dir(folder.path(".")).env("PATH", &path);
        let output = shell.env("VK_DRIVER_FILES", "/none").env("VK_ICD_FILENAMES", "/none").output().unwrap();
        assert!(is_printed(&out(&output), &printed), "{line}: {}{}, not {printed}", err(&output), out(&output));
    }
    let drawn = fs::read_to_string(folder.path("confusion.svg")).unwrap();
    assert_eq!(drawn, fs::read_to_string(root.join("tests/images/parts-confusion.svg")).unwrap());
    assert!(image::open(folder.path("mistakes.png")).is_ok());
    // The program in the guide is one that is compiled.
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let example = flat(&fs::read_to_string(root.join("examples/own_classes.rs")).unwrap());
    let fences: Vec<&str> = guide.split("```rust\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(fences.len(), 2);
    for line in fences.iter().flat_map(|fence| fence.lines()) {
        let is_opened = line.contains("Classifier::open");
        assert!(is_opened || example.contains(&flat(line)), "{line}");
    }
}
