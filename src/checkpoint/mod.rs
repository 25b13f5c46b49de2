//! Checkpoints: tensors by name, and the configuration beside them.
//!
//! A [`Checkpoint`] is one or several files of tensors in memory. Whatever library wrote them, its tensors are found under
//! torchvision's names, and their values are `f32`. It knows nothing about graphs: callers ask for a name and a shape.

mod adapter;
mod beside;
mod claims;
mod config;
mod description;
mod directory;
mod file;
mod format;
mod header;
mod headers;
mod json;
mod memory;
mod names;
mod overlay;
mod own;
mod parametrised;
mod preprocess_config;
#[cfg(feature = "pth")]
mod pth;
mod published;
mod respelled;
#[cfg(not(target_family = "wasm"))]
mod save;
mod shards;
mod stored;
mod synthetic;
mod timm;
mod transformers;
mod values;

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fmt,
    hash::Hasher,
    ops::Deref,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use beside::ConfigFiles;
pub use claims::Claims;
pub(crate) use claims::{MODEL_TYPES, SUPPORTED_TYPES};
pub use config::{ModelConfig, ProblemType};
pub use description::Description;
use directory::{Directory, Entry};
use fnv::FnvHasher;
use header::{Header, TensorEntry};
pub(crate) use headers::Headers;
use memmap2::MmapMut;
pub(crate) use names::Reading;
pub use own::Backbone;
pub use preprocess_config::{Framing, PreprocessConfig};
pub use published::published;
#[cfg(not(target_family = "wasm"))]
pub use save::save;
use shards::Shards;
pub use stored::Stored;
pub use synthetic::Synthetic;

use crate::{Error, Result, tensor::Rewrite};

/// The bytes of a safetensors file.
enum Bytes {
    Given(Cow<'static, [u8]>),
    Read { path: PathBuf, bytes: MmapMut },
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Given(bytes) => bytes,
            Bytes::Read { bytes, .. } => bytes,
        }
    }
}

/// The files that an index such as `model.safetensors.index.json` names, each once; `place` is the index in messages.
///
/// # Errors
/// [`Error::ModelHeader`] if the text is not such an index, [`Error::ConfigPath`] if it names anything but files beside it.
#[doc(hidden)]
pub fn shard_files(place: &str, index: &str) -> Result<Vec<String>> {
    Ok(Shards::parse(place, index)?.files().into_iter().map(Into::into).collect())
}

/// One or several files of tensors in memory that make up a checkpoint. Clones share the bytes.
#[derive(Clone)]
pub struct Checkpoint {
    files: Arc<Vec<Arc<Bytes>>>,
    directory: Arc<Directory>,
    nonfinite: bool,
    /// Changes to the values of tensors before they are used.
    rewrites: Arc<BTreeMap<String, Rewrite>>,
}

impl Checkpoint {
    /// Reads the file at `path`, and takes the path as the checkpoint's name. The file is safetensors or, with the feature `pth`,
    /// one that `torch.save` wrote; none of its code is run. A path that ends in `.index.json` stands for all the files that it
    /// lists.
    ///
    /// # Errors
    /// [`Error::Io`], the errors of [`Checkpoint::from_bytes`], and [`Error::ConfigPath`] if an index names a file in another folder.
    /// A file of another format is recognised by its first bytes and not read further.
    pub fn open(path: &Path) -> Result<Self> {
        Headers::open(path)?.read_those(|_| true)
    }

