//! The contents of a checkpoint's headers.

use std::{
    collections::{BTreeMap, HashSet},
    sync::OnceLock,
};

use super::{
    header::TensorEntry,
    names::{self, Reading},
    parametrised::{self, Made},
};
use crate::{Error, Result};

/// The contents of the headers, with torchvision's names.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) name: String,
    pub(super) tensors: Vec<TensorEntry>,
    pub(super) entries: BTreeMap<String, Entry>,
    pub(super) shapes: BTreeMap<String, Vec<usize>>,
    /// Positions of the network's counters, such as the number of training batches.
    pub(super) counters: Vec<usize>,
    /// Weights that are not computed yet.
    pub(super) made: Vec<Made>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) reading: Reading,
}

/// A tensor of the network.
#[derive(Clone)]
pub(super) struct Entry {
    /// Its position among the tensors of the files.
    pub(super) position: usize,
    /// The largest magnitude of its values, once they have been checked.
    pub(super) largest: OnceLock<f32>,
}

impl Directory {
    /// Positions of the tensors of the network.
    pub(super) fn kept(&self) -> impl Iterator<Item = usize> {
        let parts = self.made.iter().flat_map(|made| made.parts.iter());
        self.entries.values().map(|entry| entry.position).chain(self.counters.iter().copied()).chain(parts.copied())
    }

    /// Also finds the weights that are computed from others; `scaling` is the adapter's.
    pub(super) fn new(
        name: &str,
        mut tensors: Vec<TensorEntry>,
        metadata: BTreeMap<String, String>,
        scaling: Option<f64>,
    ) -> Result<Self> {
        let made = parametrised::find(&mut tensors, scaling);
        Ok(Directory { made, ..Self::read(name, tensors, metadata, None)? })
    }

    /// The same, for the network `part`.
    ///
    /// # Errors
    /// [`Error::ModelPart`] if there is no such network, or more than one.
    pub(super) fn part(self, part: &str) -> Result<Self> {
        Ok(Directory { made: self.made, ..Self::read(&self.name, self.tensors, self.metadata, Some(part))? })
    }

    pub(super) fn read(
        name: &str,
        tensors: Vec<TensorEntry>,
        metadata: BTreeMap<String, String>,
        part: Option<&str>,
    ) -> Result<Self> {
        let shown: Vec<usize> = (0..tensors.len()).filter(|position| !tensors[*position].part).collect();
        let of = |position: &usize| (tensors[*position].name.as_str(), tensors[*position].shape.as_slice());
        let named: Vec<(&str, &[usize])> = shown.iter().map(of).collect();
        let (names, reading) = names::canonical(&named, part).map_err(|reason| Error::model_header(name, reason))?;
        if let Some(reason) = reading.undecided.as_ref().filter(|_| part.is_some()) {
            return Err(Error::ModelPart { model: name.into(), reason: reason.clone() });
        }
        let mut entries = BTreeMap::new();
        let mut shapes = BTreeMap::new();
        let mut modules = HashSet::new();
        for (position, canonical) in shown.into_iter().zip(names) {
            if let Some(canonical) = canonical {
                modules.insert(module(&tensors[position].name));
                shapes.insert(canonical.clone(), tensors[position].shape.clone());
                entries.insert(canonical, Entry { position, largest: OnceLock::new() });
            }
        }
        let counts = |tensor: &TensorEntry| names::counts(&tensor.name) && modules.contains(module(&tensor.name));
        let counters = (0..tensors.len()).filter(|position| counts(&tensors[*position])).collect();
        Ok(Directory { name: name.into(), tensors, entries, shapes, counters, made: Vec::new(), metadata, reading })
    }
}

/// The module of the tensor `name`: all of it but the last part.
pub(super) fn module(name: &str) -> &str {
    name.rsplit_once('.').map_or("", |(module, _)| module)
}
