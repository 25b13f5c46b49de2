//! The command with models from the hub.

use std::{
    process::{Command, Output, Stdio},
    thread,
    time::Instant,
};

use serde_json::Value;

use super::{server::Fault, *};

impl Bench {
    /// The command in a clean environment, on the CPU.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residua"));
        command
            .args(arguments)
            .args(["--device", "cpu"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "ALL_PROXY",
            "all_proxy",
            "HF_TOKEN",
            "HF_HUB_OFFLINE",
            "TRANSFORMERS_OFFLINE",
            "RUST_LOG",
        ] {
            command.env_remove(name);
        }
        command.env("HF_HOME", self.folder.path()).env_remove("HF_HUB_CACHE").env_remove("HUGGINGFACE_HUB_CACHE");
        command.env("HF_ENDPOINT", &self.hub.endpoint);
        command
    }

    fn run(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        told(self.command(arguments).output().unwrap())
    }
}

fn told(output: Output) -> (Option<i32>, String, String) {
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn pull_prints_the_folder_and_classify_names_model_and_revision() {
    let bench = Bench::new();
    let (status, out, err) = bench.run(&["pull", "owner/net"]);
    assert_eq!((status, out.trim_end()), (Some(0), bench.path("snapshots").join(COMMIT).to_str().unwrap()), "{err}");
    let (status, out, err) =
        bench.run(&["classify", "-m", "owner/net", "--offline", "--format", "jsonl", "tests/images/ship.png"]);
    assert_eq!(status, Some(0), "{err}");
    let record: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&record["model"], &record["revision"]), (&"owner/net".into(), &COMMIT.into()));
    assert_eq!(record["predictions"][0]["label"], "ship");
}

#[test]
fn a_model_that_is_not_cached_is_fetched_or_offline_told_of() {
    let bench = Bench::new();
    for arguments in [vec!["info", "owner/net", "--offline"], vec!["pull", "owner/net", "--offline"]] {
        let (status, out, err) = bench.run(&arguments);
        assert_eq!((status, out.as_str()), (Some(2), ""));
        assert!(err.contains("[hub.not_cached]") && err.contains("`residua pull owner/net`"), "{err}");
    }
    let (status, _, err) = told(bench.command(&["info", "owner/net"]).env("HF_HUB_OFFLINE", "1").output().unwrap());
    assert_eq!(status, Some(2), "{err}");
    assert_eq!(bench.server.seen().len(), 0, "offline is offline");
    let (status, out, err) = bench.run(&["info", "owner/net"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.contains(COMMIT) && out.contains(bench.path("snapshots").to_str().unwrap()), "{out}");
}

#[test]
fn weights_that_are_not_for_commerce_say_so() {
    let bench = Bench::new();
    // Without this file, the licence in the weights' own configuration would win.
    let config = br#"{"model_type": "resnet"}"#.to_vec();
    let files = [("model.safetensors".to_string(), WEIGHTS.to_vec()), ("config.json".to_string(), config)];
    let repository = Repository { commit: COMMIT.into(), files: files.into(), token: None };
    bench.server.put("timm/resnet50.fb_swsl_ig1b_ft_in1k", repository);
    let (status, out, err) = bench.run(&["info", "resnet50.fb_swsl_ig1b_ft_in1k"]);
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("does not allow commercial use"), "{err}");
    assert!(out.contains("cc-by-nc-4.0") && out.contains("81.18 % at 224x224, as timm published"), "{out}");
}

#[test]
fn a_wrong_name_is_answered_with_right_ones() {
    let bench = Bench::new();
    for arguments in [["info", "resnt50"], ["pull", "resnt50"]] {
        let (status, _, err) = bench.run(&arguments);
        assert_eq!(status, Some(2));
        assert!(err.contains("[model.not_found]") && err.contains("resnet50,"), "{err}");
    }
    assert_eq!(bench.server.seen().len(), 0);
}

#[test]
fn row_51_the_token_is_in_no_log() {
    let bench = Bench::new();
    let mut command = bench.command(&["pull", "owner/net", "-v"]);
    let (status, out, err) =
        told(command.env("HF_TOKEN", "hf_secret").env("RUST_LOG", "trace,ureq_proto::util=trace").output().unwrap());
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("ureq_proto::client"), "the log was on: {err}");
    // This module logs all bytes of a request, a few per line.
    assert!(!err.contains("ureq_proto::util"), "{err}");
    assert!(!err.contains("hf_secret") && !out.contains("hf_secret"), "{err}");
    assert!(bench.server.seen().iter().any(|seen| seen.authorization.is_some()));
}

#[test]
fn row_48_a_killed_download_is_resumed_and_never_used_before() {
    let bench = Bench::new();
    bench.server.fault([Fault::Slow(WEIGHTS.len() / 50, Duration::from_millis(100))]);
    let mut child = bench.command(&["pull", "owner/net"]).spawn().unwrap();
    let began = Instant::now();
    let some = WEIGHTS.len() as u64 / 10;
    while fs::metadata(bench.partial()).map_or(0, |meta| meta.len()) < some {
        assert!(began.elapsed() < Duration::from_secs(20), "no bytes arrive");
        thread::sleep(Duration::from_millis(10));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = fs::metadata(bench.partial()).unwrap().len();
    assert!((some..WEIGHTS.len() as u64).contains(&left), "{left}");
    let (status, _, err) = bench.run(&["info", "owner/net", "--offline"]);
    assert_eq!(status, Some(2), "{err}");

    bench.server.seen();
    let (status, _, err) = bench.run(&["info", "owner/net"]);
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(bench.server.ranges(), [Some(format!("bytes={left}-"))]);
}

/// Like on a full disk, no file may grow.
#[cfg(unix)]
#[test]
fn row_49_a_disk_that_takes_no_more_is_named() {
    let bench = Bench::new();
    let pull = bench.command(&["pull", "owner/net"]);
    let mut command = Command::new("sh");
    command.args(["-c", r#"trap "" XFSZ; ulimit -f 0; exec "$0" "$@""#]).arg(pull.get_program()).args(pull.get_args());
    for (name, value) in pull.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let (status, _, err) = told(command.output().unwrap());
    assert!(status == Some(2) && err.contains("[hub.cache]") && err.contains("File too large"), "{err}");
}

#[test]
fn two_processes_at_once_fetch_once() {
    let bench = Bench::new();
    bench.server.fault([Fault::Slow(WEIGHTS.len() / 4, Duration::from_millis(200))]);
    let children = [0, 1].map(|_| bench.command(&["pull", "owner/net"]).spawn().unwrap());
    let outputs = children.map(|child| told(child.wait_with_output().unwrap()));
    for (status, out, err) in &outputs {
        assert_eq!((*status, out), (Some(0), &outputs[0].1), "{err}");
    }
    assert_eq!(bench.server.ranges().len(), 1);
    let waited = outputs.iter().filter(|(_, _, err)| err.contains("waiting for another process")).count();
    assert_eq!(waited, 1, "{outputs:?}");
}
