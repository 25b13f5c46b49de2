//! `residua profile`: table, trace and picture show the same dispatches.

use std::fs;

use serde_json::Value;

use super::{err, on_cpu, out, pictures::check_places, residua};

#[test]
fn a_table_a_trace_and_a_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (trace, svg) = (folder.path().join("trace.json"), folder.path().join("profile.svg"));
    let [trace, svg] = [&trace, &svg].map(|path| path.to_str().unwrap());
    let output = residua(&["profile", "--runs", "1", "--batch", "2", "-o", trace, "--svg", svg]);
    assert!(output.status.success(), "{}", err(&output));
    let table = out(&output);
    let events: Value = serde_json::from_str(&fs::read_to_string(trace).unwrap()).unwrap();
    let kernels: Vec<&Value> =
        events["traceEvents"].as_array().unwrap().iter().filter(|event| event["ph"] == "X").collect();
    assert!(kernels.len() > 10 && table.contains(&format!("{} steps", kernels.len())), "{table}");
    let mut end = 0.0;
    for kernel in &kernels {
        assert!(table.contains(kernel["name"].as_str().unwrap()), "{kernel}");
        let (start, duration) = (kernel["ts"].as_f64().unwrap(), kernel["dur"].as_f64().unwrap());
        assert!(
            (start - end).abs() < 1e-3 && duration >= kernel["args"]["floor_us"].as_f64().unwrap() - 1e-3,
            "{kernel}"
        );
        end = start + duration;
    }
    let picture = fs::read_to_string(svg).unwrap();
    assert_eq!(picture.matches("<title>").count(), kernels.len());
    check_places("profile", &picture);
}

#[test]
fn of_the_reference_every_operator_has_its_time() {
    let output = residua(&["profile", "--runs", "1", "--device", "reference"]);
    assert!(output.status.success(), "{}", err(&output));
    let table = out(&output);
    assert!(table.contains("steps, medians of 1 runs by the host's clock around each operator"), "{table}");
    for operator in ["conv2d", "batch_norm", "relu", "linear"] {
        assert!(table.lines().any(|line| line.ends_with(&format!("  {operator}"))), "{operator}: {table}");
    }
    assert!(!table.contains("device memory"), "{table}");
}

#[test]
fn on_the_cpu_every_layer_has_its_time() {
    let table = out(&on_cpu(&["profile", "--runs", "1"]));
    assert!(table.contains("steps, medians of 1 runs by the host's clock around each layer"), "{table}");
    for kernel in ["conv2d.channels", "conv2d.winograd4", "linear"] {
        assert!(table.lines().any(|line| line.ends_with(&format!("  {kernel}"))), "{kernel}: {table}");
    }
    assert!(table.contains(" GFLOP/s of multiply-adds in registers; the network reaches "), "{table}");
    assert!(table.contains("device memory"), "{table}");
}
