//! The statements of a configuration about its tensors.

use serde_json::{Map, Value};

use super::json::parse;
use crate::labels::forms;

/// Supported networks of transformers, by `model_type`.
pub(crate) const MODEL_TYPES: [&str; 3] = ["resnet", "regnet", "bit"];

/// Supported values of `model_type`, for messages.
pub(crate) const SUPPORTED_TYPES: &str = "resnet, regnet, bit and timm_wrapper are supported";

/// The statements of a configuration about its tensors, to be compared with them.
#[doc(hidden)]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claims {
    /// Name of the architecture in timm.
    pub architecture: Option<String>,
    /// Kind of network in transformers (`model_type`).
    pub model_type: Option<String>,
    /// Classes of the head, at least one: `num_classes`, `num_labels`, or the number of class names if no index is left out.
    pub classes: Option<usize>,
    /// Channels after the last stage (`num_features`).
    pub features: Option<usize>,
    /// Name of the first convolution in timm (`first_conv`).
    pub first_conv: Option<String>,
    /// Blocks of each stage in transformers (`depths`).
    pub depths: Option<Vec<usize>>,
    /// Output channels of each stage in transformers (`hidden_sizes`).
    pub hidden_sizes: Option<Vec<usize>>,
    /// Output channels of the stem in transformers (`embedding_size`).
    pub embedding_size: Option<usize>,
    /// Kind of block in transformers (`layer_type`): `basic` or `bottleneck`; in a RegNet `x` or `y`.
    pub layer_type: Option<String>,
}

/// Fields that distinguish a model's configuration from another program's `config.json`.
const MARKS: [&str; 14] = [
    "architecture",
    "architectures",
    "default_cfg",
    "global_pool",
    "hidden_act",
    "id2label",
    "input_size",
    "label2id",
    "label_names",
    "model_args",
    "model_type",
    "num_classes",
    "pretrained_cfg",
    "problem_type",
];

impl Claims {
    /// The claims in the text of a `config.json`. `None` if it is not a model's configuration, but another program's.
    pub fn of(config: &str) -> Option<Self> {
        match parse(config).ok()? {
            Value::Object(fields) if MARKS.iter().any(|mark| fields.contains_key(*mark)) => Some(Self::read(&fields)),
            _ => None,
        }
    }

    fn read(fields: &Map<String, Value>) -> Self {
        let inner = ["pretrained_cfg", "default_cfg"].iter().find_map(|key| fields.get(*key)?.as_object());
        let text = |value: &Value| value.as_str().map(String::from);
        let number = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let list = |value: &Value| value.as_array()?.iter().map(number).collect::<Option<Vec<usize>>>();
        let either = |key: &str| fields.get(key).or_else(|| inner?.get(key));
        let classes = either("num_classes").or_else(|| fields.get("num_labels")).and_then(number);
        let named = || {
            let names = ["label_names", "id2label", "label2id", "labels"].iter().find_map(|key| either(key))?;
            let listed = names.as_array().map(Vec::len).or_else(|| names.as_object().map(Map::len))?;
            forms::names(names).ok().map(|names| names.len()).filter(|count| *count == listed)
        };
        // Other networks of transformers use these fields in other ways.
        let known = fields.get("model_type").and_then(Value::as_str).is_some_and(|kind| MODEL_TYPES.contains(&kind));
        let resnet = |key: &str| fields.get(key).filter(|_| known);
        Claims {
            architecture: either("architecture").and_then(text),
            model_type: fields.get("model_type").and_then(text),
            classes: classes.or_else(named).filter(|n| *n > 0),
            features: fields.get("num_features").and_then(number).filter(|n| *n > 0),
            first_conv: either("first_conv").and_then(text),
            depths: resnet("depths").and_then(list),
            hidden_sizes: resnet("hidden_sizes").and_then(list),
            embedding_size: resnet("embedding_size").and_then(number),
            layer_type: resnet("layer_type").and_then(text),
        }
    }
}
