//! A checkpoint with some other tensors.

use std::{
    borrow::Cow,
    sync::{Arc, OnceLock},
};

use super::{Bytes, Checkpoint, Content, Directory, Entry, Stored};

impl Checkpoint {
    /// The same tensors and these, each with its name in torchvision spelling, in place of those of their names. The bytes of the others
    /// are shared. Of the others only those stay that `keeps` says yes to; counters of batches stay.
    pub(crate) fn with_tensors(&self, tensors: Vec<(String, Stored<'static>)>, keeps: impl Fn(&str) -> bool) -> Self {
        let mut files = self.content.files.clone();
        let mut directory = self.content.directory.clone();
        directory.entries.retain(|name, _| keeps(name));
        directory.shapes.retain(|name, _| keeps(name));
        for (canonical, Stored { name, dtype, shape, bytes }) in tensors {
            let entry =
                Entry { source: name, dtype, file: files.len(), bytes: 0..bytes.len(), largest: OnceLock::new() };
            files.push(Arc::new(Bytes::Given(Cow::Owned(bytes.into_owned()))));
            directory.shapes.insert(canonical.clone(), shape);
            directory.entries.insert(canonical, entry);
        }
        Checkpoint { nonfinite: self.nonfinite, ..Checkpoint::assemble(files, directory) }
    }

    /// These tensors with those of `head` in their places, under its name and with its text.
    pub(crate) fn under(&self, head: &Checkpoint) -> Self {
        let owned = |(name, tensor): (Option<&str>, Stored<'_>)| {
            let Stored { name: source, dtype, shape, bytes } = tensor;
            Some((name?.to_string(), Stored { name: source, dtype, shape, bytes: Cow::Owned(bytes.into_owned()) }))
        };
        let Content { files, directory } =
            &*self.with_tensors(head.stored().filter_map(owned).collect(), |_| true).content;
        let (name, metadata) = (head.name().to_string(), head.metadata().clone());
        Checkpoint::assemble(files.clone(), Directory { name, metadata, ..directory.clone() })
    }
}
