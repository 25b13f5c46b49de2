//! Logistic regression: multinomial, or a sigmoid for each class. Cross-validation chooses its strength.

use std::ops::Range;

use super::{
    Head,
    curvature::Inverse,
    lbfgs::{self, Minimum},
    out_of_fold::{OutOfFold, Tried, log_softmax, one, several},
    problem::{Accuracy, Data, Link, Problem},
    standard::Standard,
    truth::Truth,
};
use crate::{Error, Result};

/// The default strengths. A strength is scikit-learn's C, the inverse of the penalty on the weights of standardised features.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2];

/// The search ends after so many strengths in a row that are worse than the best one, in accuracy and in log loss.
const WORSE: usize = 2;

/// The settings of a regression.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Logistic {
    /// The strengths to choose from. They are tried from the smallest, which has the largest penalty and the shortest search, until two in
    /// a row are worse than the best one, in accuracy and in log loss.
    pub strengths: Vec<f64>,
    /// Folds of the cross-validation.
    pub folds: usize,
    /// Weight the images so that all classes count the same.
    pub balanced: bool,
}

impl Default for Logistic {
    fn default() -> Self {
        Logistic { strengths: STRENGTHS.into(), folds: 5, balanced: false }
    }
}

/// A fitted head, with the results of cross-validation.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The head.
    pub head: Head,
    /// The strengths that were tried. A strength of [`neighbours`](super::neighbours) is their number, a strength of
    /// [`centroid`](super::centroid) is the factor of the cosines.
    pub tried: Vec<Tried>,
    /// The strength of the head.
    pub strength: f64,
    /// The prediction for each image at that strength, by a head that was fitted without it.
    pub out_of_fold: Vec<OutOfFold>,
    /// Whether every search converged.
    pub converged: bool,
}

/// Rows of features. Each image has `views` rows in sequence, the first of which is of the unchanged image.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// `[images * views, features]`.
    pub values: &'a [f32],
    /// Length of a row.
    pub features: usize,
    /// Rows of an image.
    pub views: usize,
}

impl Rows<'_> {
    /// The row of the unchanged image.
    pub(super) fn plain(&self, image: usize) -> &[f32] {
        &self.values[image * self.views * self.features..][..self.features]
    }

    /// Checks that there are rows for so many images, and that they are finite.
    ///
    /// # Errors
    /// [`Error::Shape`] and [`Error::ConfigValue`] otherwise.
    pub(super) fn check(&self, images: usize) -> Result<()> {
        let Rows { values, features, views } = self;
        if values.len() == images * views * features && features * views > 0 {
            return match values.iter().position(|value| !value.is_finite()) {
                None => Ok(()),
                Some(at) => {
                    let (place, value) =
                        (format!("row {}, number {}", at / features, at % features), values[at].to_string());
                    Err(Error::config_value("features", place, value, "a finite number"))
                }
            };
        }
        let reason = format!("{} numbers for {images} images, each with {views} rows of {features}", values.len());
        Err(Error::Shape { node: "features".into(), reason })
    }
}

impl Logistic {
    /// Fits a head. Calls `step` before every step of every search, with the share of the work that is done.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many rows as images, [`Error::ConfigValue`] if a class has fewer than two images, there are
    /// fewer than two classes, a feature is not finite or a setting is out of its range; and the errors of `step`.
    pub fn fit<E: From<Error>>(
        &self,
        rows: Rows<'_>,
        truth: &Truth,
        step: &mut dyn FnMut(f64) -> Result<(), E>,
    ) -> Result<Fitted, E> {
        truth.check()?;
        let invalid = |field: &str, value: String, expected: &str| {
            Err(Error::config_value("the regression", field, value, expected).into())
        };
        if self.folds < 2 {
            return invalid("folds", self.folds.to_string(), "two at least");
        }
        if self.strengths.is_empty() || self.strengths.iter().any(|strength| !(strength.is_finite() && *strength > 0.0))
        {
            return invalid("strengths", format!("{:?}", self.strengths), "numbers above zero, one at least");
        }
        let mut strengths = self.strengths.clone();
        strengths.sort_by(f64::total_cmp);
        Search::new(self, rows, truth)?.run(&strengths, step)
    }
}

