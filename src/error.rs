//! Every way in which residua can fail: a stable code for programs, and a sentence for people.
//!
//! # Codes
//!
//! | code | what happened | what to do |
//! |---|---|---|
//! | `io` | a file or folder cannot be read or written, or does not fit into memory | see path and reason |
//! | `model.truncated` | a checkpoint ends early | fetch it again |
//! | `model.header` | a checkpoint's header is malformed: JSON, pickle, offsets, lengths, bytes after the end, a tensor named twice | fetch it again, or save it again with safetensors |
//! | `model.format` | the file is ONNX, GGUF, an archive, a git-LFS pointer or a web page, or a pickle and the build lacks the feature `pth` | convert or fetch it as the message says |
//! | `model.part` | a checkpoint holds several networks, or not the one that was asked for | name one of those in the message with [`Builder::part`](crate::Builder::part) |
//! | `model.unknown_architecture` | the tensors fit no supported network | see the supported networks in the message |
//! | `model.missing_tensor` | the checkpoint lacks tensors that the network needs | fetch the whole checkpoint |
//! | `model.unexpected_tensor` | the checkpoint has tensors that the network has no place for | take the network alone with [`Builder::part`](crate::Builder::part), or leave out tensors beside it with [`Builder::allow_extra`](crate::Builder::allow_extra) |
//! | `model.shape` | a tensor does not have the shape that the network needs | check that the checkpoint is of this network |
//! | `model.dtype` | weights are stored as integers or complex numbers | save them as F32, F16, BF16 or F64 |
//! | `model.value` | a weight is NaN or infinite, or a variance is negative | open it with [`Builder::allow_nonfinite`](crate::Builder::allow_nonfinite) to inspect it |
//! | `model.no_classifier` | classes were asked for, but the network ends in features | use `embed` or `similar` |
//! | `model.not_found` | there is no such file, folder, alias or name on the hub | see the similar names in the message |
//! | `hub.not_cached` | the model is not in the cache, and going online is not allowed | open it once while online |
//! | `hub.unauthorized` | the hub needs a token, or refuses this one (401) | set `HF_TOKEN` |
//! | `hub.forbidden` | the token does not give access (403, or a gated repository) | ask for access on the model's page |
//! | `hub.no_repository` | there is no such repository | check its name |
//! | `hub.no_revision` | the repository has no such branch, tag or commit | check what follows `@` |
//! | `hub.no_file` | the repository has no weights in safetensors | use another repository |
//! | `hub.rate_limited` | too many requests (429) | wait as long as the message says |
//! | `hub.network` | no connection, or it breaks repeatedly | try again; see the proxy variables |
//! | `hub.response` | the answer does not come from a hub | sign in to your network; check `HF_ENDPOINT` |
//! | `hub.checksum` | the downloaded file does not have the announced hash | try again |
//! | `hub.corrupt` | a file in the cache is damaged | open the model once while online |
//! | `hub.cache` | the cache cannot be read or written | see the path; `HF_HUB_CACHE` names another folder |
//! | `config.value` | an option or a field of a configuration is out of range, or contradicts the tensors | see the field and range in the message; ignore the configuration with [`Builder::no_config`](crate::Builder::no_config) |
//! | `config.path` | a file names another file by more than a plain file name | do not trust that file |
//! | `image.decode` | the file is not an image, or is broken | look at the file |
//! | `image.truncated` | an image ends early | fetch it again; [`DecodeOptions`](crate::image::DecodeOptions) can accept a truncated JPEG |
//! | `image.unsupported` | the image format is not supported, or not by this build | convert it to JPEG or PNG |
//! | `image.too_large` | an image announces more pixels than the limit | scale it down |
//! | `image.folder` | a folder was given instead of an image | name an image in it |
//! | `image.none` | a folder has no images | check its name, and which files were skipped |
//! | `graph.no_class_maps` | heat maps were asked for, but the network's head does not follow global average pooling | use another network |
//! | `graph.no_value` | a value was asked for that the network does not have, or does not compute separately | see the nodes of the network |
//! | `graph.shape` | the network cannot take an input of that size or shape | use a larger input, or the shape in the message |
//! | `gpu.no_adapter` | there is no GPU, or no driver for it | install a driver, or use the device `cpu` |
//! | `gpu.open` | an adapter exists, but its driver does not open it | see the driver's message; use another device |
//! | `gpu.unknown_device` | no adapter has that name or index | see [`devices`](crate::devices) |
//! | `gpu.limits` | the network or batch does not fit the adapter | use a smaller batch |
//! | `gpu.feature` | the adapter lacks what was asked for | leave the option out |
//! | `gpu.shader` | the driver refused a kernel | update the driver; run [`Classifier::verify`](crate::Classifier::verify) to learn more |
//! | `gpu.oom` | device memory ran out; on the device `cpu` that is the host's memory | use a smaller batch |
//! | `gpu.forked` | the process is a fork of the one that opened the device | open the model in the child |
//! | `gpu.lost` | the device was lost, or a result could not be read | try again |
//! | `gpu.wrong` | the device reports work as done but has not done it, or has done it wrongly | update its driver, or use another device |
//! | `gpu.not_finite` | the network's output has NaN or infinity | run [`Classifier::verify`](crate::Classifier::verify) to learn whether the device or the weights cause it |
//!
//! # What bad input costs
//!
//! No input takes more than 2 seconds of CPU time (all cores together) or 300 MiB, start of the program included.
//! `tests/bad_input/` asserts it, and the test `bad_input` prints the figures (development profile, the CPU reference path, 2
//! cores of an AMD EPYC VM).
//!
//! | input | outcome | seconds | MiB |
//! |---|---|--:|--:|
//! | header of 100000001 bytes announced | `model.header` | 0.00 | 6 |
//! | header nested 3000 deep | `model.header` | 0.00 | 5 |
//! | header of 85000 tensors | `model.unknown_architecture` | 1.23 | 82 |
//! | language model of 8 GiB | `model.unknown_architecture` | 0.00 | 5 |
//! | ResNet-18 of 2^31 classes, 4 TiB | `io` | 0.00 | 8 |
//! | a shard "../../etc/passwd" | `config.path` | 0.00 | 6 |
//! | PNG of 100000x100000 in 1 KB | `image.too_large` | 0.00 | 10 |
//! | JPEG of 65535x65535 in 2 KB | `image.too_large` | 0.00 | 9 |
//! | PNG of 13000x13000 without data | `image.decode` | 0.00 | 10 |
//! | JPEG of 13000x13000 in 2 KB | `image.truncated` | 0.00 | 9 |
//! | GIF of 13000x13000 in 1 KB | `image.decode` | 0.00 | 9 |
//! | TIFF of 100000x100000 in 1 KB | `image.too_large` | 0.00 | 9 |
//! | TIFF of 13000x13000, 1 MiB of it packed | `image.decode` | 0.00 | 9 |
//! | JPEG of 5000 scans | `image.decode` | 0.00 | 9 |
//! | PNG of 65535x1 | a class | 0.04 | 11 |
//! | PNG with 2 MiB of iTXt | a class | 0.04 | 16 |
//! | PNG with 256 MiB of packed profile | a class | 0.08 | 74 |

