//! `residua verify`: compares every layer on this device with the CPU reference.

use std::{collections::BTreeMap, io::Write};

use residua::{
    Classifier, DeviceKind,
    check::verify::{Coverage, LayerCheck, Verification},
    executor::gpu::kernels,
    stream::Batch,
    tensor::StorageType,
};
use serde_json::json;

use crate::cli::{
    args::Verify,
    io::{faults, files::write_file},
    options::Global,
    outcome::Outcome,
};

pub(crate) fn run(global: &Global, command: &Verify, out: &mut dyn Write) -> Outcome {
    // The device must be opened even if it fails the self-test, to find its wrong kernels.
    let builder = global.builder()?.untested(true);
    let builder = match &command.synthetic {
        Some(architecture) => builder.synthetic(architecture),
        None => builder.model(&command.model.model),
    };
    let classifier = global.tell(builder.open()?)?;
    let batch = if let Batch::Of(n) = global.batch { n.get() } else { 1 };
    let verification = classifier.verify(batch, Coverage::Every)?;
    faults::record(classifier.device(), &verification.faults)?;
    table(out, &verification, global.verbose)?;
    verdict(out, &classifier, &verification)?;
    if let Some(path) = &command.json {
        write_file(path, format!("{:#}\n", report(&classifier, batch, &verification)).as_bytes())?;
    }
    Ok(verification.ok)
}

/// Writes a row for each kernel with its worst layer; with -v, all rows.
fn table(out: &mut dyn Write, verification: &Verification, all: bool) -> std::io::Result<()> {
    let mut groups: BTreeMap<(&str, &str), Vec<&LayerCheck>> = BTreeMap::new();
    for layer in &verification.layers {
        groups.entry((name(layer.stored), &layer.kernel)).or_default().push(layer);
    }
    writeln!(out, "{:<4} {:<58} {:>6} {:>9} {:>8}  worst layer", "", "kernel", "layers", "error", "bound")?;
    for ((stored, kernel), mut layers) in groups {
        layers.sort_by(|a, b| b.error.total_cmp(&a.error));
        let count = layers.len();
        let shown = if all { count } else { 1 };
        for (i, layer) in layers.into_iter().take(shown).enumerate() {
            let (kernel, count) = if i == 0 { (kernel, count.to_string()) } else { ("", String::new()) };
            let mark = match (layer.ok, layer.follows) {
                (true, _) => "",
                (false, false) => "  WRONG",
                (false, true) => "  wrong after a wrong layer",
            };
            let LayerCheck { name, error, bound, .. } = layer;
            writeln!(out, "{stored:<4} {kernel:<58} {count:>6} {error:>9.1e} {bound:>8.0e}  {name}{mark}")?;
        }
    }
    Ok(())
}

fn verdict(out: &mut dyn Write, classifier: &Classifier, verification: &Verification) -> std::io::Result<()> {
    let device = classifier.device();
    let wrong = verification.layers.iter().filter(|layer| !layer.ok).count();
    let verdict = if wrong == 0 { "all agree".into() } else { format!("{wrong} DISAGREE") };
    writeln!(out, "\n{} on {} ({}, {})", classifier.model().name, device.name, device.backend, device.driver)?;
    let with = if device.kind == DeviceKind::Reference { "of the reference with itself" } else { "with the reference" };
    writeln!(out, "{} comparisons {with}: {verdict}", verification.layers.len())?;
    if let Some(worst) = worst(verification) {
        let LayerCheck { name: layer, kernel, error, bound, ok, .. } = worst;
        let rank = if *ok { "worst" } else { "first wrong" };
        writeln!(out, "{rank}: {layer}, {kernel}: error {error:.1e}, bound {bound:.0e}")?;
    }
    for fault in &verification.faults {
        writeln!(out, "disabled on this device: {} in {}", fault.kernel, fault.stored)?;
    }
    Ok(())
}

/// The first wrong layer, or else the one nearest to its bound.
fn worst(verification: &Verification) -> Option<&LayerCheck> {
    let first_wrong = verification.layers.iter().find(|layer| !layer.ok);
    let share = |layer: &LayerCheck| layer.error / layer.bound;
    first_wrong.or_else(|| verification.layers.iter().max_by(|a, b| share(a).total_cmp(&share(b))))
}

fn name(stored: StorageType) -> &'static str {
    match stored {
        StorageType::F32 => "f32",
        StorageType::F16 => "f16",
    }
}

fn report(classifier: &Classifier, batch: usize, verification: &Verification) -> serde_json::Value {
    let (device, model) = (classifier.device(), classifier.model());
    json!({
        "version": env!("CARGO_PKG_VERSION"), "shaders": kernels::checksum(),
        "model": model.name, "architecture": model.architecture, "input": classifier.input_shape(batch).to_string(),
        "device": device.name, "driver": device.driver, "backend": device.backend, "kind": device.kind.to_string(),
        "ok": verification.ok, "worst": worst(verification), "faults": verification.faults, "layers": verification.layers,
    })
}