    /// Takes the bytes of a safetensors file. Messages use `name`.
    ///
    /// # Errors
    /// * [`Error::ModelFormat`] if the bytes have another known format,
    /// * [`Error::ModelTruncated`] if there are fewer than 8, or if the tensor data end early,
    /// * [`Error::ModelHeader`] for any other damage, a tensor that appears twice, and two names for the same tensor.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        let bytes = Bytes::Given(bytes.into());
        format::refuse_foreign(name, &bytes)?;
        let end = header::end(name, &bytes, bytes.len() as u64)?;
        let Header { tensors, metadata } = header::parse(name, &bytes[..end], (bytes.len() - end) as u64)?;
        Ok(Self::assemble(vec![Arc::new(bytes)], Directory::new(name, tensors, metadata, None)?))
    }

    fn assemble(mut files: Vec<Arc<Bytes>>, mut directory: Directory) -> Self {
        let made = std::mem::take(&mut directory.made);
        for (position, bytes) in
            parametrised::make(&directory.tensors, made, |tensor| &files[tensor.file][tensor.bytes.clone()])
        {
            directory.tensors[position].file = files.len();
            files.push(Arc::new(Bytes::Given(bytes.into())));
        }
        let rewrites = Arc::default();
        Checkpoint { files: Arc::new(files), directory: Arc::new(directory), nonfinite: false, rewrites }
    }

    /// The same checkpoint, but only its network `part`; see [`Builder::part`](crate::Builder::part).
    ///
    /// # Errors
    /// [`Error::ModelPart`] if there is no such network, or more than one.
    pub(crate) fn part(&self, part: &str) -> Result<Self> {
        let Directory { name, tensors, metadata, .. } = &*self.directory;
        let directory = Directory::read(name, tensors.clone(), metadata.clone(), Some(part))?;
        Ok(Checkpoint { directory: Arc::new(directory), ..self.clone() })
    }

    /// How the names of its tensors were read.
    pub(crate) fn reading(&self) -> &Reading {
        &self.directory.reading
    }

    /// The same checkpoint, except that [`Checkpoint::tensor`] also returns values that are NaN or infinite.
    #[doc(hidden)]
    pub fn allow_nonfinite(mut self) -> Self {
        self.nonfinite = true;
        self
    }

    /// The same checkpoint, with rewritten values of these tensors in [`Checkpoint::tensor`].
    pub(crate) fn rewritten(&self, rewrites: &BTreeMap<String, Rewrite>) -> Self {
        Checkpoint { rewrites: Arc::new(rewrites.clone()), ..self.clone() }
    }

    /// The name it was opened under.
    #[doc(hidden)]
    pub fn name(&self) -> &str {
        &self.directory.name
    }

    /// Shape of every tensor, by its name in torchvision's spelling. Batch counters are left out.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.directory.shapes
    }

    /// The file's free text beside its tensors (`__metadata__`).
    #[doc(hidden)]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.directory.metadata
    }

    /// The tensors of the network as they are stored, batch counters included, each with its name in torchvision's spelling, if
    /// it has one.
    #[doc(hidden)]
    pub fn stored(&self) -> impl Iterator<Item = (Option<&str>, Stored<'_>)> {
        let stored = |position: usize| {
            let TensorEntry { name, dtype, shape, file, bytes, .. } = &self.directory.tensors[position];
            let bytes = Cow::Borrowed(&self.files[*file][bytes.clone()]);
            Stored { name: name.clone(), dtype: *dtype, shape: shape.clone(), bytes }
        };
        let named =
            self.directory.entries.iter().map(move |(name, entry)| (Some(name.as_str()), stored(entry.position)));
        named.chain(self.directory.counters.iter().map(move |position| (None, stored(*position))))
    }

    /// Paths of the files that it was read from.
    #[doc(hidden)]
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        let read = self.files.iter().filter_map(|file| match &**file {
            Bytes::Read { path, .. } => Some(path.as_path()),
            Bytes::Given(_) => None,
        });
        // A head file gives its name to the weights of its backbone, so both files count.
        read.chain([Path::new(self.name())])
    }

    /// The 64-bit FNV-1a hash of the file's bytes; of all files in order, if there are several.
    #[doc(hidden)]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = FnvHasher::default();
        self.files.iter().for_each(|file| hasher.write(file));
        hasher.finish()
    }

    /// The values of the tensor `name` (torchvision's spelling), row-major. F32 is borrowed if the bytes are aligned, F16,
    /// BF16 and 8-bit floats are widened exactly, and F64 is rounded to the nearest f32. Shapes that differ only in trailing ones
    /// count as equal: a linear layer's weight may be stored as a 1x1 convolution's.
    ///
    /// # Errors
    /// * [`Error::MissingTensor`] if there is no tensor of that name,
    /// * [`Error::TensorShape`] if it has another shape,
    /// * [`Error::TensorDtype`] if it is stored in a type that is not supported,
    /// * [`Error::TensorValue`] if a value is not finite as f32 (unless [`Checkpoint::allow_nonfinite`]), or if a running
    ///   variance is too negative for batch normalisation.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        let values = |name: &str, shape: &[usize]| -> Result<Cow<'_, [f32]>> {
            let (entry, _) = self.checked(name, shape)?;
            Ok(self.widened(entry).unwrap_or_default())
        };
        let Some(rewrite) = self.rewrites.get(name) else { return values(name, shape) };
        let mut rewritten = values(name, &rewrite.stored_shape(shape))?;
        let other = rewrite.reads(shape).map(|(name, shape)| values(&name, &shape)).transpose()?;
        rewrite.apply(rewritten.to_mut(), shape, other.as_deref().unwrap_or_default());
        Ok(rewritten)
    }

    /// The largest magnitude among the values of the tensor `name`. It is infinite or NaN if a value is, where that is allowed. Each tensor
    /// is checked only once.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::tensor`].
    pub(crate) fn largest(&self, name: &str, shape: &[usize]) -> Result<f32> {
        if self.rewrites.contains_key(name) {
            return Ok(self.tensor(name, shape)?.iter().fold(0.0, |largest, value| value.abs().max(largest)));
        }
        Ok(self.checked(name, shape)?.1)
    }

    /// The tensor `name`, if its shape, type and values are valid, with its largest magnitude.
    fn checked(&self, name: &str, shape: &[usize]) -> Result<(&Entry, f32)> {
        let directory = &*self.directory;
        let model = || directory.name.clone();
        let (Some(entry), Some(got)) = (directory.entries.get(name), directory.shapes.get(name)) else {
            return Err(Error::MissingTensor {
                model: model(),
                architecture: "this network".into(),
                count: 1,
                names: name.into(),
            });
        };
        let TensorEntry { name: source, dtype, .. } = &directory.tensors[entry.position];
        let tensor = || source.clone();
        if without_ones(got) != without_ones(shape) {
            return Err(Error::TensorShape {
                model: model(),
                tensor: tensor(),
                expected: shape.to_vec(),
                got: got.clone(),
            });
        }
        let bytes = self.bytes(entry);
        let largest = match entry.largest.get() {
            Some(largest) => *largest,
            None => {
                let largest = values::largest(bytes, *dtype).ok_or_else(|| Error::TensorDtype {
                    model: model(),
                    tensor: tensor(),
                    dtype: dtype.to_string(),
                })?;
                *entry.largest.get_or_init(|| largest)
            }
        };
        let variance = name.ends_with("running_var");
        if (variance || !largest.is_finite())
            && let Some(values) = self.widened(entry)
            && let Some(bad) = values::first_bad(&values, variance, self.nonfinite)
        {
            let value = values::describe(bytes, *dtype, bad, values[bad]);
            return Err(Error::TensorValue { model: model(), tensor: tensor(), index: bad, value });
        }
        Ok((entry, largest))
    }

    /// The values of a tensor; `None` if its type is not a weight type.
    fn widened(&self, entry: &Entry) -> Option<Cow<'_, [f32]>> {
        values::widen(self.bytes(entry), self.directory.tensors[entry.position].dtype)
    }

    fn bytes(&self, entry: &Entry) -> &[u8] {
        let TensorEntry { file, bytes, .. } = &self.directory.tensors[entry.position];
        &self.files[*file][bytes.clone()]
    }
}

/// `shape` without its trailing ones.
fn without_ones(shape: &[usize]) -> &[usize] {
    &shape[..shape.len() - shape.iter().rev().take_while(|&&extent| extent == 1).count()]
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("name", &self.directory.name)
            .field("tensors", &self.directory.entries.len())
            .field("bytes", &self.files.iter().map(|file| file.len()).sum::<usize>())
            .finish()
    }
}