mod cause;
mod hub;

use std::path::PathBuf;

pub use cause::Cause;
pub use hub::HubFailure;

/// Result with residua's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error: the problem, its place, and the values. [`Error::code`] is stable across releases; the text is not.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    #[non_exhaustive]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's error, as [`std::io::Error`].
        source: Cause,
    },

    /// The file ends before the checkpoint does.
    #[error("{model}: the checkpoint is truncated: {reason}")]
    ModelTruncated {
        /// File or model name.
        model: String,
        /// What is missing.
        reason: String,
    },
    /// The header is malformed (its JSON or pickle, its offsets, its lengths, a tensor named twice).
    #[error("{model}: not a valid checkpoint: {reason}")]
    #[non_exhaustive]
    ModelHeader {
        /// File or model name.
        model: String,
        /// The problem that the parser found.
        reason: String,
        /// The parser's or decoder's error that caused it, if any.
        source: Option<Cause>,
    },
    /// The file has another format: a pickle, ONNX, GGUF, a git-LFS pointer, text.
    #[error("{model}: {found}, not safetensors; {hint}")]
    ModelFormat {
        /// File or model name.
        model: String,
        /// The format that the bytes show.
        found: &'static str,
        /// The next step.
        hint: &'static str,
    },
    /// The checkpoint holds several networks and none was named, or it lacks the one that was named.
    #[error("{model}: {reason}")]
    #[non_exhaustive]
    ModelPart {
        /// File or model name.
        model: String,
        /// The networks in it.
        reason: String,
    },
    /// The tensors fit no supported network.
    #[error("{model}: unsupported architecture: {reason}")]
    UnknownArchitecture {
        /// File or model name.
        model: String,
        /// The unsupported feature or some of the tensor names, and the supported networks.
        reason: String,
    },
    /// The architecture needs tensors that the checkpoint lacks.
    #[error("{model}: {count} tensor(s) missing for {architecture}: {names}")]
    MissingTensor {
        /// File or model name.
        model: String,
        /// The architecture that was recognised.
        architecture: String,
        /// Number of missing tensors.
        count: usize,
        /// The first ten names.
        names: String,
    },
    /// The checkpoint holds tensors that the architecture has no place for.
    #[error("{model}: {count} tensor(s) that {architecture} does not have: {names}")]
    UnexpectedTensor {
        /// File or model name.
        model: String,
        /// The architecture that was recognised.
        architecture: String,
        /// Number of such tensors.
        count: usize,
        /// The first ten names.
        names: String,
    },
    /// A tensor does not have the shape that the network needs.
    #[error("{model}: tensor {tensor} has shape {got:?}, expected {expected:?}")]
    TensorShape {
        /// File or model name.
        model: String,
        /// Name in the checkpoint.
        tensor: String,
        /// Shape that the architecture needs.
        expected: Vec<usize>,
        /// Shape in the file.
        got: Vec<usize>,
    },
    /// A tensor is stored in a type that is not a weight type.
    #[error("{model}: tensor {tensor} has dtype {dtype}; supported are F32, F16, BF16, F64 and F8")]
    TensorDtype {
        /// File or model name.
        model: String,
        /// Name in the checkpoint.
        tensor: String,
        /// Type in the file.
        dtype: String,
    },
    /// A weight is NaN, infinite or out of its domain (a negative variance).
    #[error("{model}: tensor {tensor} holds {value} at flat index {index}")]
    TensorValue {
        /// File or model name.
        model: String,
        /// Name in the checkpoint.
        tensor: String,
        /// Row-major flat index of the first bad element.
        index: usize,
        /// The element, as text.
        value: String,
    },
    /// Classes were asked for, but the network ends in its features.
    #[error("{model}: the model has no classifier, so it has no classes")]
    NoClassifier {
        /// File or model name.
        model: String,
    },
    /// There is no such model: no file, folder, built-in or alias of that name.
    #[error("{model}: no such model: {reason}")]
    ModelNotFound {
        /// What was asked for.
        model: String,
        /// The places where residua looked, and the possible names.
        reason: String,
    },
    /// The model cannot be obtained from the hub or its cache.
    #[error("{model}: {reason}")]
    #[non_exhaustive]
    Hub {
        /// Repository, with the revision if one was asked for.
        model: String,
        /// The kind of failure: it decides the code.
        failure: HubFailure,
        /// The failure, with place and numbers, and the next step.
        reason: String,
        /// The error of the system or of the connection that caused it, if any.
        source: Option<Cause>,
    },
    /// A value in config.json, preprocessor_config.json or an option is out of range.
    #[error("{place}: {field} = {value}: {expected}")]
    #[non_exhaustive]
    ConfigValue {
        /// File, or "option".
        place: String,
        /// Name of the field.
        field: String,
        /// The value found.
        value: String,
        /// The values allowed.
        expected: String,
        /// The parser's or decoder's error that caused it, if any.
        source: Option<Cause>,
    },

    /// A file refers to another one by a path instead of a plain file name, and the path could point anywhere.
    #[error("{place}: {path:?} is not a plain file name")]
    ConfigPath {
        /// The file that contains the path.
        place: String,
        /// The path.
        path: String,
    },

    /// The bytes are not an image, or are a broken one.
    #[error("not a readable image: {reason}")]
    #[non_exhaustive]
    ImageDecode {
        /// The decoder's words.
        reason: String,
        /// The parser's or decoder's error that caused it, if any.
        source: Option<Cause>,
    },
    /// The image ends early; the missing rows would have to be made up.
    #[error("the image is truncated: {reason}")]
    #[non_exhaustive]
    ImageTruncated {
        /// What is missing.
        reason: String,
        /// The parser's or decoder's error that caused it, if any.
        source: Option<Cause>,
    },
    /// The image format is not supported.
    #[error("unsupported image: {reason}")]
    #[non_exhaustive]
    ImageUnsupported {
        /// The format, and the supported ones.
        reason: String,
        /// The parser's or decoder's error that caused it, if any.
        source: Option<Cause>,
    },
    /// The header announces more pixels than the limit.
    #[error("image of {width}x{height} pixels is over the limit of {limit} pixels")]
    ImageTooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// Largest number of pixels.
        limit: u64,
    },
    /// A folder was given where an image is expected.
    #[error("is a folder")]
    ImageFolder,
    /// A folder or a list has no images.
    #[error("contains no images")]
    ImageNone,

    /// Heat maps were asked for, but the network's head does not follow global average pooling.
    #[error("node {node}: no head on global average pooling, so there are no class-activation maps")]
    #[non_exhaustive]
    NoClassMaps {
        /// Name of the last node.
        node: String,
    },
    /// A value was asked for that the network does not have, or does not compute separately.
    #[error("node {node}: {reason}")]
    #[non_exhaustive]
    NoValue {
        /// Name of the node, or its position.
        node: String,
        /// Why the value is not available.
        reason: &'static str,
    },
    /// A node of the graph cannot take its input.
    #[error("node {node}: {reason}")]
    Shape {
        /// Name of the node.
        node: String,
        /// Expected and got.
        reason: String,
    },

    /// No adapter at all.
    #[error("no GPU adapter found ({reason}); install a Vulkan, Metal or DX12 driver, or use the device 'cpu'")]
    NoAdapter {
        /// The interfaces that were searched.
        reason: String,
    },
    /// An adapter exists, but cannot be opened.
    #[error("{device} cannot be opened: {reason}")]
    GpuOpen {
        /// Adapter name.
        device: String,
        /// The driver's message, or why opening was not tried.
        reason: String,
    },
    /// No adapter of that name or index.
    #[error("no device matches '{wanted}'; available devices: {available}")]
    UnknownDevice {
        /// What was asked for.
        wanted: String,
        /// Names of the adapters.
        available: String,
    },
    /// The adapter cannot hold or run this network.
    #[error("{device}: {what} needs {needed}, the limit is {limit}")]
    GpuLimits {
        /// Adapter name.
        device: String,
        /// Name of the limit.
        what: String,
        /// The plan's need.
        needed: u64,
        /// The adapter's limit.
        limit: u64,
    },
    /// The adapter lacks a feature that was asked for.
    #[error("{device} has no {feature}")]
    GpuFeature {
        /// Adapter name.
        device: String,
        /// The feature.
        feature: String,
    },
    /// A shader or pipeline was refused by the driver.
    #[error("{device}: pipeline {kernel} failed: {reason}")]
    GpuShader {
        /// Adapter name and driver.
        device: String,
        /// Id of the kernel, or the object that was being created.
        kernel: String,
        /// The driver's message.
        reason: String,
    },
    /// Device memory ran out; on the device `cpu` that is the host's memory.
    #[error("{device}: out of memory: {reason}")]
    GpuMemory {
        /// Adapter name.
        device: String,
        /// The use of the memory.
        reason: String,
    },
    /// The device was lost, or a result could not be read back.
    #[error("{device}: device lost: {reason}")]
    GpuLost {
        /// Adapter name.
        device: String,
        /// The driver's message.
        reason: String,
    },
    /// The device reports work as done but has not done it, or has done it wrongly.
    #[error("{device} computes wrong results: {reason}; update its driver, or use another device")]
    GpuWrong {
        /// Adapter name and driver.
        device: String,
        /// The wrong result.
        reason: String,
    },
    /// The process that uses the device is a fork of the one that opened it. The driver's threads and locks belong to the parent.
    /// A child should `exec`, or else end with `_exit`, because exit handlers of drivers wait for threads that it does not have.
    #[error("{device} was opened by process {opened_by}, but its fork {used_by} uses it; open the model in the child")]
    GpuForked {
        /// Adapter name.
        device: String,
        /// The process that opened it.
        opened_by: u32,
        /// This process.
        used_by: u32,
    },
    /// The network's output has NaN or infinity, although the input is finite.
    #[error("the network's output for image {image} holds {value} at index {index}: {origin}")]
    NotFinite {
        /// Position in the batch.
        image: usize,
        /// Position in that image's output: the class, for logits.
        index: usize,
        /// The value, as text.
        value: String,
        /// The first layer with NaN or infinity when the image was run again, layer by layer.
        origin: String,
    },
}

