//! `residua explain`: where in a photo the evidence for a class lies, as a picture and as numbers.

use std::{
    io::{self, Cursor, Write},
    path::Path,
};

use ::image::ImageFormat;
use residua::{Error, Explanation, Labels};
use serde_json::json;

use crate::cli::{args::Explain, draw::heatmap, io::files::write_file, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, command: &Explain, out: &mut dyn Write) -> Outcome {
    let Explain { model, image: path, output, class, json: numbers } = command;
    let classifier = global.open(&model.model)?;
    let info = classifier.model();
    let class = class.as_ref().map(|class| meant(class, &info.labels, info.classes)).transpose()?;
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

/// The class of an index, of a name, or of a part of a name that only one class has; case does not matter.
fn meant(wanted: &str, labels: &Labels, classes: usize) -> Result<usize, Error> {
    let invalid = |expected: String| Error::config_value("option", "--class", wanted, expected);
    if let Ok(index) = wanted.parse::<usize>() {
        let range = || invalid(format!("an index below {classes}, or a class name"));
        return Some(index).filter(|&index| index < classes).ok_or_else(range);
    }
    let names: Vec<String> = (0..classes).map(|index| labels.name(index).to_lowercase()).collect();
    let part = wanted.to_lowercase();
    let whole = |name: &String| name.split(',').any(|synonym| synonym.trim() == part);
    let containing: Vec<usize> = (0..classes).filter(|&i| names[i].contains(&part)).collect();
    let exact: Vec<usize> = containing.iter().copied().filter(|&i| names[i] == part || whole(&names[i])).collect();
    match (&exact[..], &containing[..]) {
        (&[index], _) | (_, &[index]) => Ok(index),
        (_, []) => Err(invalid("an index or the name of a class; no class is called so".into())),
        (_, several) => {
            let first: Vec<String> = several.iter().take(10).map(|&i| format!("{i} {}", labels.name(i))).collect();
            Err(invalid(format!("one class; {} are called so: {}", several.len(), first.join("; "))))
        }
    }
}
