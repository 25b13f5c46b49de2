//! Resumes a stopped run. The output itself records which inputs are done. Complete records stay, an incomplete one at the end is cut off,
//! and one input is skipped for each record of its path.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use residua::{Error, ModelInfo};
use serde::{Deserialize, de::IgnoredAny};

use super::{
    inputs::text_of,
    records::{CSV_HEADER, Format},
};

/// The records of an earlier run.
#[derive(Debug, Default)]
pub(crate) struct Recorded {
    /// Number of records for each path, by a 64-bit hash of the path: a million paths take 30 MB.
    paths: HashMap<u64, u32>,
    /// Number of all records.
    pub(crate) inputs: u64,
    /// Number of records of failed inputs.
    pub(crate) failed: u64,
}

impl Recorded {
    fn add(&mut self, path: &str, failed: bool) {
        *self.paths.entry(hash(path)).or_default() += 1;
        self.inputs += 1;
        self.failed += u64::from(failed);
    }

    /// Whether this input is done. Each record counts for one input, so a path that is given twice gets two records.
    pub(crate) fn take(&mut self, path: &Path) -> bool {
        match self.paths.get_mut(&hash(&text_of(path))) {
            Some(times @ 1..) => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

fn hash(path: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// Opens or creates the output of an earlier run; returns the file, positioned at its end, and the inputs done. A CSV record has
/// `rows` rows, or fewer with `--min-score`.
///
/// # Errors
/// [`Error::Io`]; [`Error::ConfigValue`] if it is not the output of the same command with the same model.
pub(crate) fn open(path: &Path, format: Format, model: &ModelInfo, rows: usize) -> Result<(File, Recorded), Error> {
    let io = |error: std::io::Error| Error::io(path, &error);
    // A device or a pipe may have no end, and keeps no records.
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        return Err(io(std::io::Error::new(std::io::ErrorKind::InvalidInput, "not a regular file, as records need")));
    }
    let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
    let (done, end) = match format {
        Format::Csv => csv(path, &file, rows)?,
        _ => json_lines(path, &file, model)?,
    };
    file.set_len(end).map_err(io)?;
    file.seek(SeekFrom::End(0)).map_err(io)?;
    Ok((file, done))
}

/// The fields of a JSON record that matter here.
#[derive(Deserialize)]
struct Line {
    path: String,
    model: Option<String>,
    revision: Option<String>,
    predictions: Option<IgnoredAny>,
    error: Option<IgnoredAny>,
}

/// The inputs done according to JSON Lines, and the end of the complete lines.
fn json_lines(path: &Path, file: &File, model: &ModelInfo) -> Result<(Recorded, u64), Error> {
    let (mut done, mut end) = (Recorded::default(), 0);
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|error| Error::io(path, &error))?;
        if line.last() != Some(&b'\n') {
            ours(path, number, &line, b"{\"path\":\"")?;
            break;
        }
        let record: Line = serde_json::from_slice(&line).map_err(|error| foreign(path, number, error.to_string()))?;
        if record.predictions.is_none() && record.error.is_none() {
            return Err(foreign(path, number, "neither predictions nor an error".into()));
        }
        if record.model.as_ref().is_some_and(|other| *other != model.name || record.revision != model.revision) {
            let (other, revision) = (record.model.unwrap_or_default(), record.revision.unwrap_or_default());
            return Err(foreign(path, number, format!("a record of the model {other} {revision}").trim_end().into()));
        }
        done.add(&record.path, record.error.is_some());
        end += read as u64;
    }
    Ok((done, end))
}

/// The rows of one image in CSV.
struct Group {
    path: String,
    failed: bool,
    start: u64,
    end: u64,
    /// Number of rows with a rank.
    ranks: usize,
}

/// The inputs done according to CSV, and the end of the complete records.
fn csv(path: &Path, mut file: &File, rows: usize) -> Result<(Recorded, u64), Error> {
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(|error| Error::io(path, &error))?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_slice());
    let (mut done, mut header, mut last) = (Recorded::default(), 0, None::<Group>);
    let mut row = csv::StringRecord::new();
    for number in 1.. {
        let start = reader.position().byte();
        if !reader.read_record(&mut row).map_err(|error| foreign(path, number, error.to_string()))? {
            break;
        }
        let end = reader.position().byte();
        // The reader ends a row at the end of the file.
        if end == text.len() as u64 && (row.len() < CSV_HEADER.len() || !text.ends_with(b"\n")) {
            if number == 1 {
                ours(path, number, &text, CSV_HEADER.join(",").as_bytes())?;
            }
            break;
        }
        if row.len() != CSV_HEADER.len() || (number == 1 && row != CSV_HEADER[..]) {
            return Err(foreign(path, number, format!("the columns {:?}", row.iter().collect::<Vec<_>>())));
        }
        if number == 1 {
            header = end;
            continue;
        }
        match &mut last {
            Some(group) if !matches!(&row[1], "" | "1") => (group.end, group.ranks) = (end, group.ranks + 1),
            _ => {
                let (path, failed, ranks) = (row[0].into(), !row[5].is_empty(), usize::from(!row[1].is_empty()));
                if let Some(before) = last.replace(Group { path, failed, start, end, ranks }) {
                    done.add(&before.path, before.failed);
                }
            }
        }
    }
    Ok(match last {
        None => (done, header),
        // An image is complete only if it has a row without a rank, or all ranks.
        Some(group) if group.ranks == 0 || group.ranks == rows => {
            done.add(&group.path, group.failed);
            (done, group.end)
        }
        Some(group) => (done, group.start),
    })
}

/// Refuses to cut off text that is not the beginning of a record.
fn ours(path: &Path, number: u64, tail: &[u8], beginning: &[u8]) -> Result<(), Error> {
    let compared = tail.len().min(beginning.len());
    if tail[..compared] == beginning[..compared] { Ok(()) } else { Err(foreign(path, number, "not a record".into())) }
}

fn foreign(path: &Path, number: u64, value: String) -> Error {
    let expected = "output of the same command, model and format, which --resume requires";
    Error::config_value(path.display().to_string(), format!("line {number}"), value, expected)
}
