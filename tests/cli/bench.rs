//! `residua-bench`: measured cases and failed cases.

use std::process::Command;

use serde_json::Value;

use crate::{assert_fails, err, out};

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
