//! The preconditioner of the searches: the inverse of an approximate Hessian.
//!
//! The Hessian of logistic regression has a block for each pair of outputs. The approximation has the same block for each output, and zeros
//! for pairs of different outputs. The block is a Gram matrix of the rows, each weighted by the mean of p(1 - p) over its outputs. With
//! it a search needs a fraction of its steps.

use rayon::prelude::*;

use super::products;

/// Rows that are multiplied at once, so that their transpose stays in a core's cache.
const BLOCK: usize = 256;

/// Pivots of a step of the inversion.
const PIVOTS: usize = 32;

/// The least weight of a row, which avoids a division by zero.
const LEAST: f64 = 1e-4;

/// Evaluations of the loss that a full matrix saves in the searches of a strength, at least.
const SAVED: usize = 400;

/// The inverse of `I + scale * sum of curvature * row row^T`.
pub(super) struct Inverse {
    features: usize,
    weights: Weights,
    bias: f64,
}

/// The inverse's block of the weights of an output.
enum Weights {
    /// `[features, features]`.
    Matrix(Vec<f64>),
    /// A multiple of the identity, from the diagonal that standardised features have.
    Scale(f64),
}

impl Inverse {
    /// The inverse for rows of so many standardised `features`, with the `curvature` of each. It is a full matrix if making it takes less
    /// time than it saves in searches for so many `outputs`.
    pub(super) fn new(rows: &[f64], features: usize, curvatures: &[f64], scale: f64, outputs: usize) -> Self {
        let weights: Vec<f64> = curvatures.iter().map(|curvature| scale * curvature.max(LEAST)).collect();
        let sum: f64 = weights.iter().sum();
        let count = weights.len().max(1);
        let weights = if features * (count + features) / 2 < SAVED * 2 * count * outputs {
            let mut matrix = gram(rows, features, &weights);
            (0..features).for_each(|i| matrix[i * (features + 1)] += 1.0);
            invert(&mut matrix, features);
            Weights::Matrix(matrix)
        } else {
            Weights::Scale(1.0 / (1.0 + sum))
        };
        Inverse { features, weights, bias: 1.0 / sum.max(f64::MIN_POSITIVE) }
    }

    /// Multiplies a point of a search by it: the weights `[outputs, features]`, and the biases after them.
    pub(super) fn apply(&self, point: &mut [f64]) {
        let outputs = point.len() / (self.features + 1);
        let (weights, biases) = point.split_at_mut(outputs * self.features);
        match &self.weights {
            Weights::Matrix(matrix) => {
                let mut products = vec![0.0; weights.len()];
                products::forward(matrix, weights, &vec![0.0; outputs], &mut products);
                for (feature, products) in products.chunks_exact(outputs).enumerate() {
                    for (output, product) in products.iter().enumerate() {
                        weights[output * self.features + feature] = *product;
                    }
                }
            }
            Weights::Scale(scale) => weights.iter_mut().for_each(|weight| *weight *= scale),
        }
        biases.iter_mut().for_each(|bias| *bias *= self.bias);
    }
}

/// The lower triangle of the sum of `weight * row row^T`.
fn gram(rows: &[f64], features: usize, weights: &[f64]) -> Vec<f64> {
    let mut gram = vec![0.0; features * features];
    for (rows, weights) in rows.chunks(BLOCK * features).zip(weights.chunks(BLOCK)) {
        let count = weights.len();
        let mut columns = vec![0.0; features * count];
        columns.par_chunks_exact_mut(count).enumerate().for_each(|(feature, column)| {
            for ((value, row), weight) in column.iter_mut().zip(rows.chunks_exact(features)).zip(weights) {
                *value = weight.sqrt() * row[feature];
            }
        });
        products::add_symmetric(&columns, count, 1.0, &mut gram);
    }
    gram
}

