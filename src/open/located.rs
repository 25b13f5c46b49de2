//! Locates a model: its weights, with only the headers read, and the configuration beside them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use super::{agreement::Stated, links, settings::Settings};
#[cfg(feature = "hub")]
use crate::hub::{self, ModelId, Snapshot, similar_names};
use crate::{
    Error, Note, Result,
    checkpoint::{Backbone, Checkpoint, ConfigFiles, Headers, ModelConfig, Reading, Synthetic},
    models::{Architecture, Shapes},
};

/// The network inside the library; `weights/README.md` is its model card.
const BUILTIN: &[u8] = include_bytes!("../../weights/builtin.safetensors");

/// File names of a folder's weights, in the order in which they are tried.
const FILES: &[&str] = &[
    "model.safetensors",
    "model.safetensors.index.json",
    #[cfg(feature = "pth")]
    "pytorch_model.bin",
    #[cfg(feature = "pth")]
    "pytorch_model.bin.index.json",
];

/// Endings of other names for a folder's weights. `only_file` says when such a file is opened.
const ENDINGS: &[&str] = &[
    ".safetensors",
    #[cfg(feature = "pth")]
    ".pth",
    #[cfg(feature = "pth")]
    ".pt",
    #[cfg(feature = "pth")]
    ".pth.tar",
    #[cfg(feature = "pth")]
    ".bin",
];

/// Largest number of head files in a chain of references.
const MOST_HEADS: usize = 4;

/// Weights in memory, or files whose headers have been read.
pub(super) enum Weights {
    Memory(Checkpoint),
    Files(Box<Headers>),
}

impl Weights {
    pub(super) fn name(&self) -> &str {
        match self {
            Weights::Memory(checkpoint) => checkpoint.name(),
            Weights::Files(headers) => headers.name(),
        }
    }

    pub(super) fn shapes(&self) -> &Shapes {
        match self {
            Weights::Memory(checkpoint) => checkpoint.shapes(),
            Weights::Files(headers) => headers.shapes(),
        }
    }

    pub(super) fn metadata(&self) -> &BTreeMap<String, String> {
        match self {
            Weights::Memory(checkpoint) => checkpoint.metadata(),
            Weights::Files(headers) => headers.metadata(),
        }
    }

    pub(super) fn reading(&self) -> &Reading {
        match self {
            Weights::Memory(checkpoint) => checkpoint.reading(),
            Weights::Files(headers) => headers.reading(),
        }
    }

    /// The network `part` of these weights.
    ///
    /// # Errors
    /// [`Error::ModelPart`] if there is no such network, or several.
    pub(super) fn part(self, part: &str) -> Result<Self> {
        Ok(match self {
            Weights::Memory(checkpoint) => Weights::Memory(checkpoint.part(part)?),
            Weights::Files(headers) => Weights::Files(Box::new(headers.part(part)?)),
        })
    }

    pub(super) fn read(self) -> Result<Checkpoint> {
        match self {
            Weights::Memory(checkpoint) => Ok(checkpoint),
            Weights::Files(headers) => headers.read(),
        }
    }
}

/// Facts about the model that its tensors do not show.
pub(super) struct Identity {
    /// Its name.
    pub(super) name: String,
    /// Source of the weights.
    pub(super) origin: String,
    /// Commit, if the model comes from the hub.
    pub(super) revision: Option<String>,
    /// Licence, from the table of published models.
    pub(super) license: Option<String>,
    /// Published accuracy, as a sentence.
    pub(super) published_top1: Option<String>,
}

/// A model that was found.
pub(super) struct Located {
    pub(super) weights: Weights,
    pub(super) identity: Identity,
    /// Paths of its file: its own, those that it links to, and the real paths of both.
    pub(super) steps: Vec<PathBuf>,
    /// The configuration that was given or lies beside it. Its error is kept until the tensors are known, since it may not
    /// matter.
    pub(super) stated: Result<Option<Stated>>,
    pub(super) notes: Vec<Note>,
}

