//! From a model's name to its weights, its configuration and where both come from.

use std::path::Path;

#[cfg(feature = "hub")]
use crate::hub::{self, Hub, ModelId, Snapshot};
use crate::{
    Error, Result,
    checkpoint::{Checkpoint, ModelConfig, Synthetic},
    models::{Architecture, Shapes},
};

/// The network inside the library; `weights/README.md` is its model card.
const BUILTIN: &[u8] = include_bytes!("../weights/builtin.safetensors");

/// What a folder's weights are called, in the order in which they are looked for.
const FILES: [&str; 2] = ["model.safetensors", "model.safetensors.index.json"];

/// Whether the tensors of a model of this name are those of a network.
type Fits<'a> = &'a dyn Fn(&str, &Shapes) -> Result<()>;

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
}

impl Source {
    /// A checkpoint that is in memory; without a configuration it is the one in its metadata.
    pub(crate) fn new(checkpoint: Checkpoint, config: Option<ModelConfig>, origin: impl Into<String>) -> Result<Self> {
        let config = match config {
            Some(config) => config,
            None => ModelConfig::from_metadata(checkpoint.metadata())?.unwrap_or_default(),
        };
        let name = checkpoint.name().into();
        Ok(Source { checkpoint, config, name, origin: origin.into(), revision: None, published_top1: None })
    }

    /// The network inside the library.
    pub(crate) fn builtin() -> Result<Self> {
        Source::new(Checkpoint::from_bytes("builtin", BUILTIN)?, None, "inside the program")
    }

    /// A `.safetensors` file, or a folder with `model.safetensors`, or several files and their index, and `config.json`. What `fits`
    /// refuses is not read.
    pub(crate) fn path(path: &Path, fits: Fits<'_>) -> Result<Self> {
        let open = |file: &Path| Checkpoint::open_if(file, |shapes| fits(&file.display().to_string(), shapes));
        if !path.is_dir() {
            return Source::new(open(path)?, None, path.display().to_string());
        }
        let Some(file) = FILES.iter().map(|name| path.join(name)).find(|file| file.is_file()) else {
            let reason = format!("the folder has no {}", FILES.join(" and no "));
            return Err(Error::ModelNotFound { model: path.display().to_string(), reason });
        };
        Source::new(open(&file)?, ModelConfig::from_folder(path)?, file.display().to_string())
    }

    /// A model of the hub.
    #[cfg(feature = "hub")]
    pub(crate) fn hub(id: &ModelId, hub: &Hub, fits: Fits<'_>) -> Result<Self> {
        let Snapshot { folder, commit } = hub.open(id)?;
        let mut source = Source::path(&folder, fits)?;
        source.name = id.repository().into();
        source.revision = Some(commit);
        if let Some(published) = hub::by_repository(id.repository()) {
            source.config.license = source.config.license.or_else(|| published.license.map(Into::into));
            source.published_top1 = published.top1_sentence();
        }
        Ok(source)
    }

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
        Source::new(weights.checkpoint(name, &tensors)?, Some(ModelConfig::default()), "made-up weights")
    }
}
