//! Heads of one's own: classifiers that are fitted to features. Everything here is computed in f64 on the CPU, and gives the same bits
//! whatever the number of threads.

mod centroid;
mod curvature;
mod lbfgs;
mod logistic;
#[doc(hidden)]
pub mod measures;
mod out_of_fold;
mod problem;
mod products;
mod standard;
mod truth;

pub use centroid::centroid;
pub use logistic::{Fitted, Logistic, Rows};
pub use out_of_fold::{OutOfFold, Tried};
pub use truth::Truth;

/// A linear layer on features.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// `[classes, features]`, row by row.
    pub weights: Vec<f32>,
    /// One for each class.
    pub biases: Vec<f32>,
}

impl Head {
    /// The logits of an image with these features.
    #[doc(hidden)]
    pub fn logits(&self, features: &[f32]) -> Vec<f32> {
        let row = |(row, bias): (&[f32], &f32)| {
            let products = row.iter().zip(features).map(|(&weight, &value)| f64::from(weight) * f64::from(value));
            (products.sum::<f64>() + f64::from(*bias)) as f32
        };
        self.weights.chunks_exact(features.len().max(1)).zip(&self.biases).map(row).collect()
    }
}
