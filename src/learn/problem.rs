//! The objective of logistic regression: `C * sum of row weight * loss + 0.5 * |weights|^2`, without a penalty on biases. It is the
//! objective of scikit-learn's `LogisticRegression` at the same C.

use std::ops::Range;

use rayon::prelude::*;

use super::{curvature::Inverse, lbfgs::Function, out_of_fold::log_softmax, products};

/// Rows of a block. With 512 features they stay in a core's cache between the two products.
const BLOCK: usize = 128;

/// Parts into which the work is split, at most. Their sums are added in order.
const PARTS: usize = 16;

/// Numbers in the sums of all parts together, at most.
const ROOM: usize = 1 << 24;

/// How sums become probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// Exactly one output is true.
    Softmax,
    /// Each output separately.
    Sigmoid,
}

/// When a search ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Accuracy {
    /// To compare strengths: no component of the mean loss's gradient is above 1e-4, as in scikit-learn by default.
    Compared,
    /// The weights are off by 1e-4 of the largest weight, at most.
    Final,
}

/// Rows of standardised features, with their classes.
pub(super) struct Data {
    /// Row by row.
    pub(super) rows: Vec<f64>,
    pub(super) features: usize,
    /// The true outputs of each row.
    pub(super) truth: Vec<Vec<usize>>,
    /// The weight of each row.
    pub(super) weights: Vec<f64>,
    /// The weights of an output's loss where the output is false, and where it is true.
    pub(super) balance: Vec<[f64; 2]>,
    pub(super) link: Link,
}

/// The regression on some of the rows.
pub(super) struct Problem<'a> {
    pub(super) data: &'a Data,
    /// The rows to fit to.
    pub(super) parts: &'a [Range<usize>],
    /// The inverse of the penalty.
    pub(super) strength: f64,
    pub(super) accuracy: Accuracy,
    /// An approximate inverse Hessian.
    pub(super) inverse: &'a Inverse,
}

/// The sums over rows of the loss and of its derivatives.
struct Sums {
    loss: f64,
    weights: Vec<f64>,
    biases: Vec<f64>,
}

