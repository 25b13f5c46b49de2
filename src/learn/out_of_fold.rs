//! Out-of-fold predictions: for each image by a head that was fitted without it.

/// A strength and its measures in cross-validation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    /// The strength.
    pub strength: f64,
    /// Share of the images whose predicted classes are right.
    pub accuracy: f64,
    /// Mean of minus the logarithm of the probability of the true classes.
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

/// The prediction for an image by a head that was fitted without it.
#[derive(Debug, Clone, PartialEq)]
pub struct OutOfFold {
    /// The probability of its label; of several labels or none, the probability of the least likely part.
    pub of_truth: f64,
    /// The most likely other class; of several labels or none, the class that is most likely labelled wrongly.
    pub instead: usize,
    /// Whether the predicted classes are its labels.
    pub right: bool,
    /// Minus the logarithm of the probability of its label; of several labels or none, the mean over all classes.
    pub loss: f64,
}

/// The logarithms of a softmax.
pub(super) fn log_softmax(sums: &[f64]) -> Vec<f64> {
    let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let total = sums.iter().map(|sum| (sum - largest).exp()).sum::<f64>().ln() + largest;
    sums.iter().map(|sum| sum - total).collect()
}

/// The prediction for an image of one class.
pub(super) fn one(logs: &[f64], class: usize) -> OutOfFold {
    let others = (0..logs.len()).filter(|&other| other != class);
    let instead = others.max_by(|&a, &b| logs[a].total_cmp(&logs[b]).then(b.cmp(&a))).unwrap_or(class);
    let right = logs[class] > logs[instead] || logs[class] == logs[instead] && class < instead;
    OutOfFold { of_truth: logs[class].exp(), instead, right, loss: -logs[class] }
}

/// The prediction for an image of several classes or none, each with a sigmoid.
pub(super) fn several(sums: &[f64], classes: &[usize]) -> OutOfFold {
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
