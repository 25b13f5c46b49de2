//! The files with a model's configuration: `config.json` and the files of its preprocessing.

use std::{fs, io, path::Path};

use super::{claims::Claims, config::ModelConfig};
use crate::{Error, Result};

/// The texts of the files with a model's configuration.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFiles {
    /// Path of `config.json`, for messages.
    pub place: String,
    /// Text of `config.json`.
    pub config: String,
    /// Text of `processor_config.json` if it is about images, otherwise of `preprocessor_config.json`, if it exists.
    pub preprocessor: Option<String>,
}

impl ConfigFiles {
    /// Reads the files in `folder`. `None` if there is no `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file exists but cannot be read.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("config.json");
        let Some(config) = read_if_there(&path)? else { return Ok(None) };
        // transformers also looks in the newer file first.
        let newer =
            read_if_there(&folder.join("processor_config.json"))?.filter(|text| text.contains("\"image_processor\""));
        let preprocessor = match newer {
            Some(text) => Some(text),
            None => read_if_there(&folder.join("preprocessor_config.json"))?,
        };
        Ok(Some(ConfigFiles { place: path.display().to_string(), config, preprocessor }))
    }

    /// The statements about the tensors. `None` if `config.json` is not a model's configuration.
    pub fn claims(&self) -> Option<Claims> {
        Claims::of(&self.config)
    }

    /// Parses the configuration.
    ///
    /// # Errors
    /// The errors of [`ModelConfig::from_json`].
    pub fn parse(&self) -> Result<ModelConfig> {
        ModelConfig::from_json(&self.place, &self.config, self.preprocessor.as_deref())
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(Error::io(path, &e)),
    }
}
