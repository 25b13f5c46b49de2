//! Matrix products in f64 with the processor's vectors. The order of the additions is fixed, so that any number of threads gives the same
//! bits.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

/// Rows of a tile.
const TOGETHER: usize = 4;

/// Computes `sums[row][output] = biases[output] + rows[row] . weights[output]`, all of them row by row.
pub(super) fn forward(rows: &[f64], weights: &[f64], biases: &[f64], sums: &mut [f64]) {
    Arch::new().dispatch(Forward { rows, weights, biases, sums });
}

struct Forward<'a> {
    rows: &'a [f64],
    weights: &'a [f64],
    biases: &'a [f64],
    sums: &'a mut [f64],
}

impl<'a> WithSimd for Forward<'a> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Forward { rows, weights, biases, sums } = self;
        let (outputs, features) = (biases.len(), weights.len() / biases.len().max(1));
        let row_of = |values: &'a [f64], row: usize| &values[row * features..][..features];
        for (rows, sums) in rows.chunks(TOGETHER * features).zip(sums.chunks_mut(TOGETHER * outputs)) {
            let whole = rows.len() == TOGETHER * features;
            for output in (0..outputs).step_by(2) {
                let mut put = |row: usize, output: usize, product: f64| {
                    sums[row * outputs + output] = biases[output] + product;
                };
                // With an odd number of outputs, the last one is computed twice.
                let pair = [output, (output + 1).min(outputs - 1)];
                let weights = pair.map(|output| row_of(weights, output));
                if whole {
                    let products = tile(simd, std::array::from_fn::<_, TOGETHER, _>(|row| row_of(rows, row)), weights);
                    for (row, products) in products.into_iter().enumerate() {
                        pair.into_iter().zip(products).for_each(|(output, product)| put(row, output, product));
                    }
                } else {
                    for row in 0..rows.len() / features {
                        let [products] = tile(simd, [row_of(rows, row)], weights);
                        pair.into_iter().zip(products).for_each(|(output, product)| put(row, output, product));
                    }
                }
            }
        }
    }
}

/// The products of some rows with the weights of some outputs. The order of the additions does not depend on the size of the tile.
#[inline(always)]
fn tile<S: Simd, const R: usize, const O: usize>(simd: S, rows: [&[f64]; R], weights: [&[f64]; O]) -> [[f64; O]; R] {
    let (rows, weights) = (rows.map(S::as_simd_f64s), weights.map(S::as_simd_f64s));
    let mut sums = [[simd.splat_f64s(0.0); O]; R];
    for i in 0..weights[0].0.len() {
        for (sums, row) in sums.iter_mut().zip(rows) {
            for (sum, weights) in sums.iter_mut().zip(weights) {
                *sum = simd.mul_add_f64s(row.0[i], weights.0[i], *sum);
            }
        }
    }
    let tail = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    std::array::from_fn(|r| std::array::from_fn(|o| simd.reduce_sum_f64s(sums[r][o]) + tail(rows[r].1, weights[o].1)))
}

/// Computes `gradient[output] += sum over rows of errors[row][output] * rows[row]`.
pub(super) fn backward(rows: &[f64], errors: &[f64], outputs: usize, gradient: &mut [f64]) {
    Arch::new().dispatch(Backward { rows, errors, outputs, gradient });
}

struct Backward<'a> {
    rows: &'a [f64],
    errors: &'a [f64],
    outputs: usize,
    gradient: &'a mut [f64],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Backward { rows, errors, outputs, gradient } = self;
        let features = gradient.len() / outputs.max(1);
        for (rows, errors) in rows.chunks(TOGETHER * features).zip(errors.chunks(TOGETHER * outputs)) {
            let error = |row: usize, output: usize| errors[row * outputs + output];
            if rows.len() == TOGETHER * features {
                let rows: [&[f64]; TOGETHER] = std::array::from_fn(|row| &rows[row * features..][..features]);
                let of = |output: usize| std::array::from_fn(|row| error(row, output));
                for (pair, sums) in gradient.chunks_mut(2 * features).enumerate() {
                    match sums.split_at_mut(features) {
                        (sums, []) => add(simd, rows, [of(2 * pair)], [sums]),
                        (sums, others) => add(simd, rows, [of(2 * pair), of(2 * pair + 1)], [sums, others]),
                    }
                }
            } else {
                for (output, sums) in gradient.chunks_exact_mut(features).enumerate() {
                    for (row, values) in rows.chunks_exact(features).enumerate() {
                        sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += error(row, output) * value);
                    }
                }
            }
        }
    }
}

