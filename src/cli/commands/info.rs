//! `residua info`: describes a model.

use std::{io::Write, path::Path};

use residua::{
    ModelInfo,
    image::{CropRounding, Filter, Preprocess, Resize},
    labels::{Neighbours, Scoring},
};

use super::row;
use crate::cli::{draw::network, io::files::write_file, options::Global, outcome::Outcome};

pub(crate) fn run(global: &Global, model: &str, picture: Option<&Path>, out: &mut dyn Write) -> Outcome {
    let classifier = global.open(model)?;
    let model = classifier.model();
    row(out, "model", &model.name)?;
    row(out, "source", &model.source)?;
    if let Some(revision) = &model.revision {
        row(out, "revision", revision)?;
    }
    row(out, "architecture", &model.architecture)?;
    for property in &model.structure {
        let source = match &property.stated_in {
            Some(place) => format!("stated in {place}"),
            None => "assumed".into(),
        };
        row(out, &format!("  {}", property.key), format_args!("{} ({source})", property.value))?;
    }
    row(out, "parameters", format_args!("{} in {} tensors", model.parameters, model.tensors))?;
    row(out, "GMACs", format_args!("{:.3} per image", model.macs as f64 / 1e9))?;
    row(out, "input", input(model))?;
    row(out, "preprocessing", preprocessing(&model.preprocess))?;
    let stated = model.stated.as_ref().map(|stated| format!("stated in {}", stated.stated_in));
    row(out, "", stated.as_deref().unwrap_or("not stated; the usual one is used"))?;
    row(out, "mean, std", format_args!("{:?}, {:?}", model.preprocess.mean, model.preprocess.std))?;
    let first: Vec<String> = (0..model.classes.min(5)).map(|i| model.labels.name(i)).collect();
    let more = if model.classes > 5 { ", ..." } else { "" };
    let classes = match model.classes {
        0 => "none: the network ends with its features".into(),
        n => format!("{n}: {}{more}", first.join(", ")),
    };
    row(out, "classes", classes)?;
    let scores = match &model.scoring {
        _ if model.classes == 0 => "none".into(),
        Scoring::Softmax => "softmax".into(),
        Scoring::Sigmoid => "sigmoid, each class independently".into(),
        Scoring::Neighbours(Neighbours { k, of }) => format!("shares of the {k} nearest of {} known images", of.len()),
        _ => "the logits themselves".to_string(),
    };
    row(out, "scores", scores)?;
    row(out, "licence", model.license.as_deref().unwrap_or("not stated with the checkpoint"))?;
    if let Some(top1) = &model.published_top1 {
        row(out, "ImageNet top-1", top1)?;
    }
    row(out, "device", format_args!("{} ({})", classifier.device().name, classifier.device().driver))?;
    row(out, "precision", classifier.precision())?;
    if let Some(path) = picture {
        let size =
            format!("{:.1} M parameters, {:.3} GMACs/image", model.parameters as f64 / 1e6, model.macs as f64 / 1e9);
        let title = [model.name.clone(), format!("{}, input {}, {size}", model.architecture, input(model))];
        write_file(path, network::draw(classifier.network(), classifier.input_shape(1), &title)?.as_bytes())?;
    }
    if global.verbose {
        writeln!(out, "\n{}", classifier.describe()?)?;
    }
    Ok(true)
}

/// The size of the input, with the other size that the model states.
fn input(model: &ModelInfo) -> String {
    let used = (model.preprocess.height, model.preprocess.width);
    let text = format!("3x{}x{}", used.0, used.1);
    let sizes = model.stated.as_ref().and_then(|stated| Some((stated.framing, stated.test_framing?)));
    match sizes {
        Some((train, test)) if used == (train.height, train.width) => {
            format!("{text} (its authors test at {}x{}: --test-size)", test.height, test.width)
        }
        Some((train, test)) if used == (test.height, test.width) => {
            format!("{text} (its test size; trained at {}x{})", train.height, train.width)
        }
        _ => text,
    }
}

fn preprocessing(preprocess: &Preprocess) -> String {
    let filter = match preprocess.filter {
        Filter::Bilinear => "bilinear",
        Filter::Bicubic => "bicubic",
    };
    let resize = match preprocess.resize {
        Resize::Shorter(side) => format!("shorter side to {side} ({filter})"),
        Resize::Squash { height, width } => format!("both sides to {height}x{width} ({filter})"),
        _ => "no resize".into(),
    };
    let rounding = match preprocess.rounding {
        CropRounding::HalfEven => "half to even",
        CropRounding::Floor => "down",
    };
    let crop = format!("centre {}x{}, odd margins rounded {rounding}", preprocess.height, preprocess.width);
    match preprocess.resize {
        Resize::Squash { height, width } if (height, width) == (preprocess.height, preprocess.width) => resize,
        _ => format!("{resize}, {crop}"),
    }
}
