//! Replaces some tensors of a checkpoint.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use super::{Bytes, Checkpoint, Entry, Stored, header::TensorEntry};

impl Checkpoint {
    /// Adds or replaces `tensors`, each with its name in torchvision's spelling. Keeps the old tensors for which `keeps` is true, and batch
    /// counters. Shares the bytes of the tensors that stay.
    pub(crate) fn with_tensors(&self, tensors: Vec<(String, Stored<'static>)>, keeps: impl Fn(&str) -> bool) -> Self {
        let mut files = (*self.files).clone();
        let mut directory = (*self.directory).clone();
        directory.entries.retain(|name, _| keeps(name));
        directory.shapes.retain(|name, _| keeps(name));
        for (canonical, Stored { name, dtype, shape, bytes }) in tensors {
            let entry = Entry { position: directory.tensors.len(), largest: OnceLock::new() };
            directory.shapes.insert(canonical.clone(), shape.clone());
            directory.entries.insert(canonical, entry);
            let (file, whole) = (files.len(), 0..bytes.len());
            directory.tensors.push(TensorEntry { name, dtype, shape, file, bytes: whole, part: false });
            files.push(Arc::new(Bytes::Given(Cow::Owned(bytes.into_owned()))));
        }
        let rewrites = self.rewrites.clone();
        Checkpoint { nonfinite: self.nonfinite, rewrites, ..Checkpoint::assemble(files, directory) }
    }

    /// Adds or replaces the tensors of `head`. The result has the name and the metadata of `head`.
    pub(crate) fn under(&self, head: &Checkpoint) -> Self {
        let owned = |(name, tensor): (Option<&str>, Stored<'_>)| {
            let Stored { name: source, dtype, shape, bytes } = tensor;
            Some((name?.to_string(), Stored { name: source, dtype, shape, bytes: Cow::Owned(bytes.into_owned()) }))
        };
        let Checkpoint { files, directory, .. } =
            self.with_tensors(head.stored().filter_map(owned).collect(), |_| true);
        let mut directory = Arc::unwrap_or_clone(directory);
        (directory.name, directory.metadata) = (head.name().to_string(), head.metadata().clone());
        Checkpoint::assemble(Arc::unwrap_or_clone(files), directory)
    }
}