impl Data {
    /// The number of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.balance.len()
    }

    /// Splits a point of the search into weights `[outputs, features]` and biases.
    pub(super) fn split<'p>(&self, point: &'p [f64]) -> (&'p [f64], &'p [f64]) {
        point.split_at(self.outputs() * self.features)
    }

    /// A point of zeros.
    pub(super) fn origin(&self) -> Vec<f64> {
        vec![0.0; self.outputs() * (self.features + 1)]
    }

    /// The logits of some rows, `[rows, outputs]`.
    pub(super) fn outputs_of(&self, point: &[f64], rows: Range<usize>) -> Vec<f64> {
        let (weights, biases) = self.split(point);
        let mut sums = vec![0.0; rows.len() * self.outputs()];
        products::forward(self.values(rows), weights, biases, &mut sums);
        sums
    }

    /// The second derivative of the loss by a logit, in the mean over a row's outputs with these `sums`.
    pub(super) fn curvature(&self, sums: &[f64]) -> f64 {
        let of = |probability: f64| probability * (1.0 - probability);
        let all: f64 = match self.link {
            Link::Softmax => log_softmax(sums).into_iter().map(|log| of(log.exp())).sum(),
            Link::Sigmoid => sums.iter().map(|sum| of(1.0 / (1.0 + (-sum).exp()))).sum(),
        };
        all / sums.len() as f64
    }

    fn values(&self, rows: Range<usize>) -> &[f64] {
        &self.rows[rows.start * self.features..rows.end * self.features]
    }

    /// The loss of `row`. Replaces its logits `sums` by the loss's derivatives.
    fn loss(&self, row: usize, sums: &mut [f64]) -> f64 {
        let truth = &self.truth[row];
        match self.link {
            Link::Softmax => {
                let class = truth[0];
                let weight = self.weights[row] * self.balance[class][1];
                let largest = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let of_class = sums[class];
                sums.iter_mut().for_each(|sum| *sum = (*sum - largest).exp());
                let total: f64 = sums.iter().sum();
                sums.iter_mut().for_each(|power| *power *= weight / total);
                sums[class] -= weight;
                weight * (total.ln() + largest - of_class)
            }
            Link::Sigmoid => {
                let mut loss = 0.0;
                for (output, sum) in sums.iter_mut().enumerate() {
                    let is_true = truth.contains(&output);
                    let weight = self.weights[row] * self.balance[output][usize::from(is_true)];
                    let target = if is_true { 1.0 } else { 0.0 };
                    loss += weight * (sum.max(0.0) + (-sum.abs()).exp().ln_1p() - target * *sum);
                    *sum = weight * (1.0 / (1.0 + (-*sum).exp()) - target);
                }
                loss
            }
        }
    }

    /// The sums over `parts` at a point. The order of the additions does not depend on the number of threads.
    fn sums(&self, point: &[f64], parts: &[Range<usize>]) -> Sums {
        let block = |part: &Range<usize>| {
            let end = part.end;
            part.clone().step_by(BLOCK).map(move |start| start..end.min(start + BLOCK))
        };
        let blocks: Vec<Range<usize>> = parts.iter().flat_map(block).collect();
        let (outputs, numbers) = (self.outputs(), point.len());
        let zero = || Sums { loss: 0.0, weights: vec![0.0; outputs * self.features], biases: vec![0.0; outputs] };
        let sum = |blocks: &[Range<usize>]| {
            let mut total = zero();
            for block in blocks {
                let mut sums = self.outputs_of(point, block.clone());
                for (row, sums) in block.clone().zip(sums.chunks_exact_mut(outputs)) {
                    total.loss += self.loss(row, sums);
                    total.biases.iter_mut().zip(sums).for_each(|(bias, error)| *bias += *error);
                }
                products::backward(self.values(block.clone()), &sums, outputs, &mut total.weights);
            }
            total
        };
        let most = (ROOM / numbers.max(1)).clamp(4, PARTS);
        let sums: Vec<Sums> = blocks.par_chunks(blocks.len().div_ceil(most).max(1)).map(sum).collect();
        sums.into_iter().fold(zero(), |mut total, part| {
            total.loss += part.loss;
            total.weights.iter_mut().zip(&part.weights).for_each(|(sum, part)| *sum += part);
            total.biases.iter_mut().zip(&part.biases).for_each(|(sum, part)| *sum += part);
            total
        })
    }
}

impl Function for Problem<'_> {
    fn at(&self, point: &[f64]) -> (f64, Vec<f64>) {
        let Sums { loss, weights: by_weights, biases } = self.data.sums(point, self.parts);
        let (weights, _) = self.data.split(point);
        let penalty: f64 = weights.iter().map(|weight| weight * weight).sum();
        let of_weights = by_weights.iter().zip(weights).map(|(sum, weight)| self.strength * sum + weight);
        let gradient = of_weights.chain(biases.iter().map(|sum| self.strength * sum)).collect();
        (self.strength * loss + 0.5 * penalty, gradient)
    }

    fn is_minimum(&self, point: &[f64], gradient: &[f64]) -> bool {
        let (weights, _) = self.data.split(point);
        let largest = |values: &[f64]| values.iter().fold(0.0_f64, |largest, value| largest.max(value.abs()));
        match self.accuracy {
            Accuracy::Compared => {
                let rows = self.parts.iter().flat_map(|part| &self.data.weights[part.clone()]).sum::<f64>();
                largest(gradient) <= 1e-4 * self.strength * rows
            }
            // The penalty makes the second derivative at least one, so that the length of the gradient bounds the distance to the minimum.
            Accuracy::Final => {
                gradient.iter().map(|value| value * value).sum::<f64>().sqrt() <= 1e-4 * largest(weights).max(1e-6)
            }
        }
    }

    fn precondition(&self, vector: &mut [f64]) {
        self.inverse.apply(vector);
    }
}
