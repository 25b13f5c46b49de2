//! Describes a model: the preprocessing of photos, the names of its classes, and the scores of its logits.

use super::{class_names::class_names, recognised::Recognised, settings::Settings};
use crate::{
    Error, ModelInfo, Note, Result,
    checkpoint::{Framing, ModelConfig, PreprocessConfig, ProblemType, published},
    graph::Graph,
    image::{IMAGENET_MEAN, IMAGENET_STD, Preprocess, Resize},
    labels::{Neighbours, Scoring},
    models::{self, Architecture, Property},
    network::Network,
    tensor::Shape,
};

/// Name of the architecture of a network that the caller built.
const OWN: &str = "own network";

/// A network with all information about it.
pub(super) struct Described {
    pub(super) network: Network,
    pub(super) model: ModelInfo,
    pub(super) notes: Vec<Note>,
}

impl Described {
    /// Combines the facts from the model, its configuration and the settings.
    ///
    /// # Errors
    /// [`Error::ConfigValue`](crate::Error::ConfigValue) for an impossible preprocessing, `graph.shape` for an input that the
    /// network cannot take.
    pub(super) fn of(recognised: Recognised, settings: &Settings) -> Result<Self> {
        let Recognised { identity, checkpoint, config, architecture, graph, mut notes } = recognised;
        let structure = properties(settings, &architecture, &config, &mut notes);
        let stated = config
            .preprocess
            .or_else(|| published(checkpoint.name(), &architecture.name()))
            .or_else(|| if checkpoint.reading().clip { clip(&architecture.name()) } else { None });
        let mut preprocess = preprocess(settings, architecture.default_input(), stated.as_ref())?;
        if graph.channels() == 1 {
            make_grey(&mut preprocess, settings, stated.is_some(), &mut notes);
        }
        let (classes, claimed) =
            classes(config.neighbours.as_ref(), config.claims.classes, architecture.classes().unwrap_or(0))?;
        let shapes = graph.infer_shapes(Shape::new(1, graph.channels(), preprocess.height, preprocess.width))?;
        if let Some(head) = architecture.head() {
            if head.has_activation()
                && !structure.iter().any(|one| one.key == "head-activation" && one.stated_in.is_some())
            {
                notes.push(Note::HeadActivationAssumed);
            }
            if head.is_followed() {
                notes.push(Note::HeadFollowed);
            }
        }
        if settings.test_size && stated.as_ref().is_none_or(|stated| stated.test_framing.is_none()) {
            notes.push(Note::NoTestSize);
        }
        let labels = class_names(settings.labels.as_ref(), config.labels, claimed, classes, &mut notes);
        let license = config.license.or(identity.license);
        if license.as_ref().is_some_and(|license| license.to_lowercase().starts_with("cc-by-nc")) {
            notes.push(Note::NonCommercial { model: identity.name.clone() });
        }
        let model = ModelInfo {
            name: identity.name,
            revision: identity.revision,
            architecture: architecture.name(),
            parameters: models::parameters(&graph),
            macs: models::macs(&graph, &shapes),
            classes,
            features: shapes[graph.features().0].c,
            tensors: checkpoint.shapes().len(),
            labels,
            license,
            published_top1: identity.published_top1,
            source: identity.origin,
            preprocess,
            structure,
            stated,
            scoring: scoring(config.problem_type, config.neighbours, classes),
        };
        Ok(Described { network: Network::new(graph, checkpoint), model, notes })
    }

    /// Describes the caller's network, with the checkpoint of the settings.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if there is no checkpoint or the preprocessing is impossible, `model.*` for weights that are
    /// missing, of another shape or not finite, `graph.shape` for an input that the network cannot take.
    pub(super) fn own(graph: &Graph, settings: &Settings) -> Result<Self> {
        let (checkpoint, config) = settings
            .checkpoint
            .clone()
            .ok_or_else(|| Error::config_value("the settings", "checkpoint", "none", "the weights of the graph"))?;
        for (name, shape) in graph.tensors() {
            checkpoint.tensor(&name, &shape)?;
        }
        let (config, mut notes) = (config.unwrap_or_default(), Vec::new());
        let preprocess = preprocess(settings, (224, 224), config.preprocess.as_ref())?;
        let shapes = graph.infer_shapes(Shape::new(1, graph.channels(), preprocess.height, preprocess.width))?;
        let (classes, claimed) =
            classes(config.neighbours.as_ref(), config.claims.classes, shapes[graph.output().0].c)?;
        let labels = class_names(settings.labels.as_ref(), config.labels, claimed, classes, &mut notes);
        let model = ModelInfo {
            name: checkpoint.name().into(),
            revision: None,
            architecture: OWN.into(),
            parameters: models::parameters(graph),
            macs: models::macs(graph, &shapes),
            classes,
            features: shapes[graph.features().0].c,
            tensors: checkpoint.shapes().len(),
            labels,
            license: config.license,
            published_top1: None,
            source: OWN.into(),
            preprocess,
            structure: Vec::new(),
            stated: config.preprocess,
            scoring: scoring(config.problem_type, config.neighbours, classes),
        };
        Ok(Described { network: Network::new(graph.clone(), checkpoint), model, notes })
    }
}