/// The best strength so far.
struct Best {
    tried: Tried,
    out_of_fold: Vec<OutOfFold>,
    /// The curvature of the loss at each row.
    curvatures: Vec<f64>,
    /// The mean of the folds' points, which is near the minimum for all images.
    start: Vec<f64>,
}

/// The rows in the order of their folds.
struct Search<'a> {
    data: Data,
    standard: Standard,
    truth: &'a Truth,
    views: usize,
    /// The images in the order of the rows.
    images: Vec<usize>,
    /// The rows of each fold.
    folds: Vec<Range<usize>>,
}

impl<'a> Search<'a> {
    fn new(settings: &Logistic, rows: Rows<'_>, truth: &'a Truth) -> Result<Self> {
        rows.check(truth.of.len())?;
        let Rows { values, features, views } = rows;
        let standard = Standard::of(values, features);
        let fold_of = truth.folds(settings.folds);
        let mut images: Vec<usize> = (0..truth.of.len()).collect();
        images.sort_by_key(|&image| fold_of[image]);
        let standardised = images.iter().flat_map(|image| {
            let size = views * features;
            values[image * size..][..size].chunks_exact(features).flat_map(|row| standard.apply(row))
        });
        let mut folds = Vec::new();
        let mut start = 0;
        for fold in 0..settings.folds {
            let end = start + views * fold_of.iter().filter(|of| **of == fold).count();
            folds.push(start..end);
            start = end;
        }
        let binary = !truth.several && truth.classes == 2;
        let outputs_of = |image: &usize| {
            let classes = &truth.of[*image];
            // Two classes have one output, which is true for the second class.
            if binary { classes.iter().filter(|class| **class == 1).map(|_| 0).collect() } else { classes.clone() }
        };
        let data = Data {
            rows: standardised.collect(),
            features,
            truth: images.iter().flat_map(|image| std::iter::repeat_n(outputs_of(image), views)).collect(),
            weights: vec![1.0 / views as f64; images.len() * views],
            balance: balance(settings, truth, binary),
            link: if truth.several || binary { Link::Sigmoid } else { Link::Softmax },
        };
        Ok(Search { data, standard, truth, views, images, folds })
    }

    fn run<E: From<Error>>(&self, strengths: &[f64], step: &mut dyn FnMut(f64) -> Result<(), E>) -> Result<Fitted, E> {
        let folds: Vec<(Vec<Range<usize>>, Range<usize>)> = (0..self.folds.len())
            .map(|out| {
                let kept = self.folds.iter().enumerate().filter(|(fold, _)| *fold != out);
                (kept.map(|(_, rows)| rows.clone()).collect(), self.folds[out].clone())
            })
            .collect();
        let mut points = vec![self.data.origin(); folds.len()];
        let (mut tried, mut best, mut converged) = (Vec::<Tried>::new(), None::<Best>, true);
        let searches = (strengths.len() * folds.len() + 1) as f64;
        let mut done = 0.0;
        // The search starts where all outputs are equally likely.
        let mut curvatures = vec![self.data.curvature(&vec![0.0; self.data.outputs()]); self.data.weights.len()];
        let of_fold = 1.0 - 1.0 / folds.len() as f64;
        for &strength in strengths {
            let inverse = self.inverse(&curvatures, strength * of_fold);
            let mut out_of_fold = vec![None; self.images.len()];
            for ((parts, out), point) in folds.iter().zip(&mut points) {
                let problem =
                    Problem { data: &self.data, parts, strength, accuracy: Accuracy::Compared, inverse: &inverse };
                let Minimum { point: found, converged: ended } =
                    lbfgs::minimise(&problem, std::mem::take(point), &mut || step(done / searches))?;
                converged &= ended;
                *point = found;
                self.judge(point, out.clone(), &mut out_of_fold, &mut curvatures);
                done += 1.0;
            }
            let out_of_fold: Vec<OutOfFold> = out_of_fold.into_iter().flatten().collect();
            let now = Tried::of(strength, &out_of_fold);
            let better = |other: &Tried| (now.accuracy, -now.log_loss) > (other.accuracy, -other.log_loss);
            if best.as_ref().is_none_or(|best| better(&best.tried)) {
                best = Some(Best { tried: now, out_of_fold, curvatures: curvatures.clone(), start: mean(&points) });
            }
            tried.push(now);
            if best.as_ref().is_some_and(|best| are_worse(&tried, &best.tried)) {
                break;
            }
        }
        let Some(Best { tried: Tried { strength, .. }, out_of_fold, curvatures, start }) = best else {
            unreachable!("there is a strength to try")
        };
        let whole = 0..self.data.weights.len();
        let parts = std::slice::from_ref(&whole);
        let inverse = self.inverse(&curvatures, strength);
        let problem = Problem { data: &self.data, parts, strength, accuracy: Accuracy::Final, inverse: &inverse };
        let Minimum { point, converged: ended } = lbfgs::minimise(&problem, start, &mut || step(1.0 - 1.0 / searches))?;
        Ok(Fitted { head: self.head(&point), tried, strength, out_of_fold, converged: converged && ended })
    }

