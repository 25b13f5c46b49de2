//! The configuration beside a checkpoint, in timm's or transformers' form.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    claims::{Claims, MODEL_TYPES, SUPPORTED_TYPES},
    json::{invalid, json},
    own::{Backbone, Own},
    preprocess_config::PreprocessConfig,
    timm::{self, PretrainedCfg},
    transformers,
};
use crate::{
    Result,
    labels::{
        Neighbours,
        forms::{self, Refused},
    },
    structure::{Activation, AntiAliasing, ConvPadding, NormGroups, PoolPadding, StrideIn, Structure},
};

/// Key of a checkpoint's metadata under which it may carry its own configuration.
pub(super) const METADATA_KEY: &str = "config";

/// Information about a model besides its weights. The weights win: a configuration may have other classes than the head has.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ModelConfig {
    /// Name of the architecture in timm.
    pub architecture: Option<String>,
    /// Class names by class index. A class without a name in the file is named by its index.
    pub labels: Option<Vec<String>>,
    /// The preprocessing of photos.
    pub preprocess: Option<PreprocessConfig>,
    /// Licence of the weights.
    pub license: Option<String>,
    /// How logits become scores.
    pub problem_type: Option<ProblemType>,
    /// Statements about the tensors.
    pub claims: Claims,
    /// Properties of the network that its tensors do not show.
    pub structure: Structure,
    /// For a file that holds only a head: the model that the head belongs to.
    #[doc(hidden)]
    pub backbone: Option<Backbone>,
    /// The images of a head whose outputs are similarities to them.
    #[doc(hidden)]
    pub neighbours: Option<Neighbours>,
}

/// How logits become scores.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemType {
    /// The logits are the result.
    Regression,
    /// Softmax.
    SingleLabelClassification,
    /// Sigmoid of each class on its own.
    MultiLabelClassification,
}

/// The fields of both libraries' `config.json` that are used.
#[derive(Deserialize)]
struct RawConfig {
    architecture: Option<String>,
    #[serde(alias = "default_cfg")]
    pretrained_cfg: Option<PretrainedCfg>,
    #[serde(flatten)]
    stated: timm::ModelArgs,
    model_args: Option<timm::ModelArgs>,
    label_names: Option<Value>,
    label_descriptions: Option<Value>,
    labels: Option<Value>,
    model_type: Option<String>,
    id2label: Option<Value>,
    label2id: Option<Value>,
    problem_type: Option<ProblemType>,
    hidden_act: Option<String>,
    downsample_in_first_stage: Option<bool>,
    downsample_in_bottleneck: Option<bool>,
    global_padding: Option<String>,
    embedding_dynamic_padding: Option<bool>,
    num_groups: Option<usize>,
    residua: Option<Own>,
}

impl ModelConfig {
    /// The configuration in timm's form in a checkpoint's metadata, under `config`. `None` if there is none, or if the text is
    /// something else.
    ///
    /// # Errors
    /// The errors of [`ModelConfig::from_json`].
    #[doc(hidden)]
    pub fn from_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>> {
        let config = metadata.get(METADATA_KEY).filter(|config| Claims::of(config).is_some());
        config.map(|config| Self::from_json("__metadata__.config", config, None)).transpose()
    }

    /// Parses the text of `config.json`, and of `preprocessor_config.json` or `processor_config.json`. Messages use `place`.
    ///
    /// # Errors
    /// [`Error::ConfigValue`](crate::Error::ConfigValue) if the text is not such a configuration, or if a value is out of range.
    pub fn from_json(place: &str, config: &str, preprocessor: Option<&str>) -> Result<Self> {
        let mut raw: RawConfig = json(place, config)?;
        let mut structure = raw.structure(place)?;
        let claims = Claims::of(config).unwrap_or_default();
        if structure.anti_aliasing.is_none() {
            let named = claims.architecture.as_deref().and_then(AntiAliasing::of_network);
            structure.anti_aliasing = named.map(|(kind, _)| kind);
        }
        let grouped = claims.architecture.as_deref().and_then(NormGroups::of_network);
        structure.norm_groups = structure.norm_groups.or(grouped);
        if raw.pretrained_cfg.is_none() && raw.model_type.is_none() {
            raw.pretrained_cfg = timm::flat(place, config)?;
        }
        if raw.pretrained_cfg.is_none() {
            raw.check_transformers(place)?;
        }
        let own = raw.residua.as_ref().map_or(Ok(None), |own| own.preprocess(place))?;
        let preprocess = match (&raw.pretrained_cfg, preprocessor) {
            _ if own.is_some() => own,
            (Some(pretrained), _) => Some(timm::preprocess(place, pretrained)?),
            (None, Some(text)) => Some(transformers::preprocess(text, raw.model_type.as_deref())?),
            (None, None) => None,
        };
        Ok(ModelConfig {
            preprocess,
            backbone: raw.residua.as_ref().and_then(|own| own.backbone.clone()),
            neighbours: raw.residua.as_ref().map_or(Ok(None), |own| own.neighbours(place))?,
            labels: raw.labels(place)?,
            license: raw.pretrained_cfg.and_then(|pretrained| pretrained.license),
            architecture: raw.architecture,
            problem_type: raw.problem_type,
            claims,
            structure,
        })
    }
}

