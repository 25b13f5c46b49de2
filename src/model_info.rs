//! Information about an open model.

use crate::{
    Error, Labels, Result, checkpoint::PreprocessConfig, image::Preprocess, labels::Scoring, models::Property,
};

/// Information about an open model.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelInfo {
    /// File name, repository on the hub, or `builtin`.
    pub name: String,
    /// Commit of a model from the hub.
    pub revision: Option<String>,
    /// Architecture as recognised, for example `resnet50`.
    pub architecture: String,
    /// Trained parameters.
    pub parameters: u64,
    /// Multiply-accumulates of one image at the size of `preprocess`.
    pub macs: u64,
    /// Number of classes; 0 for a network without a classifier, which yields only features.
    pub classes: usize,
    /// Number of features that the head reads: the length of an embedding.
    pub features: usize,
    /// Number of tensors in the checkpoint, without counters.
    pub tensors: usize,
    /// Class names.
    pub labels: Labels,
    /// Licence, if the checkpoint's configuration or the table of published models names one.
    pub license: Option<String>,
    /// Top-1 accuracy that was published for these weights, with the size of its input and its source; never measured here.
    pub published_top1: Option<String>,
    /// Source of the weights.
    pub source: String,
    /// The preprocessing that turns a photo into the network's input.
    pub preprocess: Preprocess,
    /// The preprocessing stated beside the weights, or known by their name. If `None`, `preprocess` is torchvision's recipe.
    pub stated: Option<PreprocessConfig>,
    /// Properties of the network that tensors do not show, stated or assumed.
    pub structure: Vec<Property>,
    /// How logits become scores.
    pub scoring: Scoring,
}

impl ModelInfo {
    /// Checks that the model has classes.
    ///
    /// # Errors
    /// [`Error::NoClassifier`] if there are none.
    #[doc(hidden)]
    pub fn check_classes(&self) -> Result<()> {
        if self.classes > 0 { Ok(()) } else { Err(Error::NoClassifier { model: self.name.clone() }) }
    }
}