impl Error {
    /// Stable, machine-readable name of the kind of error, for example `model.truncated`.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Io { .. } => "io",
            Error::ModelTruncated { .. } => "model.truncated",
            Error::ModelHeader { .. } => "model.header",
            Error::ModelFormat { .. } => "model.format",
            Error::ModelPart { .. } => "model.part",
            Error::UnknownArchitecture { .. } => "model.unknown_architecture",
            Error::MissingTensor { .. } => "model.missing_tensor",
            Error::UnexpectedTensor { .. } => "model.unexpected_tensor",
            Error::TensorShape { .. } => "model.shape",
            Error::TensorDtype { .. } => "model.dtype",
            Error::TensorValue { .. } => "model.value",
            Error::NoClassifier { .. } => "model.no_classifier",
            Error::ModelNotFound { .. } => "model.not_found",
            Error::Hub { failure, .. } => failure.code(),
            Error::ConfigValue { .. } => "config.value",
            Error::ConfigPath { .. } => "config.path",
            Error::ImageDecode { .. } => "image.decode",
            Error::ImageTruncated { .. } => "image.truncated",
            Error::ImageUnsupported { .. } => "image.unsupported",
            Error::ImageTooLarge { .. } => "image.too_large",
            Error::ImageFolder => "image.folder",
            Error::ImageNone => "image.none",
            Error::NoClassMaps { .. } => "graph.no_class_maps",
            Error::NoValue { .. } => "graph.no_value",
            Error::Shape { .. } => "graph.shape",
            Error::NoAdapter { .. } => "gpu.no_adapter",
            Error::GpuOpen { .. } => "gpu.open",
            Error::UnknownDevice { .. } => "gpu.unknown_device",
            Error::GpuLimits { .. } => "gpu.limits",
            Error::GpuFeature { .. } => "gpu.feature",
            Error::GpuShader { .. } => "gpu.shader",
            Error::GpuMemory { .. } => "gpu.oom",
            Error::GpuLost { .. } => "gpu.lost",
            Error::GpuWrong { .. } => "gpu.wrong",
            Error::GpuForked { .. } => "gpu.forked",
            Error::NotFinite { .. } => "gpu.not_finite",
        }
    }
}
