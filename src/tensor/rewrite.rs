//! Changes to the values of a weight before it is used. They need no operator, because weights are read once.

/// A function of the values of a tensor.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Rewrite {
    /// Subtracts from each output channel its mean, and divides by the square root of its variance plus this number (Qiao et al. 2019,
    /// "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", section 3.1).
    Standardise {
        /// Added to the variance.
        eps: f32,
    },
}

impl Rewrite {
    /// Rewrites the values of a tensor of this shape, in f64.
    pub(crate) fn apply(self, values: &mut [f32], shape: &[usize]) {
        let Rewrite::Standardise { eps } = self;
        let terms = shape.iter().skip(1).product::<usize>().max(1);
        for row in values.chunks_mut(terms) {
            let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / row.len() as f64;
            let variance = row.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / row.len() as f64;
            let scale = 1.0 / (variance + f64::from(eps)).sqrt();
            row.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) * scale) as f32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_rows_have_mean_zero_and_variance_one() {
        let mut values = [1.0, 3.0, 5.0, 7.0];
        Rewrite::Standardise { eps: 0.0 }.apply(&mut values, &[2, 2, 1, 1]);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        let mut values = [2.0, 2.0, 0.0, 4.0];
        Rewrite::Standardise { eps: 12.0 }.apply(&mut values, &[2, 2]);
        assert_eq!(values, [0.0, 0.0, -0.5, 0.5]);
    }
}