impl RawConfig {
    /// Refuses settings of transformers that are not supported and that the tensors do not show.
    fn check_transformers(&self, place: &str) -> Result<()> {
        match self.model_type.as_deref() {
            None | Some("timm_wrapper") => {}
            Some(known) if MODEL_TYPES.contains(&known) => {}
            Some(other) => return Err(invalid(place, "model_type", other, SUPPORTED_TYPES)),
        }
        Ok(())
    }

    /// Properties of the network that the configuration states and its tensors do not show.
    fn structure(&self, place: &str) -> Result<Structure> {
        let mut structure = Structure { stated_in: place.into(), ..Structure::default() };
        self.stated.state(place, &mut structure)?;
        self.model_args.as_ref().map_or(Ok(()), |args| args.state(place, &mut structure))?;
        self.residua.as_ref().map_or(Ok(()), |own| own.state(&mut structure))?;
        if let Some(name) = &self.hidden_act {
            let activation = timm::activation(place, "hidden_act", name)?;
            structure.activation = Some(activation);
            // transformers always has ReLU between the convolutions of a ResNet's block, and in a RegNet's gate.
            match self.model_type.as_deref() {
                Some("bit") => structure.block_activation = Some(activation),
                Some("regnet") => structure.gate_activation = Some(Activation::Relu),
                _ => structure.block_activation = Some(Activation::Relu),
            }
        }
        if self.model_type.as_deref() == Some("bit") {
            self.state_bit(place, &mut structure)?;
        }
        let in_first =
            self.downsample_in_bottleneck.map(|first| if first { StrideIn::OneByOne } else { StrideIn::ThreeByThree });
        structure.stride_in = in_first.or(structure.stride_in);
        let layer1_stride = self.downsample_in_first_stage.map(|strides| 1 + usize::from(strides));
        structure.layer1_stride = layer1_stride.or(structure.layer1_stride);
        Ok(structure)
    }

    /// Reads the fields that only transformers' BiT has: its padding and its groups.
    fn state_bit(&self, place: &str, structure: &mut Structure) -> Result<()> {
        let same = match self.global_padding.as_deref().map(str::to_lowercase).as_deref() {
            None => false,
            Some("same") => true,
            Some(other) => return Err(invalid(place, "global_padding", other, "same and null are supported")),
        };
        structure.conv_padding = Some(if same { ConvPadding::Same } else { ConvPadding::Sides });
        structure.pool_padding = Some(match (same, self.embedding_dynamic_padding == Some(true)) {
            (true, true) => PoolPadding::Same,
            (true, false) => PoolPadding::None,
            (false, true) => PoolPadding::ZerosAndSame,
            (false, false) => PoolPadding::Zeros,
        });
        structure.standardised = Some(true);
        let groups = self.num_groups.unwrap_or(32);
        if !(1..=4096).contains(&groups) {
            return Err(invalid(place, "num_groups", groups, "from 1 to 4096"));
        }
        structure.norm_groups = Some(NormGroups::Groups(groups));
        Ok(())
    }

    /// The class names: timm's where there is a `pretrained_cfg`, else transformers'.
    fn labels(&self, place: &str) -> Result<Option<Vec<String>>> {
        let inner = self.pretrained_cfg.as_ref();
        let listed = self.labels.as_ref().filter(|labels| labels.is_array() || labels.is_object());
        let timm = [
            ("label_names", self.label_names.as_ref()),
            ("label_names", inner.and_then(|inner| inner.label_names.as_ref())),
            ("labels", listed),
        ];
        let transformers = [("id2label", self.id2label.as_ref()), ("label2id", self.label2id.as_ref())];
        let mut order: Vec<_> = timm.into_iter().chain(transformers).collect();
        if inner.is_none() {
            order.rotate_left(timm.len());
        }
        let Some((field, names)) = order.into_iter().find_map(|(field, names)| Some((field, names?))) else {
            return Ok(None);
        };
        let refused = |Refused { value, expected }| invalid(place, field, value, expected);
        let mut names = forms::names(names).map_err(refused)?;
        let descriptions =
            self.label_descriptions.as_ref().or(inner.and_then(|inner| inner.label_descriptions.as_ref()));
        for (index, name) in names.iter_mut().enumerate() {
            let description = match descriptions {
                Some(Value::Object(by_name)) => by_name.get(name.as_str()),
                Some(Value::Array(in_order)) => in_order.get(index),
                _ => None,
            };
            if let Some(Value::String(description)) = description {
                name.clone_from(description);
            }
        }
        Ok((!names.is_empty()).then_some(names))
    }
}
