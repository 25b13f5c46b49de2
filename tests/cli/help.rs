//! Help, completions, manual pages, and the output of `doctor`.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{Folder, err, out, residua};

/// The commands that the help of `residua` lists.
fn commands() -> Vec<String> {
    let help = out(&residua(&["--help"]));
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split_whitespace().next());
    names.filter(|name| *name != "help").map(String::from).collect()
}

/// The examples in a help text.
fn examples(help: &str) -> Vec<String> {
    let after = help.lines().skip_while(|line| !line.starts_with("Example")).skip(1);
    after.take_while(|line| line.starts_with("  ")).map(|line| line.trim().to_string()).collect()
}

/// Examples that need the hub, which tests cannot use. `tests/hub` runs such commands with a local hub.
const NOT_RUN: [&str; 2] = ["residua pull resnet50", "residua pull microsoft/resnet-50@main"];

/// Commands that need a GPU. The others run without a driver here, which would take seconds to compile kernels.
const ON_GPU: [&str; 3] = ["residua devices", "residua verify", "residua profile"];

/// Runs a line as a person would type it, in `folder`.
fn type_in(folder: &Folder, line: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_residua")).parent().unwrap().display();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(folder.path("")).env("PATH", path).env("HOME", folder.path(""));
    // Keep the driver's cache of compiled kernels: compiling them again takes a minute.
    let home = std::env::home_dir().unwrap();
    let kernels = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), Into::into);
    shell.env("MESA_SHADER_CACHE_DIR", kernels);
    shell.env("XDG_CACHE_HOME", folder.path("cache")).env("HF_HUB_OFFLINE", "1").stdin(Stdio::null());
    if !ON_GPU.iter().any(|command| line.starts_with(command)) {
        shell.env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
    }
    shell.output().unwrap()
}

#[test]
fn every_example_of_the_help_runs() {
    let folder = Folder::new();
    let photo = folder.image("photo.jpg", 300, 200);
    for place in ["photos", ".zfunc", ".local/share/bash-completion/completions", ".config/fish/completions"] {
        fs::create_dir_all(folder.path(place)).unwrap();
    }
    fs::create_dir_all(folder.path(".local/share/man/man1")).unwrap();
    folder.image("photos/first.png", 40, 30);
    folder.file("list.txt", format!("{photo}\nphotos/first.png\n"));
    let input = [0u8; 3 * 32 * 32 * 4];
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1, 3, 32, 32], &input).unwrap();
    folder.file("in.safetensors", safetensors::serialize([("input", view)], None).unwrap());
    for model in ["model.safetensors", "resnet18.safetensors"] {
        folder.checkpoint(model, "cifar_resnet20a", |_, _, _| true);
    }
    let mut labels = String::new();
    for (photo, class) in (0..8).map(|i| (i, ["broken", "ok"][i % 2])) {
        for place in ["train", "val"] {
            fs::create_dir_all(folder.path(&format!("{place}/{class}"))).unwrap();
            folder.image(&format!("{place}/{class}/{photo}.png"), 30 + 9 * photo as u32, 40);
        }
        labels.push_str(&format!("train/{class}/{photo}.png,{class}\n"));
    }
    folder.file("labels.csv", labels);
    let pickle = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/pth/teacher.pth");
    fs::copy(pickle, folder.path("weights.pth")).unwrap();
    folder.file("labels.txt", "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
    let mut helps = vec![out(&residua(&["--help"]))];
    for command in commands() {
        let help = out(&residua(&[&command, "--help-all"]));
        assert!(examples(&help).iter().any(|line| line.contains(&format!("residua {command}"))), "{command}: {help}");
        helps.push(help);
    }
    for line in helps.iter().flat_map(|help| examples(help)) {
        if NOT_RUN.contains(&line.as_str()) {
            continue;
        }
        let output = type_in(&folder, &line);
        assert_eq!(output.status.code(), Some(0), "{line}: {}", err(&output));
    }
}

#[test]
fn usage_errors_are_two() {
    let wrong: [&[&str]; 5] =
        [&["classify"], &["classify", "--mean", "1,2", "x"], &["no-such-command"], &["completions", "csh"], &[]];
    for arguments in wrong {
        let output = residua(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(err(&output).contains("Usage") || err(&output).contains("error:"), "{}", err(&output));
    }
    let output = residua(&["man", "no-such-command"]);
    assert!(output.status.code() == Some(2) && err(&output).contains("classify"), "{}", err(&output));
}

#[test]
fn completions_and_manual_pages_know_every_command() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = out(&residua(&["completions", shell]));
        for command in commands() {
            assert!(script.contains(&command), "{shell} lacks {command}");
        }
    }
    let folder = Folder::new();
    assert!(residua(&["man", "-o", &folder.path("")]).status.success());
    let program = fs::read_to_string(folder.path("residua.1")).unwrap();
    for command in commands() {
        assert!(program.contains(&format!("residua\\-{command}(1)")), "{program}");
        let page = fs::read_to_string(folder.path(&format!("residua-{command}.1"))).unwrap();
        assert!(page.contains(".SH EXAMPLES") && page.contains("\\-\\-device"), "{page}");
    }
    assert_eq!(residua(&["man", "-o", &folder.path("nowhere")]).status.code(), Some(2));
}

#[test]
fn doctor_tells_devices_caches_and_variables_but_no_secret() {
    let folder = Folder::new();
    folder.file("cached", [0; 1000]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(["doctor", "--json"]).env("HF_TOKEN", "hf_secret").env("HF_HUB_CACHE", folder.path(""));
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    assert!(!out(&output).contains("hf_secret"));
    let report: Value = serde_json::from_str(&out(&output)).unwrap();
    let variables = report["environment"].as_array().unwrap();
    assert!(variables.iter().any(|v| v["name"] == "HF_TOKEN" && v["value"].is_null()), "{variables:?}");
    let hub = report["caches"].as_array().unwrap().iter().find(|cache| cache["name"] == "hub cache").unwrap();
    assert_eq!((&hub["files"], &hub["bytes"]), (&1.into(), &1000.into()));
    let adapter = &report["adapters"][0];
    assert!(adapter["limits"]["max_buffer_size"].as_u64().unwrap() > 0 && !adapter["driver"].is_null(), "{adapter}");
    assert!(report["tests"].as_array().unwrap().iter().all(|test| test["ok"] == true), "{}", report["tests"]);

    let unknown = residua(&["doctor", "--device", "no such card"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(out(&unknown).contains("gpu.unknown_device") && out(&unknown).contains("max_buffer_size"));
    let cpu = residua(&["doctor", "--device", "cpu"]);
    assert!(cpu.status.success() && out(&cpu).contains("requested"), "{}", out(&cpu));
}

/// Columns of a help text.
const COLUMNS: usize = 100;

#[test]
fn help_is_short_and_its_long_form_has_every_option() {
    for command in commands() {
        let (short, long) = (out(&residua(&[&command, "--help"])), out(&residua(&[&command, "--help-all"])));
        assert!(short.lines().count() <= 60, "{command}: {} lines", short.lines().count());
        assert!(long.contains("--no-exif") && !short.contains("--no-exif"), "{command}");
        for line in short.lines().chain(long.lines()) {
            let example = line.starts_with("  residua") || line.starts_with("  find");
            assert!(example || line.chars().count() <= COLUMNS, "{command}: {line}");
        }
    }
}
