//! The command as a person drives it.

mod beside;
mod embed;
mod explain;
#[path = "../common/folder.rs"]
mod folder;
mod folders;
mod help;
mod inputs;
mod pictures;
mod profile;
mod similar;
mod structure;
mod terminal;
mod tuning;
mod variables;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use folder::Folder;
use residua::{checkpoint::Synthetic, models::Architecture};
use serde_json::Value;

fn residua(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_residua")).args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn on_cpu(arguments: &[&str]) -> Output {
    residua(&[arguments, &["--device", "cpu"]].concat())
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Status, and that stderr names the code.
fn assert_fails(output: &Output, status: i32, code: &str) {
    assert_eq!(output.status.code(), Some(status), "{}", err(output));
    assert!(err(output).contains(&format!("[{code}]")), "wanted [{code}]: {}", err(output));
    assert!(!err(output).contains("panicked"), "{}", err(output));
}

impl Folder {
    fn image(&self, name: &str, width: u32, height: u32) -> String {
        let path = self.path(name);
        let pixel = |x: u32, y: u32| image::Rgb([(x * 7 % 256) as u8, (y * 5 % 256) as u8, ((x + y) % 256) as u8]);
        image::RgbImage::from_fn(width, height, pixel).save(Path::new(&path)).unwrap();
        path
    }

    /// Made-up weights of an architecture, each tensor changed or left out by `edit`.
    fn checkpoint(
        &self,
        name: &str,
        architecture: &str,
        edit: impl Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool,
    ) -> String {
        let tensors = Architecture::by_name(architecture).unwrap().graph().tensors();
        let weights = Synthetic { salt: "cli".into(), damped: None, damp: 1.0 };
        let mut kept = Vec::new();
        for (name, mut shape) in tensors {
            let mut values = weights.tensor(&name, &shape);
            if edit(&name, &mut shape, &mut values) {
                kept.push((name, shape, bytemuck::cast_slice::<f32, u8>(&values).to_vec()));
            }
        }
        let views = kept.iter().map(|(name, shape, bytes)| {
            (name, safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes).unwrap())
        });
        self.file(name, safetensors::serialize(views, None).unwrap())
    }
}

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

/// Changes a tensor; `false` leaves it out.
type Edit = dyn Fn(&str, &mut Vec<usize>, &mut Vec<f32>) -> bool;

#[test]
fn bad_models_are_refused_by_code() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let keep = |_: &str, _: &mut Vec<usize>, _: &mut Vec<f32>| true;
    let whole = fs::read(folder.checkpoint("whole.safetensors", "cifar_resnet20a", keep)).unwrap();
    let changed = |name: &str, edit: &Edit| folder.checkpoint(name, "cifar_resnet20a", edit);
    let cases = [
        (folder.path("nowhere.safetensors"), "model.not_found"),
        (folder.file("cut.safetensors", &whole[..whole.len() - 1]), "model.truncated"),
        (folder.file("short.safetensors", &whole[..7]), "model.truncated"),
        (folder.file("weights.pth", b"PK\x03\x04 archive/data.pkl"), "model.format"),
        (changed("missing.safetensors", &|name, _, _| name != "layer2.1.conv2.weight"), "model.missing_tensor"),
        (
            changed("shape.safetensors", &|name, shape, values| {
                if name == "layer2.1.bn1.bias" {
                    shape[0] -= 1;
                    values.pop();
                }
                true
            }),
            "model.shape",
        ),
        (
            changed("nan.safetensors", &|name, _, values| {
                if name == "layer3.0.conv1.weight" {
                    values[17] = f32::NAN;
                }
                true
            }),
            "model.value",
        ),
        (changed("other.safetensors", &|name, _, _| name.starts_with("linear")), "model.unknown_architecture"),
    ];
    for (path, code) in &cases {
        assert_fails(&on_cpu(&["classify", "-m", path, &photo]), 2, code);
    }
}

