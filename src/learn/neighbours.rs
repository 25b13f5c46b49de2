//! The nearest images by cosine similarity, whose classes are counted.

use rayon::prelude::*;

use super::{
    Head, Rows,
    centroid::unit,
    logistic::Fitted,
    out_of_fold::{OutOfFold, Tried},
    products,
    truth::Truth,
};
use crate::{Error, Result, labels::Neighbours};

/// Numbers of neighbours to choose from.
const COUNTED: [usize; 8] = [1, 3, 5, 9, 15, 25, 45, 75];

/// Images whose similarities to all others are computed at once: by a thread, and by all threads between two calls of `step`.
const BLOCK: usize = 32;
const STEP: usize = 1024;

/// Probabilities below this count as this in the log loss.
const LEAST: f64 = f64::EPSILON;

/// Fits a head that counts the classes of the nearest images, by cosine similarity of the features. Cross-validation leaves one image out
/// at a time, and chooses the number of neighbours with the highest accuracy. Only the first view of each image is used. Calls `step`
/// repeatedly, with the share of the work that is done.
///
/// # Errors
/// [`Error::Shape`] if there are not as many rows as images, [`Error::ConfigValue`] if a class has fewer than two images, there are fewer
/// than two classes, or images may have several; and the errors of `step`.
pub fn neighbours<E: From<Error>>(
    rows: Rows<'_>,
    truth: &Truth,
    step: &mut dyn FnMut(f64) -> Result<(), E>,
) -> Result<Fitted, E> {
    truth.check()?;
    truth.check_one()?;
    let images = truth.of.len();
    rows.check(images)?;
    let plain = |image: usize| unit(rows.plain(image).iter().map(|&value| f64::from(value)).collect());
    let vectors: Vec<f64> = (0..images).flat_map(plain).collect();
    let counted: Vec<usize> = COUNTED.into_iter().filter(|&k| k < images).collect();
    let most = counted.last().copied().unwrap_or(1);
    let mut nearest: Vec<Vec<usize>> = Vec::with_capacity(images);
    for start in (0..images).step_by(STEP) {
        step(start as f64 / images as f64)?;
        let blocks: Vec<usize> = (start..images.min(start + STEP)).step_by(BLOCK).collect();
        let of_block = |&first: &usize| {
            let block = first..images.min(first + BLOCK).min(start + STEP);
            nearest_of(&vectors, rows.features, block, most)
        };
        nearest.par_extend(blocks.par_iter().flat_map_iter(of_block));
    }
    let classes = |image: usize, k: usize| nearest[image].iter().take(k).map(|&other| truth.of[other][0]);
    let judge = |k: usize| -> Vec<OutOfFold> {
        (0..images).map(|image| judged(classes(image, k), truth.of[image][0], truth.classes)).collect()
    };
    let tried: Vec<Tried> = counted.iter().map(|&k| Tried::of(k as f64, &judge(k))).collect();
    let better = |a: &&Tried, b: &&Tried| a.accuracy.total_cmp(&b.accuracy).then(b.log_loss.total_cmp(&a.log_loss));
    let strength = tried.iter().rev().max_by(better).map_or(1.0, |best| best.strength);
    let k = strength as usize;
    let head = Head {
        weights: vectors.iter().map(|&value| value as f32).collect(),
        biases: vec![0.0; images],
        neighbours: Some(Neighbours { k, of: truth.of.iter().map(|classes| classes[0]).collect() }),
    };
    Ok(Fitted { head, tried, strength, out_of_fold: judge(k), converged: true })
}

/// For each image of `block`, the most similar others, the nearest first.
fn nearest_of(vectors: &[f64], features: usize, block: std::ops::Range<usize>, most: usize) -> Vec<Vec<usize>> {
    let images = vectors.len() / features;
    let rows = &vectors[block.start * features..block.end * features];
    let mut cosines = vec![0.0; block.len() * images];
    products::forward(rows, vectors, &vec![0.0; images], &mut cosines);
    let of = |(image, cosines): (usize, &[f64])| {
        let mut others: Vec<usize> = (0..images).filter(|&other| other != image).collect();
        let nearer = |a: &usize, b: &usize| cosines[*b].total_cmp(&cosines[*a]).then(a.cmp(b));
        if most < others.len() {
            others.select_nth_unstable_by(most, nearer);
            others.truncate(most);
        }
        others.sort_unstable_by(nearer);
        others
    };
    block.zip(cosines.chunks_exact(images)).map(of).collect()
}

/// The prediction for an image whose nearest images are of these classes.
fn judged(nearest: impl Iterator<Item = usize>, truth: usize, classes: usize) -> OutOfFold {
    let mut votes = vec![0_usize; classes];
    nearest.for_each(|class| votes[class] += 1);
    let all: usize = votes.iter().sum();
    let others = (0..classes).filter(|&class| class != truth);
    let instead = others.max_by_key(|&class| (votes[class], std::cmp::Reverse(class))).unwrap_or(truth);
    let right = votes[truth] > votes[instead] || votes[truth] == votes[instead] && truth < instead;
    let of_truth = votes[truth] as f64 / all.max(1) as f64;
    OutOfFold { of_truth, instead, right, loss: -of_truth.max(LEAST).ln() }
}