impl Located {
    /// Finds the model that `settings` name.
    ///
    /// # Errors
    /// [`Error::ModelNotFound`], `hub.*`, and the errors of [`Headers::open`].
    pub(super) fn find(settings: &Settings) -> Result<Self> {
        if let Some((checkpoint, config)) = &settings.checkpoint {
            return Ok(Located::given(checkpoint.clone(), config.clone()));
        }
        match (&settings.synthetic, settings.model.as_deref().unwrap_or("builtin")) {
            (Some(architecture), _) => Located::synthetic(architecture),
            (None, "builtin") => {
                Ok(Located::new(Weights::Memory(Checkpoint::from_bytes("builtin", BUILTIN)?), "inside the program"))
            }
            (None, model) if Path::new(model).exists() => Located::at(Path::new(model), settings),
            (None, model) => Located::named(model, settings),
        }
    }

    fn new(weights: Weights, origin: impl Into<String>) -> Self {
        let (name, origin) = (weights.name().to_string(), origin.into());
        let identity = Identity { name, origin, revision: None, license: None, published_top1: None };
        Located { weights, identity, steps: Vec::new(), stated: Ok(None), notes: Vec::new() }
    }

    /// A checkpoint in memory.
    fn given(checkpoint: Checkpoint, config: Option<ModelConfig>) -> Self {
        let mut located = Located::new(Weights::Memory(checkpoint), "memory");
        located.steps = vec![located.identity.name.clone().into()];
        located.stated = Ok(config.map(|config| Stated {
            place: "the configuration".into(),
            claims: config.claims.clone(),
            config: Ok(config),
            owned: true,
        }));
        located
    }

    /// Makes up weights for an architecture.
    fn synthetic(name: &str) -> Result<Self> {
        let architecture = Architecture::by_name(name).ok_or_else(|| Error::UnknownArchitecture {
            model: name.into(),
            reason: format!("unknown architecture; known ones: {}", Architecture::names().join(", ")),
        })?;
        // Damp the last norm of each block, so that the sum does not grow without bound over hundreds of blocks.
        let tensors = architecture.graph().tensors();
        let last =
            ["bn3.weight", "bn2.weight"].into_iter().find(|last| tensors.iter().any(|(name, _)| name.ends_with(last)));
        let weights = Synthetic { salt: "residua".into(), damped: last.map(Into::into), damp: 0.05 };
        Ok(Located::new(Weights::Memory(weights.checkpoint(name, &tensors)?), "made-up weights"))
    }

    /// A `.safetensors` file, or a folder with `model.safetensors`, or several files and their index.
    fn at(path: &Path, settings: &Settings) -> Result<Self> {
        let file = if path.is_dir() {
            match FILES.iter().map(|name| path.join(name)).find(|file| file.is_file()) {
                Some(file) => file,
                None => only_file(path)?,
            }
        } else {
            path.to_path_buf()
        };
        let headers = Headers::open(&file)?;
        let pickled = headers.are_pickled();
        let backbone = ModelConfig::from_metadata(headers.metadata()).ok().flatten().and_then(|config| config.backbone);
        let is_head = backbone.is_some();
        let weights = match backbone {
            Some(backbone) => Weights::Memory(with_head(backbone, &file, headers.read()?, settings)?),
            None => Weights::Files(Box::new(headers)),
        };
        let mut located = Located::new(weights, file.display().to_string());
        if let Some(name) =
            file.file_name().and_then(|name| name.to_str()).filter(|name| path != file && !FILES.contains(name))
        {
            located.notes.push(Note::FileTaken(name.into()));
        }
        located.notes.extend(pickled.then_some(Note::Pickled));
        located.steps = links::steps(&file);
        if !settings.no_config && !is_head {
            located.stated = beside(&located.steps, &mut located.notes);
        }
        let resolved: Vec<PathBuf> = located.steps.iter().filter_map(|step| links::resolved(step)).collect();
        located.steps.extend(resolved);
        Ok(located)
    }

    /// A model of the hub.
    #[cfg(feature = "hub")]
    fn named(model: &str, settings: &Settings) -> Result<Self> {
        let Some(id) = ModelId::parse(model) else { return Err(not_found(model, &similar_names(model))) };
        let Snapshot { folder, commit } = settings.hub.open(&id)?;
        let mut located = Located::at(&folder, settings)?;
        located.identity.name = id.repository().into();
        located.identity.revision = Some(commit);
        if let Some(published) = hub::by_repository(id.repository()) {
            located.identity.license = published.license.map(Into::into);
            located.identity.published_top1 = published.top1_sentence();
        }
        Ok(located)
    }

