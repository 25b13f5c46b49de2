//! `residua pull`: downloads a model from the hub into the cache.

use std::io::Write;

use residua::{
    Error,
    hub::{ModelId, similar_names},
};

use crate::cli::{options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, model: Option<&String>, out: &mut dyn Write) -> Outcome {
    let model = model.map_or("", String::as_str);
    let id = ModelId::parse(model).ok_or_else(|| {
        let similar = match similar_names(model) {
            names if names.is_empty() => ", such as resnet50 or timm/resnet50.a1_in1k".into(),
            names => format!("; similar names: {}", names.join(", ")),
        };
        Error::ModelNotFound { model: model.into(), reason: format!("pull takes a name on the hub{similar}") }
    })?;
    writeln!(out, "{}", global.hub().pull(&id)?.folder.display())?;
    Ok(true)
}
