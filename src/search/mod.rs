//! Exact similarity search: matrix products on the network's device compare all vectors, and [`cosine`] gives the exact value for the
//! few best.

pub mod index;

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    executor::Executor,
    graph::{Graph, Op, Plain},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

/// Bytes of vectors on the device at once: below 128 MiB, the binding size that every WebGPU device allows.
const CHUNK_BYTES: usize = 64 << 20;

/// Queries per submission.
const QUERIES: usize = 256;

/// A block of the matrix of cosine similarities: consecutive queries against consecutive vectors.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Similarities {
    /// Index of the first query.
    pub query: usize,
    /// Index of the first vector.
    pub vector: usize,
    /// One row per query, with a similarity from -1 to 1 for each vector.
    pub rows: Vec<Vec<f32>>,
    /// Largest possible difference of a similarity from [`cosine`].
    pub error: f32,
}

/// Cosine of the angle between two vectors of one length, from -1 to 1, summed in f64; 0 if one of them is zero. The order does not
/// matter, and equal vectors give 1.
pub fn cosine(a: &[f32], b: &[f32]) -> f32 {
    // The square root of a square is exact, so equal vectors give 1.
    let lengths = (dot(a, a) * dot(b, b)).sqrt();
    if lengths == 0.0 { 0.0 } else { (dot(a, b) / lengths).clamp(-1.0, 1.0) as f32 }
}

/// The vector scaled to length one. Zero stays zero, with similarity 0 to every vector.
pub fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    vector
}

/// The dot product, in eight parallel sums for the processor's vector units; every pair of vectors is summed in the same order.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut sums = [0.0_f64; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        for ((sum, &a), &b) in sums.iter_mut().zip(a).zip(b) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    sums.iter().sum()
}

/// Calls `each` with the similarities of all `queries` to all `vectors`, block by block. The vectors are the weights of a linear
/// layer, and the queries are its batch.
pub(crate) async fn similarities<E: From<Error>>(
    executor: &dyn Executor,
    queries: &[&[f32]],
    vectors: &[&[f32]],
    each: &mut dyn FnMut(Similarities) -> Result<(), E>,
) -> Result<(), E> {
    let Some(features) = vectors.first().map(|vector| vector.len()) else { return Ok(()) };
    check(queries.iter().chain(vectors), features)?;
    in_chunks((CHUNK_BYTES / (4 * features.max(1))).max(1), executor, queries, vectors, each).await
}

/// Computes the similarities with `chunk` vectors on the device at once.
async fn in_chunks<E: From<Error>>(
    chunk: usize,
    executor: &dyn Executor,
    queries: &[&[f32]],
    vectors: &[&[f32]],
    each: &mut dyn FnMut(Similarities) -> Result<(), E>,
) -> Result<(), E> {
    let features = vectors[0].len();
    for (c, vectors) in vectors.chunks(chunk).enumerate() {
        let layer = executor.with_network(linear(vectors, features)?);
        let error = error(features, layer.stored());
        for (q, queries) in queries.chunks(QUERIES).enumerate() {
            let input = Tensor::new(Shape::new(queries.len(), features, 1, 1), units(queries));
            let output = layer.output(&input).await?;
            let row = |n: usize| output.image(n).iter().map(|product| product.clamp(-1.0, 1.0)).collect();
            let rows = (0..queries.len()).map(row).collect();
            each(Similarities { query: q * QUERIES, vector: c * chunk, rows, error })?;
        }
    }
    Ok(())
}

/// Largest difference of the product of two unit vectors from their cosine.
///
/// A sum of `features` products in f32, in any order, is off by at most `features` times 2^-24 times the sum of their magnitudes, which
/// is at most 1 (Higham, Accuracy and Stability of Numerical Algorithms, 3.1). The rounding of the vectors' numbers and of the result
/// adds to that. With f16 storage, weights, inputs and outputs are each rounded to 2^-11; numbers below the range of f16 are off by
/// 2^-25, and the sum of their factors is at most the square root of `features`.
fn error(features: usize, stored: StorageType) -> f32 {
    let single = (features as f32 + 8.0) * 2.0_f32.powi(-24);
    match stored {
        StorageType::F32 => single,
        StorageType::F16 => 2.0 * single + 3.0 * 2.0_f32.powi(-11),
    }
}

