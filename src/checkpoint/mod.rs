//! Checkpoints: names to tensors, and the configuration that lies beside them.
//!
//! A [`Checkpoint`] is a safetensors file in memory, or several. Whatever library wrote it, its tensors answer to the names that
//! torchvision gives them, and their values come out as `f32`. It knows nothing of graphs: what it is asked for is a
//! name and a shape.

mod beside;
mod claims;
mod config;
mod description;
mod file;
mod format;
mod header;
mod json;
mod names;
mod overlay;
mod own;
mod preprocess_config;
mod published;
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
    ops::{Deref, Range},
    path::Path,
    sync::{Arc, OnceLock},
};

pub use beside::ConfigFiles;
pub use claims::Claims;
pub use config::{ModelConfig, ProblemType};
pub use description::Description;
use file::OpenFile;
use fnv::FnvHasher;
use header::{Header, TensorEntry};
use memmap2::MmapMut;
pub use own::Backbone;
pub use preprocess_config::{Framing, PreprocessConfig};
pub use published::published;
use safetensors::Dtype;
#[cfg(not(target_family = "wasm"))]
pub use save::save;
use shards::Shards;
pub use stored::Stored;
pub use synthetic::Synthetic;

use crate::{Error, Result};

/// The bytes of a safetensors file.
enum Bytes {
    Given(Cow<'static, [u8]>),
    Read(MmapMut),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Given(bytes) => bytes,
            Bytes::Read(bytes) => bytes,
        }
    }
}

/// The files that an index such as `model.safetensors.index.json` names, each once; `place` is the index in messages.
///
/// # Errors
/// [`Error::ModelHeader`] for text that is no such index, [`Error::ConfigPath`] if it names anything but files beside it.
#[doc(hidden)]
pub fn shard_files(place: &str, index: &str) -> Result<Vec<String>> {
    Ok(Shards::parse(place, index)?.files().into_iter().map(Into::into).collect())
}

/// A safetensors file in memory, or several that make one checkpoint. Clones share the bytes.
#[derive(Clone)]
pub struct Checkpoint {
    content: Arc<Content>,
    nonfinite: bool,
}

struct Content {
    files: Vec<Arc<Bytes>>,
    directory: Directory,
}

/// What the headers say, in torchvision's spelling.
#[derive(Clone)]
struct Directory {
    name: String,
    entries: BTreeMap<String, Entry>,
    shapes: BTreeMap<String, Vec<usize>>,
    /// Tensors that only count, such as the batches of the training.
    counters: Vec<TensorEntry>,
    metadata: BTreeMap<String, String>,
}

/// Where a tensor lies.
#[derive(Clone)]
struct Entry {
    /// Its name in the file.
    source: String,
    dtype: Dtype,
    file: usize,
    bytes: Range<usize>,
    /// The largest magnitude of its values, once they were looked at.
    largest: OnceLock<f32>,
}

/// The headers of a checkpoint's files, which are open: what its tensors are called and how large they are.
pub(crate) struct Headers {
    files: Vec<OpenFile>,
    directory: Directory,
}

impl Headers {
    /// Reads the headers, of all files that [`Checkpoint::open`] reads.
    ///
    /// # Errors
    /// Those of [`Checkpoint::open`].
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let (mut files, mut tensors, mut metadata) = (Vec::new(), Vec::new(), BTreeMap::new());
        let mut add = |path: &Path, shards: Option<(&Shards, &str)>| -> Result<()> {
            let (file, mut header) = OpenFile::open(path)?;
            if let Some((shards, name)) = shards {
                shards.check(name, &header.tensors)?;
            }
            header.tensors.iter_mut().for_each(|tensor| tensor.file = files.len());
            tensors.append(&mut header.tensors);
            metadata.append(&mut header.metadata);
            files.push(file);
            Ok(())
        };
        if path.as_os_str().to_string_lossy().ends_with(shards::ENDING) {
            let shards = Shards::open(path)?;
            for name in shards.files() {
                add(&shards::beside(path, name), Some((&shards, name)))?;
            }
        } else {
            add(path, None)?;
        }
        Ok(Headers { files, directory: Directory::new(&path.display().to_string(), tensors, metadata)? })
    }

    /// The path that they were opened under.
    pub(crate) fn name(&self) -> &str {
        &self.directory.name
    }

    /// As [`Checkpoint::shapes`].
    pub(crate) fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.directory.shapes
    }

    /// As [`Checkpoint::metadata`].
    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        &self.directory.metadata
    }

    /// Reads the rest.
    ///
    /// # Errors
    /// [`Error::Io`], also if there is no memory for it; [`Error::ModelTruncated`] if a file has become shorter.
    pub(crate) fn read(self) -> Result<Checkpoint> {
        let files =
            self.files.into_iter().map(|file| Ok(Arc::new(Bytes::Read(file.read()?)))).collect::<Result<_>>()?;
        Ok(Checkpoint::assemble(files, self.directory))
    }
}

