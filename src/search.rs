//! Exact search: how similar vectors are, as one matrix product on the device that computes the network.

use std::collections::HashMap;

use safetensors::{Dtype, tensor::TensorView};

use crate::{
    Error, Result,
    backend::Backend,
    checkpoint::Checkpoint,
    graph::{Graph, Op},
    plan::Network,
    tensor::{Shape, Tensor},
};

/// Bytes of vectors that are on the device at once: below the smallest limit that WebGPU allows a binding, 128 MiB.
const CHUNK_BYTES: usize = 64 << 20;

/// Queries in a submission.
const QUERIES: usize = 256;

/// A part of the matrix of dot products: all vectors from one on with all queries from one on.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Products {
    /// The first query.
    pub query: usize,
    /// The first vector.
    pub vector: usize,
    /// A row a query, with a dot product for each vector.
    pub rows: Vec<Vec<f32>>,
}

/// Calls `each` with the dot products of all `queries` with all `vectors`, part by part. The vectors are the weights of a linear
/// layer, and the queries its batch.
pub(crate) fn products<E: From<Error>>(
    backend: &Backend,
    queries: &[&[f32]],
    vectors: &[&[f32]],
    each: &mut dyn FnMut(Products) -> Result<(), E>,
) -> Result<(), E> {
    let Some(features) = vectors.first().map(|vector| vector.len()) else { return Ok(()) };
    check(queries.iter().chain(vectors), features)?;
    in_chunks((CHUNK_BYTES / (4 * features.max(1))).max(1), backend, queries, vectors, each)
}

/// The products with `chunk` vectors on the device at once.
fn in_chunks<E: From<Error>>(
    chunk: usize,
    backend: &Backend,
    queries: &[&[f32]],
    vectors: &[&[f32]],
    each: &mut dyn FnMut(Products) -> Result<(), E>,
) -> Result<(), E> {
    let features = vectors[0].len();
    for (c, vectors) in vectors.chunks(chunk).enumerate() {
        let layer = backend.with(linear(vectors, features)?);
        for (q, queries) in queries.chunks(QUERIES).enumerate() {
            let input = Tensor::new(Shape::new(queries.len(), features, 1, 1), queries.concat());
            let output = layer.output(&input)?;
            let rows = (0..queries.len()).map(|n| output.image(n).to_vec()).collect();
            each(Products { query: q * QUERIES, vector: c * chunk, rows })?;
        }
    }
    Ok(())
}

/// Whether all vectors are of one length.
fn check<'a>(vectors: impl Iterator<Item = &'a &'a [f32]>, features: usize) -> Result<()> {
    for (i, vector) in vectors.enumerate() {
        if vector.len() != features {
            let reason = format!("vector {i} has {} numbers, the first one {features}", vector.len());
            return Err(Error::Shape { node: "search".into(), reason });
        }
    }
    Ok(())
}

/// A network of one linear layer, whose weights are `vectors`.
fn linear(vectors: &[&[f32]], features: usize) -> Result<Network> {
    let (name, shape) = ("vectors.weight", vec![vectors.len(), features]);
    let values = vectors.concat();
    let invalid = |error: safetensors::SafeTensorError| Error::Shape { node: name.into(), reason: error.to_string() };
    let view = TensorView::new(Dtype::F32, shape, bytemuck::cast_slice(&values)).map_err(invalid)?;
    let bytes = safetensors::serialize([(name, view)], None::<HashMap<String, String>>).map_err(invalid)?;
    let mut graph = Graph::new(features);
    let weight = name.into();
    let op = Op::Linear { weight, bias: None, in_features: features, out_features: vectors.len() };
    graph.push("vectors", op, &[graph.input()]);
    Ok(Network::new(graph, Checkpoint::from_bytes("vectors", bytes)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_put_in_their_places() {
        let numbers: Vec<[f32; 3]> = (0..600).map(|i| [i as f32, 1.0, (i % 5) as f32]).collect();
        let (queries, vectors): (Vec<&[f32]>, Vec<&[f32]>) =
            (numbers.iter().map(|x| &x[..]).collect(), numbers[..7].iter().map(|x| &x[..]).collect());
        let backend = Backend::Reference(linear(&vectors, 3).unwrap());
        for chunk in [1, 3, 7, 100] {
            let mut all = vec![vec![f32::NAN; 7]; 600];
            let mut each = |part: Products| {
                for (query, row) in part.rows.iter().enumerate() {
                    all[part.query + query][part.vector..][..row.len()].copy_from_slice(row);
                }
                Ok::<_, Error>(())
            };
            in_chunks(chunk, &backend, &queries, &vectors, &mut each).unwrap();
            for (i, row) in all.iter().enumerate() {
                let expected: Vec<f32> = (0..7).map(|j| (i * j + 1 + (i % 5) * (j % 5)) as f32).collect();
                assert_eq!(*row, expected, "query {i}, chunks of {chunk}");
            }
        }
    }
}
