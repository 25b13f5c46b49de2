//! Writes one record per input, as text, JSON Lines or CSV. Each record is written completely or not at all.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use residua::{Class, Error, ModelInfo};
use serde::Serialize;

use super::inputs::text_of;
use crate::cli::outcome::Stop;

/// The format of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    Text,
    Jsonl,
    Csv,
}

/// The columns of CSV.
pub(crate) const CSV_HEADER: [&str; 6] = ["path", "rank", "index", "label", "score", "error"];

/// The file that records are written to, with a name for messages.
pub(crate) struct Output<'a> {
    out: Box<dyn Write + 'a>,
    place: PathBuf,
}

impl<'a> Output<'a> {
    /// Writes to `out`, which messages call `place`.
    pub(crate) fn new(out: impl Write + 'a, place: &Path) -> Self {
        Output { out: Box::new(out), place: place.into() }
    }

    /// Writes a record.
    pub(crate) fn put(&mut self, record: &[u8]) -> Result<(), Stop> {
        self.out.write_all(record).map_err(|error| Stop::of(&self.place, &error))
    }

    /// Writes an object as one line of JSON.
    pub(crate) fn json(&mut self, record: &impl Serialize) -> Result<(), Stop> {
        let mut line = serde_json::to_vec(record).map_err(|error| Stop::of(&self.place, &error.into()))?;
        line.push(b'\n');
        self.put(&line)
    }

    /// Flushes the records written so far.
    pub(crate) fn flush(&mut self) -> Result<(), Stop> {
        self.out.flush().map_err(|error| Stop::of(&self.place, &error))
    }
}

/// The record of an input that failed.
#[derive(Serialize)]
pub(crate) struct JsonFailure<'a> {
    path: String,
    error: JsonError<'a>,
}

#[derive(Serialize)]
struct JsonError<'a> {
    code: &'a str,
    message: String,
}

impl JsonFailure<'_> {
    pub(crate) fn new(path: &Path, error: &Error) -> Self {
        JsonFailure { path: text_of(path), error: JsonError { code: error.code(), message: error.to_string() } }
    }
}

#[derive(Serialize)]
struct JsonClasses<'a> {
    path: String,
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    device: &'a str,
    predictions: Vec<JsonClass<'a>>,
}

#[derive(Serialize)]
struct JsonClass<'a> {
    index: usize,
    label: &'a str,
    score: f32,
}

impl<'a> JsonClass<'a> {
    fn new(class: &'a Class) -> Self {
        JsonClass { index: class.index, label: &class.label, score: class.score }
    }
}

/// Writes the classes of images.
pub(crate) struct Records<'a> {
    pub(crate) format: Format,
    pub(crate) model: &'a ModelInfo,
    pub(crate) device: &'a str,
    pub(crate) out: Output<'a>,
}

impl Records<'_> {
    /// Writes the header, if the format has one.
    pub(crate) fn header(&mut self) -> Result<(), Stop> {
        if self.format == Format::Csv { self.csv(&[CSV_HEADER.map(String::from)]) } else { Ok(()) }
    }

    /// Writes the classes of an image.
    pub(crate) fn classes(&mut self, path: &Path, classes: &[Class]) -> Result<(), Stop> {
        let path = text_of(path);
        match self.format {
            Format::Text => {
                let mut text = format!("{path}\n");
                for class in classes {
                    text.push_str(&format!("  {:6.2} %  {}\n", 100.0 * class.score, class.label));
                }
                self.out.put(text.as_bytes())
            }
            Format::Jsonl => {
                let predictions = classes.iter().map(JsonClass::new).collect();
                let (model, revision) = (&self.model.name, self.model.revision.as_deref());
                self.out.json(&JsonClasses { path, model, revision, device: self.device, predictions })
            }
            // An image without a class above --min-score also gets a row, which shows that it is done.
            Format::Csv if classes.is_empty() => self.csv(&[row(&path)]),
            Format::Csv => {
                let row = |(i, class): (usize, &Class)| {
                    let (rank, index, score) = ((i + 1).to_string(), class.index.to_string(), class.score.to_string());
                    [path.clone(), rank, index, class.label.clone(), score, String::new()]
                };
                let rows: Vec<_> = classes.iter().enumerate().map(row).collect();
                self.csv(&rows)
            }
        }
    }

    /// Writes the error of an image. In text format, errors appear only on stderr.
    pub(crate) fn error(&mut self, path: &Path, error: &Error) -> Result<(), Stop> {
        match self.format {
            Format::Text => Ok(()),
            Format::Jsonl => self.out.json(&JsonFailure::new(path, error)),
            Format::Csv => {
                let mut row = row(&text_of(path));
                row[5] = error.code().into();
                self.csv(&[row])
            }
        }
    }

    fn csv(&mut self, rows: &[[String; 6]]) -> Result<(), Stop> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = rows.iter().try_for_each(|row| writer.write_record(row)).map_err(io::Error::other);
        let bytes = written.and_then(|()| writer.into_inner().map_err(|error| error.into_error()));
        self.out.put(&bytes.map_err(|error| Stop::of(&self.out.place, &error))?)
    }
}

/// A row with only a path.
fn row(path: &str) -> [String; 6] {
    [path, "", "", "", "", ""].map(String::from)
}
