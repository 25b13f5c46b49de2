//! Products of matrices in f64, with the vectors that the processor has. Each number is summed in an order of its own, so that the bits are
//! the same for any number of threads.

use pulp::{Arch, Simd, WithSimd};

/// Rows that are taken together.
const TOGETHER: usize = 4;

/// `sums[row][output] = biases[output] + rows[row] . weights[output]`, all of them row by row.
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
                // Of an odd number of outputs the last one is taken twice.
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

/// The products of some rows with the weights of some outputs, each summed in the same order however many are taken together.
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

/// `gradient[output] += sum over rows of errors[row][output] * rows[row]`.
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
    fn with_simd<S: Simd>(self, _: S) {
        let Backward { rows, errors, outputs, gradient } = self;
        let features = gradient.len() / outputs.max(1);
        for (rows, errors) in rows.chunks(TOGETHER * features).zip(errors.chunks(TOGETHER * outputs)) {
            for (output, gradient) in gradient.chunks_exact_mut(features).enumerate() {
                let error = |row: usize| errors[row * outputs + output];
                if rows.len() == TOGETHER * features {
                    let [a, b, c, d] = std::array::from_fn(|row| &rows[row * features..][..features]);
                    let [e, f, g, h] = std::array::from_fn(error);
                    for (i, sum) in gradient.iter_mut().enumerate() {
                        *sum += (e * a[i] + f * b[i]) + (g * c[i] + h * d[i]);
                    }
                } else {
                    for (row, values) in rows.chunks_exact(features).enumerate() {
                        gradient.iter_mut().zip(values).for_each(|(sum, value)| *sum += error(row) * value);
                    }
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