/// All vectors, each scaled to length one, one after the other. Zero stays zero.
fn units(vectors: &[&[f32]]) -> Vec<f32> {
    let mut values = Vec::with_capacity(vectors.iter().map(|vector| vector.len()).sum());
    for vector in vectors {
        let length = dot(vector, vector).sqrt();
        let scaled = |&value: &f32| if length == 0.0 { value } else { (f64::from(value) / length) as f32 };
        values.extend(vector.iter().map(scaled));
    }
    values
}

/// Checks that all vectors have the same length.
fn check<'a>(vectors: impl Iterator<Item = &'a &'a [f32]>, features: usize) -> Result<()> {
    for (i, vector) in vectors.enumerate() {
        if vector.len() != features {
            let reason = format!("vector {i} has {} numbers, the first vector {features}", vector.len());
            return Err(Error::Shape { node: "search".into(), reason });
        }
    }
    Ok(())
}

/// A network of one linear layer, whose weights are `vectors`.
fn linear(vectors: &[&[f32]], features: usize) -> Result<Network> {
    let (name, shape) = ("vectors.weight", vec![vectors.len(), features]);
    let values = units(vectors);
    let invalid = |error: safetensors::SafeTensorError| Error::Shape { node: name.into(), reason: error.to_string() };
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&values)).map_err(invalid)?;
    let bytes = safetensors::serialize([(name, view)], None::<HashMap<String, String>>).map_err(invalid)?;
    let mut graph = Graph::new(features);
    let op = Plain::Linear { in_features: features, out_features: vectors.len() };
    graph.push("vectors", Op::Plain { op, weights: vec![name.into()] }, &[graph.input()]);
    Ok(Network::new(graph, Checkpoint::from_bytes("vectors", bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Threads, blocking, executor::Reference};

    #[test]
    fn chunks_are_put_in_their_places() {
        let numbers: Vec<[f32; 3]> = (0..600).map(|i| [i as f32, 1.0, (i % 5) as f32]).collect();
        let (queries, vectors): (Vec<&[f32]>, Vec<&[f32]>) =
            (numbers.iter().map(|x| &x[..]).collect(), numbers[..7].iter().map(|x| &x[..]).collect());
        let executor = Reference::new(linear(&vectors, 3).unwrap(), Threads::host());
        for chunk in [1, 3, 7, 100] {
            let mut all = vec![vec![f32::NAN; 7]; 600];
            let mut each = |part: Similarities| {
                for (query, row) in part.rows.iter().enumerate() {
                    all[part.query + query][part.vector..][..row.len()].copy_from_slice(row);
                }
                Ok::<_, Error>(())
            };
            blocking::wait(in_chunks(chunk, &executor, &queries, &vectors, &mut each)).unwrap();
            for (row, query) in all.iter().zip(&queries) {
                for (score, vector) in row.iter().zip(&vectors) {
                    let expected = cosine(query, vector);
                    assert!(
                        (score - expected).abs() <= error(3, StorageType::F32),
                        "{query:?}, {vector:?}: {score}, {expected}"
                    );
                    assert!(score.abs() <= 1.0, "{score}");
                }
            }
        }
    }

    #[test]
    fn a_cosine_is_at_most_one_the_same_for_both_orders_and_one_for_equal_vectors() {
        let mut random = 1_u32;
        let mut vector = |features: usize, scale: f32| -> Vec<f32> {
            let mut next = || {
                random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                scale * ((random >> 8) as f32 / 8_388_608.0 - 1.0)
            };
            (0..features).map(|_| next()).collect()
        };
        for features in [1, 2, 7, 8, 96, 2048] {
            for scale in [1.0, 1e-30, 1e30] {
                let (a, b) = (vector(features, scale), vector(features, 1.0));
                assert_eq!(cosine(&a, &a.clone()), 1.0, "{features}, {scale}");
                assert_eq!(cosine(&a, &b), cosine(&b, &a), "{features}, {scale}");
                let (opposite, twice): (Vec<f32>, Vec<f32>) = a.iter().map(|x| (-x, 2.0 * x)).unzip();
                assert_eq!((cosine(&a, &opposite), cosine(&a, &twice)), (-1.0, 1.0), "{features}, {scale}");
                assert!(cosine(&a, &b).abs() <= 1.0);
            }
        }
        assert_eq!(cosine(&[0.0, 0.0], &[1.0, 2.0]), 0.0);
        assert!((cosine(&[1.0, 0.0], &[1.0, 1.0]) - 0.5_f32.sqrt()).abs() < 1e-7);
    }
}
