//! The measures of a model on images of several classes, as text, Markdown and JSON.

use std::fmt::Write;

use residua::{
    ModelInfo,
    learn::{
        measures::{ClassMeasures, wilson},
        tagged::TagMeasures,
    },
};
use serde_json::{Value, json};

use super::{report::ReportFormat, watched::Watched};

/// The measures of a model.
pub(crate) struct TagReport<'a> {
    pub(crate) model: &'a ModelInfo,
    pub(crate) measures: &'a TagMeasures,
    /// A class with the thresholds for its score.
    pub(crate) watched: Option<&'a Watched>,
}

impl TagReport<'_> {
    pub(crate) fn text(&self, format: ReportFormat) -> String {
        match format {
            ReportFormat::Json => format!("{:#}\n", self.json()),
            ReportFormat::Text => self.tables(false),
            ReportFormat::Markdown => self.tables(true),
        }
    }

    /// The rows of the classes and of their means, each with its average precision.
    fn rows(&self) -> Vec<(String, ClassMeasures, Option<f64>)> {
        let TagMeasures { classes, micro_mean, macro_mean, weighted_mean, mean_average_precision, .. } = self.measures;
        let named = |(class, (measures, precision)): (usize, &(ClassMeasures, Option<f64>))| {
            (self.model.labels.name(class), *measures, *precision)
        };
        let means = [
            ("micro mean", micro_mean, None),
            ("macro mean", macro_mean, Some(*mean_average_precision)),
            ("weighted mean", weighted_mean, None),
        ];
        let means = means.map(|(name, mean, precision)| (name.to_string(), *mean, precision));
        classes.iter().enumerate().map(named).chain(means).collect()
    }

    fn tables(&self, markdown: bool) -> String {
        let TagMeasures { images, all_right, mean_average_precision, .. } = self.measures;
        let mut text = String::new();
        let rows = self.rows();
        let width = rows.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0).max(5);
        let _ = if markdown {
            writeln!(
                text,
                "| class | precision | recall | F1 | average precision | images |\n|---|--:|--:|--:|--:|--:|"
            )
        } else {
            writeln!(text, "{:width$}  precision  recall      F1  average precision  images", "class")
        };
        for (name, ClassMeasures { precision, recall, f1, support }, average) in rows {
            let average = average.map_or("-".into(), |average| format!("{average:.4}"));
            let _ = if markdown {
                let name = name.replace('|', "\\|");
                writeln!(text, "| {name} | {precision:.4} | {recall:.4} | {f1:.4} | {average} | {support} |")
            } else {
                writeln!(text, "{name:width$}     {precision:.4}  {recall:.4}  {f1:.4}  {average:>17}  {support:6}")
            };
        }
        let (low, high) = wilson(*all_right, *images);
        let percent = |share: f64| 100.0 * share;
        let share = percent(*all_right as f64 / (*images).max(1) as f64);
        let (low, high) = (percent(low), percent(high));
        let all = format!(
            "{share:.2} % (95 % interval {low:.2} to {high:.2}), {all_right} of {images}, at a threshold of 0.5"
        );
        let mut lines =
            vec![("all labels right".to_string(), all), ("mAP".into(), format!("{mean_average_precision:.4}"))];
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
        let TagMeasures { images, all_right, .. } = self.measures;
        let (low, high) = wilson(*all_right, *images);
        let of =
            |m: &ClassMeasures| json!({"precision": m.precision, "recall": m.recall, "f1": m.f1, "images": m.support});
        let named = |(index, (m, average)): (usize, &(ClassMeasures, Option<f64>))| {
            let mut value = of(m);
            value["index"] = json!(index);
            value["label"] = json!(self.model.labels.name(index));
            value["average_precision"] = json!(average);
            value
        };
        json!({
            "model": self.model.name, "revision": self.model.revision, "images": images, "all_right": all_right,
            "accuracy": *all_right as f64 / (*images).max(1) as f64, "interval": [low, high],
            "mean_average_precision": self.measures.mean_average_precision,
            "classes": self.measures.classes.iter().enumerate().map(named).collect::<Vec<_>>(),
            "micro_mean": of(&self.measures.micro_mean), "macro_mean": of(&self.measures.macro_mean),
            "weighted_mean": of(&self.measures.weighted_mean), "watched": self.watched.map(Watched::json),
        })
    }
}
