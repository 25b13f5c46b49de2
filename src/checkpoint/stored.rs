//! A tensor as it is stored in a file.

use std::borrow::Cow;

use safetensors::Dtype;

/// A tensor as it is stored in a file: with its own name and type, and its values as bytes.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Stored<'a> {
    /// Its name in the file.
    pub name: String,
    /// Type of the values.
    pub dtype: Dtype,
    /// Size of each dimension, outermost first.
    pub shape: Vec<usize>,
    /// Values, row-major, little-endian.
    pub bytes: Cow<'a, [u8]>,
}

impl Stored<'static> {
    /// A tensor of f32 values.
    pub fn f32(name: impl Into<String>, shape: Vec<usize>, values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Stored { name: name.into(), dtype: Dtype::F32, shape, bytes: Cow::Owned(bytes) }
    }
}
