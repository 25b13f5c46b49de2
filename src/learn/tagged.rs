//! How well a classifier does on images that may have several classes: what scikit-learn's `classification_report` and
//! `average_precision_score` give of an indicator matrix.

use super::measures::{ClassMeasures, areas, cuts};

/// A class is predicted for an image if its score is above this.
pub const THRESHOLD: f32 = 0.5;

/// The scores of an image whose classes are known.
#[derive(Debug, Clone, PartialEq)]
pub struct Tagged {
    /// The true classes, each once.
    pub truth: Vec<usize>,
    /// The score of each class.
    pub scores: Vec<f32>,
}

/// How well a classifier does.
#[derive(Debug, Clone, PartialEq)]
pub struct TagMeasures {
    /// Images.
    pub images: usize,
    /// Images whose predicted classes are the true ones, all of them and no others.
    pub all_right: usize,
    /// Each class, with its average precision; None if no image is of the class.
    pub classes: Vec<(ClassMeasures, Option<f64>)>,
    /// Counted over all pairs of an image and a class.
    pub micro_mean: ClassMeasures,
    /// The mean over the classes.
    pub macro_mean: ClassMeasures,
    /// The mean over the classes, weighted by their numbers of images.
    pub weighted_mean: ClassMeasures,
    /// The mean of the average precisions (mAP), over the classes that have images.
    pub mean_average_precision: f64,
}

/// Numbers of images of a class.
#[derive(Clone, Copy, Default)]
struct Counts {
    /// The class is true and predicted.
    right: usize,
    /// It is predicted.
    predicted: usize,
    /// It is true.
    truth: usize,
}

impl Counts {
    fn measures(self) -> ClassMeasures {
        let share = |part: usize, of: usize| if of == 0 { 0.0 } else { part as f64 / of as f64 };
        ClassMeasures {
            precision: share(self.right, self.predicted),
            recall: share(self.right, self.truth),
            f1: share(2 * self.right, self.predicted + self.truth),
            support: self.truth,
        }
    }
}

impl TagMeasures {
    /// The measures of some images, each with the scores of so many `classes`.
    pub fn of(images: &[Tagged], classes: usize) -> Self {
        let is_predicted = |image: &Tagged, class: usize| image.scores[class] > THRESHOLD;
        let is_true = |image: &Tagged, class: usize| image.truth.contains(&class);
        let counts: Vec<Counts> = (0..classes)
            .map(|class| {
                let number = |counts: &dyn Fn(&Tagged) -> bool| images.iter().filter(|image| counts(image)).count();
                Counts {
                    right: number(&|image| is_predicted(image, class) && is_true(image, class)),
                    predicted: number(&|image| is_predicted(image, class)),
                    truth: number(&|image| is_true(image, class)),
                }
            })
            .collect();
        let average_precision = |class: usize| {
            let scores: Vec<(f64, bool)> =
                images.iter().map(|image| (image.scores[class].into(), is_true(image, class))).collect();
            (counts[class].truth > 0).then(|| areas(&cuts(&scores)).1)
        };
        let each: Vec<(ClassMeasures, Option<f64>)> =
            (0..classes).map(|class| (counts[class].measures(), average_precision(class))).collect();
        let sum = |of: fn(&Counts) -> usize| counts.iter().map(of).sum::<usize>();
        let all = Counts { right: sum(|c| c.right), predicted: sum(|c| c.predicted), truth: sum(|c| c.truth) };
        let mean = |weight: fn(&ClassMeasures) -> f64| {
            let total: f64 = each.iter().map(|(class, _)| weight(class)).sum();
            let of = |value: fn(&ClassMeasures) -> f64| {
                let sum: f64 = each.iter().map(|(class, _)| weight(class) * value(class)).sum();
                if total > 0.0 { sum / total } else { 0.0 }
            };
            let (precision, recall, f1) = (of(|class| class.precision), of(|class| class.recall), of(|class| class.f1));
            ClassMeasures { precision, recall, f1, support: all.truth }
        };
        let precisions: Vec<f64> = each.iter().filter_map(|(_, precision)| *precision).collect();
        let all_right = |image: &&Tagged| (0..classes).all(|class| is_predicted(image, class) == is_true(image, class));
        TagMeasures {
            images: images.len(),
            all_right: images.iter().filter(all_right).count(),
            micro_mean: all.measures(),
            macro_mean: mean(|_| 1.0),
            weighted_mean: mean(|class| class.support as f64),
            mean_average_precision: precisions.iter().sum::<f64>() / precisions.len().max(1) as f64,
            classes: each,
        }
    }
}
