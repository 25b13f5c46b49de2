//! `--tune`: measures once, uses the times from then on, and reports on stderr.

use std::process::{Command, Output};

use super::{Folder, adapter, err, on_cpu, out};

#[test]
fn kernels_are_measured_once_and_used_from_then_on() {
    let folder = Folder::new();
    let residua = |arguments: &[&str]| -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
        // Keep the driver's cache of compiled kernels.
        let home = std::env::home_dir().unwrap();
        let kernels = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), Into::into);
        command.env("MESA_SHADER_CACHE_DIR", kernels).env("XDG_CACHE_HOME", folder.path("cache"));
        command.env("WGPU_ADAPTER_NAME", adapter());
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", err(&output));
        output
    };
    let measured = |arguments: &[&str]| out(&residua(arguments)).contains("measured with 1 image: ");
    assert!(!measured(&["info", "-v"]));
    let told = err(&residua(&["classify", "--tune", "--batch", "1", "tests/images/ship.png"]));
    assert!(told.contains("measuring kernels of ") && told.contains(" measured in "), "{told}");
    let told = err(&residua(&["classify", "--tune", "--batch", "1", "tests/images/ship.png"]));
    assert!(told.contains("all kernels are already measured"), "{told}");
    assert!(measured(&["info", "-v"]));
    assert!(!measured(&["info", "-v", "--no-tune"]));
    let doctor = out(&residua(&["doctor"]));
    assert!(doctor.contains("tuned-"), "{doctor}");
    let told = err(&on_cpu(&["classify", "--tune", "tests/images/ship.png"]));
    assert!(told.contains("nothing to measure"), "{told}");
    let both = Command::new(env!("CARGO_BIN_EXE_residua")).args(["info", "--tune", "--no-tune"]).output().unwrap();
    assert_eq!(both.status.code(), Some(2));
}
