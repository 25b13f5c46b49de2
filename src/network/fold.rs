//! Folds a batch norm into the weights before it: at inference it is a scale and a shift of each channel.

use super::{ConvWeights, Norm};
use crate::{Result, checkpoint::Checkpoint};

/// Scale and shift of a batch norm at inference, `y = scale * x + shift`, in f64 (Ioffe and Szegedy 2015, algorithm 2, line 11).
///
/// # Errors
/// The errors of [`Checkpoint::tensor`].
pub(crate) fn scale_shift(checkpoint: &Checkpoint, norm: &Norm) -> Result<Vec<(f64, f64)>> {
    let read = |part: &str| checkpoint.tensor(&format!("{}.{part}", norm.prefix), &[norm.channels]);
    let (weight, bias) = (read("weight")?, read("bias")?);
    let (mean, var) = (read("running_mean")?, read("running_var")?);
    let per_channel = |c: usize| {
        let scale = f64::from(weight[c]) / (f64::from(var[c]) + f64::from(norm.eps)).sqrt();
        (scale, f64::from(bias[c]) - f64::from(mean[c]) * scale)
    };
    Ok((0..norm.channels).map(per_channel).collect())
}

/// Scale and shift of each output channel of a layer: its bias, then its batch norm.
///
/// # Errors
/// The errors of [`Checkpoint::tensor`].
pub(crate) fn output_affine(checkpoint: &Checkpoint, weights: &ConvWeights, outputs: usize) -> Result<Vec<(f64, f64)>> {
    let mut affine = match &weights.norm {
        Some(norm) => scale_shift(checkpoint, norm)?,
        None => vec![(1.0, 0.0); outputs],
    };
    if let Some(bias) = &weights.bias {
        for ((scale, shift), bias) in affine.iter_mut().zip(checkpoint.tensor(bias, &[outputs])?.iter()) {
            *shift += *scale * f64::from(*bias);
        }
    }
    Ok(affine)
}
