//! Checkpoints in several files, as transformers writes large ones: `model.safetensors.index.json` says which tensor lies in which
//! file beside it.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Read,
    iter,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::{format::MAX_HEADER, header::TensorEntry};
use crate::{Error, Result};

/// Ending of the names of index files.
pub(super) const ENDING: &str = ".index.json";

/// Largest number of links to follow, as in Linux.
const MOST_LINKS: usize = 40;

/// The file `name` beside `index`, or beside the file that `index` links to.
pub(super) fn beside(index: &Path, name: &str) -> PathBuf {
    let next = |step: &PathBuf| Some(step.with_file_name("").join(fs::read_link(step).ok()?));
    let steps = iter::successors(Some(index.to_path_buf()), next).take(MOST_LINKS);
    let found = steps.map(|step| step.with_file_name(name)).find(|file| file.exists());
    found.unwrap_or_else(|| index.with_file_name(name))
}

/// Says which tensor lies in which file.
pub(super) struct Shards {
    place: String,
    file_of: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Raw {
    weight_map: BTreeMap<String, String>,
}

impl Shards {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`], and the errors of [`Shards::parse`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        let mut text = String::new();
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        file.take(MAX_HEADER).read_to_string(&mut text).map_err(|error| Error::io(path, &error))?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Parses the text of the file called `place`.
    ///
    /// # Errors
    /// [`Error::ModelHeader`] if the text is not an index; [`Error::ConfigPath`] if it names anything but files beside it.
    pub(super) fn parse(place: &str, text: &str) -> Result<Self> {
        let malformed = |reason: String| Error::model_header(place, reason);
        let raw: Raw = serde_json::from_str(text).map_err(|error| malformed(error.to_string()).because(error))?;
        if raw.weight_map.is_empty() {
            return Err(malformed("its weight_map is empty".into()));
        }
        match raw.weight_map.values().find(|file| !is_plain(file)) {
            Some(file) => Err(Error::ConfigPath { place: place.into(), path: file.clone() }),
            None => Ok(Shards { place: place.into(), file_of: raw.weight_map }),
        }
    }

    /// The names of the files, each once.
    pub(super) fn files(&self) -> Vec<&str> {
        let mut files: Vec<&str> = self.file_of.values().map(String::as_str).collect();
        files.sort_unstable();
        files.dedup();
        files
    }

    /// Checks that `file` has exactly the tensors that the index lists for it.
    ///
    /// # Errors
    /// [`Error::ModelHeader`] with the first tensor that differs.
    pub(super) fn check(&self, file: &str, tensors: &[TensorEntry]) -> Result<()> {
        let wrong = |reason: String| Error::model_header(&*self.place, reason);
        if let Some(tensor) = tensors.iter().find(|tensor| self.file_of.get(&tensor.name).is_none_or(|of| of != file)) {
            return Err(wrong(format!(
                "{file} has the tensor {}, which the index does not list for this file",
                tensor.name
            )));
        }
        let announced = self.file_of.iter().filter(|(_, of)| *of == file).count();
        if announced != tensors.len() {
            return Err(wrong(format!(
                "the index lists {announced} tensors for {file}, but the file has {}",
                tensors.len()
            )));
        }
        Ok(())
    }
}

/// Whether `name` is a plain file name, which cannot lead out of the folder on any system.
fn is_plain(name: &str) -> bool {
    let only_dots = name.trim_matches('.').is_empty();
    !only_dots && name.len() <= 255 && !name.contains(|c: char| matches!(c, '/' | '\\' | ':') || c.is_control())
}
