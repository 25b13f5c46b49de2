//! Finds the classes of images, known by name, among the classes of a model.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use residua::{Classifier, Error};

use super::labelled::Labelled;

/// The classes of images by index, and the names that the model does not have.
pub(crate) struct Matched {
    /// Sorted, each once.
    pub(crate) truth: BTreeMap<PathBuf, Vec<usize>>,
    unknown: Vec<String>,
    /// The number of images with only such names.
    left_out: usize,
}

impl Matched {
    /// Finds the classes of `labelled` among the classes of a model.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if none is found.
    pub(crate) fn new(labelled: &Labelled, classifier: &Classifier, place: &Path) -> Result<Self, Error> {
        let model = classifier.model();
        let meant: BTreeMap<&String, Option<usize>> =
            labelled.classes.iter().map(|name| (name, model.labels.meant(name, model.classes))).collect();
        let known = |names: &Vec<String>| -> Option<Vec<usize>> {
            let mut classes: Vec<usize> = names.iter().filter_map(|name| meant[name]).collect();
            classes.sort_unstable();
            classes.dedup();
            // An image may have no class at all, but not only classes that the model does not know.
            (names.is_empty() || !classes.is_empty()).then_some(classes)
        };
        let truth: BTreeMap<PathBuf, Vec<usize>> =
            labelled.images.iter().filter_map(|(path, names)| Some((path.clone(), known(names)?))).collect();
        let unknown: Vec<String> =
            meant.iter().filter(|(_, class)| class.is_none()).map(|(name, _)| (*name).clone()).collect();
        if truth.values().all(Vec::is_empty) {
            let labels: Vec<String> = (0..model.classes.min(5)).map(|class| model.labels.name(class)).collect();
            let expected = format!(
                "names, WordNet ids or indices of the model's {} classes, such as {}",
                model.classes,
                labels.join("; ")
            );
            let value = unknown.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::config_value(place.display().to_string(), "classes", value, expected));
        }
        let left_out = labelled.images.len() - truth.len();
        Ok(Matched { truth, unknown, left_out })
    }

    /// A note about the names that were not found.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let names = self.unknown.iter().take(10).cloned().collect::<Vec<_>>().join(", ");
        let more = if self.unknown.len() > 10 { ", ..." } else { "" };
        let note = match (self.unknown.len(), self.left_out) {
            (0, _) => None,
            (_, 0) => Some(format!("these labels are ignored, because the model has no such class: {names}{more}")),
            (_, images) => {
                Some(format!("{images} images are left out, because the model has no such class: {names}{more}"))
            }
        };
        note.into_iter()
    }
}
