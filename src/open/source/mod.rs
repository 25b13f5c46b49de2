//! From a model's name to its weights, its configuration and where both come from.

mod agreement;
mod class_names;
mod links;

use std::path::{Path, PathBuf};

use agreement::{Stated, Subject};
pub(crate) use class_names::class_names;

#[cfg(feature = "hub")]
use crate::hub::{self, Hub, ModelId, Snapshot};
use crate::{
    Error, Result,
    checkpoint::{Checkpoint, Claims, ConfigFiles, ModelConfig, Synthetic},
    models::{Architecture, Shapes},
};

/// The network inside the library; `weights/README.md` is its model card.
const BUILTIN: &[u8] = include_bytes!("../../../weights/builtin.safetensors");

/// What a folder's weights are called, in the order in which they are looked for.
const FILES: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

/// How a model is looked for and recognised.
pub(crate) struct Reader<'a> {
    /// The architecture that has the tensors of a model of this name.
    pub(crate) detect: &'a dyn Fn(&str, &Shapes) -> Result<Architecture>,
    /// Whether the configuration that lies beside a checkpoint is read.
    pub(crate) beside: bool,
}

/// A model's weights and what is said of them.
pub(crate) struct Source {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) config: ModelConfig,
    /// What to call it.
    pub(crate) name: String,
    /// Where the weights come from.
    pub(crate) origin: String,
    /// Commit of a model of the hub.
    pub(crate) revision: Option<String>,
    /// Published accuracy, as a sentence.
    pub(crate) published_top1: Option<String>,
    /// What does not agree.
    pub(crate) notes: Vec<String>,
}

impl Source {
    fn new(checkpoint: Checkpoint, config: ModelConfig, origin: impl Into<String>) -> Self {
        let name = checkpoint.name().into();
        Source {
            checkpoint,
            config,
            name,
            origin: origin.into(),
            revision: None,
            published_top1: None,
            notes: Vec::new(),
        }
    }

    /// The network inside the library.
    pub(crate) fn builtin() -> Result<Self> {
        let checkpoint = Checkpoint::from_bytes("builtin", BUILTIN)?;
        let config = ModelConfig::from_metadata(checkpoint.metadata())?;
        Ok(Source::new(checkpoint, config.unwrap_or_default(), "inside the program"))
    }
}

impl Reader<'_> {
    /// A checkpoint that is in memory; without a configuration it is the one in its metadata.
    pub(crate) fn memory(&self, checkpoint: Checkpoint, config: Option<ModelConfig>) -> Result<Source> {
        let architecture = (self.detect)(checkpoint.name(), checkpoint.shapes())?;
        let steps = [checkpoint.name().into()];
        let given = config.map(|config| Stated {
            place: "the configuration".into(),
            claims: config.claims.clone(),
            config: Ok(config),
            owned: true,
        });
        settle(checkpoint, &architecture, &steps, given, "memory".into())
    }

    /// A `.safetensors` file, or a folder with `model.safetensors`, or several files and their index, with the `config.json` that lies
    /// beside it. What is not recognised is not read.
    pub(crate) fn path(&self, path: &Path) -> Result<Source> {
        let file = if path.is_dir() {
            let Some(file) = FILES.iter().map(|name| path.join(name)).find(|file| file.is_file()) else {
                let reason = format!("the folder has no {}", FILES.join(" and no "));
                return Err(Error::ModelNotFound { model: path.display().to_string(), reason });
            };
            file
        } else {
            path.to_path_buf()
        };
        let mut architecture = None;
        let checkpoint = Checkpoint::open_if(&file, |shapes| {
            architecture = Some((self.detect)(&file.display().to_string(), shapes)?);
            Ok(())
        })?;
        let architecture = match architecture {
            Some(architecture) => architecture,
            None => (self.detect)(checkpoint.name(), checkpoint.shapes())?,
        };
        let steps = links::steps(&file);
        let mut notes = Vec::new();
        let stated = if self.beside { beside(&steps, &mut notes)? } else { None };
        let places: Vec<PathBuf> =
            steps.iter().cloned().chain(steps.iter().filter_map(|step| links::resolved(step))).collect();
        let mut source = settle(checkpoint, &architecture, &places, stated, file.display().to_string())?;
        source.notes.splice(0..0, notes);
        Ok(source)
    }

    /// A model of the hub.
    #[cfg(feature = "hub")]
    pub(crate) fn hub(&self, id: &ModelId, hub: &Hub) -> Result<Source> {
        let Snapshot { folder, commit } = hub.open(id)?;
        let mut source = self.path(&folder)?;
        source.name = id.repository().into();
        source.revision = Some(commit);
        if let Some(published) = hub::by_repository(id.repository()) {
            source.config.license = source.config.license.or_else(|| published.license.map(Into::into));
            source.published_top1 = published.top1_sentence();
        }
        Ok(source)
    }
}

