//! `residua evaluate`: how good a model is.

use std::fs;

use serde_json::Value;

use crate::{Folder, assert_fails, err, fit::COLOURS, on_cpu, out, pictures::check_places};

#[test]
fn an_evaluation_counts_matches_and_goes_on() {
    let folder = Folder::new();
    let (train, val) = (folder.album("train", 5, 0), folder.album("val", 4, 1000));
    let mine = folder.path("mine.safetensors");
    assert_eq!(on_cpu(&["fit", &train, "-o", &mine]).status.code(), Some(0));
    // Two photos of grass lie with the rust, and a folder is of no class.
    fs::rename(folder.path("val/grass/0.png"), folder.path("val/rust/g0.png")).unwrap();
    fs::rename(folder.path("val/grass/1.png"), folder.path("val/rust/g1.png")).unwrap();
    folder.photo("val/weeds/0.png", [0; 3], 0);
    let [records, matrix, picture, curves, sheet] =
        ["val.jsonl", "matrix.csv", "matrix.svg", "curves.svg", "sheet.png"].map(|name| folder.path(name));
    let evaluate = ["evaluate", "-m", &mine, &val, "--format", "json", "--threshold", "rust", "--resume", &records];
    let output =
        on_cpu(&[&evaluate[..], &["--confusion", &matrix, "--curves", &curves, "--mistakes", &sheet]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(
        err(&output).contains("1 images are left out, because the model has no such class: weeds"),
        "{}",
        err(&output)
    );
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((report["images"].as_u64(), report["top1"].as_u64()), (Some(12), Some(10)));
    assert_eq!(report["confused"][0], serde_json::json!({"class": "rust", "predicted": "grass", "images": 2}));
    assert_eq!(
        fs::read_to_string(&matrix).unwrap(),
        "class,\"blue sky\",\"grass\",\"rust\"\n\"blue sky\",4,0,0\n\"grass\",0,2,0\n\"rust\",0,2,4\n"
    );
    assert!(fs::read_to_string(&curves).unwrap().contains("ROC, area") && image::open(&sheet).unwrap().width() > 200);

    // Half of the records, as a kill leaves them, and the rest is done again: the same report.
    let whole = fs::read(&records).unwrap();
    fs::write(&records, &whole[..whole.len() / 2]).unwrap();
    let again = on_cpu(&[&evaluate[..], &["--confusion", &picture]].concat());
    assert!(err(&again).contains("images are recorded already"), "{}", err(&again));
    assert_eq!(out(&again), out(&output));
    assert_eq!(fs::read(&records).unwrap(), whole);
    assert!(fs::read_to_string(&picture).unwrap().contains("rust predicted as grass: 2"));
    let other = on_cpu(&["evaluate", "-m", &mine, &val, "--resume", &records]);
    assert_fails(&other, 2, "config.value");

    for format in ["text", "markdown"] {
        let text = out(&on_cpu(&["evaluate", "-m", &mine, &val, "--format", format]));
        assert!(text.contains("83.33 %") && text.contains("weighted mean") && text.contains("2 images"), "{text}");
        // Three classes have no top-5, and no thresholds unless they are asked for.
        assert!(!text.contains("top-5") && !text.contains(" from"), "{text}");
        let swept = out(&on_cpu(&["evaluate", "-m", &mine, &val, "--format", format, "--threshold", "rust"]));
        assert!(swept.contains("rust from") && swept.contains("curves of rust"), "{swept}");
    }
    assert_fails(&on_cpu(&["evaluate", "-m", &mine, &val, "--curves", &curves]), 2, "config.value");
    assert_fails(&on_cpu(&["evaluate", "-m", &mine, &folder.path("train/rust")]), 2, "config.value");
}

#[test]
fn several_labels_are_measured_each_for_itself() {
    let folder = Folder::new();
    folder.album("album", 6, 0);
    let mut list = String::from("path,label\n");
    for (i, (label, _)) in COLOURS.iter().enumerate() {
        for photo in 0..6 {
            let second = if i == 0 { ";outdoors" } else { "" };
            list.push_str(&format!("album/{label}/{photo}.png,{label}{second}\n"));
        }
    }
    let (train, mine) = (folder.file("train.csv", &list), folder.path("tags.safetensors"));
    assert!(on_cpu(&["fit", &train, "-o", &mine, "--multi-label"]).status.success());
    // One image is said to be outdoors and is not, one has a label that the model does not know beside another, and one only such.
    let val = list
        .replace("blue sky/0.png,blue sky;outdoors", "blue sky/0.png,blue sky")
        .replace("grass/0.png,grass", "grass/0.png,grass;weeds")
        .replace("rust/0.png,rust", "rust/0.png,weeds");
    let val = folder.file("val.csv", val);
    let [records, curves] = ["val.jsonl", "curves.svg"].map(|name| folder.path(name));
    let evaluate = ["evaluate", "-m", &mine, &val, "--multi-label", "--threshold", "outdoors", "--resume", &records];
    let output = on_cpu(&[&evaluate[..], &["--format", "json", "--curves", &curves]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("1 images are left out") && err(&output).contains("weeds"), "{}", err(&output));
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((report["images"].as_u64(), report["all_right"].as_u64()), (Some(17), Some(16)));
    let outdoors = &report["classes"][2];
    assert_eq!(
        (&outdoors["label"], &outdoors["precision"], &outdoors["recall"]),
        (&"outdoors".into(), &(5.0 / 6.0).into(), &1.0.into())
    );
    assert!(fs::read_to_string(&curves).unwrap().contains("outdoors"));

    let whole = fs::read(&records).unwrap();
    fs::write(&records, &whole[..whole.len() / 2]).unwrap();
    let again = on_cpu(&[&evaluate[..], &["--format", "json"]].concat());
    assert_eq!((out(&again), fs::read(&records).unwrap()), (out(&output), whole), "{}", err(&again));
    for format in ["text", "markdown"] {
        let text = out(&on_cpu(&["evaluate", "-m", &mine, &val, "--multi-label", "--format", format]));
        assert!(text.contains("mAP") && text.contains("micro mean") && text.contains("16 of 17"), "{text}");
    }
    // Without the option the list is refused, as is the option for a model whose scores are shares of one.
    assert_fails(&on_cpu(&["evaluate", "-m", "builtin", &val, "--multi-label"]), 2, "config.value");
    let one = folder.path("album");
    let noted = on_cpu(&["evaluate", "-m", &mine, &one]);
    assert!(noted.status.success() && err(&noted).contains("--multi-label"), "{}", err(&noted));
}

#[test]
fn pictures_of_few_and_of_many_classes() {
    for classes in [2, 10, 200] {
        let folder = Folder::new();
        for class in 0..classes {
            let colour = [40 + (class * 97 % 180) as u8, 40 + (class * 61 % 180) as u8, 40 + (class * 31 % 180) as u8];
            for i in 0..3 {
                folder.photo(&format!("train/a kind of thing {class}/{i}.png"), colour, 1000 * class + i);
            }
        }
        let [train, mine, matrix, curves, sheet] =
            ["train", "mine.safetensors", "matrix.svg", "curves.svg", "sheet.png"].map(|name| folder.path(name));
        assert!(on_cpu(&["fit", &train, "-o", &mine, "--method", "centroid"]).status.success());
        let evaluate = ["evaluate", "-m", &mine, &train, "--threshold", "a kind of thing 1", "--confusion", &matrix];
        let output = on_cpu(&[&evaluate[..], &["--curves", &curves, "--mistakes", &sheet]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        for picture in [&matrix, &curves] {
            check_places(picture, &fs::read_to_string(picture).unwrap());
        }
        assert!(image::open(&sheet).unwrap().width() > 200);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_cannot_be_written_is_an_error() {
    let folder = Folder::new();
    let (train, mine) = (folder.album("train", 3, 0), folder.path("mine.safetensors"));
    assert!(on_cpu(&["fit", &train, "-o", &mine, "--method", "centroid"]).status.success());
    let evaluate = ["evaluate", "-m", &mine, &train, "--threshold", "rust"];
    for option in ["--confusion", "--curves", "--mistakes", "--resume"] {
        for place in ["/dev/full", &folder.path("none/a.svg")] {
            assert_fails(&on_cpu(&[&evaluate[..], &[option, place]].concat()), 2, "io");
        }
    }
    // Nothing can be read.
    fs::create_dir_all(folder.path("bad/rust")).unwrap();
    folder.file("bad/rust/a.png", "no image");
    let output = on_cpu(&["evaluate", "-m", &mine, &folder.path("bad")]);
    assert_fails(&output, 2, "config.value");
    assert!(err(&output).contains("[image.decode]"), "{}", err(&output));
}

#[test]
fn classes_in_the_order_of_the_images_names() {
    let folder = Folder::new();
    let (train, mine) = (folder.album("train", 5, 0), folder.path("mine.safetensors"));
    assert!(on_cpu(&["fit", &train, "-o", &mine]).status.success());
    for (i, (_, colour)) in COLOURS.iter().enumerate() {
        folder.photo(&format!("val/{i}.png"), *colour, 2000 + i as u32);
    }
    let (val, truth) = (folder.path("val"), folder.file("truth.txt", "blue sky\ngrass\ngrass\n"));
    let output = on_cpu(&["evaluate", "-m", &mine, &val, "--truth", &truth, "--format", "json"]);
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!((report["images"].as_u64(), report["top1"].as_u64()), (Some(3), Some(2)), "{}", err(&output));
    // Numbers mean something else to every program, and a list says the classes itself.
    let numbers = folder.file("numbers.txt", "1\n2\n2\n");
    let refused = on_cpu(&["evaluate", "-m", &mine, &val, "--truth", &numbers]);
    assert_fails(&refused, 2, "config.value");
    assert!(err(&refused).contains("meta.mat"), "{}", err(&refused));
    let list = folder.file("list.csv", "val/0.png,grass\n");
    assert_fails(&on_cpu(&["evaluate", "-m", &mine, &list, "--truth", &truth]), 2, "config.value");
}
