//! From logits to named classes: scores, the best classes, and their names.

pub(crate) mod forms;
mod neighbours;

use std::sync::Arc;

use forms::Refused;
pub use neighbours::Neighbours;

use crate::{Error, Result};

/// WordNet ids and names of the 1000 ImageNet classes, one class per line.
const IMAGENET: &str = include_str!("../../weights/imagenet1k.txt");

/// Class names by index. Cheap to clone. The index stands in for a missing name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels(Arc<[String]>);

impl Labels {
    /// Names in class order.
    pub fn new(names: Vec<String>) -> Self {
        Labels(names.into())
    }

    /// The classes of ILSVRC 2012, in the order of all ImageNet-1k checkpoints.
    pub fn imagenet() -> Self {
        Labels(rows().map(|line| line.split_once('\t').map_or(line, |(_, name)| name).to_string()).collect())
    }

    /// Reads names from the text of a label file: one name per line, a JSON list, a JSON object from index to name or from name to
    /// index, Keras's `imagenet_class_index.json`, or a dictionary that Python printed with one entry per line.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if the text begins like JSON but has none of these forms; `place` names the file in the error.
    pub fn parse(place: &str, text: &str) -> Result<Self> {
        let invalid = |value: String, expected: String| Error::config_value(place, "labels", value, expected);
        let refused = |Refused { value, expected }| invalid(value, expected);
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.starts_with(['[', '{']) {
            let names = match serde_json::from_str(text) {
                Ok(json) => forms::names(&json),
                Err(error) => forms::python_dictionary(text).unwrap_or_else(|| {
                    let expected = "a JSON list of names, or a JSON object from index to name or from name to index";
                    Err(Refused { value: error.to_string(), expected: expected.into() })
                }),
            };
            return names.map(Labels::new).map_err(refused);
        }
        let names: Vec<String> = text.lines().map(|line| line.trim().to_string()).collect();
        if names.iter().all(String::is_empty) {
            Err(invalid("nothing".into(), "one name per line".into()))
        } else {
            Ok(Labels::new(names))
        }
    }

    /// The name of class `index`.
    pub fn name(&self, index: usize) -> String {
        match self.0.get(index) {
            Some(name) if !name.is_empty() => name.clone(),
            _ => index.to_string(),
        }
    }

    /// Finds the class that `wanted` names: an index below `classes`, a name, one of several names separated by commas, or a part
    /// of a name that only one class has. Case does not matter.
    ///
    /// # Errors
    /// [`Error::ConfigValue`] if no class matches, or several do.
    #[doc(hidden)]
    pub fn find(&self, wanted: &str, classes: usize) -> Result<usize> {
        let invalid = |expected: String| Error::config_value("labels", "class", wanted, expected);
        if let Ok(index) = wanted.parse::<usize>() {
            let range = || invalid(format!("an index below {classes}, or a class name"));
            return Some(index).filter(|&index| index < classes).ok_or_else(range);
        }
        let names: Vec<String> = (0..classes).map(|index| self.name(index).to_lowercase()).collect();
        let part = wanted.to_lowercase();
        let whole = |name: &String| name.split(',').any(|synonym| synonym.trim() == part);
        let containing: Vec<usize> = (0..classes).filter(|&i| names[i].contains(&part)).collect();
        let exact: Vec<usize> = containing.iter().copied().filter(|&i| names[i] == part || whole(&names[i])).collect();
        match (&exact[..], &containing[..]) {
            (&[index], _) | (_, &[index]) => Ok(index),
            (_, []) => Err(invalid("no class has this name; give the name or the index of a class".into())),
            (_, several) => {
                let some: Vec<String> = several.iter().take(10).map(|&i| format!("{i} {}", self.name(i))).collect();
                Err(invalid(format!("one class; {} match: {}", several.len(), some.join("; "))))
            }
        }
    }

    /// The class that a folder or a list calls `name`: a class's name, one of several names separated by commas, the WordNet id of an
    /// ImageNet class, or else an index below `classes`. Case does not matter, and `_` counts as a space. `None` if no class matches, or
    /// several do.
    #[doc(hidden)]
    pub fn meant(&self, name: &str, classes: usize) -> Option<usize> {
        let plain = |name: &str| name.trim().to_lowercase().replace('_', " ");
        let wanted = plain(name);
        let only = |fits: &dyn Fn(&str) -> bool| {
            let mut fitting = (0..classes).filter(|&class| self.0.get(class).is_some_and(|name| fits(&plain(name))));
            fitting.next().filter(|_| fitting.next().is_none())
        };
        let synset = || {
            let row =
                |row: &str| row.split_once('\t').filter(|(id, _)| *id == wanted).map(|(_, name)| name.to_string());
            let (at, name) = rows().enumerate().find_map(|(at, text)| Some((at, row(text)?)))?;
            let same = self.0.get(at).filter(|own| at < classes && **own == name).map(|_| at);
            same.or_else(|| only(&|own| own == plain(&name)))
                .or_else(|| only(&|own| own == plain(name.split(',').next().unwrap_or_default())))
        };
        only(&|own| own == wanted)
            .or_else(|| only(&|own| own.split(',').any(|synonym| synonym.trim() == wanted)))
            .or_else(synset)
            .or_else(|| wanted.parse().ok().filter(|&index| index < classes))
    }

    /// Number of names.
    #[doc(hidden)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no class has a name.
    #[doc(hidden)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The lines of [`IMAGENET`] that hold classes.
fn rows() -> impl Iterator<Item = &'static str> {
    IMAGENET.lines().filter(|line| !line.starts_with('#'))
}

