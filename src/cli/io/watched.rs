//! A watched class: precision and recall at thresholds for its score.

use std::fmt::Write;

use residua::{
    ModelInfo,
    learn::measures::{ClassMeasures, Cut, areas, cuts},
};
use serde_json::{Value, json};

/// Thresholds of a sweep.
const SWEPT: usize = 19;

/// A class with the thresholds for its score.
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) cuts: Vec<Cut>,
    /// Whether reports for people have the table of thresholds.
    sweeps: bool,
}

impl Watched {
    /// The class of that index. `scores` has its score for each image, and whether the image is of the class.
    pub(crate) fn new(model: &ModelInfo, class: usize, scores: &[(f64, bool)], sweeps: bool) -> Self {
        Watched { name: model.labels.name(class), cuts: cuts(scores), sweeps }
    }

    /// A line of a report: its name and its figures.
    pub(crate) fn line(&self) -> (String, String) {
        let (roc, precision) = areas(&self.cuts);
        (format!("curves of {}", self.name), format!("area under ROC {roc:.4}, average precision {precision:.4}"))
    }

    /// Precision and recall at thresholds that are spread evenly; empty if no sweep was asked for.
    pub(crate) fn table(&self, markdown: bool) -> String {
        if !self.sweeps {
            return String::new();
        }
        let (mut text, name) = (String::new(), &self.name);
        let _ = if markdown {
            writeln!(text, "\n| {name} from | precision | recall | F1 | predicted |\n|--:|--:|--:|--:|--:|")
        } else {
            writeln!(text, "\n{name} from  precision  recall      F1  predicted")
        };
        for (threshold, ClassMeasures { precision, recall, f1, support }) in swept(&self.cuts) {
            let _ = if markdown {
                writeln!(text, "| {threshold:.2} | {precision:.4} | {recall:.4} | {f1:.4} | {support} |")
            } else {
                let width = name.chars().count() + 5;
                writeln!(text, "{threshold:width$.2}     {precision:.4}  {recall:.4}  {f1:.4}  {support:9}")
            };
        }
        text
    }

    pub(crate) fn json(&self) -> Value {
        let (roc, precision) = areas(&self.cuts);
        let swept = swept(&self.cuts).into_iter().map(|(threshold, m)| {
            json!({"threshold": threshold, "precision": m.precision, "recall": m.recall, "f1": m.f1, "predicted": m.support})
        });
        json!({
            "class": self.name, "roc_area": roc, "average_precision": precision,
            "thresholds": swept.collect::<Vec<_>>(),
        })
    }
}

/// Precision and recall at thresholds 0.05, 0.10, ... 0.95, with the number of images predicted as the class for the support.
fn swept(cuts: &[Cut]) -> Vec<(f64, ClassMeasures)> {
    let of_class = cuts.last().map_or(0, |cut| cut.right);
    let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
    let at = |step: usize| {
        let threshold = step as f64 / (SWEPT + 1) as f64;
        let (right, wrong) = cuts
            .iter()
            .take_while(|cut| cut.threshold >= threshold)
            .last()
            .map_or((0, 0), |cut| (cut.right, cut.wrong));
        let predicted = right + wrong;
        let (precision, recall, f1) =
            (share(right, predicted), share(right, of_class), share(2 * right, predicted + of_class));
        (threshold, ClassMeasures { precision, recall, f1, support: predicted })
    };
    (1..=SWEPT).map(at).collect()
}
