//! The configuration that lies beside a checkpoint, in timm's or transformers' form.

use std::{collections::BTreeMap, fmt, fs, io, path::Path};

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    preprocess::PreprocessConfig,
    timm::{self, PretrainedCfg},
    transformers,
};
use crate::{
    Error, Result,
    structure::{Activation, StrideIn, Structure},
};

/// Key of a checkpoint's metadata under which it may carry its own configuration.
const METADATA_KEY: &str = "config";

/// Largest number of classes that names are kept for.
const MAX_CLASSES: usize = 1 << 20;

/// What is known of a model besides its weights. The weights win: a configuration may speak of other classes than the
/// head has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// Name of the architecture in timm.
    pub architecture: Option<String>,
    /// Class names by class index. A class that the file leaves out is named by its index.
    pub labels: Option<Vec<String>>,
    /// How the input is made.
    pub preprocess: Option<PreprocessConfig>,
    /// Licence of the weights.
    pub license: Option<String>,
    /// How logits become scores.
    pub problem_type: Option<ProblemType>,
    /// What no tensor shows of the network.
    pub structure: Structure,
}

/// How logits become scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// The logits are the answer.
    Regression,
    /// Softmax.
    SingleLabelClassification,
    /// Sigmoid, each class for itself.
    MultiLabelClassification,
}

/// Both libraries' `config.json`, as far as it is used.
#[derive(Deserialize)]
struct RawConfig {
    architecture: Option<String>,
    pretrained_cfg: Option<PretrainedCfg>,
    #[serde(flatten)]
    stated: timm::ModelArgs,
    model_args: Option<timm::ModelArgs>,
    label_names: Option<Names>,
    label_descriptions: Option<Names>,
    model_type: Option<String>,
    id2label: Option<Names>,
    problem_type: Option<ProblemType>,
    hidden_act: Option<String>,
    downsample_in_first_stage: Option<bool>,
    downsample_in_bottleneck: Option<bool>,
}

/// Names in order, or by key.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Names {
    List(Vec<String>),
    Keyed(BTreeMap<String, String>),
}

impl ModelConfig {
    /// Reads `config.json` and, where there is one, `preprocessor_config.json` in `folder`. Nothing if there is no
    /// `config.json`.
    ///
    /// # Errors
    /// [`Error::Io`] if a file is there and cannot be read, and those of [`ModelConfig::from_json`].
    pub fn from_folder(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join("config.json");
        let Some(config) = read_if_there(&path)? else { return Ok(None) };
        let preprocessor = read_if_there(&folder.join("preprocessor_config.json"))?;
        Self::from_json(&path.display().to_string(), &config, preprocessor.as_deref()).map(Some)
    }

    /// The configuration in timm's form that a checkpoint carries in its metadata under `config`. Nothing if there is
    /// none.
    ///
    /// # Errors
    /// Those of [`ModelConfig::from_json`].
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>> {
        metadata.get(METADATA_KEY).map(|config| Self::from_json("__metadata__.config", config, None)).transpose()
    }

    /// Takes the text of `config.json` and of `preprocessor_config.json`; `place` is used in messages.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] for text that is no such configuration and for a value out of its range.
    pub fn from_json(place: &str, config: &str, preprocessor: Option<&str>) -> Result<Self> {
        let raw: RawConfig = json(place, config)?;
        let structure = raw.structure(place)?;
        if let Some(pretrained) = &raw.pretrained_cfg {
            let names = raw.label_names.as_ref().or(pretrained.label_names.as_ref()).or(raw.id2label.as_ref());
            let descriptions = raw.label_descriptions.as_ref().or(pretrained.label_descriptions.as_ref());
            return Ok(ModelConfig {
                preprocess: Some(timm::preprocess(place, pretrained)?),
                labels: labels(place, "label_names", names, descriptions)?,
                license: pretrained.license.clone(),
                architecture: raw.architecture,
                problem_type: raw.problem_type,
                structure,
            });
        }
        raw.check_transformers(place)?;
        let names = raw.id2label.as_ref().or(raw.label_names.as_ref());
        Ok(ModelConfig {
            preprocess: preprocessor.map(transformers::preprocess).transpose()?,
            labels: labels(place, "id2label", names, raw.label_descriptions.as_ref())?,
            license: None,
            architecture: raw.architecture,
            problem_type: raw.problem_type,
            structure,
        })
    }
}

