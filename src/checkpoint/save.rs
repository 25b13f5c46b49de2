//! Writes a safetensors file. The same tensors and the same text give the same bytes.
//!
//! Source: the format's specification, <https://huggingface.co/docs/safetensors>.

use std::{cmp::Reverse, collections::BTreeMap, path::Path};

use serde_json::{Map, Value, json};

use super::{header, stored::Stored};
use crate::{Error, Result, files::NewFile};

/// The header's length is a multiple of this many bytes, so that values are aligned.
const ALIGNMENT: usize = 8;

/// Writes `tensors`, bit for bit, and the free text `metadata` to the file at `path`. On an error, no partial file is left.
///
/// # Errors
/// [`Error::ModelHeader`] if two tensors share a name, or if a tensor's bytes do not match its shape; [`Error::Io`] if the file
/// cannot be written.
#[doc(hidden)]
pub fn save(path: &Path, tensors: &[Stored<'_>], metadata: &BTreeMap<String, String>) -> Result<()> {
    // Write wide types first, so that each value lies at a multiple of its own size.
    let mut tensors: Vec<&Stored<'_>> = tensors.iter().collect();
    tensors.sort_by_key(|tensor| (Reverse(tensor.dtype.bitsize()), &tensor.name));
    let head = head(path, &tensors, metadata)?;
    let mut file = NewFile::create(path)?;
    file.write(&head)?;
    tensors.iter().try_for_each(|tensor| file.write(&tensor.bytes))?;
    file.commit()
}

/// Makes the length field and the header, and parses them again as a check.
fn head(path: &Path, tensors: &[&Stored<'_>], metadata: &BTreeMap<String, String>) -> Result<Vec<u8>> {
    let model = path.display().to_string();
    let mut header = Map::new();
    if !metadata.is_empty() {
        header.insert("__metadata__".into(), json!(metadata));
    }
    let mut end = 0;
    for Stored { name, dtype, shape, bytes } in tensors {
        let start = end;
        end += bytes.len();
        let tensor = json!({"dtype": dtype, "shape": shape, "data_offsets": [start, end]});
        if header.insert(name.clone(), tensor).is_some() {
            return Err(Error::model_header(model, format!("tensor {name} appears twice")));
        }
    }
    let mut text = Value::Object(header).to_string().into_bytes();
    text.resize(text.len().next_multiple_of(ALIGNMENT), b' ');
    let head = [&(text.len() as u64).to_le_bytes()[..], &text].concat();
    header::end(&model, &head, head.len() as u64)?;
    header::parse(&model, &head, end as u64)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, fs};

    use safetensors::Dtype;

    use super::*;
    use crate::checkpoint::Checkpoint;

    fn tensor(name: &str, dtype: Dtype, shape: &[usize], bytes: &[u8]) -> Stored<'static> {
        Stored { name: name.into(), dtype, shape: shape.into(), bytes: Cow::Owned(bytes.into()) }
    }

    #[test]
    fn a_checkpoint_is_saved_bit_for_bit_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        // A NaN with a payload, f64, bf16 and a counter: no type is converted.
        let tensors = [
            tensor("module.bn1.num_batches_tracked", Dtype::I64, &[], &7_i64.to_le_bytes()),
            tensor("module.conv1.weight", Dtype::BF16, &[3], &[1, 2, 3, 4, 5, 6]),
            tensor("module.bn1.bias", Dtype::F32, &[1], &[1, 0, 0xc0, 0x7f]),
            tensor("module.bn1.weight", Dtype::F64, &[2], &[9; 16]),
            tensor("module.fc.weight", Dtype::F32, &[0, 4], &[]),
        ];
        let metadata = BTreeMap::from([("config".into(), "{\"a\": \"\u{e9}\\n\"}".into())]);
        save(&path, &tensors, &metadata).unwrap();
        let read = Checkpoint::open(&path).unwrap();
        assert_eq!(read.metadata(), &metadata);
        let mut stored: Vec<Stored<'_>> = read.stored().map(|(_, tensor)| tensor).collect();
        let mut expected = tensors.to_vec();
        stored.sort_by(|a, b| a.name.cmp(&b.name));
        expected.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(stored, expected);
        assert!(
            read.stored().any(|(canonical, tensor)| canonical == Some("bn1.bias") && tensor.name == "module.bn1.bias")
        );

        let bytes = fs::read(&path).unwrap();
        save(&path, &tensors.into_iter().rev().collect::<Vec<_>>(), &metadata).unwrap();
        assert_eq!(fs::read(&path).unwrap(), bytes, "the order in which they are given does not matter");
        assert_eq!(bytes[8..].iter().position(|&byte| byte == b'{'), Some(0));
        assert_eq!(u64::from_le_bytes(bytes[..8].try_into().unwrap()) % 8, 0);
        safetensors::SafeTensors::deserialize(&bytes).unwrap();
    }

    #[test]
    fn what_is_wrong_is_refused_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let one = tensor("a", Dtype::F32, &[1], &[0; 4]);
        for tensors in [vec![one.clone(), one.clone()], vec![tensor("a", Dtype::F32, &[2], &[0; 4])]] {
            assert_eq!(save(&path, &tensors, &BTreeMap::new()).unwrap_err().code(), "model.header");
        }
        assert_eq!(save(&folder.path().join("none/a"), &[one], &BTreeMap::new()).unwrap_err().code(), "io");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