    #[cfg(not(feature = "hub"))]
    fn named(model: &str, _: &Settings) -> Result<Self> {
        Err(not_found(model, &[]))
    }
}

/// The only file of weights in a folder. Files with the first of [`ENDINGS`] that occurs count.
///
/// # Errors
/// [`Error::ModelNotFound`] if there is none, or more than one.
fn only_file(folder: &Path) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).map_err(|error| Error::io(folder, &error))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()).filter(|path| path.is_file()));
    let mut names: Vec<String> = files.filter_map(|path| path.file_name()?.to_str().map(Into::into)).collect();
    names.sort_unstable();
    let not_found = |reason: String| Error::ModelNotFound { model: folder.display().to_string(), reason };
    for ending in ENDINGS {
        let ending_so: Vec<&String> = names.iter().filter(|name| name.ends_with(ending)).collect();
        match ending_so[..] {
            [] => {}
            [name] => return Ok(folder.join(name)),
            [a, b, ..] => {
                let several = format!("the folder has several files of weights, such as {a} and {b}; name one of them");
                return Err(not_found(several));
            }
        }
    }
    Err(not_found(format!(
        "the folder has no {}, and no other file that ends in {}",
        FILES.join(" and no "),
        ENDINGS.join(" or ")
    )))
}

/// The weights of `backbone` with the head from the file at `path`. The backbone is a file beside that one or in the current folder, or a
/// model of the hub. A head file cannot make residua open a file elsewhere.
///
/// # Errors
/// The errors of [`Located::find`] and of reading; [`Error::ConfigValue`] if the head was fitted to other weights.
fn with_head(backbone: Backbone, path: &Path, head: Checkpoint, settings: &Settings) -> Result<Checkpoint> {
    let Backbone { model, fingerprint } = backbone;
    let refused = |expected: String| Error::config_value(path.display().to_string(), "backbone", &*model, expected);
    if settings.heads >= MOST_HEADS {
        return Err(refused("a whole model, not a chain of head files".into()));
    }
    let beside = path.with_file_name(&model);
    let found = if beside.exists() { beside.display().to_string() } else { model.clone() };
    let settings = Settings { model: Some(found), heads: settings.heads + 1, ..settings.clone() };
    let is_path = model.contains(['/', '\\']);
    let located = if is_path { Located::named(&model, &settings)? } else { Located::find(&settings)? };
    let weights = located.weights.read()?;
    if format!("{:016x}", weights.fingerprint()) == fingerprint {
        Ok(weights.under(&head))
    } else {
        Err(refused(format!("the weights that the head was fitted to, with the fingerprint {fingerprint}")))
    }
}

/// The configuration in the folder of the file, or of a file that it links to.
fn beside(steps: &[PathBuf], notes: &mut Vec<Note>) -> Result<Option<Stated>> {
    for file in steps {
        let owned = links::is_ordinary(file);
        let files = match ConfigFiles::read(&file.with_file_name("")) {
            Ok(Some(files)) => files,
            Ok(None) => continue,
            Err(error) if owned => return Err(error),
            Err(error) => {
                notes.push(Note::ignored("the configuration beside the file", error));
                continue;
            }
        };
        let config = files.parse();
        let place = files.place.clone();
        match (files.claims(), config) {
            (Some(claims), config) => return Ok(Some(Stated { place, claims, config, owned })),
            // A text that is not even JSON may be a damaged part of the model.
            (None, Err(error)) if owned && !is_json(&files.config) => return Err(error),
            (None, _) if files.config.trim() == "{}" => {}
            (None, _) => notes.push(Note::ignored(place, "it is not a model's configuration")),
        }
    }
    Ok(None)
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
}

/// The error for a model that was not found; `near` are similar names.
fn not_found(model: &str, near: &[&str]) -> Error {
    let mut reason = String::from("no such file or folder, and not the name of a model on the hub");
    if !near.is_empty() {
        reason += &format!("; similar names: {}", near.join(", "));
    }
    reason += "; give builtin, a checkpoint file, a folder with model.safetensors and config.json, a name such as resnet50 or a hub id such as timm/resnet50.a1_in1k";
    Error::ModelNotFound { model: model.into(), reason }
}