impl RawConfig {
    /// Refuses what transformers can configure and the names and shapes of the tensors do not show.
    fn check_transformers(&self, place: &str) -> Result<()> {
        match self.model_type.as_deref() {
            None | Some("resnet" | "timm_wrapper") => {}
            Some(other) => return Err(invalid(place, "model_type", other, "resnet and timm_wrapper are supported")),
        }
        Ok(())
    }

    /// What the configuration states of the network and no tensor shows.
    fn structure(&self, place: &str) -> Result<Structure> {
        let mut structure = Structure { stated_in: place.into(), ..Structure::default() };
        self.stated.state(place, &mut structure)?;
        self.model_args.as_ref().map_or(Ok(()), |args| args.state(place, &mut structure))?;
        if let Some(name) = &self.hidden_act {
            // Between the convolutions of a block transformers has ReLU all the same.
            structure.activation = Some(timm::activation(place, "hidden_act", name)?);
            structure.block_activation = Some(Activation::Relu);
        }
        let in_first =
            self.downsample_in_bottleneck.map(|first| if first { StrideIn::OneByOne } else { StrideIn::ThreeByThree });
        structure.stride_in = in_first.or(structure.stride_in);
        structure.layer1_stride = self.downsample_in_first_stage.map(|strides| 1 + usize::from(strides));
        Ok(structure)
    }
}

fn labels(
    place: &str,
    field: &str,
    names: Option<&Names>,
    descriptions: Option<&Names>,
) -> Result<Option<Vec<String>>> {
    let mut labels = match names {
        None => return Ok(None),
        Some(Names::List(list)) => list.clone(),
        Some(Names::Keyed(keyed)) => by_index(place, field, keyed)?,
    };
    if labels.len() > MAX_CLASSES {
        return Err(invalid(place, field, format!("{} names", labels.len()), format!("at most {MAX_CLASSES}")));
    }
    if let Some(Names::Keyed(descriptions)) = descriptions {
        for label in &mut labels {
            if let Some(description) = descriptions.get(label) {
                label.clone_from(description);
            }
        }
    }
    Ok((!labels.is_empty()).then_some(labels))
}

fn by_index(place: &str, field: &str, keyed: &BTreeMap<String, String>) -> Result<Vec<String>> {
    let mut named = BTreeMap::new();
    for (key, name) in keyed {
        match key.parse::<usize>() {
            Ok(index) if index < MAX_CLASSES => named.insert(index, name),
            _ => return Err(invalid(place, field, key, format!("keys are class indices below {MAX_CLASSES}"))),
        };
    }
    let classes = named.last_key_value().map_or(0, |(last, _)| last + 1);
    if classes > named.len() {
        log::warn!("{place}: {field} names {} of {classes} classes; the others are named by index", named.len());
    }
    Ok((0..classes).map(|i| named.get(&i).map_or_else(|| i.to_string(), |name| (*name).clone())).collect())
}

/// Parses `text`, which lies at `place`.
pub(super) fn json<T: DeserializeOwned>(place: &str, text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| invalid(place, "JSON", "unreadable", e))
}

/// A value that is out of its range.
pub(super) fn invalid(place: &str, field: &str, value: impl fmt::Display, expected: impl fmt::Display) -> Error {
    Error::ConfigValue {
        place: place.into(),
        field: field.into(),
        value: value.to_string(),
        expected: expected.to_string(),
    }
}

fn read_if_there(path: &Path) -> Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path, &e)),
    }
}
