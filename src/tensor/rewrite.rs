//! Changes to the values of a weight before it is used. They need no operator, because weights are read once.

/// A function of the values of a tensor.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Rewrite {
    /// Subtracts from each output channel its mean, and divides by the square root of its variance plus this number (Qiao et al. 2019,
    /// "Micro-Batch Training with Batch-Channel Normalization and Weight Standardization", section 3.1).
    Standardise {
        /// Added to the variance.
        eps: f32,
        /// The factor of each output channel afterwards (Brock et al. 2021, "Characterizing signal propagation to close the performance gap
        /// in unnormalized ResNets", section 4.2).
        gain: Option<Gain>,
    },
    /// All values times a number.
    Times(f32),
    /// The weight `[out, block block in, k, k]` of a convolution of blocks of pixels, whose pixels are channels (TensorFlow's
    /// `space_to_depth`). Becomes the weight `[out, in, block k, block k]` of the equal convolution of the pixels, which strides by a
    /// block.
    Blocks {
        /// Rows and columns of a block.
        block: usize,
    },
}

/// A factor for each output channel.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Gain {
    /// Name of a tensor `[out, 1, 1, 1]`.
    pub name: String,
    /// The factor.
    pub times: f64,
}

impl Rewrite {
    /// The shape that the tensor has before it is rewritten to `shape`.
    pub(crate) fn stored_shape(&self, shape: &[usize]) -> Vec<usize> {
        match (self, shape) {
            (Rewrite::Blocks { block }, [out, image, h, w]) => vec![*out, block * block * image, h / block, w / block],
            _ => shape.to_vec(),
        }
    }

    /// Name and shape of the other tensor that rewriting to `shape` reads, if it reads one.
    pub(crate) fn reads(&self, shape: &[usize]) -> Option<(String, Vec<usize>)> {
        let Rewrite::Standardise { gain: Some(gain), .. } = self else { return None };
        let out = shape.first().copied().unwrap_or(0);
        Some((gain.name.clone(), shape.iter().enumerate().map(|(i, _)| if i == 0 { out } else { 1 }).collect()))
    }

    /// Rewrites the values of a tensor to one of this shape, in f64; `other` are the values of the tensor that it [reads](Self::reads).
    pub(crate) fn apply(&self, values: &mut [f32], shape: &[usize], other: &[f32]) {
        match self {
            Rewrite::Standardise { eps, gain } => {
                let terms = shape.iter().skip(1).product::<usize>().max(1);
                for (out, row) in values.chunks_mut(terms).enumerate() {
                    let factor = gain.as_ref().map_or(1.0, |gain| gain.times * f64::from(other[out]));
                    standardise(row, f64::from(*eps), factor);
                }
            }
            Rewrite::Times(factor) => values.iter_mut().for_each(|value| *value *= factor),
            Rewrite::Blocks { block } => {
                if let [out, image, h, w] = *shape {
                    blocks(values, [out, image, h, w], *block);
                }
            }
        }
    }
}

fn standardise(row: &mut [f32], eps: f64, factor: f64) {
    let mean = row.iter().map(|value| f64::from(*value)).sum::<f64>() / row.len() as f64;
    let variance = row.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / row.len() as f64;
    let scale = factor / (variance + eps).sqrt();
    row.iter_mut().for_each(|value| *value = ((f64::from(*value) - mean) * scale) as f32);
}

/// Rewrites `[out, row of block, column of block, in, k, k]` as `[out, in, k rows of block, k columns of block]`.
fn blocks(values: &mut [f32], [out, image, h, w]: [usize; 4], block: usize) {
    let stored = values.to_vec();
    let mut at = 0;
    for o in 0..out {
        for c in 0..image {
            for row in 0..h {
                for column in 0..w {
                    let channel = (row % block * block + column % block) * image + c;
                    let [k_h, k_w] = [h, w].map(|extent| extent / block);
                    let from = ((o * block * block * image + channel) * k_h + row / block) * k_w + column / block;
                    values[at] = stored[from];
                    at += 1;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standardised_rows_have_mean_zero_and_variance_one() {
        let standardise = |eps| Rewrite::Standardise { eps, gain: None };
        let mut values = [1.0, 3.0, 5.0, 7.0];
        standardise(0.0).apply(&mut values, &[2, 2, 1, 1], &[]);
        assert_eq!(values, [-1.0, 1.0, -1.0, 1.0]);
        let mut values = [2.0, 2.0, 0.0, 4.0];
        standardise(12.0).apply(&mut values, &[2, 2], &[]);
        assert_eq!(values, [0.0, 0.0, -0.5, 0.5]);
        let gain = Rewrite::Standardise { eps: 0.0, gain: Some(Gain { name: "gain".into(), times: 2.0 }) };
        assert_eq!(gain.reads(&[2, 2, 1, 1]), Some(("gain".into(), vec![2, 1, 1, 1])));
        let mut values = [1.0, 3.0, 5.0, 7.0];
        gain.apply(&mut values, &[2, 2, 1, 1], &[0.5, -3.0]);
        assert_eq!(values, [-1.0, 1.0, 6.0, -6.0]);
    }

    #[test]
    fn channels_of_blocks_become_pixels() {
        let rewrite = Rewrite::Blocks { block: 2 };
        assert_eq!(rewrite.stored_shape(&[1, 2, 2, 2]), [1, 8, 1, 1]);
        // The channels of the first pixel of a block come first.
        let mut values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        rewrite.apply(&mut values, &[1, 2, 2, 2], &[]);
        assert_eq!(values, [0.0, 2.0, 4.0, 6.0, 1.0, 3.0, 5.0, 7.0]);
        // Two blocks beside each other.
        let mut values = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0];
        rewrite.apply(&mut values, &[1, 1, 2, 4], &[]);
        assert_eq!(values, [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    }
}
