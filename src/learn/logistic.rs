//! Logistic regression: multinomial, or a sigmoid for each class, with the strength that does best on images that it was not fitted to.

use std::ops::Range;

use super::{
    Head,
    lbfgs::{self, Minimum},
    problem::{Accuracy, Data, Link, Problem},
    standard::Standard,
    truth::Truth,
};
use crate::{Error, Result};

/// Strengths that are tried: the C of scikit-learn, the inverse of the penalty, on standardised features.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2];

/// Strengths in a row, in rising order, that do worse than the best by every measure, after which no others are tried: from there on the
/// regression learns the images by heart, and takes longest.
const ENOUGH: usize = 2;

/// How a regression is fitted.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Logistic {
    /// The strengths to choose from.
    pub strengths: Vec<f64>,
    /// Folds of the cross-validation.
    pub folds: usize,
    /// Let each class count the same, whatever its number of images.
    pub balanced: bool,
}

impl Default for Logistic {
    fn default() -> Self {
        Logistic { strengths: STRENGTHS.into(), folds: 5, balanced: false }
    }
}

/// How well a strength does on images that it was not fitted to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The strength.
    pub strength: f64,
    /// Share of the images whose classes are right.
    pub accuracy: f64,
    /// Mean of minus the logarithm of what the truth was given.
    pub log_loss: f64,
}

impl Tried {
    pub(super) fn of(strength: f64, images: &[OutOfFold]) -> Self {
        let count = images.len().max(1) as f64;
        let right = images.iter().filter(|image| image.right).count();
        let losses: f64 = images.iter().map(|image| image.loss).sum();
        Tried { strength, accuracy: right as f64 / count, log_loss: losses / count }
    }
}

/// An image in the eyes of a regression that was fitted without it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    /// The probability of what is said to be true of it; of several classes that of the least likely part.
    pub of_truth: f64,
    /// The class that is most likely instead, or of several classes the one that is most likely wrong.
    pub instead: usize,
    /// Whether all of it is right.
    pub right: bool,
    /// Minus the logarithm of what the truth was given; of several classes the mean over all classes.
    pub loss: f64,
}

/// A regression with all that cross-validation found out.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The head.
    pub head: Head,
    /// The strengths that were tried.
    pub tried: Vec<Tried>,
    /// The one that was taken.
    pub strength: f64,
    /// The images, at that strength.
    pub out_of_fold: Vec<OutOfFold>,
    /// Whether every search came to its end.
    pub converged: bool,
}

/// Rows of features: those of an image one after the other, `views` of each, the first of which is the image as it is.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// All of them, `[images * views, features]`.
    pub values: &'a [f32],
    /// Features of a row.
    pub features: usize,
    /// Rows of an image.
    pub views: usize,
}

impl Rows<'_> {
    /// The row of an image's first view.
    pub(super) fn plain(&self, image: usize) -> &[f32] {
        &self.values[image * self.views * self.features..][..self.features]
    }

    /// Whether there are as many rows as `images` need.
    pub(super) fn check(&self, images: usize) -> Result<()> {
        let Rows { values, features, views } = self;
        if values.len() == images * views * features && features * views > 0 {
            return Ok(());
        }
        let reason = format!("{} numbers for {images} images, each with {views} rows of {features}", values.len());
        Err(Error::Shape { node: "features".into(), reason })
    }
}

impl Logistic {
    /// Fits a head. `step` is called before every step of every search, with the share of the work that is done.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many rows as images, [`Error::ConfigValue`] if a class has fewer than two images or there are
    /// fewer than two classes, and what `step` returns.
    pub fn fit<E: From<Error>>(
        &self,
        rows: Rows<'_>,
        truth: &Truth,
        step: &mut dyn FnMut(f64) -> Result<(), E>,
    ) -> Result<Fitted, E> {
        truth.check()?;
        let mut strengths = self.strengths.clone();
        strengths.sort_by(f64::total_cmp);
        Search::new(self, rows, truth)?.run(&strengths, step)
    }
}

/// The best strength so far.
struct Best {
    tried: Tried,
    out_of_fold: Vec<OutOfFold>,
    /// The mean of what the folds found, which is near to what all images will.
    start: Vec<f64>,
}

