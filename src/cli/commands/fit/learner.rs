//! Heads, and what they make of images that they were not fitted to.

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

/// Images that are held out to be judged by: one of so many.
const HELD_OUT: usize = 5;

/// What fits heads.
pub(super) struct Learner<'a> {
    pub(super) global: &'a Global,
    pub(super) command: &'a Fit,
    pub(super) interrupt: &'a Interrupt,
    pub(super) features: usize,
    pub(super) views: usize,
}

impl Learner<'_> {
    /// Fits a head to images. A bar says `what` is done.
    pub(super) fn fit(&self, what: &str, index: &Index, paths: &[&Path], truth: &Truth) -> Result<Fitted, Stop> {
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
            Method::Logistic => {
                let mut logistic = Logistic::default();
                logistic.balanced = self.command.balanced;
                if let Some(strength) = self.command.strength {
                    logistic.strengths = vec![strength];
                }
                logistic.fit(rows, truth, step)
            }
        }
    }

    /// What a head that was fitted to the other images makes of every fifth.
    pub(super) fn held_out(&self, index: &Index, paths: &[&Path], truth: &Truth) -> Result<Checked, Stop> {
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
        let Fitted { head, .. } = self.fit("checking", index, &kept, &truth_of_kept)?;
        let of = "a fifth of the images, by a head that was fitted to the others";
        Ok(self.checked(of, &head, index, &held, &truth_of_held))
    }

    /// What `head` makes of images; `of` says which these are.
    pub(super) fn checked(
        &self,
        of: &'static str,
        head: &Head,
        index: &Index,
        paths: &[&Path],
        truth: &Truth,
    ) -> Checked {
        // Of several views the first is the image as it is.
        let scores =
            |path: &&Path| head.scores(&index.get(path).unwrap_or_default()[..self.features], self.command.multi_label);
        Checked::new(of, paths.iter().map(scores).zip(truth.of.iter().cloned()).collect(), truth.several)
    }
}

/// Whether the method takes the options that were given.
///
/// # Errors
/// [`Error::ConfigValue`] for the first that only logistic regression takes.
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
            Err(Error::config_value("option", option, value, "--method logistic, which alone takes it"))
        }
    }
}
