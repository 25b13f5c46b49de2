//! The measures of a model as text, Markdown, JSON and CSV.

use std::{cmp::Ordering, fmt::Write};

use clap::ValueEnum;
use residua::{
    ModelInfo,
    learn::measures::{ClassMeasures, Measures, wilson},
};
use serde_json::{Value, json};

use super::{answers::Answered, watched::Watched};

/// Confusions that are listed.
const CONFUSED: usize = 5;

/// The format of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    Text,
    Json,
    Markdown,
}

/// The measures of a model.
pub(crate) struct Report<'a> {
    pub(crate) model: &'a ModelInfo,
    pub(crate) measures: &'a Measures,
    pub(crate) records: &'a [Answered],
    /// A class with the thresholds for its score.
    pub(crate) watched: Option<&'a Watched>,
}

impl Report<'_> {
    pub(crate) fn text(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Json => format!("{:#}\n", self.json()),
            ReportFormat::Text => self.tables(false),
            ReportFormat::Markdown => self.tables(true),
        }
    }

    /// The rows of the classes and of their means.
    fn rows(&self) -> Vec<(String, ClassMeasures)> {
        let classes = self.measures.classes.iter().map(|(&class, measures)| (self.model.labels.name(class), *measures));
        let means = [("macro mean", self.measures.macro_mean), ("weighted mean", self.measures.weighted_mean)];
        classes.chain(means.map(|(name, mean)| (name.to_string(), mean))).collect()
    }

    fn tables(&self, markdown: bool) -> String {
        let Measures { images, top1, top5, log_loss, calibration_error, .. } = self.measures;
        let mut text = String::new();
        let rows = self.rows();
        let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0).max(5);
        let _ = if markdown {
            writeln!(text, "| class | precision | recall | F1 | images |\n|---|--:|--:|--:|--:|")
        } else {
            writeln!(text, "{:width$}  precision  recall      F1  images", "class")
        };
        for (name, ClassMeasures { precision, recall, f1, support }) in rows {
            let _ = if markdown {
                let name = name.replace('|', "\\|");
                writeln!(text, "| {name} | {precision:.4} | {recall:.4} | {f1:.4} | {support} |")
            } else {
                writeln!(text, "{name:width$}     {precision:.4}  {recall:.4}  {f1:.4}  {support:6}")
            };
        }
        let (low, high) = wilson(*top1, *images);
        let percent = |part: usize| 100.0 * part as f64 / *images as f64;
        let (low, high) = (100.0 * low, 100.0 * high);
        let mut lines = vec![(
            "top-1".to_string(),
            format!("{:.2} % (95 % interval {low:.2} to {high:.2}), {top1} of {images}", percent(*top1)),
        )];
        if self.model.classes > 5 {
            lines.push(("top-5".into(), format!("{:.2} %, {top5} of {images}", percent(*top5))));
        }
        lines.push(("log loss".into(), format!("{log_loss:.4}")));
        lines.push(("calibration error".into(), format!("{calibration_error:.4}")));
        for (truth, predicted, count) in self.measures.confused().into_iter().take(CONFUSED) {
            let (truth, predicted) = (self.model.labels.name(truth), self.model.labels.name(predicted));
            let images = if count == 1 { "image" } else { "images" };
            lines.push((format!("{count} {images}"), format!("{truth} predicted as {predicted}")));
        }
        lines.extend(self.watched.map(Watched::line));
        text.push('\n');
        for (name, value) in lines {
            let _ = if markdown { writeln!(text, "* {name}: {value}") } else { writeln!(text, "{name:18} {value}") };
        }
        if let Some(watched) = self.watched {
            text.push_str(&watched.table(markdown));
        }
        text
    }

    fn json(&self) -> Value {
        let Measures { images, top1, top5, log_loss, calibration_error, .. } = self.measures;
        let of =
            |m: &ClassMeasures| json!({"precision": m.precision, "recall": m.recall, "f1": m.f1, "images": m.support});
        let named = |index: &usize, m: &ClassMeasures| {
            let mut value = of(m);
            value["index"] = json!(index);
            value["label"] = json!(self.model.labels.name(*index));
            value
        };
        let (low, high) = wilson(*top1, *images);
        let confused = self.measures.confused().into_iter().map(|(truth, predicted, count)| {
            json!({"class": self.model.labels.name(truth), "predicted": self.model.labels.name(predicted), "images": count})
        });
        json!({
            "model": self.model.name, "revision": self.model.revision, "images": images, "top1": top1, "top5": top5,
            "accuracy": self.measures.accuracy(), "interval": [low, high], "log_loss": log_loss,
            "calibration_error": calibration_error,
            "classes": self.measures.classes.iter().map(|(index, m)| named(index, m)).collect::<Vec<_>>(),
            "macro_mean": of(&self.measures.macro_mean), "weighted_mean": of(&self.measures.weighted_mean),
            "confused": confused.collect::<Vec<_>>(), "watched": self.watched.map(Watched::json),
        })
    }

    /// The confusion matrix as CSV: a row for each true class, a column for each predicted class.
    pub(crate) fn confusion(&self) -> String {
        let quoted = |class: usize| format!("\"{}\"", self.model.labels.name(class).replace('"', "\"\""));
        let classes: Vec<usize> = self.measures.classes.keys().copied().collect();
        let mut text = String::from("class");
        classes.iter().for_each(|&class| text.extend([",", &quoted(class)]));
        for truth in &classes {
            let _ = write!(text, "\n{}", quoted(*truth));
            for predicted in &classes {
                let _ = write!(text, ",{}", self.measures.confusion.get(&(*truth, *predicted)).unwrap_or(&0));
            }
        }
        text + "\n"
    }

    /// The images for which a wrong class was predicted, the most confident first.
    pub(crate) fn mistakes(&self) -> Vec<&Answered> {
        let mut wrong: Vec<&Answered> = self.records.iter().filter(|record| !record.answer().is_right()).collect();
        let surer =
            |a: &&Answered, b: &&Answered| b.answer().score.partial_cmp(&a.answer().score).unwrap_or(Ordering::Equal);
        wrong.sort_by(surer);
        wrong
    }
}
