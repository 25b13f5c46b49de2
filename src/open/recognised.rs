//! Recognises a model: finds its architecture from the tensors, reads its configuration, and checks its weights, each once.

use std::path::PathBuf;

use super::{
    agreement::{Stated, Subject},
    links,
    located::{Identity, Located, Weights},
    settings::Settings,
};
use crate::{
    Error, Note, Result,
    checkpoint::{Checkpoint, Claims, MODEL_TYPES, ModelConfig},
    graph::Graph,
    models::{Architecture, task},
};

/// A model whose network was recognised, with its weights.
pub(super) struct Recognised {
    pub(super) identity: Identity,
    pub(super) checkpoint: Checkpoint,
    pub(super) config: ModelConfig,
    pub(super) architecture: Architecture,
    pub(super) graph: Graph,
    pub(super) notes: Vec<Note>,
}

impl Recognised {
    /// Recognises the network of a model, then reads its weights. Reads no weights if it recognises nothing.
    ///
    /// # Errors
    /// `model.*` if the tensors fit no supported network, are incomplete, or have values that are not finite; `config.*` if the
    /// configuration contradicts them.
    pub(super) fn of(located: Located, settings: &Settings) -> Result<Self> {
        let Located { weights, identity, steps, stated, mut notes } = located;
        let weights = part(weights, settings.part.as_deref(), &mut notes)?;
        let (name, shapes, reading) = (weights.name(), weights.shapes(), weights.reading());
        let outside: Vec<&str> = reading.beside.iter().map(String::as_str).collect();
        let all: Vec<&str> = outside.iter().copied().chain(shapes.keys().map(String::as_str)).collect();
        if let Some(task) = task(&all) {
            let part = reading.parts.first().filter(|_| !reading.prefix.is_empty()).map(String::as_str);
            task.refuse(name, part, reading.asked, settings.structure.dilation.is_some())?;
        }
        let seen = Architecture::of_tensors(name, shapes, settings.structure.no_head)?;
        let mut config = configuration(&weights, &seen, &steps, stated?, &mut notes)?;
        config.structure = config.structure.or(&reading.structure);
        let architecture = seen.stated(&settings.structure, &config.structure)?;
        if reading.strides_in_either && !settings.structure.states("stride-in") && !config.structure.states("stride-in")
        {
            refuse_either_stride(name, &architecture)?;
        }
        let graph = architecture.graph();
        let mut extra = architecture.extra(name, shapes, &graph)?;
        if !settings.allow_extra {
            architecture.refuse_extra(name, &extra)?;
            if !reading.asked {
                architecture.refuse_outside(name, &outside)?;
            }
        }
        extra.extend(outside);
        if !extra.is_empty() {
            notes.push(Note::LeftOut(extra.into_iter().map(Into::into).collect()));
        }
        let mut checkpoint = weights.read()?;
        if settings.allow_nonfinite {
            checkpoint = checkpoint.allow_nonfinite();
        }
        let broken = not_finite(&checkpoint, &graph)?;
        if !broken.is_empty() {
            notes.push(Note::NotFinite(broken));
        }
        Ok(Recognised { identity, checkpoint, config, architecture, graph, notes })
    }
}

/// The network `part` of the weights, or the one taken by default.
fn part(weights: Weights, part: Option<&str>, notes: &mut Vec<Note>) -> Result<Weights> {
    let weights = match part {
        Some(part) => weights.part(part)?,
        None => weights,
    };
    let reading = weights.reading();
    if let Some(reason) = &reading.undecided {
        return Err(Error::ModelPart { model: weights.name().into(), reason: reason.clone() });
    }
    if let [part, others @ ..] = &reading.parts[..]
        && !others.is_empty()
    {
        notes.push(Note::PartTaken { part: part.clone(), others: others.to_vec() });
    } else if reading.is_telling() || reading.head.is_some() {
        notes.push(Note::FoundUnder { prefix: reading.prefix.clone(), head: reading.head.clone() });
    }
    Ok(weights)
}

/// Refuses a network in detectron2's spelling that has bottlenecks, because it is not stated which of their convolutions strides.
///
/// # Errors
/// [`Error::ConfigValue`].
fn refuse_either_stride(name: &str, architecture: &Architecture) -> Result<()> {
    if architecture.unseen(|_| None).iter().all(|property| property.key != "stride-in") {
        return Ok(());
    }
    let expected = "no tensor shows which convolution of detectron2's bottlenecks strides: state `stride-in=1x1` for weights from MSRA \
                    (such as R-50.pkl), `stride-in=3x3` for weights from torchvision";
    Err(Error::config_value(name, "stride-in", "not stated", expected))
}

/// Checks all weights of a network. Returns the tensors with NaN or infinite values, where those are allowed.
fn not_finite(checkpoint: &Checkpoint, graph: &Graph) -> Result<Vec<String>> {
    let mut broken = Vec::new();
    for (name, shape) in graph.tensors() {
        if !checkpoint.largest(&name, &shape)?.is_finite() {
            let values = checkpoint.tensor(&name, &shape)?;
            let count = values.iter().filter(|value| !value.is_finite()).count();
            broken.push(format!("{name} ({count} of {})", values.len()));
        }
    }
    Ok(broken)
}

/// The configuration that agrees with the tensors of a network: `stated`, or the one in the metadata.
fn configuration(
    weights: &Weights,
    architecture: &Architecture,
    steps: &[PathBuf],
    stated: Option<Stated>,
    notes: &mut Vec<Note>,
) -> Result<ModelConfig> {
    let subject = Subject { model: weights.name(), architecture, shapes: weights.shapes() };
    let own = steps.first().and_then(|file| links::own_name(file));
    let owned = stated.as_ref().is_some_and(|stated| stated.owned);
    // A configuration inside the file belongs to it. A configuration in its folder may not.
    let inside = if owned { None } else { inside(weights, notes)? };
    let inside = inside.map_or(Ok(None), |inside| subject.settle(inside, None, notes))?;
    let config = match (inside, stated) {
        (Some(inside), None) => Some(inside),
        (Some(inside), Some(_)) if inside.preprocess.is_some() || inside.labels.is_some() => Some(inside),
        (_, Some(stated)) => subject.settle(stated, own.as_ref(), notes)?,
        (None, None) => None,
    };
    let confirmed = owned && config.as_ref().is_some_and(|config| says_which(&config.claims));
    let mut config = config.unwrap_or_default();
    let named = subject.check_names(steps, confirmed, config.structure.anti_aliasing, notes)?;
    config.structure = config.structure.or(&named);
    Ok(config)
}

/// The configuration in a checkpoint's metadata.
fn inside(weights: &Weights, notes: &mut Vec<Note>) -> Result<Option<Stated>> {
    let place = format!("the configuration in the metadata of {}", weights.name());
    match ModelConfig::from_metadata(weights.metadata()) {
        Ok(Some(config)) => Ok(Some(Stated { place, claims: config.claims.clone(), config: Ok(config), owned: false })),
        Ok(None) => Ok(None),
        Err(error) => {
            notes.push(Note::ignored(place, error));
            Ok(None)
        }
    }
}

/// Whether a configuration names its network.
fn says_which(claims: &Claims) -> bool {
    let known = |name: &String| Architecture::by_name(name.split('.').next().unwrap_or(name)).is_some();
    let kind = claims.model_type.as_deref();
    claims.architecture.as_ref().is_some_and(known) || kind.is_some_and(|kind| MODEL_TYPES.contains(&kind))
}
