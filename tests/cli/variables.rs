//! Environment variables with arbitrary values.
#![cfg(unix)]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

use crate::{Folder, err};

/// Nonsensical values.
const VALUES: [&[u8]; 8] =
    [b"", b"-1", b"99999999999999999999", b"\xff\xfe", b"\x1b[31m", b"/nonexistent", b"[=,://", "ä* b\n".as_bytes()];

/// Variables that the program or one of its libraries reads, except those that choose a device.
const NAMES: [&str; 25] = [
    "CLICOLOR_FORCE",
    "COLUMNS",
    "HF_ENDPOINT",
    "HF_HOME",
    "HF_HUB_CACHE",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN",
    "HF_HUB_DISABLE_PROGRESS_BARS",
    "HF_HUB_DOWNLOAD_TIMEOUT",
    "HF_HUB_ETAG_TIMEOUT",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HF_TOKEN_PATH",
    "HOME",
    "HTTPS_PROXY",
    "LANG",
    "LINES",
    "NO_COLOR",
    "NO_PROXY",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "RUST_LOG_STYLE",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
];

#[test]
fn no_variable_keeps_a_photo_from_being_classified() {
    let folder = Folder::new();
    let photo = folder.image("photo.png", 40, 30);
    for name in NAMES {
        for value in VALUES {
            let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
            command.args(["classify", "--device", "cpu", "-k", "1", &photo]).current_dir(folder.path(""));
            let output = command.env(name, OsStr::from_bytes(value)).output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{name}={}: {}", value.escape_ascii(), err(&output));
        }
    }
}
