//! Logistic regression: multinomial, or a sigmoid for each class, with the strength that does best on images that it was not fitted to.

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

/// Strengths that are tried: the C of scikit-learn, the inverse of the penalty, on standardised features.
const STRENGTHS: [f64; 7] = [1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2];

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

/// A regression with all that cross-validation found out.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// The head.
    pub head: Head,
    /// The strengths that were tried; of [`neighbours`](super::neighbours) how many are counted, of [`centroid`](super::centroid) what
    /// cosines are multiplied by.
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
    /// Fits a head. `step` is called before every step of every search, with the share of the work that is done.
    ///
    /// # Errors
    /// [`Error::Shape`] if there are not as many rows as images, [`Error::ConfigValue`] if a class has fewer than two images, there are
    /// fewer than two classes, a feature is not finite or a setting is out of its range; and what `step` returns.
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
        let (mut tried, mut best, mut converged) = (Vec::<Tried>::new(), None::<Best>, true);
        let searches = (strengths.len() * folds.len() + 1) as f64;
        let mut done = 0.0;
        // Where all outputs are equally likely, to begin with.
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
        }
        let Some(Best { tried: Tried { strength, .. }, out_of_fold, curvatures, start }) = best else {
            unreachable!("there is a strength to try")
        };
        let whole = 0..self.data.weights.len();
        let parts = std::slice::from_ref(&whole);
        let inverse = self.inverse(&curvatures, strength);
        let problem = Problem { data: &self.data, parts, strength, accuracy: Accuracy::Final, inverse: &inverse };
        let Minimum { point, converged: ended } = lbfgs::minimise(&problem, start, &mut || step(done / searches))?;
        Ok(Fitted { head: self.head(&point), tried, strength, out_of_fold, converged: converged && ended })
    }

    /// What searches are preconditioned by where the loss has these `curvatures` and counts `scale` times.
    fn inverse(&self, curvatures: &[f64], scale: f64) -> Inverse {
        let Data { rows, features, weights, .. } = &self.data;
        let curvatures: Vec<f64> =
            curvatures.iter().zip(weights).map(|(curvature, weight)| curvature * weight).collect();
        Inverse::new(rows, *features, &curvatures, scale, self.data.outputs())
    }

    /// What a point makes of the rows `out`, of each image the first; and the curvature of the loss there, for all rows of an image.
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

    /// The head for features as they are.
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
