//! The results of a fit, as text and as JSON.

use std::{fmt, path::Path};

use residua::learn::{
    Fitted, OutOfFold, Truth,
    measures::{Answer, Measures, wilson},
};
use serde_json::{Value, json};

use super::inputs::text_of;

/// Confusions and doubtful images that are listed as text.
const LISTED: (usize, usize) = (5, 10);

/// Doubtful images in JSON.
const MOST_DOUBTFUL: usize = 100;

/// The accuracy of a head on images that it was not fitted to.
#[derive(Default)]
pub(crate) struct Checked {
    /// The words for these images, after their number.
    of: &'static str,
    right: usize,
    images: usize,
    /// None if images may have several classes.
    measures: Option<Measures>,
}

impl Checked {
    /// Compares the scores of each image with its classes.
    pub(crate) fn new(of: &'static str, images: Vec<(Vec<f32>, Vec<usize>)>, several: bool) -> Self {
        if several {
            let all_right = |(scores, classes): &&(Vec<f32>, Vec<usize>)| {
                scores.iter().enumerate().all(|(class, score)| (*score > 0.5) == classes.contains(&class))
            };
            return Checked {
                of,
                right: images.iter().filter(all_right).count(),
                images: images.len(),
                measures: None,
            };
        }
        let answer = |(scores, classes): &(Vec<f32>, Vec<usize>)| Some(Answer::new(scores, *classes.first()?));
        let measures = Measures::of(&images.iter().filter_map(answer).collect::<Vec<_>>());
        Checked { of, right: measures.top1, images: measures.images, measures: Some(measures) }
    }
}

/// A head and its measures.
pub(crate) struct Verdict<'a> {
    pub(crate) classes: &'a [String],
    /// The training images.
    pub(crate) paths: &'a [&'a Path],
    pub(crate) truth: &'a Truth,
    /// The name of the setting that cross-validation has chosen.
    pub(crate) setting: &'a str,
    pub(crate) fitted: &'a Fitted,
    pub(crate) checked: &'a Checked,
}

impl Verdict<'_> {
    /// The most frequent mistakes in cross-validation: label, predicted class, number of images.
    fn confused(&self) -> Vec<(usize, usize, usize)> {
        if self.truth.several {
            return Vec::new();
        }
        let answer = |(classes, image): (&Vec<usize>, &OutOfFold)| Answer {
            truth: classes[0],
            predicted: if image.right { classes[0] } else { image.instead },
            score: 0.0,
            of_truth: image.of_truth,
            rank: usize::from(!image.right),
        };
        let answers: Vec<Answer> = self.truth.of.iter().zip(&self.fitted.out_of_fold).map(answer).collect();
        Measures::of(&answers).confused()
    }

    /// The training images that cross-validation predicts otherwise than labelled, the most doubtful first.
    fn doubtful(&self) -> Vec<usize> {
        let images = &self.fitted.out_of_fold;
        let mut order: Vec<usize> = (0..images.len()).filter(|&image| !images[image].right).collect();
        order.sort_by(|&a, &b| images[a].of_truth.total_cmp(&images[b].of_truth).then(a.cmp(&b)));
        order
    }

    /// The labels of a training image.
    fn label(&self, image: usize) -> String {
        let names: Vec<&str> = self.truth.of[image].iter().map(|&class| &*self.classes[class]).collect();
        if names.is_empty() { "no label".into() } else { names.join(";") }
    }

    /// The results as JSON.
    pub(crate) fn json(&self) -> Value {
        let Fitted { tried, strength, out_of_fold, converged, .. } = self.fitted;
        let (low, high) = wilson(self.checked.right, self.checked.images);
        let tried =
            tried.iter().map(|t| json!({"strength": t.strength, "accuracy": t.accuracy, "log_loss": t.log_loss}));
        let confused = self.confused().into_iter().map(
            |(truth, predicted, count)| json!({"class": self.classes[truth], "predicted": self.classes[predicted], "images": count}),
        );
        let doubtful = self.doubtful().into_iter().take(MOST_DOUBTFUL).map(|image| {
            let OutOfFold { of_truth, instead, .. } = &out_of_fold[image];
            json!({"path": text_of(self.paths[image]), "label": self.label(image), "score": of_truth, "rather": self.classes[*instead]})
        });
        let checked = match self.checked.images {
            0 => Value::Null,
            images => json!({
                "images": images, "right": self.checked.right, "accuracy": self.checked.right as f64 / images as f64,
                "interval": [low, high], "of": self.checked.of,
                "log_loss": self.checked.measures.as_ref().map(|measures| measures.log_loss),
            }),
        };
        json!({
            "images": self.paths.len(), "classes": self.classes,
            "images_of_classes": self.truth.counts(), "strength": strength, "converged": converged,
            "tried": tried.collect::<Vec<_>>(), "checked": checked,
            "confused": confused.take(20).collect::<Vec<_>>(), "doubtful": doubtful.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Verdict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Checked { of, right, images, .. } = self.checked;
        let percent = |share: f64| 100.0 * share;
        if *images > 0 {
            let (low, high) = wilson(*right, *images);
            let accuracy = percent(*right as f64 / *images as f64);
            let (low, high) = (percent(low), percent(high));
            writeln!(f, "  accuracy: {accuracy:.1} % (95 % interval {low:.1} to {high:.1}) on {images} {of}")?;
        } else {
            writeln!(f, "  not measured: too few images to hold some out; give others with --val")?;
        }
        let best = self.fitted.tried.iter().find(|tried| tried.strength == self.fitted.strength);
        if let Some(best) = best {
            let (accuracy, images) = (percent(best.accuracy), self.paths.len());
            let (setting, chosen) = (self.setting, best.strength);
            writeln!(f, "  accuracy in cross-validation: {accuracy:.1} % on {images} images, with {setting} {chosen}")?;
        }
        let confused = self.confused();
        if !confused.is_empty() {
            writeln!(f, "  confused most often:")?;
        }
        for (truth, predicted, count) in confused.into_iter().take(LISTED.0) {
            writeln!(f, "    {count:5}  {} predicted as {}", self.classes[truth], self.classes[predicted])?;
        }
        let doubtful = self.doubtful();
        if !doubtful.is_empty() {
            writeln!(f, "  most doubtful labels, each with its score:")?;
        }
        for image in doubtful.into_iter().take(LISTED.1) {
            let OutOfFold { of_truth, instead, .. } = &self.fitted.out_of_fold[image];
            let (path, label, rather) = (text_of(self.paths[image]), self.label(image), &self.classes[*instead]);
            let rather =
                if self.truth.several { format!("{rather} is in doubt") } else { format!("more likely {rather}") };
            writeln!(f, "    {:7.3} %  {path}  {label}, {rather}", percent(*of_truth))?;
        }
        Ok(())
    }
}