/// The preprocessing of a network of CLIP, which is the same for all weights.
fn clip(architecture: &str) -> Option<PreprocessConfig> {
    let stated_in = "the spelling of its tensors, CLIP's".into();
    let timm = published(&format!("{architecture}.openai"), architecture)?;
    // timm crops nine tenths of a photo, CLIP all of it.
    let framing = Framing { resize: Resize::Shorter(timm.framing.height), ..timm.framing };
    Some(PreprocessConfig { stated_in, framing, ..timm })
}

/// Adapts the preprocessing to a network that reads one channel. Grey values get the mean and deviation stated for the three
/// colours: their common value, or else their average.
fn make_grey(preprocess: &mut Preprocess, settings: &Settings, stated: bool, notes: &mut Vec<Note>) {
    let one = |values: [f32; 3]| [(f64::from(values[0]) + f64::from(values[1]) + f64::from(values[2])) as f32 / 3.0; 3];
    let same = |values: [f32; 3]| values.iter().all(|value| *value == values[0]);
    if !same(preprocess.mean) {
        preprocess.mean = one(preprocess.mean);
    }
    if !same(preprocess.std) {
        preprocess.std = one(preprocess.std);
    }
    if !stated && (settings.mean.is_none() || settings.std.is_none()) {
        notes.push(Note::GreyAssumed);
    }
}

/// The number of classes, and the number that the configuration claims, for a network with this many outputs.
///
/// # Errors
/// [`Error::ConfigValue`](crate::Error::ConfigValue) if the outputs are similarities to another number of images.
fn classes(neighbours: Option<&Neighbours>, claimed: Option<usize>, outputs: usize) -> Result<(usize, Option<usize>)> {
    match neighbours {
        None => Ok((outputs, claimed)),
        Some(neighbours) if neighbours.of.len() == outputs => Ok((neighbours.classes(), None)),
        Some(neighbours) => {
            let (images, expected) =
                (neighbours.of.len().to_string(), format!("{outputs}, the number of the head's outputs"));
            Err(Error::config_value("__metadata__.config", "images of residua.neighbours", images, expected))
        }
    }
}

/// How logits become the scores of the classes.
fn scoring(problem: Option<ProblemType>, neighbours: Option<Neighbours>, classes: usize) -> Scoring {
    if let Some(neighbours) = neighbours {
        return Scoring::Neighbours(neighbours);
    }
    match problem {
        Some(ProblemType::Regression) => Scoring::Logits,
        Some(ProblemType::MultiLabelClassification) => Scoring::Sigmoid,
        _ if classes == 1 => Scoring::Sigmoid,
        _ => Scoring::Softmax,
    }
}

/// The properties that tensors do not show, each with the place that states it.
fn properties(
    settings: &Settings,
    architecture: &Architecture,
    config: &ModelConfig,
    notes: &mut Vec<Note>,
) -> Vec<Property> {
    let places = [&settings.structure, &config.structure];
    let place = |key: &str| Some(places.into_iter().find(|stated| stated.decides(key))?.source(key).to_string());
    // A name such as `cifar_resnet20` states the stem.
    let named = config.architecture.as_deref().is_some_and(|name| name.starts_with("cifar_"));
    if architecture.assumes_stem_pool(|key| named || place(key).is_some()) {
        notes.push(Note::StemPoolAssumed);
    }
    architecture.unseen(place)
}

/// The preprocessing of photos: from the settings, otherwise from the configuration, otherwise the usual one.
fn preprocess(
    settings: &Settings,
    (height, width): (usize, usize),
    stated: Option<&PreprocessConfig>,
) -> Result<Preprocess> {
    let mut preprocess = match stated {
        Some(stated) => stated.preprocess(settings.test_size),
        None if (height, width) == (224, 224) => Preprocess::torchvision(),
        None => Preprocess::square(height, IMAGENET_MEAN, IMAGENET_STD),
    };
    if let Some(size) = settings.crop {
        (preprocess.height, preprocess.width) = (size, size);
        if let Resize::Squash { .. } = preprocess.resize {
            preprocess.resize = Resize::Squash { height: size, width: size };
        }
    }
    if let Some(shorter) = settings.resize {
        preprocess.resize = Resize::Shorter(shorter);
    }
    preprocess.filter = settings.filter.unwrap_or(preprocess.filter);
    preprocess.mean = settings.mean.unwrap_or(preprocess.mean);
    preprocess.std = settings.std.unwrap_or(preprocess.std);
    preprocess.check()?;
    Ok(preprocess)
}
