//! Environment variables with invalid values.
#![cfg(unix)]

use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};

use super::*;

/// Runs `pull` with one variable; returns the status and stderr.
fn pull(bench: &Bench, name: &str, value: &[u8]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
    command
        .args(["pull", "owner/net"])
        .current_dir(bench.folder.path())
        .env("HF_HOME", bench.folder.path())
        .env("HF_ENDPOINT", &bench.hub.endpoint);
    for other in
        ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN", "RUST_LOG"]
    {
        command.env_remove(other);
    }
    let output = command.env(name, OsStr::from_bytes(value)).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_variable_that_cannot_be_used_is_named() {
    let bench = Bench::new();
    let proxies: &[&[u8]] = &[
        b"ftp://gate",
        b"socks9://gate:1",
        b"http://gate:99999",
        b"http://",
        b"://",
        b"[",
        b"a b",
        b"\xff",
        b"-",
        b"/",
    ];
    let cases: [(&str, &[&[u8]]); 9] = [
        ("HTTP_PROXY", &proxies[..8]),
        ("http_proxy", &proxies[..8]),
        ("ALL_PROXY", &proxies[..8]),
        ("all_proxy", &proxies[..8]),
        (
            "HF_ENDPOINT",
            &[b"hub", b"ftp://hub", b"https://", b"https://hub:99999", b"https://[::1", b"\xff", b"https://a b", b"."],
        ),
        ("HF_HUB_ETAG_TIMEOUT", &[b"junk", b"0", b"-1", b"1.5", b"99999999999999999999", b"\xff", b" "]),
        ("HF_HUB_DOWNLOAD_TIMEOUT", &[b"junk", b"0", b"nan"]),
        ("HF_TOKEN", &[b"a\nb", b"\xff", "ä".as_bytes()]),
        ("SSL_CERT_FILE", &[b"/nonexistent", b"/", b"\xff", b"/dev/null"]),
    ];
    for (name, values) in cases {
        for value in values {
            let (status, err) = pull(&bench, name, value);
            let told = status == Some(2) && err.contains("[config.value]") && err.contains(name);
            assert!(told, "{name}={}: {status:?}: {err}", value.escape_ascii());
        }
    }
    assert_eq!(bench.server.seen().len(), 0, "no request was sent");
}

#[test]
fn no_value_of_a_variable_is_a_bug() {
    let bench = Bench::new();
    let values: &[&[u8]] = &[
        b"",
        b" ",
        b"*",
        "ä*".as_bytes(),
        b",,",
        b"\xff,\xfe",
        b"10.0.0.0/99",
        b"[::1]:x",
        b"-1",
        b"1e9",
        b"\x1b[31m",
        b".",
    ];
    for name in [
        "NO_PROXY",
        "no_proxy",
        "http_proxy",
        "ALL_PROXY",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_HUB_OFFLINE",
        "HF_TOKEN_PATH",
    ] {
        for value in values {
            let (status, err) = pull(&bench, name, value);
            assert!(
                matches!(status, Some(0 | 2)) && !err.contains("panicked"),
                "{name}={}: {err}",
                value.escape_ascii()
            );
        }
    }
}

#[test]
fn a_variable_that_is_not_needed_is_not_looked_at() {
    let bench = Bench::new();
    assert_eq!(pull(&bench, "HF_HUB_ETAG_TIMEOUT", b"9").0, Some(0));
    // Cached files need no network.
    let mut hub = Hub::from_vars(|name| matches!(name, "HTTPS_PROXY" | "HF_HUB_ETAG_TIMEOUT").then(|| "[".into()));
    hub.cache = Some(bench.folder.path().join("hub"));
    assert_weights(&hub.open(&id("owner/net")).unwrap());
    assert_eq!(hub.pull(&id("owner/net")).unwrap_err().code(), "config.value");
}
