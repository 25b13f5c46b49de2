//! `residua logits`: reads normalised input from a safetensors file and writes logits to another.

use std::{fs, io, path::Path};

use residua::{
    Error,
    tensor::{Shape, Tensor},
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::cli::{args::Logits, io::files::write_file, options::Global, outcome::Outcome, terminal::tuning};

pub(crate) fn run(global: &Global, command: &Logits) -> Outcome {
    let input = read(&command.input)?;
    let tune = tuning::tune(global, Some(input.shape));
    let classifier = global.open_builder(global.builder()?.model(&command.model.model).tune(tune))?;
    let logits = classifier.logits(&input)?;
    let bytes: &[u8] = bytemuck::cast_slice(&logits.data);
    let invalid = |error: safetensors::SafeTensorError| Error::io(&command.output, &io::Error::other(error));
    let view = TensorView::new(Dtype::F32, vec![logits.shape.n, logits.shape.c], bytes).map_err(invalid)?;
    let file = safetensors::serialize([("logits", view)], None).map_err(invalid)?;
    write_file(&command.output, &file)?;
    Ok(true)
}

/// Reads the tensor "input" from a file.
fn read(path: &Path) -> Result<Tensor, Error> {
    let place = path.display().to_string();
    let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
    let header = |error: safetensors::SafeTensorError| Error::model_header(&*place, error.to_string());
    let file = SafeTensors::deserialize(&bytes).map_err(header)?;
    let view = file.tensor("input").map_err(header)?;
    let invalid = |field: &str, value: String, expected: &str| Error::config_value(&*place, field, value, expected);
    if view.dtype() != Dtype::F32 {
        return Err(invalid("dtype of input", format!("{:?}", view.dtype()), "F32"));
    }
    let shape = match *view.shape() {
        [n, c, h, w] if n > 0 => Shape::new(n, c, h, w),
        ref other => return Err(invalid("shape of input", format!("{other:?}"), "[N, C, H, W] with N at least 1")),
    };
    let data: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
    Ok(Tensor::new(shape, data))
}