impl Checkpoint {
    /// Reads the file at `path`, whose text becomes the checkpoint's name. A path that ends in `.index.json` stands for all files
    /// that it names beside it.
    ///
    /// # Errors
    /// [`Error::Io`], those of [`Checkpoint::from_bytes`], and [`Error::ConfigPath`] if an index names a file elsewhere. A file of
    /// another kind is recognised by its first bytes and not read any further.
    pub fn open(path: &Path) -> Result<Self> {
        Headers::open(path)?.read()
    }

    /// Takes the bytes of a safetensors file; `name` is used in messages.
    ///
    /// # Errors
    /// * [`Error::ModelFormat`] when the bytes are of another known kind,
    /// * [`Error::ModelTruncated`] when there are fewer than 8 or when the tensor data end early,
    /// * [`Error::ModelHeader`] for anything else that is wrong with the container, a tensor that is named twice and
    ///   two names that mean the same tensor.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Result<Self> {
        let bytes = Bytes::Given(bytes.into());
        format::refuse_foreign(name, &bytes)?;
        let end = header::end(name, &bytes, bytes.len() as u64)?;
        let Header { tensors, metadata } = header::parse(name, &bytes[..end], (bytes.len() - end) as u64)?;
        Ok(Self::assemble(vec![Arc::new(bytes)], Directory::new(name, tensors, metadata)?))
    }

    fn assemble(files: Vec<Arc<Bytes>>, directory: Directory) -> Self {
        Checkpoint { content: Arc::new(Content { files, directory }), nonfinite: false }
    }

    /// The same checkpoint, of which [`Checkpoint::tensor`] also gives values that are NaN or infinite.
    #[doc(hidden)]
    pub fn allow_nonfinite(mut self) -> Self {
        self.nonfinite = true;
        self
    }

    /// The name it was opened under.
    #[doc(hidden)]
    pub fn name(&self) -> &str {
        &self.content.directory.name
    }

    /// Shape of every tensor, by its name in torchvision spelling. Counters of batches are left out.
    pub fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.content.directory.shapes
    }

    /// The free text that the file carries beside its tensors (`__metadata__`).
    #[doc(hidden)]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.content.directory.metadata
    }

    /// All tensors as they are stored, counters of batches among them, each with its name in torchvision spelling, if it has one.
    #[doc(hidden)]
    pub fn stored(&self) -> impl Iterator<Item = (Option<&str>, Stored<'_>)> {
        let Content { files, directory } = &*self.content;
        let stored = |name: &str, dtype: Dtype, shape: &[usize], file: usize, bytes: &Range<usize>| Stored {
            name: name.into(),
            dtype,
            shape: shape.into(),
            bytes: Cow::Borrowed(&files[file][bytes.clone()]),
        };
        let named = directory.entries.iter().map(move |(name, entry)| {
            let Entry { source, dtype, file, bytes, .. } = entry;
            (Some(name.as_str()), stored(source, *dtype, &directory.shapes[name], *file, bytes))
        });
        let counters = directory.counters.iter().map(move |TensorEntry { name, dtype, shape, file, bytes }| {
            (None, stored(name, *dtype, shape, *file, bytes))
        });
        named.chain(counters)
    }

    /// The 64-bit FNV-1a hash of the file's bytes, of several files one after the other.
    #[doc(hidden)]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = FnvHasher::default();
        self.content.files.iter().for_each(|file| hasher.write(file));
        hasher.finish()
    }

    /// The values of the tensor `name` (torchvision spelling), row-major. F32 is borrowed where the bytes are aligned,
    /// F16 and BF16 are widened exactly, F64 is rounded to the nearest f32. Trailing extents of one are no difference of shape: the
    /// weight of a linear layer is that of a 1x1 convolution.
    ///
    /// # Errors
    /// * [`Error::MissingTensor`] when there is none of that name,
    /// * [`Error::TensorShape`] when it has another shape,
    /// * [`Error::TensorDtype`] when it is stored in another type,
    /// * [`Error::TensorValue`] for a value that is not finite as f32 (unless [`Checkpoint::allow_nonfinite`]), or a running variance
    ///   that batch normalisation cannot take the root of.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Result<Cow<'_, [f32]>> {
        let (entry, _) = self.checked(name, shape)?;
        Ok(self.content.widened(entry).unwrap_or_default())
    }

    /// The largest magnitude among the values of the tensor `name`, infinite or NaN if one of them is and may be. Each tensor is
    /// looked through once, whatever calls follow.
    ///
    /// # Errors
    /// Those of [`Checkpoint::tensor`].
    pub(crate) fn largest(&self, name: &str, shape: &[usize]) -> Result<f32> {
        Ok(self.checked(name, shape)?.1)
    }

    /// The tensor `name`, if its shape, type and values are as they should be, with the largest magnitude of them.
    fn checked(&self, name: &str, shape: &[usize]) -> Result<(&Entry, f32)> {
        let Content { files, directory } = &*self.content;
        let model = || directory.name.clone();
        let (Some(entry), Some(got)) = (directory.entries.get(name), directory.shapes.get(name)) else {
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
        let bytes = &files[entry.file][entry.bytes.clone()];
        let largest = match entry.largest.get() {
            Some(largest) => *largest,
            None => {
                let largest = values::largest(bytes, entry.dtype).ok_or_else(|| Error::TensorDtype {
                    model: model(),
                    tensor: tensor(),
                    dtype: entry.dtype.to_string(),
                })?;
                *entry.largest.get_or_init(|| largest)
            }
        };
        let variance = name.ends_with("running_var");
        if (variance || !largest.is_finite())
            && let Some(values) = self.content.widened(entry)
            && let Some(bad) = values::first_bad(&values, variance, self.nonfinite)
        {
            let value = values::describe(bytes, entry.dtype, bad, values[bad]);
            return Err(Error::TensorValue { model: model(), tensor: tensor(), index: bad, value });
        }
        Ok((entry, largest))
    }
}

