//! One record an input, as text, JSON Lines or CSV.

use std::{io::Write, path::Path};

use residua::{Class, Error, ModelInfo};
use serde::Serialize;

use super::{Stop, args::Format};

/// Writes records.
pub(super) struct Records<'a> {
    format: Format,
    model: String,
    revision: Option<String>,
    device: String,
    out: &'a mut dyn Write,
}

#[derive(Serialize)]
struct Json<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    predictions: Option<Vec<JsonClass>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<JsonError<'a>>,
}

#[derive(Serialize)]
struct JsonClass {
    index: usize,
    label: String,
    score: f32,
}

#[derive(Serialize)]
struct JsonError<'a> {
    code: &'a str,
    message: String,
}

impl<'a> Records<'a> {
    /// Starts the output: CSV has a header.
    pub(super) fn new(format: Format, model: &ModelInfo, device: &str, out: &'a mut dyn Write) -> Result<Self, Stop> {
        let mut records =
            Records { format, model: model.name.clone(), revision: model.revision.clone(), device: device.into(), out };
        if format == Format::Csv {
            records.csv(&["path", "rank", "index", "label", "score", "error"])?;
        }
        Ok(records)
    }

    /// The classes of an image.
    pub(super) fn classes(&mut self, path: &Path, classes: &[Class]) -> Result<(), Stop> {
        let path = path.to_string_lossy();
        match self.format {
            Format::Text => {
                writeln!(self.out, "{path}")?;
                for class in classes {
                    writeln!(self.out, "  {:6.2} %  {}", 100.0 * class.score, class.label)?;
                }
            }
            Format::Jsonl => {
                let class = |c: &Class| JsonClass { index: c.index, label: c.label.clone(), score: c.score };
                let predictions = Some(classes.iter().map(class).collect());
                let (model, device) = (Some(self.model.as_str()), Some(self.device.as_str()));
                let revision = self.revision.as_deref();
                json(self.out, &Json { path: &path, model, revision, device, predictions, error: None })?;
            }
            Format::Csv => {
                for (rank, class) in classes.iter().enumerate() {
                    let (rank, index, score) =
                        ((rank + 1).to_string(), class.index.to_string(), class.score.to_string());
                    self.csv(&[&path, &rank, &index, &class.label, &score, ""])?;
                }
            }
        }
        Ok(())
    }

    /// What is wrong with an image. As text it is on stderr alone.
    pub(super) fn error(&mut self, path: &Path, error: &Error) -> Result<(), Stop> {
        let path = path.to_string_lossy();
        match self.format {
            Format::Text => {}
            Format::Jsonl => {
                let error = Some(JsonError { code: error.code(), message: error.to_string() });
                json(
                    self.out,
                    &Json { path: &path, model: None, revision: None, device: None, predictions: None, error },
                )?;
            }
            Format::Csv => self.csv(&[&path, "", "", "", "", error.code()])?,
        }
        Ok(())
    }

    /// Hands over what was written so far.
    pub(super) fn flush(&mut self) -> Result<(), Stop> {
        Ok(self.out.flush()?)
    }

    fn csv(&mut self, fields: &[&str]) -> Result<(), Stop> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let written = writer
            .write_record(fields)
            .map_err(std::io::Error::other)
            .and_then(|()| writer.into_inner().map_err(|error| std::io::Error::other(error.to_string())));
        Ok(self.out.write_all(&written?)?)
    }
}

fn json(out: &mut dyn Write, record: &Json<'_>) -> Result<(), Stop> {
    let text = serde_json::to_string(record).map_err(std::io::Error::from)?;
    Ok(writeln!(out, "{text}")?)
}
