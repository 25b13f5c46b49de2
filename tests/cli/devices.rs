//! The choice of the device, and the errors for missing and bad devices.

use std::{
    path::Path,
    process::{Command, Output},
};

use residua::DeviceKind;

use crate::{Folder, assert_fails, err, on_cpu, out, residua};

#[test]
fn devices_are_listed_and_an_unknown_one_refused() {
    let output = residua(&["devices"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(out(&output).contains("* marks the device in use: its name is"), "{}", out(&output));
    for name in ["cpu", "reference"] {
        let listed = out(&residua(&["devices", "--device", name]));
        assert!(
            listed.contains(&format!("\n* {name} ")) && listed.contains("* marks the device in use: requested"),
            "{listed}"
        );
    }
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    assert_fails(&residua(&["classify", "--device", "no such card", &photo]), 2, "gpu.unknown_device");
    assert_fails(&residua(&["classify", "--precision", "f16", "--device", "cpu", &photo]), 2, "gpu.feature");
    // A number never matches a part of a name: these are in the names or drivers of many adapters.
    for number in ["11", "15", "25", "256", "-1", "99999999999999999999"] {
        let output = residua(&["classify", &format!("--device={number}"), &photo]);
        assert_fails(&output, 2, "gpu.unknown_device");
        assert!(err(&output).contains("available devices: 0: "), "{}", err(&output));
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

#[test]
fn auto_and_cpu_are_words_in_any_case() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    for (device, name) in [("CPU", "\"device\":\"cpu\""), ("Cpu", "\"device\":\"cpu\""), ("Auto", "")] {
        let output = residua(&["classify", "--device", device, "--format", "jsonl", &photo]);
        assert!(output.status.success() && out(&output).contains(name), "{device}: {}", err(&output));
    }
}

#[test]
fn the_cpu_is_preferred_to_a_software_adapter_and_that_is_said() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let auto = residua(&["classify", "--device", "auto", "--format", "jsonl", &photo]);
    assert!(auto.status.success(), "{}", err(&auto));
    let software = residua::devices().iter().all(|device| device.kind == DeviceKind::Software);
    assert_eq!(out(&auto).contains("\"device\":\"cpu\""), software, "{}", out(&auto));
    assert_eq!(err(&auto).contains("is a software (CPU) adapter"), software, "{}", err(&auto));
    let listed = out(&residua(&["devices", "--device", "auto"]));
    assert_eq!(listed.contains("\n* cpu "), software, "{listed}");
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 32, 32);
    let embed = |threads: &str| out(&on_cpu(&["embed", "--threads", threads, &photo]));
    let one = embed("1");
    assert!(one.lines().count() == 1 && embed("3") == one, "{one}");
    assert_eq!(on_cpu(&["embed", "--threads", "0", &photo]).status.code(), Some(2));
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
        assert!(err(&output).contains("using the CPU"), "{kib} KiB: {}", err(&output));
        let arguments = [&arguments[..], &["--device", "0"]].concat();
        let asked_for = Command::new("sh").args(arguments).output().unwrap();
        assert_eq!(asked_for.status.code(), Some(2), "{kib} KiB: {}", err(&asked_for));
    }
}

/// A command on Mesa's driver for an AMD GPU, with or without a library that stands in for the system's kernel and does nothing.
fn on_radv(idle: bool, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command.args(arguments).env("VK_DRIVER_FILES", "/usr/share/vulkan/icd.d/radeon_icd.json");
    if idle {
        let shim = "/usr/lib/x86_64-linux-gnu/libamdgpu_noop_drm_shim.so";
        assert!(Path::new(shim).exists(), "{shim}: install mesa-drm-shim (Debian)");
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
    assert!(said.contains("NAVI31) cannot be opened: ") && said.contains("using the CPU"), "{said}");
    assert_fails(&on_radv(false, &["classify", "--device", "0", &photo]), 2, "gpu.open");
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
    assert!(err(&output).contains("no GPU adapter") && err(&output).contains("using the CPU"), "{}", err(&output));
    assert_fails(&without(&["classify", "--device", "0", &photo]), 2, "gpu.no_adapter");
    let output = without(&["verify"]);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    assert!(out(&output).contains("comparisons with the reference: all agree"), "{}", out(&output));
}