/// Inverts a symmetric positive definite matrix of `n` rows, of which the lower triangle is read.
///
/// Source: Goodnight 1979, "A Tutorial on the SWEEP Operator", with blocks of columns as pivots.
fn invert(matrix: &mut [f64], n: usize) {
    for start in (0..n).step_by(PIVOTS) {
        let pivots = start..n.min(start + PIVOTS);
        let width = pivots.len();
        let at = |i: usize, j: usize| if i >= j { i * n + j } else { j * n + i };
        let factor = cholesky(
            &pivots
                .clone()
                .flat_map(|i| pivots.clone().map(move |j| (i, j)))
                .map(|(i, j)| matrix[at(i, j)])
                .collect::<Vec<_>>(),
            width,
        );
        let mut columns: Vec<f64> =
            (0..n).flat_map(|i| pivots.clone().map(move |j| (i, j))).map(|(i, j)| matrix[at(i, j)]).collect();
        // The rows of the pivots become the rows of their inverse.
        for (i, pivot) in pivots.clone().enumerate() {
            let row = &mut columns[pivot * width..][..width];
            row.fill(0.0);
            row[i] = 1.0;
        }
        columns.par_chunks_exact_mut(width).for_each(|row| forward_substitute(&factor, row));
        let mut others = columns.clone();
        others[pivots.start * width..pivots.end * width].fill(0.0);
        products::add_symmetric(&others, width, -1.0, matrix);
        columns.par_chunks_exact_mut(width).for_each(|row| backward_substitute(&factor, row));
        for (i, row) in columns.chunks_exact(width).enumerate() {
            for (j, value) in pivots.clone().zip(row) {
                matrix[at(i, j)] = if pivots.contains(&i) { -value } else { *value };
            }
        }
    }
    for i in 0..n {
        for j in 0..=i {
            let value = -matrix[i * n + j];
            matrix[i * n + j] = value;
            matrix[j * n + i] = value;
        }
    }
}

/// The lower triangle `L` with `L L^T` equal to a symmetric positive definite matrix of `n` rows.
fn cholesky(matrix: &[f64], n: usize) -> Vec<f64> {
    let mut lower = vec![0.0; n * n];
    for i in 0..n {
        for j in 0..=i {
            let (row, other) = (&lower[i * n..][..j], &lower[j * n..][..j]);
            let rest = matrix[i * n + j] - row.iter().zip(other).map(|(a, b)| a * b).sum::<f64>();
            lower[i * n + j] = if i == j { rest.max(f64::MIN_POSITIVE).sqrt() } else { rest / lower[j * n + j] };
        }
    }
    lower
}

/// Multiplies `row` by the inverse of `L^T`.
fn forward_substitute(lower: &[f64], row: &mut [f64]) {
    let n = row.len();
    for j in 0..n {
        let sum: f64 = row[..j].iter().zip(&lower[j * n..]).map(|(a, b)| a * b).sum();
        row[j] = (row[j] - sum) / lower[j * n + j];
    }
}

/// Multiplies `row` by the inverse of `L`.
fn backward_substitute(lower: &[f64], row: &mut [f64]) {
    let n = row.len();
    for j in (0..n).rev() {
        row[j] /= lower[j * n + j];
        let value = row[j];
        row[..j].iter_mut().zip(&lower[j * n..]).for_each(|(other, factor)| *other -= value * factor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_inverse_is_that_of_the_weighted_gram_matrix() {
        let number = |i: usize| ((i * 7919 + 13) % 1009) as f64 / 500.0 - 1.0;
        for (rows, features) in [(3, 1), (5, 7), (300, 40), (20, 70)] {
            let x: Vec<f64> = (0..rows * features).map(number).collect();
            let curvatures: Vec<f64> = (0..rows).map(|i| 0.01 + 0.2 * number(3 * i).abs()).collect();
            let inverse = Inverse::new(&x, features, &curvatures, 3.0, 1);
            assert!(matches!(inverse.weights, Weights::Matrix(_)));
            // A point with one output, multiplied with the matrix that was inverted, and back.
            let point: Vec<f64> = (0..=features).map(|i| number(i + 5)).collect();
            let mut product = point.clone();
            for (row, curvature) in x.chunks_exact(features).zip(&curvatures) {
                let along: f64 = row.iter().zip(&point).map(|(a, b)| a * b).sum();
                product.iter_mut().zip(row).for_each(|(sum, value)| *sum += 3.0 * curvature * along * value);
            }
            product[features] *= 3.0 * curvatures.iter().sum::<f64>();
            inverse.apply(&mut product);
            for (got, expected) in product.iter().zip(&point) {
                assert!((got - expected).abs() < 1e-9, "{rows} {features}: {got} {expected}");
            }
        }
    }
}
