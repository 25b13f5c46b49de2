//! Checks whether configurations and file names agree with a checkpoint's tensors.

use std::path::PathBuf;

use super::links;
use crate::{
    Error, Note, Result,
    checkpoint::{Claims, ModelConfig},
    models::{Architecture, BlockKind, Named, Shapes, check_declared, is_foreign, named},
};

/// A configuration, where it was found, and whether it surely belongs to the checkpoint.
pub(super) struct Stated {
    /// Where it was found, for messages.
    pub(super) place: String,
    pub(super) claims: Claims,
    /// The configuration itself, or what is wrong with it; the error is ignored if it belongs to another network.
    pub(super) config: Result<ModelConfig>,
    /// Whether it can only belong to this checkpoint. One beside a file with a name of its own may belong to another.
    pub(super) owned: bool,
}

/// A checkpoint as its tensors describe it.
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
        if let Some(declared) = &claims.architecture
            && let Err(error) = check_declared(self.model, declared)
        {
            let Some(own) = named_otherwise else { return Err(error) };
            return other(&format!("it declares {declared}, but the file is named {}", own.name()));
        }
        let Some((field, said, found)) = self.contradiction(&claims) else { return config.map(Some) };
        if owned {
            return Err(Error::config_value(place, field, said, found));
        }
        other(&format!("it belongs to another network, with {field} = {said}: {found}"))
    }

    /// The first claim that contradicts the tensors: its field, its value, and what the tensors say.
    fn contradiction(&self, claims: &Claims) -> Option<(&'static str, String, String)> {
        let name = || self.architecture.name();
        if let Some(kind) =
            claims.model_type.as_ref().filter(|kind| !["resnet", "timm_wrapper"].contains(&kind.as_str()))
        {
            return Some(("model_type", kind.clone(), "resnet and timm_wrapper are supported".into()));
        }
        if let Some(declared) = &claims.architecture {
            // Take the part before the first dot; the rest names the weights.
            let plain = declared.split('.').next().unwrap_or(declared);
            if is_foreign(plain) || named(plain).is_some_and(|named| !named.may_be(self.architecture)) {
                return Some(("architecture", declared.clone(), format!("the tensors are those of {}", name())));
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
        let net = if let Architecture::ResNet(net) = self.architecture { Some(net) } else { None };
        let depths = net.map(|net| net.stages.iter().map(Vec::len).collect());
        let channels = net.map(|net| net.stages.iter().filter_map(|stage| Some(stage.last()?.channels)).collect());
        let kind = net.map(|net| if net.kind == BlockKind::Basic { "basic" } else { "bottleneck" });
        lists("depths", &claims.depths, depths)
            .or_else(|| lists("hidden_sizes", &claims.hidden_sizes, channels))
            .or_else(|| numbers("embedding_size", claims.embedding_size, net.map(|net| net.stem_channels)))
            .or_else(|| {
                let (said, found) = differs(claims.layer_type.as_ref()?, kind?)?;
                Some(("layer_type", said, found))
            })
            .or_else(|| numbers("num_features", claims.features, Some(self.architecture.channels())))
            .or_else(|| {
                let conv =
                    claims.first_conv.as_ref().filter(|conv| !self.shapes.contains_key(&format!("{conv}.weight")))?;
                Some(("first_conv", conv.clone(), format!("the tensors of {} have none of that name", name())))
            })
    }

    /// Compares the names of the file at `steps` with the tensors. `confirmed`: its own configuration says which network it is.
    ///
    /// # Errors
    /// [`Error::UnknownArchitecture`] for the name of an unsupported network that has the same tensors.
    pub(super) fn check_names(&self, steps: &[PathBuf], confirmed: bool, notes: &mut Vec<Note>) -> Result<()> {
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
                        "its name says {name}, but {feature} is not supported; if it is a plain {}, rename the file",
                        self.architecture.name()
                    );
                    return Err(Error::UnknownArchitecture { model: self.model.into(), reason });
                }
                _ if !confirmed && !named.may_be(self.architecture) => differs(named.name()),
                _ => {}
            }
        }
        Ok(())
    }
}
