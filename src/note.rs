//! What a user should be told of a model that was opened all the same, and of its device.

use std::fmt;

use crate::{Error, tensor::StorageType};

/// Names that a note lists.
const LISTED: usize = 10;

/// Something to know of an open model or of its device. Its text is a sentence for people.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// A configuration that is there is not used.
    #[non_exhaustive]
    ConfigurationIgnored {
        /// Where it is.
        place: String,
        /// Why.
        reason: String,
    },
    /// The name of a file or folder is another network's.
    #[non_exhaustive]
    NameDiffers {
        /// The network that it names.
        name: String,
        /// The network that the tensors are of.
        architecture: String,
        /// Whether the model's own configuration names the network of the tensors.
        configured: bool,
    },
    /// Tensors that lie beside the network were left out: their names.
    LeftOut(Vec<String>),
    /// Weights that are NaN or infinite: the tensors, each with how many of its values are.
    NotFinite(Vec<String>),
    /// The network lies under a prefix that is more than a wrapper's.
    #[non_exhaustive]
    FoundUnder {
        /// What the names of its tensors begin with.
        prefix: String,
        /// What those of its head begin with, if that lies beside it.
        head: Option<String>,
    },
    /// The model is a pickle, which was read by a machine that runs no code.
    Pickled,
    /// One of several networks of the file is used.
    #[non_exhaustive]
    PartTaken {
        /// Its name.
        part: String,
        /// Names of the others.
        others: Vec<String>,
    },
    /// Nothing states what stands between the linear layers of the head.
    HeadActivationAssumed,
    /// The head is the first layer of a sequence of which the others hold no tensors.
    HeadFollowed,
    /// Nothing states how the values of grey photos are normalised.
    GreyAssumed,
    /// Nothing states whether max pooling follows the 3x3 convolution of the stem.
    StemPoolAssumed,
    /// The size that the model is tested at was asked for, and none is stated.
    NoTestSize,
    /// The configuration is for another number of classes.
    #[non_exhaustive]
    ClassesDiffer {
        /// Classes of the configuration.
        configured: usize,
        /// Classes of the weights.
        classes: usize,
        /// Whether it has names for its classes.
        named: bool,
    },
    /// There are fewer or more class names than classes.
    #[non_exhaustive]
    LabelsDiffer {
        /// Class names.
        labels: usize,
        /// Classes of the weights.
        classes: usize,
    },
    /// The licence of the weights does not allow commercial use.
    #[non_exhaustive]
    NonCommercial {
        /// Name of the model.
        model: String,
    },
    /// An adapter could not be opened, and another was looked for.
    AdapterFailed(Error),
    /// An adapter is used that is not the first choice.
    #[non_exhaustive]
    AdapterChosen {
        /// Its name.
        device: String,
        /// Why it is used.
        reason: String,
    },
    /// No adapter that is faster than the CPU could be opened, and the CPU serves.
    CpuUsed(Error),
    /// The adapter runs on the CPU.
    #[non_exhaustive]
    SoftwareAdapter {
        /// Its name.
        device: String,
    },
    /// Weights are too large for f16, so that f32 is used in its place.
    #[non_exhaustive]
    BeyondF16 {
        /// The first layer that has such weights.
        layer: String,
        /// The largest magnitude of them.
        largest: f64,
    },
    /// Kernels that are known to be wrong on this device are not used.
    KernelsFaulty(Vec<String>),
    /// A kernel fails its test on this device and is not used.
    #[non_exhaustive]
    KernelDoubted {
        /// Its name.
        kernel: String,
        /// What the test found.
        reason: String,
    },
    /// A kernel that was measured disagrees with the plain one and is not chosen.
    #[non_exhaustive]
    KernelWrong {
        /// Its id.
        kernel: String,
        /// The type of its values.
        stored: StorageType,
    },
    /// The driver has not compiled a kernel, or its results are wrong, and another is used.
    #[non_exhaustive]
    KernelGivenUp {
        /// Its id.
        kernel: String,
        /// The driver's words, or what is wrong.
        reason: String,
    },
}