/// How logits become scores.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scoring {
    /// Scores that sum to one: exactly one class is right.
    Softmax,
    /// An independent score in 0..1 for each class.
    Sigmoid,
    /// The logits themselves.
    Logits,
    /// The logits are similarities to known images, and scores are shares of the nearest of them.
    Neighbours(Neighbours),
}

impl Scoring {
    /// The scores of one image from its logits, computed in f64.
    pub fn scores(&self, logits: &[f32]) -> Vec<f32> {
        match self {
            Scoring::Softmax => {
                let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let powers: Vec<f64> = logits.iter().map(|&l| (f64::from(l) - f64::from(largest)).exp()).collect();
                let sum: f64 = powers.iter().sum();
                powers.iter().map(|power| (power / sum) as f32).collect()
            }
            Scoring::Sigmoid => logits.iter().map(|&l| (1.0 / (1.0 + (-f64::from(l)).exp())) as f32).collect(),
            Scoring::Logits => logits.to_vec(),
            Scoring::Neighbours(neighbours) => neighbours.scores(logits),
        }
    }

    /// The index of the logit for a class: its own, or its nearest image's. `None` if there is no such class.
    pub(crate) fn logit_of(&self, class: usize, logits: &[f32]) -> Option<usize> {
        match self {
            Scoring::Neighbours(neighbours) => neighbours.nearest(logits, class),
            _ => Some(class).filter(|&class| class < logits.len()),
        }
    }
}

/// A class with its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Position among the logits.
    pub index: usize,
    /// Name of the class, or its index if it has none.
    pub label: String,
    /// Score: in 0..1, unless the model's scores are plain logits.
    pub score: f32,
}

/// The scores of one image.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    /// One score per class, in class order.
    pub scores: Vec<f32>,
    labels: Labels,
}

impl Prediction {
    /// Scores with the names of their classes.
    #[doc(hidden)]
    pub fn new(scores: Vec<f32>, labels: Labels) -> Self {
        Prediction { scores, labels }
    }

    /// The `k` classes with the highest scores, best first; for equal scores, the lower index first.
    pub fn top(&self, k: usize) -> Vec<Class> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]).then(a.cmp(&b)));
        let class = |index: usize| Class { index, label: self.labels.name(index), score: self.scores[index] };
        order.into_iter().take(k).map(class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imagenet_has_its_thousand_classes() {
        let labels = Labels::imagenet();
        assert_eq!(labels.len(), 1000);
        assert_eq!(
            (labels.name(0).as_str(), labels.name(999).as_str()),
            ("tench, Tinca tinca", "toilet tissue, toilet paper, bathroom tissue")
        );
        assert_eq!(labels.name(1000), "1000");
    }

    #[test]
    fn softmax_sums_to_one_and_survives_large_logits() {
        let scores = Scoring::Softmax.scores(&[1000.0, 999.0, -1000.0]);
        assert!((scores.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((scores[0] - 0.731_058_6).abs() < 1e-6 && scores[2] == 0.0);
        assert_eq!(Scoring::Sigmoid.scores(&[0.0]), [0.5]);
    }

    #[test]
    fn top_sorts_and_breaks_ties_by_index() {
        let prediction = Prediction::new(vec![0.1, 0.4, 0.1, 0.4], Labels::new(vec!["a".into(), "b".into()]));
        let top: Vec<_> = prediction.top(9).iter().map(|class| (class.index, class.label.clone())).collect();
        assert_eq!(top, [(1, "b".into()), (3, "3".into()), (0, "a".into()), (2, "2".into())]);
    }

    #[test]
    fn folders_name_classes_in_every_form() {
        let imagenet = Labels::imagenet();
        let cases = [
            ("n01440764", 0),
            ("tench", 0),
            ("Tinca tinca", 0),
            ("tench,_tinca_tinca", 0),
            ("7", 7),
            ("n02012849", 134),
            ("n03126707", 517),
        ];
        for (name, class) in cases {
            assert_eq!(imagenet.meant(name, 1000), Some(class), "{name}");
        }
        for name in ["crane", "n00000000", "1000", "", "tin"] {
            assert_eq!(imagenet.meant(name, 1000), None, "{name}");
        }
        let few = Labels::new(["3", "goldfish", "hot_dog"].map(String::from).into());
        let meant = ["3", "2", "n01443537", "Hot dog", "n02012849"].map(|name| few.meant(name, 4));
        assert_eq!(meant, [Some(0), Some(2), Some(1), Some(2), None]);
    }

    #[test]
    fn label_files_in_every_form() {
        for text in [
            "cat\ndog\n",
            "\u{feff}cat\r\ndog",
            "[\"cat\", \"dog\"]",
            "{\"1\": \"dog\", \"0\": \"cat\"}",
            "{\"cat\": 0, \"dog\": 1}",
            "{\"0\": [\"n02121808\", \"cat\"], \"1\": [\"n02084071\", \"dog\"]}",
            "{0: 'cat',\n 1: \"dog\"}",
        ] {
            assert_eq!(Labels::parse("f", text).unwrap(), Labels::new(vec!["cat".into(), "dog".into()]), "{text}");
        }
        for text in [
            "",
            "[{}]",
            "{\"x\": \"cat\"}",
            "{\"99999999999\": \"a\"}",
            "{0: cat}",
            "{0: 'cat', 1: 'dog'}",
            "{0: 'cat'}x",
        ] {
            assert_eq!(Labels::parse("f", text).unwrap_err().code(), "config.value", "{text}");
        }
    }
}