/// The configuration that lies in the folder of the file, or of a file that it is a link to.
fn beside(steps: &[PathBuf], notes: &mut Vec<String>) -> Result<Option<Stated>> {
    for file in steps {
        let owned = links::is_ordinary(file);
        let files = match ConfigFiles::read(&file.with_file_name("")) {
            Ok(Some(files)) => files,
            Ok(None) => continue,
            Err(error) if owned => return Err(error),
            Err(error) => {
                notes.push(format!("the configuration beside the file is not used: {error}"));
                continue;
            }
        };
        let config = files.parse();
        let place = files.place.clone();
        match (files.claims(), config) {
            (Some(claims), config) => return Ok(Some(Stated { place, claims, config, owned })),
            // What is not even JSON may be a part of the model's own.
            (None, Err(error)) if owned && !is_json(&files.config) => return Err(error),
            (None, _) if files.config.trim() == "{}" => {}
            (None, _) => notes.push(format!("{place} is not used: it is not a model's configuration")),
        }
    }
    Ok(None)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The configuration in a checkpoint's metadata.
fn inside(checkpoint: &Checkpoint, notes: &mut Vec<String>) -> Result<Option<Stated>> {
    let place = format!("the configuration in the metadata of {}", checkpoint.name());
    match ModelConfig::from_metadata(checkpoint.metadata()) {
        Ok(Some(config)) => Ok(Some(Stated { place, claims: config.claims.clone(), config: Ok(config), owned: false })),
        Ok(None) => Ok(None),
        Err(error) => {
            notes.push(format!("{place} is not used: {error}"));
            Ok(None)
        }
    }
}

/// The source of a checkpoint that lies at `steps`, with the configuration of it that agrees with its tensors: `stated`, or the one in
/// its metadata.
fn settle(
    checkpoint: Checkpoint,
    architecture: &Architecture,
    steps: &[PathBuf],
    stated: Option<Stated>,
    origin: String,
) -> Result<Source> {
    let mut notes = Vec::new();
    let subject = Subject { model: checkpoint.name(), architecture, shapes: checkpoint.shapes() };
    let own = steps.first().and_then(|file| links::own_name(file));
    let owned = stated.as_ref().is_some_and(|stated| stated.owned);
    // What is inside a file belongs to it; what lies in its folder may not.
    let inside = if owned { None } else { inside(&checkpoint, &mut notes)? };
    let inside = inside.map_or(Ok(None), |inside| subject.settle(inside, None, &mut notes))?;
    let config = match (inside, stated) {
        (Some(inside), None) => Some(inside),
        (Some(inside), Some(_)) if inside.preprocess.is_some() || inside.labels.is_some() => Some(inside),
        (_, Some(stated)) => subject.settle(stated, own.as_ref(), &mut notes)?,
        (None, None) => None,
    };
    let confirmed = owned && config.as_ref().is_some_and(|config| says_which(&config.claims));
    subject.check_names(steps, confirmed, &mut notes)?;
    let mut source = Source::new(checkpoint, config.unwrap_or_default(), origin);
    source.notes = notes;
    Ok(source)
}

/// Whether a configuration tells which network it is for.
fn says_which(claims: &Claims) -> bool {
    let known = |name: &String| Architecture::by_name(name.split('.').next().unwrap_or(name)).is_some();
    claims.architecture.as_ref().is_some_and(known) || claims.model_type.as_deref() == Some("resnet")
}

impl Source {
    /// Made-up weights of an architecture.
    pub(crate) fn synthetic(name: &str) -> Result<Self> {
        let architecture = Architecture::by_name(name).ok_or_else(|| Error::UnknownArchitecture {
            model: name.into(),
            reason: format!("no architecture of that name; there are {}", Architecture::names().join(", ")),
        })?;
        // The last norm of each block is damped, so that the sum does not grow without bound over hundreds of blocks.
        let tensors = architecture.graph().tensors();
        let last =
            ["bn3.weight", "bn2.weight"].into_iter().find(|last| tensors.iter().any(|(name, _)| name.ends_with(last)));
        let weights = Synthetic { salt: "residua".into(), damped: last.map(Into::into), damp: 0.05 };
        Ok(Source::new(weights.checkpoint(name, &tensors)?, ModelConfig::default(), "made-up weights"))
    }
}

/// The error for a model of which nothing is found; `near` are names like its own.
pub(crate) fn not_found(model: &str, near: &[&str]) -> Error {
    let mut reason = String::from("no such file or folder, and not the name of a model on the hub");
    if !near.is_empty() {
        reason += &format!("; names like it: {}", near.join(", "));
    }
    reason += "; give builtin, a .safetensors file, a folder with model.safetensors and config.json, a name such as resnet50 or a hub id such as timm/resnet50.a1_in1k";
    Error::ModelNotFound { model: model.into(), reason }
}