#[test]
fn an_image_whose_logits_overflow_is_its_own_error() {
    // With mean 0 a black image is zero throughout; a white one meets a head that overflows f32.
    let folder = Folder::new();
    let model = folder.checkpoint("overflow.safetensors", "cifar_resnet20a", |name, _, values| {
        let zero = name.ends_with(".running_mean") || (name.ends_with(".bias") && name != "linear.bias");
        for value in values {
            *value = match name {
                _ if zero => 0.0,
                "linear.weight" => f32::MAX,
                _ => *value,
            };
        }
        true
    });
    let plain = |name: &str, value: u8| {
        image::RgbImage::from_pixel(32, 32, image::Rgb([value; 3])).save(folder.path(name)).unwrap();
        folder.path(name)
    };
    let (first, bad, last) = (plain("first.png", 0), plain("bad.png", 255), plain("last.png", 0));
    for device in ["auto", "cpu"] {
        let options = ["--format", "jsonl", "--batch", "3", "--mean", "0,0,0", "--device", device, "-m", &model];
        let output = residua(&[&["classify"], &options[..], &[&first, &bad, &last]].concat());
        assert_fails(&output, 1, "gpu.not_finite");
        let records: Vec<Value> = out(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(records.len(), 3, "{device}");
        assert_eq!(records[1]["error"]["code"], "gpu.not_finite", "{device}");
        for i in [0, 2] {
            assert_eq!(records[i]["predictions"].as_array().unwrap().len(), 5, "{device}: {}", records[i]);
        }
    }
}

#[test]
fn devices_are_listed_and_an_unknown_one_refused() {
    let output = residua(&["devices"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("* is used: auto"), "{}", out(&output));
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    assert_fails(&residua(&["classify", "--device", "no such card", &photo]), 2, "gpu.unknown_device");
    assert_fails(&residua(&["classify", "--precision", "f16", "--device", "cpu", &photo]), 2, "gpu.feature");
    // A number is never a part of a name: these are in the names or drivers of many adapters.
    for number in ["11", "15", "25", "256", "-1", "99999999999999999999"] {
        let output = residua(&["classify", &format!("--device={number}"), &photo]);
        assert_fails(&output, 2, "gpu.unknown_device");
        assert!(err(&output).contains("there are: 0: "), "{}", err(&output));
    }
}

#[test]
fn the_variables_of_wgpu_choose_the_adapter_unless_an_option_does() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let with = |name: &str, value: &str, options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
        command.args([&["classify", "-k", "1", &photo][..], options].concat()).env(name, value).output().unwrap()
    };
    let unknown = with("WGPU_ADAPTER_NAME", "no such card", &[]);
    assert_fails(&unknown, 2, "gpu.unknown_device");
    assert!(err(&unknown).contains("WGPU_ADAPTER_NAME=no such card"), "{}", err(&unknown));
    assert_fails(&with("WGPU_BACKEND", "no such interface", &[]), 2, "config.value");
    assert!(err(&with("WGPU_BACKEND", "opengl", &[])).contains("WGPU_BACKEND"));
    for device in ["auto", "cpu", "0"] {
        let output = with("WGPU_ADAPTER_NAME", "no such card", &["--device", device]);
        assert_eq!(output.status.code(), Some(0), "{device}: {}", err(&output));
    }
    let name = residua::devices()[0].name.to_uppercase();
    assert_eq!(with("WGPU_ADAPTER_NAME", &name, &[]).status.code(), Some(0));
    let noted = with("WGPU_POWER_PREF", "low", &[]);
    assert!(noted.status.success() && err(&noted).contains("WGPU_POWER_PREF is set"), "{}", err(&noted));
}

#[cfg(target_os = "linux")]
#[test]
fn with_little_address_space_the_cpu_path_serves_and_says_so() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    for kib in [450_000, 650_000, 800_000] {
        let limited = format!("ulimit -v {kib} && exec \"$0\" \"$@\"");
        let arguments = ["-c", &limited, env!("CARGO_BIN_EXE_residua"), "classify", "-k", "1", &photo];
        let output = Command::new("sh").args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{kib} KiB: {}", err(&output));
        assert!(err(&output).contains("using the CPU reference path"), "{kib} KiB: {}", err(&output));
        let arguments = [&arguments[..], &["--device", "0"]].concat();
        let asked_for = Command::new("sh").args(arguments).output().unwrap();
        assert_eq!(asked_for.status.code(), Some(2), "{kib} KiB: {}", err(&asked_for));
    }
}

/// A command on Mesa's driver for an AMD GPU, with or without a library that plays the kernel's part and does nothing.
fn on_radv(idle: bool, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(arguments).env("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/radeon_icd.json");
    if idle {
        let shim = "/usr/lib/x86_64-linux-gnu/libamdgpu_noop_drm_shim.so";
        assert!(std::path::Path::new(shim).exists(), "{shim}: install mesa-drm-shim (Debian)");
        command.env("AMDGPU_GPU_ID", "navi31").env("LD_PRELOAD", shim);
    } else {
        command.env("RADV_FORCE_FAMILY", "navi31");
    }
    command.output().unwrap()
}