/// The rows in the order of their folds.
struct Search<'a> {
    data: Data,
    standard: Standard,
    truth: &'a Truth,
    views: usize,
    /// The images in that order.
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
            // Of two classes the second is the output that is true or not.
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
        let (mut tried, mut best) = (Vec::<Tried>::new(), None::<Best>);
        let (mut converged, mut worse_in_a_row) = (true, 0);
        let searches = (strengths.len() * folds.len() + 1) as f64;
        let mut done = 0.0;
        for &strength in strengths {
            let mut out_of_fold = vec![None; self.images.len()];
            for ((parts, out), point) in folds.iter().zip(&mut points) {
                let problem = Problem { data: &self.data, parts, strength, accuracy: Accuracy::Compared };
                let Minimum { point: found, converged: ended } =
                    lbfgs::minimise(&problem, std::mem::take(point), &mut || step(done / searches))?;
                converged &= ended;
                *point = found;
                self.judge(point, out.clone(), &mut out_of_fold);
                done += 1.0;
            }
            let out_of_fold: Vec<OutOfFold> = out_of_fold.into_iter().flatten().collect();
            let now = Tried::of(strength, &out_of_fold);
            let better = |other: &Tried| (now.accuracy, -now.log_loss) > (other.accuracy, -other.log_loss);
            let is_worse = |other: &Tried| now.accuracy < other.accuracy && now.log_loss > other.log_loss;
            let worse = best.as_ref().is_some_and(|best| is_worse(&best.tried));
            worse_in_a_row = if worse { worse_in_a_row + 1 } else { 0 };
            if best.as_ref().is_none_or(|best| better(&best.tried)) {
                best = Some(Best { tried: now, out_of_fold, start: mean(&points) });
            }
            tried.push(now);
            if worse_in_a_row == ENOUGH {
                break;
            }
        }
        let none = || Error::config_value("the settings", "strengths", "none", "one at least");
        let Best { tried: Tried { strength, .. }, out_of_fold, start } = best.ok_or_else(none)?;
        let whole = 0..self.data.weights.len();
        let all = std::slice::from_ref(&whole);
        let problem = Problem { data: &self.data, parts: all, strength, accuracy: Accuracy::Final };
        let Minimum { point, converged: ended } = lbfgs::minimise(&problem, start, &mut || step(done / searches))?;
        Ok(Fitted { head: self.head(&point), tried, strength, out_of_fold, converged: converged && ended })
    }

    /// What a point makes of the rows `out`, of each image the first.
    fn judge(&self, point: &[f64], out: Range<usize>, out_of_fold: &mut [Option<OutOfFold>]) {
        for row in out.step_by(self.views) {
            let image = self.images[row / self.views];
            let sums = self.data.outputs_of(point, row..row + 1);
            let judged = match self.data.link {
                Link::Softmax => one(&log_softmax(&sums), self.truth.of[image][0]),
                Link::Sigmoid if !self.truth.several => one(&log_softmax(&[0.0, sums[0]]), self.truth.of[image][0]),
                Link::Sigmoid => several(&sums, &self.truth.of[image]),
            };
            out_of_fold[image] = Some(judged);
        }
    }

    /// The head for features as they are.
    fn head(&self, point: &[f64]) -> Head {
        let (weights, biases) = self.data.split(point);
        let (weights, biases) = self.standard.undo(weights, biases);
        if self.data.outputs() < self.truth.classes {
            // A sigmoid of z is the second of a softmax of -z/2 and z/2.
            let half = |sign: f64| weights.iter().map(move |weight| (sign * weight / 2.0) as f32);
            let biases = vec![(-biases[0] / 2.0) as f32, (biases[0] / 2.0) as f32];
            return Head { weights: half(-1.0).chain(half(1.0)).collect(), biases };
        }
        Head {
            weights: weights.iter().map(|&weight| weight as f32).collect(),
            biases: biases.iter().map(|&bias| bias as f32).collect(),
        }
    }
}

/// How much each output counts where it is not true, and where it is: images divided by classes and by the images of the class.
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

/// Logarithms of the probabilities of a softmax.
pub(super) fn log_softmax(sums: &[f64]) -> Vec<f64> {
    let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = sums.iter().map(|sum| (sum - largest).exp()).sum::<f64>().ln() + largest;
    sums.iter().map(|sum| sum - total).collect()
}

/// An image of one class.
pub(super) fn one(logs: &[f64], class: usize) -> OutOfFold {
    let others = (0..logs.len()).filter(|&other| other != class);
    let instead = others.max_by(|&a, &b| logs[a].total_cmp(&logs[b]).then(b.cmp(&a))).unwrap_or(class);
    let right = logs[class] > logs[instead] || logs[class] == logs[instead] && class < instead;
    OutOfFold { of_truth: logs[class].exp(), instead, right, loss: -logs[class] }
}

/// An image of several classes, each a sigmoid.
fn several(sums: &[f64], classes: &[usize]) -> OutOfFold {
    let sign = |class: usize| if classes.contains(&class) { 1.0 } else { -1.0 };
    let margins: Vec<f64> = sums.iter().enumerate().map(|(class, sum)| sign(class) * sum).collect();
    let worst = (0..margins.len()).min_by(|&a, &b| margins[a].total_cmp(&margins[b])).unwrap_or(0);
    let loss = margins.iter().map(|margin| (-margin).max(0.0) + (-margin.abs()).exp().ln_1p()).sum::<f64>();
    OutOfFold {
        of_truth: 1.0 / (1.0 + (-margins[worst]).exp()),
        instead: worst,
        right: margins[worst] > 0.0,
        loss: loss / margins.len() as f64,
    }
}