impl Content {
    /// The values of a tensor, if it has a weight type.
    fn widened(&self, entry: &Entry) -> Option<Cow<'_, [f32]>> {
        values::widen(&self.files[entry.file][entry.bytes.clone()], entry.dtype)
    }
}

impl Directory {
    fn new(name: &str, tensors: Vec<TensorEntry>, metadata: BTreeMap<String, String>) -> Result<Self> {
        let canonical = names::canonical(tensors.iter().map(|t| (t.name.as_str(), t.shape.as_slice())))
            .map_err(|reason| Error::model_header(name, reason))?;
        let mut entries = BTreeMap::new();
        let mut shapes = BTreeMap::new();
        let mut counters = Vec::new();
        for (tensor, canonical) in tensors.into_iter().zip(canonical) {
            let Some(canonical) = canonical else {
                counters.push(tensor);
                continue;
            };
            let TensorEntry { name, dtype, shape, file, bytes } = tensor;
            shapes.insert(canonical.clone(), shape);
            entries.insert(canonical, Entry { source: name, dtype, file, bytes, largest: OnceLock::new() });
        }
        Ok(Directory { name: name.into(), entries, shapes, counters, metadata })
    }
}

/// A shape less its trailing extents of one.
fn without_ones(shape: &[usize]) -> &[usize] {
    &shape[..shape.len() - shape.iter().rev().take_while(|&&extent| extent == 1).count()]
}

impl fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checkpoint")
            .field("name", &self.content.directory.name)
            .field("tensors", &self.content.directory.entries.len())
            .field("bytes", &self.content.files.iter().map(|file| file.len()).sum::<usize>())
            .finish()
    }
}
