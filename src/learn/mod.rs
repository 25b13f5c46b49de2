//! Your own classes: heads that are fitted to features. Everything is computed in f64 on the CPU, and any number of threads gives the same
//! bits.

mod centroid;
mod curvature;
mod lbfgs;
mod logistic;
#[doc(hidden)]
pub mod measures;
mod neighbours;
mod out_of_fold;
mod problem;
mod products;
mod standard;
#[doc(hidden)]
pub mod tagged;
mod truth;

pub use centroid::centroid;
pub use logistic::{Fitted, Logistic, Rows};
pub use neighbours::neighbours;
pub use out_of_fold::{OutOfFold, Tried};
pub use truth::Truth;

pub use crate::labels::Neighbours;
use crate::labels::Scoring;

/// A linear layer on features.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[classes, features]`, row by row; with `neighbours` `[images, features]`.
    pub weights: Vec<f32>,
    /// One for each row.
    pub biases: Vec<f32>,
    /// The classes of known images, if each row is one of these and the nearest are counted.
    pub neighbours: Option<Neighbours>,
}

impl Head {
    /// The scores of the classes for an image with these features: shares of one, or with `several` a separate score for each class.
    #[doc(hidden)]
    pub fn scores(&self, features: &[f32], several: bool) -> Vec<f32> {
        let scoring = match &self.neighbours {
            Some(neighbours) => Scoring::Neighbours(neighbours.clone()),
            None if several => Scoring::Sigmoid,
            None => Scoring::Softmax,
        };
        scoring.scores(&self.logits(features))
    }

    /// The logits for these features.
    #[doc(hidden)]
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let row = |(row, bias): (&[f32], &f32)| {
            let products = row.iter().zip(features).map(|(&weight, &value)| f64::from(weight) * f64::from(value));
            (products.sum::<f64>() + f64::from(*bias)) as f32
        };
        self.weights.chunks_exact(features.len().max(1)).zip(&self.biases).map(row).collect()
    }
}
