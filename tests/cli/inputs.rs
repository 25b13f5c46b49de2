//! Which files of folders and lists are taken, and the notes about the others.

use std::{fs, process::Output};

use serde_json::Value;

use crate::{Folder, assert_fails, err, on_cpu, out};

impl Folder {
    fn folders(&self, names: &[&str]) {
        names.iter().for_each(|name| fs::create_dir_all(self.path(name)).unwrap());
    }

    /// A JPEG under a name with any extension.
    fn jpeg(&self, name: &str) -> String {
        let bytes = fs::read(self.image("a copied.jpg", 40, 30)).unwrap();
        fs::remove_file(self.path("a copied.jpg")).unwrap();
        self.file(name, bytes)
    }
}

fn classify(arguments: &[&str]) -> Output {
    on_cpu(&[&["classify", "-k", "1", "--format", "jsonl"], arguments].concat())
}

/// The paths of the records, relative to `folder`.
fn paths(output: &Output, folder: &Folder) -> Vec<String> {
    let record = |line: &str| serde_json::from_str::<Value>(line).unwrap()["path"].as_str().unwrap().to_string();
    let below = |path: String| path.strip_prefix(&folder.path("")).unwrap_or(&path).to_string();
    out(output).lines().map(record).map(below).collect()
}

/// Hidden files that macOS, Windows and a NAS leave among photos; each is a valid image.
fn photos_of_a_nas() -> Folder {
    let folder = Folder::new();
    let hidden =
        [".thumbnails", "@eaDir/a.jpg", "__MACOSX", "$RECYCLE.BIN", ".Trash-1000/files", "#recycle", "lost+found"];
    folder.folders(&["p/b"]);
    folder.jpeg("p/a.jpg");
    folder.jpeg("p/b/c.jpg");
    for name in hidden {
        folder.folders(&[&format!("p/{name}")]);
        folder.jpeg(&format!("p/{name}/a.jpg"));
    }
    folder.jpeg("p/.hidden.jpg");
    folder.file("p/._a.jpg", b"\0\x05\x16\x07\0\x02\0\0Mac OS X        ");
    folder.file("p/b/Thumbs.db", "");
    folder
}