    /// The preconditioner of searches in which the rows' losses have these `curvatures`, times `scale`.
    fn inverse(&self, curvatures: &[f64], scale: f64) -> Inverse {
        let Data { rows, features, weights, .. } = &self.data;
        let curvatures: Vec<f64> =
            curvatures.iter().zip(weights).map(|(curvature, weight)| curvature * weight).collect();
        Inverse::new(rows, *features, &curvatures, scale, self.data.outputs())
    }

    /// Predicts the images of the rows `out` by the weights at a point, from the first row of each image; and takes the curvature of the
    /// loss there for all rows of the image.
    fn judge(&self, point: &[f64], out: Range<usize>, out_of_fold: &mut [Option<OutOfFold>], curvatures: &mut [f64]) {
        for row in out.step_by(self.views) {
            let image = self.images[row / self.views];
            let sums = self.data.outputs_of(point, row..row + 1);
            let judged = match self.data.link {
                Link::Softmax => one(&log_softmax(&sums), self.truth.of[image][0]),
                Link::Sigmoid if !self.truth.several => one(&log_softmax(&[0.0, sums[0]]), self.truth.of[image][0]),
                Link::Sigmoid => several(&sums, &self.truth.of[image]),
            };
            out_of_fold[image] = Some(judged);
            curvatures[row..row + self.views].fill(self.data.curvature(&sums));
        }
    }

    /// The head for features that are not standardised.
    fn head(&self, point: &[f64]) -> Head {
        let (weights, biases) = self.data.split(point);
        let (weights, biases) = self.standard.undo(weights, biases);
        if self.data.outputs() < self.truth.classes {
            // A sigmoid of z is the second of a softmax of -z/2 and z/2.
            let half = |sign: f64| weights.iter().map(move |weight| (sign * weight / 2.0) as f32);
            let biases = vec![(-biases[0] / 2.0) as f32, (biases[0] / 2.0) as f32];
            return Head { weights: half(-1.0).chain(half(1.0)).collect(), biases, neighbours: None };
        }
        Head {
            weights: weights.iter().map(|&weight| weight as f32).collect(),
            biases: biases.iter().map(|&bias| bias as f32).collect(),
            neighbours: None,
        }
    }
}

/// Whether the last strengths are worse than the best one, by both measures.
fn are_worse(tried: &[Tried], best: &Tried) -> bool {
    let worse = |tried: &&Tried| tried.accuracy < best.accuracy && tried.log_loss > best.log_loss;
    tried.iter().rev().take_while(worse).count() >= WORSE
}

/// The weights of each output's loss where the output is false and where it is true. A balanced weight is the number of images divided by
/// the number of classes and by the number of images of the class.
fn balance(settings: &Logistic, truth: &Truth, binary: bool) -> Vec<[f64; 2]> {
    let images = truth.of.len() as f64;
    let counts: Vec<f64> = truth.counts().into_iter().map(|count| count as f64).collect();
    let share = |count: f64, kinds: f64| if settings.balanced && count > 0.0 { images / (kinds * count) } else { 1.0 };
    if binary {
        return vec![[share(counts[0], 2.0), share(counts[1], 2.0)]];
    }
    let of = |&count: &f64| {
        if truth.several {
            [share(images - count, 2.0), share(count, 2.0)]
        } else {
            [1.0, share(count, truth.classes as f64)]
        }
    };
    counts.iter().map(of).collect()
}

fn mean(points: &[Vec<f64>]) -> Vec<f64> {
    let mut mean = vec![0.0; points[0].len()];
    for point in points {
        mean.iter_mut().zip(point).for_each(|(sum, value)| *sum += value / points.len() as f64);
    }
    mean
}
