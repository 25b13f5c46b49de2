//! The classes of a fit, and notes about them.

use std::{collections::HashMap, path::Path};

use residua::{Error, learn::Truth};

use crate::cli::{
    args::{Fit, Method},
    io::{index::Index, labelled::Labelled},
    options::Global,
};

/// If a class has so many times the images of another, a note mentions --balanced.
const UNBALANCED: usize = 3;

/// The classes of a fit.
pub(super) struct Classes {
    place: String,
    /// Sorted.
    pub(super) names: Vec<String>,
    several: bool,
}

impl Classes {
    /// # Errors
    /// [`Error::ConfigValue`] for a class without an image.
    pub(super) fn of(place: &Path, labelled: &Labelled, several: bool) -> Result<Self, Error> {
        let names: Vec<String> = labelled.classes.iter().cloned().collect();
        let classes = Classes { place: place.display().to_string(), names, several };
        let mut counts: HashMap<&String, usize> = HashMap::new();
        labelled.images.values().flatten().for_each(|class| *counts.entry(class).or_default() += 1);
        match classes.names.iter().find(|name| !counts.contains_key(name)) {
            Some(empty) => Err(classes.refused(empty, 0)),
            None => Ok(classes),
        }
    }

    fn refused(&self, class: &str, images: usize) -> Error {
        let expected = "at least two images; add some, or leave the class out (--exclude)";
        Error::config_value(&*self.place, format!("images of the class {class}"), images.to_string(), expected)
    }

    /// The classes that `labelled` gives the images `paths`.
    pub(super) fn truth<'p, P: AsRef<Path> + 'p + ?Sized>(
        &self,
        labelled: &Labelled,
        paths: impl Iterator<Item = &'p P>,
    ) -> Truth {
        let index = |name: &String| self.names.binary_search(name).ok();
        let of = paths.map(|path| {
            let mut classes: Vec<usize> = labelled.images[path.as_ref()].iter().filter_map(index).collect();
            classes.sort_unstable();
            classes.dedup();
            classes
        });
        Truth { classes: self.names.len(), several: self.several, of: of.collect() }
    }

    /// As [`Truth::check`], with the name of the class in the error.
    pub(super) fn check(&self, truth: &Truth) -> Result<(), Error> {
        let least = if self.several { 1 } else { 2 };
        if self.names.len() < least {
            let value = if self.names.is_empty() { "none".into() } else { some(&self.names) };
            let expected = format!("{least} at least; a class is a folder of images, or a label in a list");
            return Err(Error::config_value(&*self.place, "classes", value, expected));
        }
        let counts = truth.counts();
        match counts.iter().position(|&count| count < 2) {
            Some(class) => Err(self.refused(&self.names[class], counts[class])),
            None => truth.check(),
        }
    }

    /// # Errors
    /// [`Error::ConfigValue`] if `val` has a class that is not among these.
    pub(super) fn check_known(&self, place: &Path, val: &Labelled) -> Result<(), Error> {
        match val.classes.iter().find(|name| self.names.binary_search(name).is_err()) {
            None => Ok(()),
            Some(other) => {
                let expected = format!("the classes of {}: {}", self.place, some(&self.names));
                Err(Error::config_value(place.display().to_string(), "class", other, expected))
            }
        }
    }
}

/// The first of some names.
fn some(names: &[String]) -> String {
    let more = if names.len() > 10 { ", ..." } else { "" };
    format!("{}{more}", names[..names.len().min(10)].join(", "))
}

/// Notes images that are in two classes: files with the same features.
pub(super) fn note_repeated(global: &Global, index: &Index, paths: &[&Path], truth: &Truth, classes: &Classes) {
    if truth.several {
        return;
    }
    let mut seen: HashMap<Vec<u32>, usize> = HashMap::new();
    let mut pairs = Vec::new();
    for (i, path) in paths.iter().enumerate() {
        let bits = index.get(path).unwrap_or_default().iter().map(|value| value.to_bits()).collect();
        let first = *seen.entry(bits).or_insert(i);
        if truth.of[first] != truth.of[i] {
            pairs.push((first, i));
        }
    }
    if let Some((a, b)) = pairs.first() {
        let said = |i: &usize| format!("{} ({})", paths[*i].display(), classes.names[truth.of[*i][0]]);
        global.note(&format!("images in two classes: {}, first {} and {}", pairs.len(), said(a), said(b)));
    }
}

/// Notes classes that are much smaller than others.
pub(super) fn note_unbalanced(global: &Global, command: &Fit, truth: &Truth, classes: &Classes) {
    let counts = truth.counts();
    let by_count = |class: &usize| counts[*class];
    let (Some(least), Some(most)) = ((0..counts.len()).min_by_key(by_count), (0..counts.len()).max_by_key(by_count))
    else {
        return;
    };
    if !command.balanced && command.method == Method::Logistic && counts[most] > UNBALANCED * counts[least] {
        let name = |class: usize| format!("{} ({})", classes.names[class], counts[class]);
        let (most, least) = (name(most), name(least));
        global.note(&format!("{most} has many more images than {least}: --balanced lets classes count the same"));
    }
}
