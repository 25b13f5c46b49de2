//! Checks whether configurations and file names agree with a checkpoint's tensors.

use std::path::PathBuf;

use super::links;
use crate::{
    Error, Note, Result,
    checkpoint::{Claims, MODEL_TYPES, ModelConfig, SUPPORTED_TYPES},
    models::{Architecture, Named, Shapes, check_declared, is_foreign, named},
    structure::{AntiAliasing, NormGroups, Structure},
};

/// A configuration, its place, and whether it surely belongs to the checkpoint.
pub(super) struct Stated {
    /// Its place, for messages.
    pub(super) place: String,
    pub(super) claims: Claims,
    /// The configuration, or the error that it led to. The error is ignored if the configuration belongs to another network.
    pub(super) config: Result<ModelConfig>,
    /// Whether it can only belong to this checkpoint. A configuration beside a file with its own name may belong to another checkpoint.
    pub(super) owned: bool,
}

/// A checkpoint with its recognised network.
pub(super) struct Subject<'a> {
    /// Its name in messages.
    pub(super) model: &'a str,
    pub(super) architecture: &'a Architecture,
    pub(super) shapes: &'a Shapes,
}

impl Subject<'_> {
    /// The configuration, or `None` and a note if it belongs to another network. `own` is the network in the file's own name.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if it contradicts the tensors and can only belong to this checkpoint, or if a value is out of
    /// range; [`Error::UnknownArchitecture`] if it declares an unsupported network that has the same tensors.
    pub(super) fn settle(
        &self,
        stated: Stated,
        own: Option<&Named>,
        notes: &mut Vec<Note>,
    ) -> Result<Option<ModelConfig>> {
        let Stated { place, claims, config, owned } = stated;
        let mut other = |what: &str| {
            notes.push(Note::ignored(&*place, what));
            Ok(None)
        };
        let named_otherwise =
            own.filter(|own| !owned && matches!(own, Named::Supported(_)) && own.may_be(self.architecture));
        if let Some(declared) = &claims.architecture {
            let checked = check_declared(self.model, declared);
            match named_otherwise {
                Some(own) if checked.is_err() || AntiAliasing::of_network(declared).is_some() => {
                    return other(&format!("it declares {declared}, but the file is named {}", own.name()));
                }
                _ => checked?,
            }
        }
        let Some((field, said, found)) = self.contradiction(&claims) else { return config.map(Some) };
        if owned {
            return Err(Error::config_value(place, field, said, found));
        }
        other(&format!("it belongs to another network, with {field} = {said}: {found}"))
    }

    /// The first claim that contradicts the tensors: its field, its value, and the tensors' answer.
    fn contradiction(&self, claims: &Claims) -> Option<(&'static str, String, String)> {
        let name = || self.architecture.name();
        if let Some(kind) =
            claims.model_type.as_ref().filter(|kind| *kind != "timm_wrapper" && !MODEL_TYPES.contains(&kind.as_str()))
        {
            return Some(("model_type", kind.clone(), SUPPORTED_TYPES.into()));
        }
        let (bit, variant) =
            (claims.model_type.as_deref() == Some("bit"), matches!(self.architecture, Architecture::Variant(_)));
        if let Some(kind) = claims.model_type.as_ref().filter(|kind| *kind != "timm_wrapper" && bit != variant) {
            return Some(("model_type", kind.clone(), format!("the tensors belong to {}", name())));
        }
        if let Some(declared) = &claims.architecture {
            // Take the part before the first dot; the rest names the weights.
            let plain = declared.split('.').next().unwrap_or(declared);
            if is_foreign(plain) || named(plain).is_some_and(|named| !named.may_be(self.architecture)) {
                return Some(("architecture", declared.clone(), format!("the tensors belong to {}", name())));
            }
        }
        let differs =
            |said: &str, found: &str| (said != found).then(|| (said.to_string(), format!("the tensors have {found}")));
        let numbers = |field, said: Option<usize>, found: Option<usize>| {
            let (said, found) = differs(&said?.to_string(), &found?.to_string())?;
            Some((field, said, found))
        };
        let lists = |field, said: &Option<Vec<usize>>, found: Option<Vec<usize>>| {
            let (said, found) = differs(&format!("{:?}", said.as_ref()?), &format!("{:?}", found?))?;
            Some((field, said, found))
        };
        let outline = self.architecture.outline();
        let stages = outline.as_ref().map(|outline| &outline.stages);
        let depths = stages.map(|stages| stages.iter().map(|(depth, _)| *depth).collect());
        let channels = stages.map(|stages| stages.iter().map(|(_, channels)| *channels).collect());
        lists("depths", &claims.depths, depths)
            .or_else(|| lists("hidden_sizes", &claims.hidden_sizes, channels))
            .or_else(|| {
                let stem = outline.as_ref().map(|outline| outline.stem_channels);
                numbers("embedding_size", claims.embedding_size, stem)
            })
            .or_else(|| {
                let (said, found) = differs(claims.layer_type.as_ref()?, outline.as_ref()?.block)?;
                Some(("layer_type", said, found))
            })
            .or_else(|| numbers("num_features", claims.features, Some(self.architecture.channels())))
            .or_else(|| {
                let conv =
                    claims.first_conv.as_ref().filter(|conv| !self.shapes.contains_key(&format!("{conv}.weight")))?;
                Some(("first_conv", conv.clone(), format!("{} has no tensors with this name", name())))
            })
    }

    /// Compares the file's names at `steps` with the tensors. `confirmed` if its own configuration says which network it is, with
    /// anti-aliasing of the kind `declared`. Returns the properties that only the names state.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`] for the name of an unsupported network that has the same tensors.
    pub(super) fn check_names(
        &self,
        steps: &[PathBuf],
        confirmed: bool,
        declared: Option<AntiAliasing>,
        notes: &mut Vec<Note>,
    ) -> Result<Structure> {
        let mut structure = Structure::default();
        let mut differs = |name: &str| {
            let note =
                Note::NameDiffers { name: name.into(), architecture: self.architecture.name(), configured: confirmed };
            if !notes.contains(&note) {
                notes.push(note);
            }
        };
        for named in steps.iter().flat_map(|step| links::names(step)) {
            match &named {
                Named::LookAlike(name, _) if confirmed => differs(name),
                Named::LookAlike(name, feature) => {
                    let reason = format!(
                        "its name says {name}, but {feature} are not supported; if it is a plain {}, rename the file",
                        self.architecture.name()
                    );
                    return Err(Error::UnknownArchitecture { model: self.model.into(), reason });
                }
                Named::AntiAliased(name, _, kind) if confirmed && declared != Some(*kind) => differs(name),
                _ if !confirmed && !named.may_be(self.architecture) => differs(named.name()),
                Named::AntiAliased(name, _, kind) if structure.anti_aliasing.is_none() => {
                    structure.stated_in = format!("the name {name}");
                    structure.anti_aliasing = Some(*kind);
                }
                _ => {}
            }
            if let Some(groups) = NormGroups::of_network(named.name()) {
                structure.stated_in = format!("the name {}", named.name());
                structure.norm_groups = Some(groups);
            }
        }
        Ok(structure)
    }
}
