//! The header of a safetensors file. The `safetensors` crate parses and checks it; this file checks what the crate does not.
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

/// The contents of a header.
pub(super) struct Header {
    /// Tensors in the order of the file.
    pub(super) tensors: Vec<TensorEntry>,
    pub(super) metadata: BTreeMap<String, String>,
}

/// One tensor.
#[derive(Clone)]
pub(super) struct TensorEntry {
    pub(super) name: String,
    pub(super) dtype: Dtype,
    pub(super) shape: Vec<usize>,
    /// Number of the checkpoint's file that it lies in.
    pub(super) file: usize,
    /// Its bytes in the whole file.
    pub(super) bytes: Range<usize>,
    /// Whether it is only a part from which a weight is computed.
    pub(super) part: bool,
}

/// The position after the header, in a file of `length` bytes that begins with `bytes`. Give at least 8 bytes, if the file has that many.
///
/// # Errors
/// [`Error::ModelTruncated`] if the file is shorter than the length field, [`Error::ModelHeader`] for an impossible length.
pub(super) fn end(model: &str, bytes: &[u8], length: u64) -> Result<usize> {
    let malformed = |reason: String| Error::model_header(model, reason);
    let Some((announced, _)) = bytes.split_first_chunk::<8>() else {
        let reason = format!("it has {length} bytes, but the length of the header alone takes 8");
        return Err(Error::ModelTruncated { model: model.into(), reason });
    };
    let announced = u64::from_le_bytes(*announced);
    if announced > MAX_HEADER {
        return Err(malformed(format!("the header takes {announced} bytes, over the limit of {MAX_HEADER}")));
    }
    let have = length.saturating_sub(8);
    if announced > have {
        return Err(malformed(format!(
            "it announces a header of {announced} bytes, but {have} follow; it may be cut short"
        )));
    }
    // Below the limit, so it fits into usize.
    Ok(8 + announced as usize)
}

/// Parses `head`, the length field and the header of a file, after which `data` more bytes follow.
///
/// # Errors
/// [`Error::ModelTruncated`] if its tensors need more bytes than that, [`Error::ModelHeader`] for anything else.
pub(super) fn parse(model: &str, head: &[u8], data: u64) -> Result<Header> {
    let truncated = |reason| Error::ModelTruncated { model: model.into(), reason };
    let malformed = |reason: String| Error::model_header(model, reason);
    let header = &head[8..];
    if header.first() != Some(&b'{') {
        return Err(malformed("the header does not start with '{'".into()));
    }
    let header = str::from_utf8(header).map_err(|e| malformed(format!("the header is not UTF-8: {e}")).because(e))?;
    if let Some(name) = first_duplicate(header).map_err(|e| malformed(e.to_string()).because(e))? {
        return Err(malformed(format!("tensor {name} appears twice")));
    }
    let parsed: Metadata = serde_json::from_str(header).map_err(|e| malformed(e.to_string()).because(e))?;
    let announced = parsed.data_len() as u64;
    if data < announced {
        return Err(truncated(format!("the header announces {announced} bytes of tensors, but the file has {data}")));
    }
    if data > announced {
        return Err(malformed(format!("{} bytes follow the last tensor", data - announced)));
    }

    let start = head.len();
    let mut tensors: Vec<TensorEntry> = parsed
        .tensors()
        .into_iter()
        .map(|(name, info)| {
            let (from, to) = info.data_offsets;
            let bytes = start + from..start + to;
            TensorEntry { name, dtype: info.dtype, shape: info.shape.clone(), file: 0, bytes, part: false }
        })
        .collect();
    tensors.sort_by(|a, b| (a.bytes.start, &a.name).cmp(&(b.bytes.start, &b.name)));
    let metadata = parsed.metadata().clone().unwrap_or_default().into_iter().collect();
    Ok(Header { tensors, metadata })
}

/// The first key that appears twice in the outermost object. Parsers silently keep the last one.
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