#[test]
#[ignore = "needs Debian's mesa-drm-shim; tests/check installs it on Debian 12 and runs this"]
fn noop_a_real_driver_whose_device_does_nothing_is_an_error_of_every_command() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let listed = on_radv(true, &["devices"]);
    assert!(out(&listed).contains("NAVI31"), "{}{}", out(&listed), err(&listed));
    let heatmap = folder.path("heatmap.png");
    for arguments in [
        &["classify", &photo][..],
        &["embed", &photo],
        &["similar", &photo, "--in", &photo.replace("photo.png", "")],
        &["explain", &photo, "-o", &heatmap],
        &["verify"],
        &["profile"],
    ] {
        assert_fails(&on_radv(true, arguments), 2, "gpu.wrong");
    }
    assert_fails(&on_radv(true, &["classify", "--device", "auto", &photo]), 2, "gpu.wrong");
}

#[test]
#[ignore = "needs Mesa 25.0 or older with RADV; tests/check installs it on Debian 12 and runs this"]
fn noop_an_adapter_that_cannot_be_opened_is_named_with_the_drivers_words() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let auto = on_radv(false, &["classify", &photo]);
    assert_eq!(auto.status.code(), Some(0), "{}", err(&auto));
    let said = err(&auto);
    assert!(said.contains("NAVI31) cannot be opened: ") && said.contains("CPU reference path"), "{said}");
    assert_fails(&on_radv(false, &["classify", "--device", "0", &photo]), 2, "gpu.open");
}

/// A folder of more photos than a batch holds.
fn many_photos(folder: &Folder) -> String {
    let path = folder.path("many");
    std::fs::create_dir(&path).unwrap();
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
    let whole = std::fs::read_to_string(&record).unwrap();
    assert_eq!(whole.lines().count(), 70);
    for done in [1, 33, 69] {
        let lines: Vec<&str> = whole.lines().take(done).collect();
        std::fs::write(&record, lines.join("\n") + "\n").unwrap();
        assert_eq!(classify().status.code(), Some(0));
        assert_eq!(std::fs::read_to_string(&record).unwrap(), whole, "{done} were done before");
    }
}

#[test]
fn row_39_without_an_adapter_the_cpu_path_serves_and_says_so() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let without = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
        command.args(arguments).env("VK_DRIVER_FILES", "/nonexistent").env("VK_ICD_FILENAMES", "/nonexistent");
        command.output().unwrap()
    };
    let output = without(&["classify", &photo]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(err(&output).contains("no GPU adapter") && err(&output).contains("CPU reference path"), "{}", err(&output));
    assert_fails(&without(&["classify", "--device", "0", &photo]), 2, "gpu.no_adapter");
    let output = without(&["verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("comparisons of the CPU reference with itself: all agree"), "{}", out(&output));
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
fn logits_reads_and_writes_safetensors() {
    let folder = Folder::new();
    let input: Vec<f32> = (0..2 * 3 * 40 * 36).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    let write = |name: &str, tensor: &str, shape: Vec<usize>| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytemuck::cast_slice(&input)).unwrap();
        folder.file(name, safetensors::serialize([(tensor, view)], None).unwrap())
    };
    let good = write("in.safetensors", "input", vec![2, 3, 40, 36]);
    let target = folder.path("out.safetensors");
    let run = |input: &str| residua(&["logits", "--input", input, "--output", &target]);
    let output = run(&good);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let bytes = fs::read(&target).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("logits").unwrap().shape(), [2, 10]);
    assert_fails(&run(&write("name.safetensors", "x", vec![2, 3, 40, 36])), 2, "model.header");
    assert_fails(&run(&write("rank.safetensors", "input", vec![6, 40, 36])), 2, "config.value");
    assert_fails(&run(&folder.path("none.safetensors")), 2, "io");
}