impl Note {
    pub(crate) fn ignored(place: impl Into<String>, reason: impl fmt::Display) -> Self {
        Note::ConfigurationIgnored { place: place.into(), reason: reason.to_string() }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Note::ConfigurationIgnored { place, reason } => write!(f, "{place} is not used: {reason}"),
            Note::NameDiffers { name, architecture, configured } => {
                let whose = if *configured { "its configuration and its tensors" } else { "its tensors" };
                write!(f, "named {name}, but {whose} are those of {architecture}")
            }
            Note::LeftOut(names) => {
                write!(f, "left out, as the architecture has no place for them: {}", some(names))
            }
            Note::NotFinite(tensors) => write!(f, "values that are not finite are in {}", some(tensors)),
            Note::FoundUnder { prefix, head: None } => write!(f, "the network was found under the prefix {prefix}"),
            Note::FoundUnder { prefix, head: Some(head) } => {
                write!(f, "the network was found under the prefix {prefix}, its head under {head}")
            }
            Note::Pickled => f.write_str("the pickle was read without running any of its code"),
            Note::PartTaken { part, others } => {
                write!(f, "of several networks in the file {part} is used; the others are {}", some(others))
            }
            Note::HeadActivationAssumed => f.write_str(
                "nothing shows what stands between the linear layers of the head; taken is ReLU, as in most (the structure \
                 `head-activation=relu`; others are `gelu`, `tanh`, `identity`, ...)",
            ),
            Note::HeadFollowed => f.write_str(
                "the head is the first of a sequence, and what follows it holds no weights (LogSoftmax, Sigmoid, Dropout): logits are \
                 taken before that, and scores are made of them",
            ),
            Note::GreyAssumed => f.write_str(
                "nothing states how grey photos are normalised; taken is a mean of 0.449 and a deviation of 0.226, those of ImageNet's \
                 colours together",
            ),
            Note::StemPoolAssumed => f.write_str(
                "nothing states whether max pooling follows the 3x3 convolution of the stem; taken is that none does, as in most \
                 networks for CIFAR (the structure `stem-pool=none`; the other is `stem-pool=max`)",
            ),
            Note::NoTestSize => f.write_str("no test size is stated for this model; photos get its ordinary size"),
            Note::ClassesDiffer { configured, classes, named: true } => {
                write!(f, "the configuration names {configured} classes, the weights have {classes}: ")?;
                f.write_str("its names are not used")
            }
            Note::ClassesDiffer { configured, classes, named: false } => {
                write!(f, "the configuration is for {configured} classes, the weights have {classes}")
            }
            Note::LabelsDiffer { labels, classes } => {
                let rest = if labels < classes { "the others are named by their index" } else { "the rest is not used" };
                write!(f, "{labels} labels for {classes} classes: {rest}")
            }
            Note::NonCommercial { model } => write!(f, "the licence of {model} does not allow commercial use"),
            Note::AdapterFailed(error) => error.fmt(f),
            Note::AdapterChosen { device, reason } => write!(f, "{device} is used: {reason}"),
            Note::CpuUsed(Error::NoAdapter { reason }) => write!(f, "no GPU adapter found ({reason}); using the CPU"),
            Note::CpuUsed(error) => write!(f, "{error}; using the CPU"),
            Note::SoftwareAdapter { device } => write!(f, "{device} is a software adapter: it runs on the CPU"),
            Note::BeyondF16 { layer, largest } => {
                write!(f, "weights of {layer} reach {largest:.3e}, which f16 does not hold: everything is stored as f32")
            }
            Note::KernelsFaulty(kernels) => {
                write!(f, "not used, as verify found them wrong on this device: {}", kernels.join("; "))
            }
            Note::KernelDoubted { kernel, reason } => {
                write!(f, "the kernel {kernel} is not used, it fails its test on this device: {reason}")
            }
            Note::KernelWrong { kernel, stored } => {
                write!(f, "{kernel} in {stored} disagrees with the plain kernel and is not chosen")
            }
            Note::KernelGivenUp { kernel, reason } => write!(f, "the kernel {kernel} is not used: {reason}"),
        }
    }
}

/// The first of `names`, and how many more there are.
fn some(names: &[String]) -> String {
    let (listed, more) = names.split_at(names.len().min(LISTED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    listed.join(", ") + &more
}
