//! The nearest class mean by cosine similarity, for very few images.

use super::{
    Head, Rows,
    logistic::Fitted,
    out_of_fold::{Tried, log_softmax, one},
    truth::Truth,
};
use crate::Result;

/// Factors of the cosines to choose from. The largest one makes the nearest class almost certain.
const SCALES: [f64; 8] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0];

/// Fits a head that gives each class the cosine similarity of the image's features to the mean of the class's features, all of unit length,
/// times a factor. For cross-validation each image is left out of the mean of its class. The factor is the one with the lowest log
/// loss. Only the first view of each image is used.
///
/// # Errors
/// [`Error::Shape`](crate::Error::Shape) if there are not as many rows as images, [`Error::ConfigValue`](crate::Error::ConfigValue) if a
/// class has fewer than two images, there are fewer than two classes, or images may have several.
pub fn centroid(rows: Rows<'_>, truth: &Truth) -> Result<Fitted> {
    truth.check()?;
    truth.check_one()?;
    rows.check(truth.of.len())?;
    let plain = |image: usize| rows.plain(image).iter().map(|&value| f64::from(value)).collect::<Vec<f64>>();
    let features: Vec<Vec<f64>> = (0..truth.of.len()).map(|image| unit(plain(image))).collect();
    let lengths: f64 = (0..truth.of.len()).map(plain).map(|row| dot(&row, &row).sqrt()).sum();
    let mean_length = (lengths / truth.of.len() as f64).max(f64::MIN_POSITIVE);
    let mut sums = vec![vec![0.0; rows.features]; truth.classes];
    for (classes, features) in truth.of.iter().zip(&features) {
        sums[classes[0]].iter_mut().zip(features).for_each(|(sum, value)| *sum += value);
    }
    let means: Vec<Vec<f64>> = sums.iter().cloned().map(unit).collect();
    let cosines: Vec<Vec<f64>> = truth
        .of
        .iter()
        .zip(&features)
        .map(|(classes, features)| {
            let without = unit(sums[classes[0]].iter().zip(features).map(|(sum, value)| sum - value).collect());
            let of =
                |(class, mean): (usize, &Vec<f64>)| dot(if class == classes[0] { &without } else { mean }, features);
            means.iter().enumerate().map(of).collect()
        })
        .collect();
    let judge = |scale: f64| {
        let scaled = |cosines: &Vec<f64>| cosines.iter().map(|cosine| scale * cosine).collect::<Vec<f64>>();
        let judged = cosines.iter().zip(&truth.of).map(|(all, classes)| one(&log_softmax(&scaled(all)), classes[0]));
        judged.collect::<Vec<_>>()
    };
    let tried: Vec<Tried> = SCALES.iter().map(|&scale| Tried::of(scale, &judge(scale))).collect();
    let best = tried.iter().min_by(|a, b| a.log_loss.total_cmp(&b.log_loss)).map_or(1.0, |best| best.strength);
    let scaled = means.iter().flatten().map(|value| (value * best / mean_length) as f32);
    let head = Head { weights: scaled.collect(), biases: vec![0.0; truth.classes], neighbours: None };
    Ok(Fitted { head, tried, strength: best, out_of_fold: judge(best), converged: true })
}

/// Scaled to unit length; zeros stay.
pub(super) fn unit(mut values: Vec<f64>) -> Vec<f64> {
    let length = dot(&values, &values).sqrt();
    if length > 0.0 {
        values.iter_mut().for_each(|value| *value /= length);
    }
    values
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
