//! Fits heads, and measures them on images that they were not fitted to.

use std::path::Path;

use residua::{
    Error,
    learn::{Fitted, Head, Logistic, Rows, Truth, centroid, neighbours},
};

use crate::cli::{
    args::{Fit, Method},
    io::{index::Index, verdict::Checked},
    options::Global,
    outcome::Stop,
    terminal::{interrupt::Interrupt, progress::Bar},
};

/// One of so many images is held out to measure with.
const HELD_OUT: usize = 5;

/// Fits heads.
pub(super) struct Learner<'a> {
    pub(super) global: &'a Global,
    pub(super) command: &'a Fit,
    pub(super) interrupt: &'a Interrupt,
    pub(super) features: usize,
    pub(super) views: usize,
}

impl Learner<'_> {
    /// Fits a head to all images.
    pub(super) fn fit(&self, index: &Index, paths: &[&Path], truth: &Truth) -> Result<Fitted, Stop> {
        let mut logistic = Logistic::default();
        logistic.balanced = self.command.balanced;
        if let Some(strength) = self.command.strength {
            logistic.strengths = vec![strength];
        }
        self.fit_to("fitting", &logistic, index, paths, truth)
    }

    /// Fits a head to images, by these settings if it is a regression. A bar says `what` is done.
    fn fit_to(
        &self,
        what: &str,
        logistic: &Logistic,
        index: &Index,
        paths: &[&Path],
        truth: &Truth,
    ) -> Result<Fitted, Stop> {
        let values: Vec<f32> = paths.iter().flat_map(|path| index.get(path).unwrap_or_default()).copied().collect();
        let rows = Rows { values: &values, features: self.features, views: self.views };
        let bar = Bar::of_share(self.global, what);
        let step = &mut |share| {
            bar.set(share);
            self.interrupt.check()
        };
        match self.command.method {
            Method::Centroid => Ok(centroid(rows, truth)?),
            Method::Neighbours => neighbours(rows, truth, step),
            Method::Logistic => logistic.fit(rows, truth, step),
        }
    }

    /// Measures a head on a fifth of the images, after fitting it to the others. `fitted` is the head for all images; a regression chooses
    /// its strength only among the strength of `fitted` and the two next to it.
    pub(super) fn held_out(
        &self,
        fitted: &Fitted,
        index: &Index,
        paths: &[&Path],
        truth: &Truth,
    ) -> Result<Checked, Stop> {
        let folds = truth.folds(HELD_OUT);
        let part = |held: bool| -> (Vec<&Path>, Truth) {
            let images = (0..paths.len()).filter(|&image| (folds[image] == 0) == held);
            let (paths, of) = images.map(|image| (paths[image], truth.of[image].clone())).unzip();
            (paths, Truth { of, ..*truth })
        };
        let ((kept, truth_of_kept), (held, truth_of_held)) = (part(false), part(true));
        if truth_of_kept.check().is_err() || held.is_empty() {
            return Ok(Checked::default());
        }
        let mut logistic = Logistic::default();
        logistic.balanced = self.command.balanced;
        logistic.strengths = neighbouring(fitted);
        let Fitted { head, .. } = self.fit_to("checking", &logistic, index, &kept, &truth_of_kept)?;
        let of = "held-out images, by a head fitted to the others";
        Ok(self.checked(of, &head, index, &held, &truth_of_held))
    }

    /// Measures `head` on images; `of` says which these are.
    pub(super) fn checked(
        &self,
        of: &'static str,
        head: &Head,
        index: &Index,
        paths: &[&Path],
        truth: &Truth,
    ) -> Checked {
        // The first view is of the unchanged image.
        let scores =
            |path: &&Path| head.scores(&index.get(path).unwrap_or_default()[..self.features], self.command.multi_label);
        Checked::new(of, paths.iter().map(scores).zip(truth.of.iter().cloned()).collect(), truth.several)
    }
}

/// The strength of a head, and those that were tried before and after it.
fn neighbouring(fitted: &Fitted) -> Vec<f64> {
    let strengths: Vec<f64> = fitted.tried.iter().map(|tried| tried.strength).collect();
    let at = strengths.iter().position(|strength| *strength == fitted.strength).unwrap_or(0);
    strengths[at.saturating_sub(1)..strengths.len().min(at + 2)].to_vec()
}

/// Checks that the method takes the options that were given.
///
/// # Errors
/// [`Error::ConfigValue`] for an option of logistic regression with another method.
pub(super) fn check(command: &Fit) -> Result<(), Error> {
    let options = [
        ("--balanced", command.balanced),
        ("--augment", command.augment),
        ("--strength", command.strength.is_some()),
        ("--multi-label", command.multi_label),
    ];
    match options.into_iter().find(|(_, given)| *given && command.method != Method::Logistic) {
        None => Ok(()),
        Some((option, _)) => {
            let value = format!("--method {}", command.method.name());
            Err(Error::config_value("option", option, value, "--method logistic"))
        }
    }
}
