//! Properties that no tensor shows: the option, and the output of `info` and of notes.

use crate::{Folder, assert_fails, err, on_cpu, out};

/// A network whose stem is ambiguous: 3x3, with four stages.
fn small_stem(folder: &Folder) -> String {
    folder.checkpoint("model.safetensors", "resnet18", |name, shape, values| {
        if name == "conv1.weight" {
            *shape = vec![64, 3, 3, 3];
            values.truncate(64 * 27);
        }
        true
    })
}

#[test]
fn info_tells_what_is_stated_and_what_is_assumed() {
    let folder = Folder::new();
    let model = folder.checkpoint("model.safetensors", "resnet26", |_, _, _| true);
    folder.file("config.json", r#"{"model_args": {"act_layer": "silu"}}"#);
    let place = folder.path("");
    let told = |options: &[&str]| {
        let output = on_cpu(&[&["info", &place][..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        out(&output)
    };
    let line = |text: &str, key: &str| {
        let line =
            text.lines().find(|line| line.trim_start().starts_with(key)).unwrap_or_else(|| panic!("{key}: {text}"));
        line.to_string()
    };
    let text = told(&[]);
    for (key, value) in [
        ("stem-pool", "max (assumed"),
        ("stem-stride", "2 (assumed"),
        ("layer1-stride", "1 (assumed"),
        ("stride-in", "3x3 (assumed"),
        ("dilation", "none (assumed"),
        ("global-pool", "avg (assumed"),
        ("norm-eps", "1e-5 (assumed"),
        ("activation", "silu (stated in "),
    ] {
        assert!(line(&text, key).contains(value), "{}", line(&text, key));
    }
    assert!(line(&text, "activation").contains("config.json"), "{text}");
    assert!(!out(&on_cpu(&["info", "builtin"])).contains("assumed"));
    let text = told(&["--structure", "stride-in=1x1,activation=gelu,output-stride=8"]);
    assert!(line(&text, "stride-in").contains("1x1 (stated in option)"), "{text}");
    assert!(line(&text, "activation").contains("gelu (stated in option)"), "{text}");
    assert!(line(&text, "dilation").contains("layer3+layer4 (stated in option)"), "{text}");
    assert_fails(&on_cpu(&["info", &model, "--structure", "dilation=layer9"]), 2, "config.value");
}

#[test]
fn a_typo_in_the_structure_is_a_usage_error_that_lists_what_there_is() {
    for (pairs, listed) in [("stem-pol=max", "stem-pool, stem-stride"), ("stem-pool=avg", "max or none")] {
        let output = on_cpu(&["info", "--structure", pairs]);
        assert_eq!(output.status.code(), Some(2));
        assert!(err(&output).contains(listed) && err(&output).contains("--structure"), "{}", err(&output));
    }
}

#[test]
fn a_3x3_stem_is_told_on_stderr_until_its_pooling_is_stated() {
    let folder = Folder::new();
    let (model, photo) = (small_stem(&folder), folder.image("photo.png", 32, 32));
    let classify = |options: &[&str]| {
        let output = on_cpu(&[&["classify", "-m", &model, &photo][..], options].concat());
        assert_eq!(output.status.code(), Some(0), "{}", err(&output));
        (out(&output), err(&output))
    };
    let (without, note) = classify(&[]);
    assert!(note.contains("pooling") && note.contains("stem-pool=max"), "{note}");
    let (same, note) = classify(&["--structure", "stem-pool=none"]);
    assert!(!note.contains("pool"), "{note}");
    assert_eq!(without, same);
    assert_ne!(without, classify(&["--structure", "stem-pool=max"]).0);
}

#[test]
fn an_index_of_another_structure_is_refused() {
    let folder = Folder::new();
    let (photo, index) = (folder.image("photo.png", 32, 32), folder.path("photos.index"));
    let place = folder.path("");
    let arguments = ["similar", &photo, "--in", &place, "--index", &index];
    let first = on_cpu(&arguments);
    assert_eq!(first.status.code(), Some(0), "{}", err(&first));
    assert_fails(&on_cpu(&[&arguments[..], &["--structure", "activation=elu"]].concat()), 2, "config.value");
}
