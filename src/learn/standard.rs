//! Features with a mean of zero and a deviation of one.

/// Mean and standard deviation of each feature, over all rows.
pub(super) struct Standard {
    mean: Vec<f64>,
    deviation: Vec<f64>,
}

impl Standard {
    /// Computes them for rows of so many `features`. A constant feature gets a deviation of one.
    pub(super) fn of(rows: &[f32], features: usize) -> Self {
        let count = (rows.len() / features.max(1)).max(1) as f64;
        let mean_of = |value: &dyn Fn(usize, f64) -> f64| {
            let mut sums = vec![0.0; features];
            for row in rows.chunks_exact(features) {
                sums.iter_mut().zip(row).enumerate().for_each(|(i, (sum, &x))| *sum += value(i, x.into()));
            }
            sums.iter_mut().for_each(|sum| *sum /= count);
            sums
        };
        let mean = mean_of(&|_, x| x);
        let variance = mean_of(&|i, x| (x - mean[i]).powi(2));
        // A constant's deviation is the rounding error of its mean.
        let constant = |mean: f64| (10.0 * f64::EPSILON * mean).abs();
        let deviation = variance.iter().zip(&mean).map(|(variance, &mean)| match variance.sqrt() {
            deviation if deviation <= constant(mean) => 1.0,
            deviation => deviation,
        });
        Standard { deviation: deviation.collect(), mean }
    }

    /// Standardises a row.
    pub(super) fn apply<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        let of = |((&x, mean), deviation): ((&f32, &f64), &f64)| (f64::from(x) - mean) / deviation;
        row.iter().zip(&self.mean).zip(&self.deviation).map(of)
    }

    /// Turns weights and biases for standardised features into those for the features themselves.
    pub(super) fn undo(&self, weights: &[f64], biases: &[f64]) -> (Vec<f64>, Vec<f64>) {
        let weights: Vec<f64> = weights.iter().zip(self.deviation.iter().cycle()).map(|(w, d)| w / d).collect();
        let shift = |row: &[f64]| row.iter().zip(&self.mean).map(|(weight, mean)| weight * mean).sum::<f64>();
        let shifts = weights.chunks_exact(self.mean.len()).map(shift);
        let biases = biases.iter().zip(shifts).map(|(bias, shift)| bias - shift).collect();
        (weights, biases)
    }
}
