//! Saves an open model to a file.

use std::{collections::BTreeMap, fs, io, path::Path};

use serde_json::Value;

use crate::{
    Classifier, Error, Result,
    checkpoint::{Backbone, Description, ProblemType, Stored, save},
    labels::Scoring,
    models::Architecture,
};

impl Classifier {
    /// Writes the network to the file at `path`, completely or not at all. The metadata has class names, preprocessing, scoring and the
    /// properties that no tensor shows, so that the file opens as the same model; and how it was `made`, for people. With a `backbone` the
    /// file has only the head, and opens where that model is.
    ///
    /// # Errors
    /// [`Error::Io`], also if `path` leads to a file that the model was read from.
    #[doc(hidden)]
    pub fn save(&self, path: &Path, backbone: Option<Backbone>, made: Value) -> Result<()> {
        self.is_not_read_from(path)?;
        let read = self.network().graph().tensors();
        let head: Vec<&String> = read.iter().rev().take(2).map(|(name, _)| name).collect();
        let stored = self.network().checkpoint().stored();
        let kept =
            stored.filter(|(name, _)| backbone.is_none() || name.is_some_and(|name| head.iter().any(|h| *h == name)));
        let tensors: Vec<Stored<'_>> = kept.map(|(_, tensor)| tensor).collect();
        save(path, &tensors, &self.description(backbone, made))
    }

    /// As [`Classifier::save`], under the names that torchvision gives the tensors, and without those that the network does not read: other
    /// networks of its checkpoint, projectors, queues. Returns the number of tensors, and the number of bytes of their values.
    ///
    /// # Errors
    /// [`Error::Io`], also if `path` leads to a file that the model was read from.
    #[doc(hidden)]
    pub fn convert(&self, path: &Path, made: Value) -> Result<(usize, usize)> {
        let checkpoint = self.network().checkpoint();
        self.is_not_read_from(path)?;
        let read = self.network().graph().tensors();
        let tensors = checkpoint.respelled(|name| read.iter().any(|(tensor, _)| tensor == name));
        save(path, &tensors, &self.description(None, made))?;
        Ok((tensors.len(), tensors.iter().map(|tensor| tensor.bytes.len()).sum()))
    }

    /// Checks that the model was not read from the file at `path`, also through a symbolic link: writing would destroy it. A hard link is
    /// safe, because only its name is replaced.
    fn is_not_read_from(&self, path: &Path) -> Result<()> {
        let real = fs::canonicalize(path).ok();
        let mut paths = self.network().checkpoint().paths();
        if real.is_some() && paths.any(|read| fs::canonicalize(read).ok() == real) {
            let reason = "the model is read from this file; give another name for the one to write";
            return Err(Error::io(path, &io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        Ok(())
    }

    /// The metadata of the file.
    fn description(&self, backbone: Option<Backbone>, made: Value) -> BTreeMap<String, String> {
        let model = self.model();
        let labels: Vec<String> = (0..model.classes).map(|class| model.labels.name(class)).collect();
        // A network with a head pools its features, even if the backbone alone did not.
        let stated = model
            .structure
            .iter()
            .filter(|property| model.classes == 0 || (property.key, &*property.value) != ("global-pool", "none"));
        let structure: Vec<String> = stated.map(|property| format!("{}={}", property.key, property.value)).collect();
        Description {
            architecture: Architecture::by_name(&model.architecture).map(|_| model.architecture.as_str()),
            labels: &labels,
            problem_type: match model.scoring {
                Scoring::Softmax | Scoring::Neighbours(_) => ProblemType::SingleLabelClassification,
                Scoring::Sigmoid => ProblemType::MultiLabelClassification,
                Scoring::Logits => ProblemType::Regression,
            },
            preprocess: &model.preprocess,
            structure: structure.join(","),
            license: model.license.as_deref(),
            backbone,
            neighbours: match &model.scoring {
                Scoring::Neighbours(neighbours) => Some(neighbours),
                _ => None,
            },
            made,
        }
        .metadata()
    }
}
