//! `residua verify`: every layer on this device against the CPU reference.

use std::{io::Write, path::Path};

use residua::verify::LayerCheck;
use serde_json::json;

use super::{Outcome, args::Batch, args::Global, write_file};

/// Rows that are shown without -v.
const WORST: usize = 10;

pub(super) fn run(global: &Global, model: &str, report: Option<&Path>, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(model)?;
    let batch = if let Batch::Of(n) = global.batch { n } else { 1 };
    let verification = classifier.verify(batch)?;
    let device = classifier.device();
    let mut rows: Vec<&LayerCheck> = verification.layers.iter().collect();
    if !global.verbose {
        rows.sort_by(|a, b| b.error.total_cmp(&a.error));
        rows.truncate(WORST);
    }
    writeln!(out, "{:<28} {:>16} {:>10} {:>8}  kernel", "layer", "output", "error", "bound")?;
    for layer in rows {
        let verdict = if layer.ok { "" } else { "  WRONG" };
        let LayerCheck { name, kernel, error, bound, .. } = layer;
        writeln!(out, "{name:<28} {:>16} {error:>10.2e} {bound:>8.0e}  {kernel}{verdict}", layer.shape.to_string())?;
    }
    let wrong = verification.layers.iter().filter(|layer| !layer.ok).count();
    let verdict = if verification.ok { "all layers agree".into() } else { format!("{wrong} layers DISAGREE") };
    let name = &classifier.model().name;
    let layers = verification.layers.len();
    writeln!(
        out,
        "{name} on {} ({}), {}: {layers} layers, {verdict}",
        device.name,
        device.driver,
        classifier.precision()
    )?;
    if let Some(path) = report {
        let layers: Vec<_> = verification
            .layers
            .iter()
            .map(|l| json!({"name": l.name, "kernel": l.kernel, "shape": l.shape.to_string(), "error": l.error, "bound": l.bound, "ok": l.ok}))
            .collect();
        let report = json!({
            "version": env!("CARGO_PKG_VERSION"), "model": name, "device": device.name, "driver": device.driver,
            "backend": device.backend, "precision": classifier.precision().to_string(), "ok": verification.ok, "layers": layers,
        });
        write_file(path, format!("{report:#}\n").as_bytes())?;
    }
    Ok(verification.ok)
}
