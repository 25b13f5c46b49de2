//! How well a classifier does: what scikit-learn's `classification_report`, `log_loss` and `confusion_matrix` give, and more.

use std::collections::BTreeMap;

/// The least probability that a logarithm is taken of, as in scikit-learn.
const LEAST: f64 = f64::EPSILON;

/// Bins of [`Measures::calibration_error`].
const BINS: usize = 15;

/// The prediction of a classifier for an image whose class is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The true class.
    pub truth: usize,
    /// The class of the highest score.
    pub predicted: usize,
    /// Its score.
    pub score: f64,
    /// The score of the true class.
    pub of_truth: f64,
    /// The number of classes that have a higher score than the true one, or the same score and a lower index.
    pub rank: usize,
}

impl Answer {
    /// The answer that these scores of all classes are for an image of class `truth`.
    pub fn new(scores: &[f32], truth: usize) -> Self {
        let better = |a: usize, b: usize| scores[a] > scores[b] || scores[a] == scores[b] && a < b;
        let predicted =
            (0..scores.len()).reduce(|best, class| if better(class, best) { class } else { best }).unwrap_or(0);
        let rank = (0..scores.len()).filter(|&class| better(class, truth)).count();
        Answer { truth, predicted, score: scores[predicted].into(), of_truth: scores[truth].into(), rank }
    }

    /// Whether the prediction is right.
    pub fn is_right(&self) -> bool {
        self.rank == 0
    }
}

/// How well a classifier tells one class from the others.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ClassMeasures {
    /// Share of the images predicted as this class that belong to it; 0 if no image is predicted as this class.
    pub precision: f64,
    /// Share of the class's images that are predicted as this class; 0 if the class has no images.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
    /// Images of the class.
    pub support: usize,
}

/// How well a classifier does.
#[derive(Debug, Clone, PartialEq)]
pub struct Measures {
    /// Images.
    pub images: usize,
    /// Images whose true class has the best score.
    pub top1: usize,
    /// Images whose true class is among the best five.
    pub top5: usize,
    /// Each class that is true of an image or was predicted for one.
    pub classes: BTreeMap<usize, ClassMeasures>,
    /// The mean over these classes.
    pub macro_mean: ClassMeasures,
    /// The mean over these classes, weighted by their numbers of images.
    pub weighted_mean: ClassMeasures,
    /// The mean of minus the natural logarithm of the score of the true class; scores below 2^-52 count as 2^-52.
    pub log_loss: f64,
    /// How far scores are from the share that is right, over 15 bins of equal width (Guo et al. 2017, "On Calibration of Modern Neural
    /// Networks", section 2).
    pub calibration_error: f64,
    /// The number of images for each pair of true class and predicted class.
    pub confusion: BTreeMap<(usize, usize), usize>,
}

impl Measures {
    /// The measures of some answers.
    pub fn of(answers: &[Answer]) -> Self {
        let mut confusion: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        answers.iter().for_each(|answer| *confusion.entry((answer.truth, answer.predicted)).or_default() += 1);
        let (mut support, mut predicted) = (BTreeMap::<usize, usize>::new(), BTreeMap::<usize, usize>::new());
        for (&(truth, other), &count) in &confusion {
            *support.entry(truth).or_default() += count;
            *predicted.entry(other).or_default() += count;
            support.entry(other).or_default();
        }
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        let class = |(&class, &support): (&usize, &usize)| {
            let right = confusion.get(&(class, class)).copied().unwrap_or(0);
            let predicted = predicted.get(&class).copied().unwrap_or(0);
            let (precision, recall, f1) =
                (share(right, predicted), share(right, support), share(2 * right, predicted + support));
            (class, ClassMeasures { precision, recall, f1, support })
        };
        let classes: BTreeMap<usize, ClassMeasures> = support.iter().map(class).collect();
        let mean = |weight: &dyn Fn(&ClassMeasures) -> f64| {
            let total: f64 = classes.values().map(weight).sum();
            let of = |value: fn(&ClassMeasures) -> f64| {
                classes.values().map(|class| weight(class) * value(class)).sum::<f64>() / total.max(f64::MIN_POSITIVE)
            };
            let (precision, recall, f1) = (of(|class| class.precision), of(|class| class.recall), of(|class| class.f1));
            ClassMeasures { precision, recall, f1, support: answers.len() }
        };
        Measures {
            images: answers.len(),
            top1: answers.iter().filter(|answer| answer.rank < 1).count(),
            top5: answers.iter().filter(|answer| answer.rank < 5).count(),
            macro_mean: mean(&|_| 1.0),
            weighted_mean: mean(&|class| class.support as f64),
            // Zero is added so that it has no sign.
            log_loss: 0.0
                + answers.iter().map(|answer| -answer.of_truth.max(LEAST).ln()).sum::<f64>()
                    / answers.len().max(1) as f64,
            calibration_error: calibration_error(answers),
            classes,
            confusion,
        }
    }

