//! The header of a safetensors file: the `safetensors` crate parses and checks it, and here is checked what that crate
//! lets through.
//!
//! Source: the format's specification, <https://huggingface.co/docs/safetensors>.

use std::{collections::BTreeMap, collections::BTreeSet, fmt, ops::Range};

use safetensors::{Dtype, tensor::Metadata};
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::format::MAX_HEADER;
use crate::{Error, Result};

/// What the header says.
pub(super) struct Header {
    /// In the order of the file.
    pub(super) tensors: Vec<TensorEntry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// One tensor of the file.
pub(super) struct TensorEntry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Its place in the whole file.
    pub(super) bytes: Range<usize>,
}

/// Reads the header of `file`.
///
/// # Errors
/// [`Error::ModelTruncated`] if the file is shorter than the length field or than its tensors,
/// [`Error::ModelHeader`] for everything else.
pub(super) fn parse(model: &str, file: &[u8]) -> Result<Header> {
    let truncated = |reason| Error::ModelTruncated { model: model.into(), reason };
    let malformed = |reason| Error::ModelHeader { model: model.into(), reason };

    let Some((length, rest)) = file.split_first_chunk::<8>() else {
        return Err(truncated(format!("{} bytes, and the length of the header alone takes 8", file.len())));
    };
    let length = u64::from_le_bytes(*length);
    if length > MAX_HEADER {
        return Err(malformed(format!("a header of {length} bytes, over the limit of {MAX_HEADER}")));
    }
    // Below the limit, so it fits into usize.
    let length = length as usize;
    let Some((header, data)) = rest.split_at_checked(length) else {
        let have = rest.len();
        return Err(malformed(format!("announces a header of {length} bytes and {have} follow; it may be cut short")));
    };
    if header.first() != Some(&b'{') {
        return Err(malformed("the header does not start with '{'".into()));
    }
    let header = str::from_utf8(header).map_err(|e| malformed(format!("the header is not UTF-8: {e}")))?;
    if let Some(name) = first_duplicate(header).map_err(|e| malformed(e.to_string()))? {
        return Err(malformed(format!("tensor {name} is there twice")));
    }
    let parsed: Metadata = serde_json::from_str(header).map_err(|e| malformed(e.to_string()))?;
    let announced = parsed.data_len();
    if data.len() < announced {
        return Err(truncated(format!("{announced} bytes of tensors announced, {} found", data.len())));
    }
    if data.len() > announced {
        return Err(malformed(format!("{} bytes follow the last tensor", data.len() - announced)));
    }

    let start = 8 + length;
    let mut tensors: Vec<TensorEntry> = parsed
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            TensorEntry { name, dtype: info.dtype, shape: info.shape.clone(), bytes: start + from..start + to }
        })
        .collect();
    tensors.sort_by(|a, b| (a.bytes.start, &a.name).cmp(&(b.bytes.start, &b.name)));
    let metadata = parsed.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header { tensors, metadata })
}

/// The first key that the outermost object holds twice: parsers keep the last one and say nothing.
fn first_duplicate(header: &str) -> serde_json::Result<Option<String>> {
    struct Keys(Option<String>);
    struct KeyVisitor;

    impl<'de> Visitor<'de> for KeyVisitor {
        type Value = Keys;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of tensors")
        }

        fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Keys, M::Error> {
            let mut seen = BTreeSet::new();
            let mut duplicate = None;
            while let Some(key) = map.next_key::<String>()? {
                map.next_value::<IgnoredAny>()?;
                if seen.contains(&key) {
                    duplicate.get_or_insert(key);
                } else {
                    seen.insert(key);
                }
            }
            Ok(Keys(duplicate))
        }
    }

    impl<'de> Deserialize<'de> for Keys {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(KeyVisitor)
        }
    }

    serde_json::from_str::<Keys>(header).map(|keys| keys.0)
}
