//! The headers of a checkpoint's open files.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use super::{
    Bytes, Checkpoint, adapter,
    directory::Directory,
    file::OpenFile,
    names::Reading,
    shards::{self, Shards},
};
use crate::Result;

/// The headers of a checkpoint's open files: the names and sizes of its tensors.
pub(crate) struct Headers {
    files: Vec<OpenFile>,
    directory: Directory,
}

impl Headers {
    /// Reads the headers of all files that [`Checkpoint::open`] would read.
    ///
    /// # Errors
    /// The errors of [`Checkpoint::open`].
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
        let adapted = tensors.iter().any(|tensor| tensor.name.contains(adapter::MARK));
        let scaling = if adapted { adapter::scaling_beside(path) } else { None };
        Ok(Headers { files, directory: Directory::new(&path.display().to_string(), tensors, metadata, scaling)? })
    }

    /// The path that was opened.
    pub(crate) fn name(&self) -> &str {
        &self.directory.name
    }

    /// Like [`Checkpoint::shapes`].
    pub(crate) fn shapes(&self) -> &BTreeMap<String, Vec<usize>> {
        &self.directory.shapes
    }

    /// Like [`Checkpoint::metadata`].
    pub(crate) fn metadata(&self) -> &BTreeMap<String, String> {
        &self.directory.metadata
    }

    /// Like [`Checkpoint::reading`].
    pub(crate) fn reading(&self) -> &Reading {
        &self.directory.reading
    }

    /// Like [`Checkpoint::part`].
    ///
    /// # Errors
    /// The errors of [`Checkpoint::part`].
    pub(crate) fn part(self, part: &str) -> Result<Self> {
        Ok(Headers { directory: self.directory.part(part)?, files: self.files })
    }

    /// Whether one of its files is a pickle.
    pub(crate) fn are_pickled(&self) -> bool {
        self.files.iter().any(OpenFile::is_pickled)
    }

    /// Reads the tensors of the network, and all others if they come in the same read.
    ///
    /// # Errors
    /// [`Error::Io`], also if memory is short; [`Error::ModelTruncated`] if a file has become shorter.
    pub(crate) fn read(self) -> Result<Checkpoint> {
        let wanted: HashSet<usize> = self.directory.kept().collect();
        self.read_those(|position| wanted.contains(&position))
    }

    /// Like [`Headers::read`], but reads at least the tensors at `wanted` positions.
    pub(super) fn read_those(self, wanted: impl Fn(usize) -> bool) -> Result<Checkpoint> {
        let Headers { files, directory } = self;
        let mut first = 0;
        let mut bytes = Vec::new();
        for (number, file) in files.into_iter().enumerate() {
            let count = directory.tensors[first..].iter().take_while(|tensor| tensor.file == number).count();
            let own = &directory.tensors[first..first + count];
            let path = file.path().to_path_buf();
            let read = file.read(own, |position| wanted(first + position))?;
            bytes.push(Arc::new(Bytes::Read { path, bytes: read }));
            first += count;
        }
        Ok(Checkpoint::assemble(bytes, directory))
    }
}
