//! Notes for the user about a model that was opened, and about its device.

use std::fmt;

use crate::{Error, tensor::StorageType};

/// Largest number of names that a note lists.
const LISTED: usize = 10;

/// A fact that the user should know about an open model or its device. Its text is a sentence for readers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Note {
    /// A configuration was found but is not used.
    #[non_exhaustive]
    ConfigurationIgnored {
        /// Where it was found.
        place: String,
        /// Why.
        reason: String,
    },
    /// A file or folder is named after another network.
    #[non_exhaustive]
    NameDiffers {
        /// The network in the name.
        name: String,
        /// The network of the tensors.
        architecture: String,
        /// Whether the model's own configuration names the network of the tensors.
        configured: bool,
    },
    /// Tensors that lie beside the network were left out: their names.
    LeftOut(Vec<String>),
    /// Tensors with NaN or infinite values, each with their number.
    NotFinite(Vec<String>),
    /// The network was found under a prefix that is not a known wrapper's.
    #[non_exhaustive]
    FoundUnder {
        /// Prefix of the names of its tensors.
        prefix: String,
        /// Prefix of the head's tensors, if the head lies beside the network.
        head: Option<String>,
    },
    /// The model is a pickle, which was read without running any of its code.
    Pickled,
    /// This file was taken, because it is the only one of weights in the folder.
    FileTaken(String),
    /// One of several networks of the file is used.
    #[non_exhaustive]
    PartTaken {
        /// Its name.
        part: String,
        /// Names of the others.
        others: Vec<String>,
    },
    /// Nothing states the activation between the linear layers of the head.
    HeadActivationAssumed,
    /// The head is the first layer of a sequence whose other layers have no tensors.
    HeadFollowed,
    /// Nothing states how the values of grey photos are normalised.
    GreyAssumed,
    /// Nothing states whether max pooling follows the 3x3 convolution of the stem.
    StemPoolAssumed,
    /// The model's test size was asked for, but none is stated.
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
    /// An adapter could not be opened, so the next was tried.
    AdapterFailed(Error),
    /// The adapter in use is not the first choice, or one of several that match.
    #[non_exhaustive]
    AdapterChosen {
        /// Its name.
        device: String,
        /// Why it is used.
        reason: String,
    },
    /// No adapter faster than the CPU could be opened, so the CPU is used.
    CpuUsed(Error),
    /// The adapter runs on the CPU.
    #[non_exhaustive]
    SoftwareAdapter {
        /// Its name.
        device: String,
    },
    /// Weights are too large for f16, so f32 is used.
    #[non_exhaustive]
    BeyondF16 {
        /// The first layer that has such weights.
        layer: String,
        /// Their largest magnitude.
        largest: f64,
    },
    /// Kernels that are known to be wrong on this device are not used.
    KernelsFaulty(Vec<String>),
    /// A kernel fails its test on this device and is not used.
    #[non_exhaustive]
    KernelDoubted {
        /// Its name.
        kernel: String,
        /// The problem that the test found.
        reason: String,
    },
    /// A kernel that was timed disagrees with the plain one, and is not chosen.
    #[non_exhaustive]
    KernelWrong {
        /// Its id.
        kernel: String,
        /// The type of its values.
        stored: StorageType,
    },
    /// The driver refused to compile a kernel, or its results are wrong; another kernel is used.
    #[non_exhaustive]
    KernelGivenUp {
        /// Its id.
        kernel: String,
        /// The driver's message, or the wrong result.
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
                write!(f, "named {name}, but {whose} belong to {architecture}")
            }
            Note::LeftOut(names) => {
                write!(f, "left out, because the architecture has no place for them: {}", some(names))
            }
            Note::NotFinite(tensors) => write!(f, "these tensors have NaN or infinite values: {}", some(tensors)),
            Note::FoundUnder { prefix, head: None } => write!(f, "the network was found under the prefix {prefix}"),
            Note::FoundUnder { prefix, head: Some(head) } => {
                write!(f, "the network was found under the prefix {prefix}, its head under {head}")
            }
            Note::Pickled => f.write_str("the pickle was read without running any of its code"),
            Note::FileTaken(name) => write!(f, "using {name}, the only file of weights in the folder"),
            Note::PartTaken { part, others } => {
                write!(f, "the file has several networks; using {part}; the others are {}", some(others))
            }
            Note::HeadActivationAssumed => f.write_str(
                "nothing states the activation between the linear layers of the head; assuming ReLU, as in most models (the structure \
                 `head-activation=relu`; others are `gelu`, `tanh`, `identity`, ...)",
            ),
            Note::HeadFollowed => f.write_str(
                "the layers after the head have no weights (LogSoftmax, Sigmoid, Dropout): logits are \
                 taken before them, and scores are computed from the logits",
            ),
            Note::GreyAssumed => f.write_str(
                "nothing states how grey photos are normalised; assuming mean 0.449 and standard deviation 0.226, the averages of \
                 ImageNet's three colours",
            ),
            Note::StemPoolAssumed => f.write_str(
                "nothing states whether max pooling follows the 3x3 convolution of the stem; assuming that it does not, as in most \
                 networks for CIFAR (the structure `stem-pool=none`; the other is `stem-pool=max`)",
            ),
            Note::NoTestSize => f.write_str("this model states no test size; its usual input size is used"),
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
                write!(f, "weights of {layer} reach {largest:.3e}, which is too large for f16: everything is stored as f32")
            }
            Note::KernelsFaulty(kernels) => {
                write!(f, "not used, because verify found them wrong on this device: {}", kernels.join("; "))
            }
            Note::KernelDoubted { kernel, reason } => {
                write!(f, "the kernel {kernel} is not used, because it fails its test on this device: {reason}")
            }
            Note::KernelWrong { kernel, stored } => {
                write!(f, "{kernel} in {stored} disagrees with the plain kernel and is not chosen")
            }
            Note::KernelGivenUp { kernel, reason } => write!(f, "the kernel {kernel} is not used: {reason}"),
        }
    }
}

/// Lists the first of `names`, and says how many more there are.
fn some(names: &[String]) -> String {
    let (listed, more) = names.split_at(names.len().min(LISTED));
    let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
    listed.join(", ") + &more
}
