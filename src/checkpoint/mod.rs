//! Checkpoints: names to tensors, and the configuration that lies beside them.
//!
//! A [`Checkpoint`] is a safetensors file in memory. Whatever library wrote it, its tensors answer to the names that
//! torchvision gives them, and their values come out as `f32`. It knows nothing of graphs: what it is asked for is a
//! name and a shape.

mod config;
mod format;
mod header;
mod names;
mod preprocess;
mod published;
mod synthetic;
mod timm;
mod transformers;
mod values;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::Read,
    ops::Range,
    path::Path,
    sync::Arc,
};

pub use config::{ModelConfig, ProblemType};
pub use preprocess::{Framing, PreprocessConfig};
pub use published::published;
use safetensors::Dtype;
pub use synthetic::Synthetic;

use crate::{Error, Result};

/// Bytes that are looked at before a file is read as a whole.
const HEAD: u64 = 512;

/// A safetensors file in memory. Clones share the bytes.
#[derive(Clone)]
pub struct Checkpoint {
    content: Arc<Content>,
}

struct Content {
    name: String,
    bytes: Cow<'static, [u8]>,
    entries: BTreeMap<String, Entry>,
    shapes: BTreeMap<String, Vec<usize>>,
    metadata: BTreeMap<String, String>,
}

/// Where a tensor lies.
struct Entry {
    /// Its name in the file.
    source: String,
    dtype: Dtype,
    bytes: Range<usize>,
}

impl Checkpoint {
    /// Reads the file at `path`, whose text becomes the checkpoint's name.
    ///
    /// # Errors
    /// [`Error::Io`], and those of [`Checkpoint::from_bytes`]. A file of another kind is recognised by its first bytes
    /// and not read any further.
    pub fn open(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let found = fs::metadata(path).map_err(|e| Error::io(path, &e))?;
        if !found.is_file() {
            let kind = if found.is_dir() { "is a folder" } else { "is not a regular file" };
            return Err(Error::Io { path: path.into(), reason: format!("{kind}; a checkpoint is one file") });
        }
        let mut file = File::open(path).map_err(|e| Error::io(path, &e))?;
        let mut bytes = Vec::new();
        file.by_ref().take(HEAD).read_to_end(&mut bytes).map_err(|e| Error::io(path, &e))?;
        format::refuse_foreign(&name, &bytes)?;
        file.read_to_end(&mut bytes).map_err(|e| Error::io(path, &e))?;
        Self::from_bytes(&name, bytes)
    }

    /// Takes the bytes of a safetensors file; `name` is used in messages.
    ///
    /// # Errors
    /// * [`Error::ModelFormat`] when the bytes are of another known kind,
    /// * [`Error::ModelTruncated`] when there are fewer than 8 or when the tensor data end early,
    /// * [`Error::ModelHeader`] for anything else that is wrong with the container, a tensor that is named twice and
    ///   two names that mean the same tensor.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        let bytes = bytes.into();
        format::refuse_foreign(name, &bytes)?;
        let header = header::parse(name, &bytes)?;
        Self::assemble(name, bytes, header.tensors, header.metadata)
    }

    /// A checkpoint over `bytes` in which `tensors` lie at the given places under the names of their file.
    fn assemble(
        name: &str,
        bytes: Cow<'static, [u8]>,
        tensors: Vec<header::TensorEntry>,
        metadata: BTreeMap<String, String>,
    ) -> Result<Self> {
        let canonical = names::canonical(tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice())))
            .map_err(|reason| Error::ModelHeader { model: name.into(), reason })?;
        let mut entries = BTreeMap::new();
        let mut shapes = BTreeMap::new();
        for (tensor, canonical) in tensors.into_iter().zip(canonical) {
            if let Some(canonical) = canonical {
                shapes.insert(canonical.clone(), tensor.shape);
                entries.insert(canonical, Entry { source: tensor.name, dtype: tensor.dtype, bytes: tensor.bytes });
            }
        }
        Ok(Checkpoint { content: Arc::new(Content { name: name.into(), bytes, entries, shapes, metadata }) })
    }

    /// The name it was opened under.
    pub fn name(&self) -> &str {
        &self.content.name
    }

    /// Shape of every tensor, by its name in torchvision spelling. Counters of batches are left out.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.content.shapes
    }

    /// The free text that the file carries beside its tensors (`__metadata__`).
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.content.metadata
    }

    /// The 64-bit FNV-1a hash of the file's bytes.
    pub fn fingerprint(&self) -> u64 {
        let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.content.bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
    }

    /// The values of the tensor `name` (torchvision spelling), row-major. F32 is borrowed where the bytes are aligned,
    /// F16 and BF16 are widened exactly, F64 is rounded to the nearest f32. Trailing extents of one are no difference of shape: the
    /// weight of a linear layer is that of a 1x1 convolution.
    ///
    /// # Errors
    /// * [`Error::MissingTensor`] when there is none of that name,
    /// * [`Error::TensorShape`] when it has another shape,
    /// * [`Error::TensorDtype`] when it is stored in another type,
    /// * [`Error::TensorValue`] for a value that is not finite as f32, or a running variance that batch normalisation
    ///   cannot take the root of.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        let model = || self.content.name.clone();
        let (Some(entry), Some(got)) = (self.content.entries.get(name), self.content.shapes.get(name)) else {
            return Err(Error::MissingTensor {
                model: model(),
                architecture: "this network".into(),
                count: 1,
                names: name.into(),
            });
        };
        let tensor = || entry.source.clone();
        if without_ones(got) != without_ones(shape) {
            return Err(Error::TensorShape {
                model: model(),
                tensor: tensor(),
                expected: shape.to_vec(),
                got: got.clone(),
            });
        }
        let bytes = &self.content.bytes[entry.bytes.clone()];
        let values = values::widen(bytes, entry.dtype).ok_or_else(|| Error::TensorDtype {
            model: model(),
            tensor: tensor(),
            dtype: entry.dtype.to_string(),
        })?;
        let bad = match values::first_bad(&values, name.ends_with("running_var")) {
            Some(index) => index,
            None => return Ok(values),
        };
        let value = values::describe(bytes, entry.dtype, bad, values[bad]);
        Err(Error::TensorValue { model: model(), tensor: tensor(), index: bad, value })
    }
}

/// A shape less its trailing extents of one.
fn without_ones(shape: &[usize]) -> &[usize] {
    &shape[..shape.len() - shape.iter().rev().take_while(|&&extent| extent == 1).count()]
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("name", &self.content.name)
            .field("tensors", &self.content.entries.len())
            .field("bytes", &self.content.bytes.len())
            .finish()
    }
}