    /// Share of the images whose true class has the best score.
    pub fn accuracy(&self) -> f64 {
        self.top1 as f64 / self.images.max(1) as f64
    }

    /// The most frequent mistakes: true class, predicted class, number of images. Equally frequent ones are in the order of their classes.
    pub fn confused(&self) -> Vec<(usize, usize, usize)> {
        let mistakes = self.confusion.iter().filter(|((truth, predicted), _)| truth != predicted);
        let mut confused: Vec<_> = mistakes.map(|(&(truth, predicted), &count)| (truth, predicted, count)).collect();
        confused.sort_by_key(|&(truth, predicted, count)| (std::cmp::Reverse(count), truth, predicted));
        confused
    }
}

fn calibration_error(answers: &[Answer]) -> f64 {
    let mut bins = [(0.0, 0.0); BINS];
    for answer in answers {
        // A bin includes its upper end, but not its lower one.
        let bin = ((answer.score * BINS as f64).ceil() as usize).clamp(1, BINS) - 1;
        bins[bin].0 += answer.score;
        bins[bin].1 += f64::from(u8::from(answer.is_right()));
    }
    bins.iter().map(|(scores, right)| (scores - right).abs()).sum::<f64>() / answers.len().max(1) as f64
}

/// The 95 % confidence interval of a share, of which `right` out of `all` were counted (Wilson 1927, "Probable inference, the law of
/// succession, and statistical inference").
pub fn wilson(right: usize, all: usize) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    let n = all.max(1) as f64;
    let share = right as f64 / n;
    let spread = Z * (share * (1.0 - share) / n + Z * Z / (4.0 * n * n)).sqrt();
    let (centre, scale) = (share + Z * Z / (2.0 * n), 1.0 + Z * Z / n);
    (((centre - spread) / scale).max(0.0), ((centre + spread) / scale).min(1.0))
}

/// A threshold for the score of one class: an image is predicted as the class if its score is at least the threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// The threshold.
    pub threshold: f64,
    /// True positives: images of the class that are predicted as this class.
    pub right: usize,
    /// False positives: images of other classes that are predicted as this class.
    pub wrong: usize,
}

/// Thresholds from the highest to the lowest, one at each score that occurs: `scores` with whether each is of the class.
pub fn cuts(scores: &[(f64, bool)]) -> Vec<Cut> {
    let mut sorted = scores.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut cuts: Vec<Cut> = Vec::new();
    let (mut right, mut wrong) = (0, 0);
    for (threshold, of_class) in sorted {
        if of_class {
            right += 1
        } else {
            wrong += 1
        }
        match cuts.last_mut() {
            Some(last) if last.threshold == threshold => (last.right, last.wrong) = (right, wrong),
            _ => cuts.push(Cut { threshold, right, wrong }),
        }
    }
    cuts
}

/// The area below the ROC curve, and average precision, as scikit-learn's `roc_auc_score` and `average_precision_score`.
pub fn areas(cuts: &[Cut]) -> (f64, f64) {
    let Some(last) = cuts.last() else { return (f64::NAN, f64::NAN) };
    let (of_class, others) = (last.right as f64, last.wrong as f64);
    let (mut roc, mut precision, mut before) = (0.0, 0.0, (0, 0));
    for cut in cuts {
        let (right, wrong) = (cut.right as f64, cut.wrong as f64);
        roc += (wrong - before.1 as f64) * (right + before.0 as f64) / 2.0;
        precision += (right - before.0 as f64) * right / (right + wrong);
        before = (cut.right, cut.wrong);
    }
    (roc / (of_class * others), precision / of_class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_the_interval_of_wilson() {
        // statsmodels.stats.proportion.proportion_confint(862, 1000, method="wilson")
        let (low, high) = wilson(862, 1000);
        assert!((low - 0.839_234_00).abs() < 1e-6 && (high - 0.881_995_43).abs() < 1e-6, "{low} {high}");
        assert_eq!(wilson(0, 10).0, 0.0);
        assert!((wilson(10, 10).1 - 1.0).abs() < 1e-12);
    }

    #[test]
    fn curves_step_over_equal_scores_at_once() {
        let scores = [(0.9, true), (0.8, false), (0.8, true), (0.1, false), (0.05, true)];
        let cuts = cuts(&scores);
        let expected = [(0.9, 1, 0), (0.8, 2, 1), (0.1, 2, 2), (0.05, 3, 2)];
        assert_eq!(cuts, expected.map(|(threshold, right, wrong)| Cut { threshold, right, wrong }));
        // sklearn: roc_auc_score 0.5833..., average_precision_score 0.7555...
        let (roc, precision) = areas(&cuts);
        assert!((roc - 3.5 / 6.0).abs() < 1e-12 && (precision - (1.0 + 2.0 / 3.0 + 0.6) / 3.0).abs() < 1e-12);
    }
}
