//! Checkpoints as `torch.save` writes them: pickles. The reader knows their opcodes and calls none of their code. The crate
//! `pytorch-reader` builds the tensors; the file is scanned first, so that its size bounds time and memory.

mod scan;
mod tar;
mod zip;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, ErrorKind, Read, Seek},
    path::{Path, PathBuf},
};

use memmap2::MmapMut;
use pytorch_reader::{DType, PytorchError, PytorchReader, Tensor};
use safetensors::Dtype;
use scan::{Budget, MAX_PICKLE};

use super::{
    header::{Header, TensorEntry},
    memory::memory,
};
use crate::{Error, Result};

/// Largest total size of tensors, as a multiple of their file's. Tensors may share values: an average does before the first step of
/// training.
const SHARED: u64 = 4;

/// Each tensor starts at a multiple of this many bytes.
const ALIGNMENT: usize = 64;

/// Position of a tar archive's mark.
const TAR_MARK: usize = 257;

/// Beginning of the magic number in files of PyTorch 0.1.10 to 1.5, as pickle protocols from 2 on write it.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// An open pickled checkpoint.
pub(super) struct Pickled {
    path: PathBuf,
    /// Tensors in the order of the header.
    tensors: Vec<Tensor>,
    length: usize,
}

/// Whether a file that begins with `head` may be a pickled checkpoint.
pub(super) fn begins(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || is_tar(head) || matches!(head, [0x80, 2..=5, ..])
}

fn is_tar(head: &[u8]) -> bool {
    head.get(TAR_MARK..TAR_MARK + 5) == Some(b"ustar")
}

impl Pickled {
    /// Reads the names and shapes of the tensors in the file at `path`, which has `length` bytes and begins with `head`.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ModelHeader`] if the file is damaged, or would need more memory than its size allows.
    pub(super) fn open(path: &Path, head: &[u8], length: u64) -> Result<(Self, Header)> {
        let name = path.display().to_string();
        let refused = |reason: String| Error::model_header(&*name, reason);
        check(path, head, length)?.map_err(refused)?;
        let reader = PytorchReader::new(path).map_err(|error| failed(path, error))?;
        let mut named: Vec<(String, Tensor)> = reader.into_tensors().into_iter().collect();
        named.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (mut entries, mut tensors, mut end) = (Vec::new(), Vec::new(), 0_usize);
        for (name, tensor) in named {
            let too_large = || refused("its tensors do not fit into memory".into());
            let start = end.checked_next_multiple_of(ALIGNMENT).ok_or_else(too_large)?;
            end = start.checked_add(tensor.byte_len()).ok_or_else(too_large)?;
            let dtype = dtype(tensor.dtype());
            entries.push(TensorEntry {
                name,
                dtype,
                shape: tensor.shape().to_vec(),
                file: 0,
                bytes: start..end,
                part: false,
            });
            tensors.push(tensor);
        }
        let padding = (ALIGNMENT * tensors.len()) as u64;
        if end as u64 > length.saturating_mul(SHARED).saturating_add(padding) {
            return Err(refused(format!("its tensors take {end} bytes, but the file has {length}")));
        }
        let header = Header { tensors: entries, metadata: BTreeMap::new() };
        Ok((Pickled { path: path.into(), tensors, length: end }, header))
    }

    /// Path of the file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the bytes of the tensors at `wanted` positions, each to where the header says. All others are zeros.
    ///
    /// # Errors
    /// [`Error::Io`], also if memory is short, and [`Error::ModelHeader`] for a missing tensor.
    pub(super) fn read(self, header: &[TensorEntry], wanted: impl Fn(usize) -> bool) -> Result<MmapMut> {
        let mut bytes = memory(self.length).map_err(|error| Error::io(&self.path, &error))?;
        for (position, (tensor, entry)) in self.tensors.iter().zip(header).enumerate() {
            if wanted(position) {
                let values = tensor.read().map_err(|error| failed(&self.path, PytorchError::Io(error)))?;
                bytes[entry.bytes.clone()].copy_from_slice(&values);
            }
        }
        Ok(bytes)
    }
}

/// Checks that the contents of the file at `path` can be built in bounded time and memory. The inner error says why not.
fn check(path: &Path, head: &[u8], length: u64) -> Result<std::result::Result<(), String>> {
    let failed = |error: io::Error| Error::io(path, &error);
    let mut file = fs::File::open(path).map_err(failed)?;
    if head.starts_with(b"PK") {
        return Ok(zip::check(&mut file, length));
    }
    if is_tar(head) {
        let mut bytes = MmapMut::map_anon(usize::try_from(length).unwrap_or(usize::MAX)).map_err(failed)?;
        file.read_exact(&mut bytes).map_err(failed)?;
        return Ok(tar::check(&bytes));
    }
    file.rewind().map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(MAX_PICKLE).read_to_end(&mut bytes).map_err(failed)?;
    // A file with the magic number has five: that number, the version, the machine, the object, and the keys of its storages.
    let pickles = if head.windows(MAGIC.len()).take(64).any(|window| window == MAGIC) { 5 } else { 1 };
    let (mut budget, mut at) = (Budget::new(), 0);
    for _ in 0..pickles {
        match budget.pickle(&bytes[at..]) {
            Ok((length, _)) => at += length,
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(()))
}

/// The error for a file that cannot be read.
fn failed(path: &Path, error: PytorchError) -> Error {
    match error {
        PytorchError::Io(error) if !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) => {
            Error::io(path, &error)
        }
        error => Error::model_header(path.display().to_string(), error.to_string()).because(error),
    }
}

fn dtype(dtype: DType) -> Dtype {
    match dtype {
        DType::F64 => Dtype::F64,
        DType::F32 => Dtype::F32,
        DType::F16 => Dtype::F16,
        DType::BF16 => Dtype::BF16,
        DType::I64 => Dtype::I64,
        DType::I32 => Dtype::I32,
        DType::I16 => Dtype::I16,
        DType::I8 => Dtype::I8,
        DType::U64 => Dtype::U64,
        DType::U32 => Dtype::U32,
        DType::U16 => Dtype::U16,
        DType::U8 => Dtype::U8,
        DType::Bool => Dtype::BOOL,
    }
}
