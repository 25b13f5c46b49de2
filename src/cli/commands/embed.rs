//! `residua embed`: computes the features of images.

use std::{
    fs::File,
    io::{self, BufWriter, IsTerminal, Write},
    iter,
    path::Path,
};

use residua::{Classifier, Error};
use serde::Serialize;

use crate::cli::{
    args::{Embed, EmbedFormat},
    io::{
        files::{NewFile, PartFile, is_special},
        inputs::{line_of, text_of},
        npy::NpyWriter,
        records::{JsonFailure, Output},
        work::{Sink, Work},
    },
    options::Global,
    outcome::{Outcome, Stop},
    terminal::interrupt::Interrupt,
};

#[derive(Serialize)]
struct JsonEmbedding<'a> {
    path: String,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    embedding: Vec<f32>,
}

pub(crate) fn run(global: &Global, command: &Embed, out: &mut dyn Write) -> Outcome {
    let target = command.output.as_deref();
    let refused = |field: &str, value: &str, expected: &str| {
        Err(Stop::Failed(Error::config_value("option", field, value, expected)))
    };
    if command.format == EmbedFormat::Npy && target.is_none() && io::stdout().is_terminal() {
        return refused("--format", "npy", "with -o FILE, or with stdout in a pipe or file");
    }
    if let Some(paths) = &command.paths {
        let value = paths.display().to_string();
        if command.format != EmbedFormat::Npy {
            return refused("--paths", &value, "with --format npy; the other formats contain the paths");
        }
        if target == Some(paths) {
            return refused("--paths", &value, "a file other than -o");
        }
    }
    let classifier = global.open(&command.model.model)?;
    match command.format {
        EmbedFormat::Jsonl => {
            let mut out = match target {
                Some(path) => {
                    Output::new(BufWriter::new(File::create(path).map_err(|error| Error::io(path, &error))?), path)
                }
                None => Output::new(out, Path::new("stdout")),
            };
            embed(global, command, &classifier, &mut |path, features| {
                match features {
                    Ok(embedding) => {
                        let (path, model) = (text_of(path), classifier.model());
                        let revision = model.revision.as_deref();
                        out.json(&JsonEmbedding { path, model: &model.name, revision, embedding })?;
                    }
                    Err(error) => out.json(&JsonFailure::new(path, &error))?,
                }
                out.flush()
            })
        }
        EmbedFormat::Npy => npy(global, command, &classifier, out),
    }
}

/// Calls `write` with the features of each input, in order. Returns whether no input failed.
fn embed(global: &Global, command: &Embed, classifier: &Classifier, write: &mut Sink<'_, Vec<f32>>) -> Outcome {
    let interrupt = Interrupt::install();
    let work = Work { global, classifier, inputs: &command.inputs, interrupt: &interrupt };
    work.run((0, 0), |_| false, Classifier::features, write)
}

/// Writes the array. The number of rows in the header is known only at the end, so the array is written to a temporary file first:
/// beside its target, or in the system's temporary folder for stdout and devices, which cannot seek.
fn npy(global: &Global, command: &Embed, classifier: &Classifier, out: &mut dyn Write) -> Outcome {
    let target = command.output.as_deref();
    let place = target.unwrap_or(Path::new("stdout"));
    let stop = |error: io::Error| Stop::of(place, &error);
    let part = target.filter(|path| !is_special(path)).map(PartFile::create).transpose()?;
    let file = part.as_ref().map_or_else(tempfile::tempfile, PartFile::file).map_err(stop)?;
    let columns = classifier.model().features;
    let mut array = NpyWriter::new(file, columns).map_err(stop)?;
    let mut paths = command.paths.as_deref().map(NewFile::create).transpose()?;
    let ok = embed(global, command, classifier, &mut |path, features| {
        if let Some(paths) = &mut paths {
            paths.write(&line_of(path, command.inputs.null))?;
        }
        let row = features.unwrap_or_else(|_| iter::repeat_n(f32::NAN, columns).collect());
        array.row(&row).map_err(stop)
    })?;
    let mut file = array.finish().map_err(stop)?;
    match (part, target) {
        (Some(part), _) => part.commit()?,
        (None, Some(path)) => {
            let mut device = File::create(path).map_err(stop)?;
            io::copy(&mut file, &mut device).map_err(stop)?;
        }
        (None, None) => {
            io::copy(&mut file, out).map_err(stop)?;
        }
    }
    paths.map_or(Ok(()), NewFile::commit)?;
    Ok(ok)
}