#[test]
fn what_systems_keep_among_photos_is_hidden_unless_it_is_asked_for() {
    let folder = photos_of_a_nas();
    let photos = folder.path("p");
    let output = classify(&["-r", &photos]);
    assert_eq!((output.status.code(), paths(&output, &folder)), (Some(0), vec!["p/a.jpg".into(), "p/b/c.jpg".into()]));
    assert!(err(&output).contains("3 files and 7 folders left out: 10 hidden"), "{}", err(&output));
    let output = classify(&["-q", "-r", &photos]);
    assert_eq!(err(&output), "");

    let output = classify(&["-r", &photos, "--hidden"]);
    assert_fails(&output, 1, "image.decode");
    assert_eq!(paths(&output, &folder).len(), 11, "{}", out(&output));
    assert!(err(&output).contains("1 file left out: 1 .db"), "{}", err(&output));

    let named = [folder.path("p/.thumbnails"), folder.path("p/.hidden.jpg"), folder.path("p/@eaDir")];
    let output = classify(&["-r", &named[0], &named[1], &named[2]]);
    assert_eq!(paths(&output, &folder), ["p/.thumbnails/a.jpg", "p/.hidden.jpg", "p/@eaDir/a.jpg/a.jpg"]);

    let output = on_cpu(&["similar", "--duplicates", "--in", &photos, "--format", "jsonl"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(out(&output).matches("a.jpg").count(), 1, "{}", out(&output));
}

#[test]
fn files_that_are_left_out_are_counted_by_their_ending() {
    let folder = Folder::new();
    folder.folders(&["p/b", "none/below"]);
    for name in ["p/a.jfif", "p/b.jpe", "p/b/C.JPEG"] {
        folder.jpeg(name);
    }
    for name in ["p/notes.txt", "p/d.avif", "p/b/e.jxl", "p/b/more.TXT", "p/README", "none/a.txt"] {
        folder.file(name, "");
    }
    let output = classify(&["-r", &folder.path("p")]);
    assert_eq!((output.status.code(), paths(&output, &folder).len()), (Some(0), 3), "{}", err(&output));
    let counts = "5 files left out: 2 .txt, 1 without an extension, 1 .avif, 1 .jxl";
    assert!(err(&output).contains(counts) && err(&output).contains(".avif, .jxl images"), "{}", err(&output));

    let empty = folder.path("none");
    for arguments in [&["-r", &empty][..], &["-q", "-r", &empty]] {
        let output = classify(arguments);
        assert_fails(&output, 1, "image.none");
        assert_eq!(err(&output).contains("1 file left out: 1 .txt"), arguments[0] != "-q", "{}", err(&output));
        assert!(out(&output).contains("image.none"), "each input gets a record: {}", out(&output));
    }
    let both = classify(&["-r", &folder.path("p"), &empty]);
    assert_fails(&both, 1, "image.none");
    assert!(err(&both).contains("1 of 4 images failed"), "{}", err(&both));
    for command in ["classify", "embed"] {
        assert_fails(&on_cpu(&[command, "-r", &empty]), 1, "image.none");
    }
}

#[test]
fn a_list_that_names_nothing_is_an_input_that_failed() {
    let folder = Folder::new();
    let photo = folder.jpeg("a.jpg");
    for text in ["", "\n \r\n", "\u{feff}"] {
        let list = format!("@{}", folder.file("list.txt", text));
        for command in ["classify", "embed"] {
            assert_fails(&on_cpu(&[command, &list]), 1, "image.none");
        }
        let both = classify(&[&list, &photo]);
        assert_fails(&both, 1, "image.none");
        assert_eq!(paths(&both, &folder).len(), 2, "the list gets a record: {}", out(&both));
    }
    // The tests' stdin is empty.
    assert_fails(&on_cpu(&["classify", "-0", "@-"]), 1, "image.none");
}

#[test]
fn patterns_leave_out_files_and_folders() {
    let folder = Folder::new();
    folder.folders(&["p/raw/deep", "p/web"]);
    for name in ["p/a.jpg", "p/a_small.jpg", "p/raw/b.jpg", "p/raw/deep/c.jpg", "p/web/d.jpg"] {
        folder.jpeg(name);
    }
    let taken = |patterns: &[&str]| {
        let mut arguments = vec!["-r".to_string(), folder.path("p")];
        patterns.iter().for_each(|pattern| arguments.extend(["--exclude".into(), pattern.to_string()]));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let output = classify(&arguments);
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        paths(&output, &folder)
    };
    assert_eq!(taken(&["raw/"]), ["p/a.jpg", "p/a_small.jpg", "p/web/d.jpg"]);
    assert_eq!(taken(&["*_small.*", "web"]), ["p/a.jpg", "p/raw/b.jpg", "p/raw/deep/c.jpg"]);
    assert_eq!(taken(&["raw/*.jpg"]), ["p/a.jpg", "p/a_small.jpg", "p/raw/deep/c.jpg", "p/web/d.jpg"]);
    assert_eq!(taken(&["**/{b,c,d}.jpg"]), ["p/a.jpg", "p/a_small.jpg"]);
    assert_eq!(classify(&["-r", &folder.path("p"), "--exclude", "[a"]).status.code(), Some(2));
    // A file that is named as an input is always taken.
    assert_eq!(classify(&["--exclude", "*.jpg", &folder.path("p/a.jpg")]).status.code(), Some(0));
}

#[test]
fn lists_are_read_as_windows_writes_them() {
    let folder = Folder::new();
    let (a, b) = (folder.jpeg("a.jpg"), folder.jpeg("b ä.jpg"));
    let text = format!("\u{feff}{a}\r\n{b}  \r\n\r\n");
    let wide = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
    for list in [text.clone().into_bytes(), wide(u16::to_le_bytes), wide(u16::to_be_bytes)] {
        let list = format!("@{}", folder.file("list.txt", list));
        let output = classify(&[&list]);
        assert_eq!((output.status.code(), paths(&output, &folder)), (Some(0), vec!["a.jpg".into(), "b ä.jpg".into()]));
    }
    let odd = wide(u16::to_le_bytes);
    let output = classify(&[&format!("@{}", folder.file("odd.txt", &odd[..odd.len() - 1]))]);
    assert_fails(&output, 1, "io");
    assert!(err(&output).contains("UTF-16"), "{}", err(&output));
}

#[test]
fn inputs_that_were_named_before_are_counted() {
    let folder = Folder::new();
    folder.folders(&["p"]);
    let (a, p) = (folder.jpeg("p/a.jpg"), folder.path("p"));
    let output = classify(&["-r", &p, &a, &p]);
    assert_eq!(paths(&output, &folder), ["p/a.jpg"; 3]);
    assert!(err(&output).contains("2 repeated inputs"), "{}", err(&output));
    assert_eq!(err(&classify(&["-r", &p])), "");
}

#[cfg(unix)]
#[test]
fn links_cannot_lead_in_a_circle() {
    use std::os::unix::fs::symlink;
    let folder = Folder::new();
    folder.folders(&["p/b"]);
    let a = folder.jpeg("p/b/a.jpg");
    symlink(folder.path("p"), folder.path("p/b/up")).unwrap();
    symlink(&a, folder.path("p/link.jpg")).unwrap();
    symlink(folder.path("nowhere"), folder.path("p/lost.jpg")).unwrap();
    symlink(folder.path("nowhere"), folder.path("p/lost.txt")).unwrap();
    let output = classify(&["-r", &folder.path("p")]);
    assert_fails(&output, 1, "io");
    assert_eq!(paths(&output, &folder), ["p/b/a.jpg", "p/link.jpg", "p/lost.jpg"]);
    assert!(err(&output).contains("2 files left out: 1 .txt, 1 linked to a folder"), "{}", err(&output));
    // A link that is named as an input is followed.
    symlink(folder.path("p/b"), folder.path("alias")).unwrap();
    let output = classify(&["-r", &folder.path("alias")]);
    assert_eq!(paths(&output, &folder), ["alias/a.jpg"]);
}

#[test]
fn info_and_pull_take_a_model_as_the_other_commands_do() {
    let folder = Folder::new();
    let model = folder.checkpoint("m.safetensors", "cifar_resnet20a", |_, _, _| true);
    let info = |arguments: &[&str]| {
        let output = on_cpu(&[&["info"], arguments].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output)
    };
    assert_eq!(info(&["-m", &model]), info(&[&model]));
    assert_eq!(info(&["--model", "builtin"]), info(&[]));
    assert_ne!(info(&["-m", &model]), info(&[]));
    let both = on_cpu(&["info", "builtin", "-m", &model]);
    assert!(both.status.code() == Some(2) && err(&both).contains("cannot be used with"), "{}", err(&both));
    for arguments in [["pull", "no such model"].to_vec(), ["pull", "-m", "no such model"].to_vec()] {
        assert_fails(&on_cpu(&arguments), 2, "model.not_found");
    }
    for arguments in [["pull"].to_vec(), ["pull", "a", "-m", "b"].to_vec()] {
        let output = on_cpu(&arguments);
        assert!(output.status.code() == Some(2) && err(&output).contains("Usage"), "{}", err(&output));
    }
}
