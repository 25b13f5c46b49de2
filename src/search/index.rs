//! Stores the features of a folder's images in a safetensors file that any language can read: `embeddings` F32 `[N, features]`;
//! `paths` U8, each path ended by NUL; `sizes` and `mtimes` I64 `[N]`; the source of the features in the metadata.

use std::{collections::HashMap, fmt::Display};

use bytemuck::pod_collect_to_vec;
use safetensors::{Dtype, SafeTensorError, SafeTensors, tensor::TensorView};

use crate::{Error, Result};

/// An image in an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    /// Path in the system's encoding.
    pub path: Vec<u8>,
    /// File size in bytes.
    pub size: i64,
    /// Time of the file's last change, in nanoseconds since 1970.
    pub mtime: i64,
    /// Features.
    pub features: Vec<f32>,
}

/// Reads the images of the index in `bytes`, whose metadata must contain `source`; `place` names the file in messages.
///
/// # Errors
/// [`Error::ModelHeader`] if the file is not an index, [`Error::ConfigValue`] if its features have another source.
pub fn read(place: &str, bytes: &[u8], source: &HashMap<String, String>) -> Result<Vec<Indexed>> {
    let invalid = |reason: &dyn Display| Error::model_header(place, format!("not an index: {reason}"));
    let header = |error: SafeTensorError| invalid(&error).because(error);
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(header)?;
    for (key, expected) in source {
        let found = metadata.metadata().as_ref().and_then(|all| all.get(key));
        if found != Some(expected) {
            let value = found.map_or("missing", String::as_str);
            let expected = format!("{expected}: use the model of the index, or another index file");
            return Err(Error::config_value(place, key, value, expected));
        }
    }
    let file = SafeTensors::deserialize(bytes).map_err(header)?;
    let column = |name: &str| {
        let view = file.tensor(name).map_err(header)?;
        let fits = view.dtype() == Dtype::I64;
        fits.then(|| pod_collect_to_vec::<u8, i64>(view.data())).ok_or_else(|| invalid(&format!("{name} are not I64")))
    };
    let (sizes, mtimes) = (column("sizes")?, column("mtimes")?);
    let (paths, embeddings) = (file.tensor("paths").map_err(header)?, file.tensor("embeddings").map_err(header)?);
    let paths: Vec<&[u8]> = paths.data().split_inclusive(|&byte| byte == 0).collect();
    let rows = match (embeddings.dtype(), embeddings.shape()) {
        (Dtype::F32, [rows, columns]) if *rows == paths.len() && *columns > 0 => *rows,
        (dtype, shape) => return Err(invalid(&format!("{} paths for embeddings {dtype} {shape:?}", paths.len()))),
    };
    if sizes.len() != rows || mtimes.len() != rows {
        return Err(invalid(&format!("{rows} paths, {} sizes, {} times", sizes.len(), mtimes.len())));
    }
    // With zero rows there is nothing to split, so the chunk size does not matter.
    let row_bytes = embeddings.data().len().checked_div(rows).unwrap_or(1);
    let features = embeddings.data().chunks_exact(row_bytes).map(pod_collect_to_vec);
    let images = paths.into_iter().zip(features).zip(sizes.into_iter().zip(mtimes));
    let image = |((path, features), (size, mtime))| {
        let path: &[u8] = path;
        Indexed { path: path.strip_suffix(&[0]).unwrap_or(path).into(), size, mtime, features }
    };
    Ok(images.map(image).collect())
}

/// Writes an index of `images`, each with `columns` features, with the metadata `source`; returns its bytes.
///
/// # Errors
/// [`Error::Shape`] if an image has another number of features.
pub fn write(images: &[Indexed], columns: usize, source: &HashMap<String, String>) -> Result<Vec<u8>> {
    let invalid = |reason: String| Error::Shape { node: "index".into(), reason };
    if let Some(image) = images.iter().find(|image| image.features.len() != columns) {
        return Err(invalid(format!("{} features, expected {columns}", image.features.len())));
    }
    let numbers =
        |of: fn(&Indexed) -> i64| -> Vec<u8> { images.iter().flat_map(|image| of(image).to_le_bytes()).collect() };
    let embeddings: Vec<u8> =
        images.iter().flat_map(|image| &image.features).flat_map(|value| value.to_le_bytes()).collect();
    let paths: Vec<u8> = images.iter().flat_map(|image| image.path.iter().copied().chain([0])).collect();
    let rows = images.len();
    let tensors = [
        ("embeddings", Dtype::F32, vec![rows, columns], embeddings),
        ("mtimes", Dtype::I64, vec![rows], numbers(|image| image.mtime)),
        ("paths", Dtype::U8, vec![paths.len()], paths),
        ("sizes", Dtype::I64, vec![rows], numbers(|image| image.size)),
    ];
    let views =
        tensors.iter().map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)));
    views
        .collect::<Result<Vec<_>, _>>()
        .and_then(|views| safetensors::serialize(views, Some(source.clone())))
        .map_err(|error: SafeTensorError| invalid(error.to_string()))
}
