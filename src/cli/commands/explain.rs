//! `residua explain`: shows where in a photo the evidence for a class lies, as a picture and as numbers.

use std::{
    io::{self, Cursor, Write},
    path::Path,
};

use ::image::ImageFormat;
use residua::{Error, Explanation};
use serde_json::json;

use crate::cli::{args::Explain, draw::heatmap, io::files::write_file, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, command: &Explain, out: &mut dyn Write) -> Outcome {
    let Explain { model, image: path, output, class, json: numbers } = command;
    let classifier = global.open(&model.model)?;
    let info = classifier.model();
    let class = class.as_ref().map(|class| info.labels.find(class, info.classes)).transpose()?;
    let explained = global.photo(path).and_then(|decoded| {
        let explanation = classifier.explain(&decoded.image, class)?;
        Ok((decoded.image, explanation))
    });
    let (photo, explanation) = match explained {
        Ok(explained) => explained,
        Err(error) => {
            global.complain_of(path, &error);
            return Ok(false);
        }
    };
    let mut png = Cursor::new(Vec::new());
    heatmap::draw(&photo.to_rgb8(), &explanation)
        .write_to(&mut png, ImageFormat::Png)
        .map_err(|error| Error::io(output, &io::Error::other(error)))?;
    write_file(output, png.get_ref())?;
    if let Some(path) = numbers {
        write_file(path, format!("{:#}\n", as_json(command, &info.name, &explanation)).as_bytes())?;
    }
    let (x, y) = explanation.peak();
    writeln!(out, "{}", path.display())?;
    writeln!(out, "  {:6.2} %  {}", 100.0 * explanation.class.score, explanation.class.label)?;
    writeln!(out, "  most evidence at {x:.0}, {y:.0} of {}x{} pixels", photo.width(), photo.height())?;
    Ok(true)
}

fn as_json(command: &Explain, model: &str, explanation: &Explanation) -> serde_json::Value {
    let Explanation { class, logit, bias, columns, map, region, .. } = explanation;
    json!({
        "path": Path::to_string_lossy(&command.image), "model": model,
        "index": class.index, "label": class.label, "score": class.score, "logit": logit, "bias": bias,
        "map": map.chunks_exact(*columns).collect::<Vec<_>>(),
        "region": {"left": region.left, "top": region.top, "width": region.width, "height": region.height},
    })
}
