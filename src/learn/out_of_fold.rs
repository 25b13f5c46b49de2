//! Images in the eyes of heads that were fitted without them.

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
