//! `residua convert`: writes any checkpoint as a safetensors file with torchvision's tensor names.

use std::{io::Write, path::Path};

use residua::{Classifier, Error, ModelInfo, Precision};
use serde_json::json;

use crate::cli::{args::Convert, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, command: &Convert, out: &mut dyn Write) -> Outcome {
    // Nothing is computed, and no GPU is opened.
    let builder = global.builder()?.device("cpu").precision(Precision::F32);
    let classifier = global.open_builder(builder.model(command.model.name()))?;
    let made = json!({"by": concat!("residua convert ", env!("CARGO_PKG_VERSION"))});
    let (tensors, bytes) = classifier.convert(Path::new(&command.output), made)?;
    let model = classifier.model().clone();
    drop(classifier);
    if Path::new(&command.output).is_file() {
        check(global, &command.output, &model)?;
    }
    let ModelInfo { architecture, parameters, .. } = model;
    writeln!(out, "{}: {architecture}, {parameters} parameters in {tensors} tensors, {bytes} bytes", command.output)?;
    Ok(true)
}

/// Opens the written file and checks that it gives `model`: its name and the files beside it matter too.
///
/// # Errors
/// Those of opening it, and [`Error::ConfigValue`] if it gives another model.
fn check(global: &Global, path: &str, model: &ModelInfo) -> Result<(), Error> {
    let builder = Classifier::builder().model(path).device("cpu").prepare(0);
    let written = builder.allow_nonfinite(global.allow_nonfinite).open()?;
    let said = |model: &ModelInfo| {
        let structure: Vec<_> = model.structure.iter().map(|property| (property.key, property.value.clone())).collect();
        let labels: Vec<String> = (0..model.classes).map(|class| model.labels.name(class)).collect();
        (model.architecture.clone(), structure, model.preprocess.clone(), labels, model.scoring.clone())
    };
    if said(written.model()) == said(model) {
        return Ok(());
    }
    let expected = "the model that was converted; the config.json beside the file contradicts it, so move the file to another folder";
    Err(Error::config_value(path, "configuration", "another model", expected))
}