/// Adds rows to the sums of some outputs, each times its error there.
#[inline(always)]
fn add<S: Simd, const O: usize>(
    simd: S,
    rows: [&[f64]; TOGETHER],
    errors: [[f64; TOGETHER]; O],
    sums: [&mut [f64]; O],
) {
    let rows = rows.map(S::as_simd_f64s);
    let mut sums = sums.map(S::as_mut_simd_f64s);
    let splat = errors.map(|errors| errors.map(|error| simd.splat_f64s(error)));
    for i in 0..rows[0].0.len() {
        let values = rows.map(|row| row.0[i]);
        for (sums, errors) in sums.iter_mut().zip(splat) {
            let mut sum = sums.0[i];
            for (value, error) in values.into_iter().zip(errors) {
                sum = simd.mul_add_f64s(value, error, sum);
            }
            sums.0[i] = sum;
        }
    }
    for i in 0..rows[0].1.len() {
        for (sums, errors) in sums.iter_mut().zip(errors) {
            for (row, error) in rows.iter().zip(errors) {
                sums.1[i] += row.1[i] * error;
            }
        }
    }
}

/// Computes `lower[i][j] += factor * rows[i] . rows[j]` for all `j` up to `i`, where `rows` are of length `width`. `lower` is square; what
/// is above its diagonal may change.
pub(super) fn add_symmetric(rows: &[f64], width: usize, factor: f64, lower: &mut [f64]) {
    let n = rows.len() / width;
    lower.par_chunks_mut(TOGETHER * n).enumerate().for_each(|(block, lower)| {
        Arch::new().dispatch(AddSymmetric { rows, width, factor, first: block * TOGETHER, lower });
    });
}

struct AddSymmetric<'a> {
    rows: &'a [f64],
    width: usize,
    factor: f64,
    /// The first of the rows of `lower`.
    first: usize,
    lower: &'a mut [f64],
}

impl<'a> WithSimd for AddSymmetric<'a> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let AddSymmetric { rows, width, factor, first, lower } = self;
        let n = rows.len() / width;
        let row_of = |row: usize| -> &'a [f64] { &rows[row * width..][..width] };
        let count = lower.len() / n;
        // Past the end the last row is repeated, and its products are dropped.
        let mine: [&[f64]; TOGETHER] = std::array::from_fn(|row| row_of(first + row.min(count - 1)));
        for column in (0..first + count).step_by(2) {
            let pair = [column, (column + 1).min(n - 1)];
            let products = tile(simd, mine, pair.map(row_of));
            for (row, products) in products.into_iter().take(count).enumerate() {
                lower[row * n + column] += factor * products[0];
                if pair[1] > column {
                    lower[row * n + pair[1]] += factor * products[1];
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_of_any_extents() {
        let number = |i: usize| ((i * 37 + 11) % 29) as f64 / 8.0 - 1.5;
        for (rows, features, outputs) in [(1, 1, 1), (4, 8, 2), (7, 19, 3), (9, 5, 1)] {
            let x: Vec<f64> = (0..rows * features).map(number).collect();
            let weights: Vec<f64> = (0..outputs * features).map(|i| number(i + 5)).collect();
            let biases: Vec<f64> = (0..outputs).map(number).collect();
            let errors: Vec<f64> = (0..rows * outputs).map(|i| number(i + 3)).collect();
            let (mut sums, mut gradient) = (vec![0.0; rows * outputs], vec![1.0; outputs * features]);
            forward(&x, &weights, &biases, &mut sums);
            backward(&x, &errors, outputs, &mut gradient);
            for output in 0..outputs {
                for row in 0..rows {
                    let products = (0..features).map(|i| x[row * features + i] * weights[output * features + i]);
                    assert!((sums[row * outputs + output] - biases[output] - products.sum::<f64>()).abs() < 1e-12);
                }
                for i in 0..features {
                    let products = (0..rows).map(|row| errors[row * outputs + output] * x[row * features + i]);
                    assert!((gradient[output * features + i] - 1.0 - products.sum::<f64>()).abs() < 1e-12);
                }
            }
        }
    }
}