#[test]
fn info_verify_and_preprocess() {
    let output = residua(&["info", "-v"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    for part in ["architecture", "GMACs", "airplane", "conv2d_", "fused into"] {
        assert!(out(&output).contains(part), "{part}: {}", out(&output));
    }
    let folder = Folder::new();
    let report = folder.path("report.json");
    let output = residua(&["verify", "--json", &report]);
    assert_eq!(output.status.code(), Some(0), "{}{}", out(&output), err(&output));
    let report: Value = serde_json::from_str(&fs::read_to_string(report).unwrap()).unwrap();
    assert!(report["ok"].as_bool().unwrap() && report["layers"].as_array().unwrap().len() > 10);
    let crop: PathBuf = folder.path("crop.png").into();
    let arguments = ["preprocess", &folder.image("photo.png", 300, 200), "-o", crop.to_str().unwrap()];
    let output = on_cpu(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert_eq!(image::image_dimensions(&crop).unwrap(), (32, 32));
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

#[test]
fn the_benchmark_prints_json() {
    let arguments = ["-m", "cifar_resnet20a,builtin,no-such-model", "--batch", "2", "--min-time", "0"];
    let output = Command::new(env!("CARGO_BIN_EXE_residua-bench"))
        .args(arguments)
        .args(["--stream", "--format", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", err(&output));
    let rows: Vec<Value> = serde_json::from_str(&out(&output)).unwrap();
    assert_eq!(rows.len(), 3);
    assert!(rows[0]["median_ms"].as_f64().unwrap() > 0.0 && rows[0]["batch"] == 2, "{}", rows[0]);
    assert!(rows[1]["streamed_images_per_s"].as_f64().unwrap() > 0.0, "{}", rows[1]);
    assert_eq!(rows[2]["code"], "model.not_found");
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

    let odd = Path::new(&folder.path("")).join(std::ffi::OsStr::from_bytes(b"odd\xff.png"));
    fs::copy(&photo, &odd).unwrap();
    let list = folder.file("list.txt", [photo.as_bytes(), b"\r\n", odd.as_os_str().as_bytes()].concat());
    let output = on_cpu(&["classify", "-k", "1", "--format", "csv", &format!("@{list}")]);
    assert_eq!((output.status.code(), out(&output).lines().count()), (Some(0), 3), "{}", err(&output));

    symlink("target.png", folder.path("link.png")).unwrap();
    assert!(on_cpu(&["preprocess", &photo, "-o", &folder.path("link.png")]).status.success());
    assert!(Path::new(&folder.path("link.png")).is_symlink() && Path::new(&folder.path("target.png")).is_file());
    assert_fails(&on_cpu(&["preprocess", &photo, "-o", &folder.path("")]), 2, "io");
    let mut names = fs::read_dir(folder.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(names.all(|name| !name.to_string_lossy().contains(".part")), "something is left over");
}

#[test]
fn preprocess_names_the_image_that_it_cannot_read() {
    let folder = Folder::new();
    let text = folder.file("not", "text, not pixels");
    let output = on_cpu(&["preprocess", &text, "-o", &folder.path("crop.png")]);
    assert_fails(&output, 1, "image.decode");
    assert!(err(&output).contains(&text), "{}", err(&output));
    assert!(!Path::new(&folder.path("crop.png")).exists());
    assert_eq!(residua(&["classify", "-k", "0", "x"]).status.code(), Some(2));
}

#[test]
fn the_benchmark_reports_failed_cases_in_their_places() {
    let bench = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_residua-bench")).args(arguments).args(["--min-time", "0"]).output().unwrap()
    };
    let output = bench(&["-m", "builtin", "--batch", "4096", "--input", "8192x8192", "--device", "cpu"]);
    assert_fails(&output, 1, "config.value");
    let output = bench(&["-m", "no-such-model,builtin", "--batch", "1", "--format", "markdown"]);
    assert_fails(&output, 1, "model.not_found");
    let rows: Vec<String> = out(&output).lines().filter(|line| line.starts_with('|')).map(String::from).collect();
    assert!(rows.len() == 4 && rows[2].contains("model.not_found") && rows[3].contains("builtin"), "{rows:?}");
    let columns = |row: &String| row.matches('|').count();
    assert!(rows.iter().all(|row| columns(row) == columns(&rows[0])), "{rows:?}");
    let output = bench(&["-m", "no-such-model,builtin", "--batch", "1", "--device", "cpu", "--format", "csv"]);
    assert_fails(&output, 1, "model.not_found");
    let mut reader = csv::Reader::from_reader(&output.stdout[..]);
    let rows: Vec<std::collections::HashMap<String, String>> = reader.deserialize().map(Result::unwrap).collect();
    assert!(rows.len() == 1 && rows[0]["model"] == "builtin" && rows[0]["kernels"] == "tuned", "{rows:?}");
    assert!(rows[0]["median_ms"].parse::<f64>().unwrap() > 0.0 && rows[0]["restart_ms"].is_empty(), "{rows:?}");
}

/// A photo whose pixels are there and whose end is not: an answer with a note, and none with --strict.
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
        let note = format!("{path}: it is damaged and decoded all the same: after its pixels: ");
        assert!(told.status.success() && err(&told).contains(&note), "{}", err(&told));
        assert!(!err(&run(&["-q"])).contains("damaged"));
        let refused = run(&["--strict"]);
        assert!(refused.status.code() == Some(1) && err(&refused).contains("it is damaged: "), "{}", err(&refused));
        assert!(refused.stdout.is_empty() || command == "embed");
        assert!(err(&run(&["--strict", "--allow-truncated"])).contains("cannot be used with"));
    }
}
