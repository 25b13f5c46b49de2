//! Writes NumPy's array file, version 1.0 (`numpy.lib.format`): a header with type and shape, then the values.

use std::{
    fs::File,
    io::{self, BufWriter, Seek, Write},
};

/// Bytes of the header, with room for any number of rows, which is known only at the end. A multiple of 64, NumPy's alignment.
const HEADER: usize = 128;

/// An array `[rows, columns]` of little-endian f32, written row by row.
pub(crate) struct NpyWriter {
    file: BufWriter<File>,
    columns: usize,
    rows: usize,
}

impl NpyWriter {
    /// Starts the array at the beginning of an empty file.
    pub(crate) fn new(file: File, columns: usize) -> io::Result<Self> {
        let mut writer = NpyWriter { file: BufWriter::new(file), columns, rows: 0 };
        writer.file.write_all(&writer.header())?;
        Ok(writer)
    }

    /// Appends a row of `columns` values.
    pub(crate) fn row(&mut self, values: &[f32]) -> io::Result<()> {
        self.rows += 1;
        values.iter().try_for_each(|value| self.file.write_all(&value.to_le_bytes()))
    }

    /// Writes the number of rows into the header; returns the file, positioned at its beginning.
    pub(crate) fn finish(mut self) -> io::Result<File> {
        self.file.rewind()?;
        let header = self.header();
        self.file.write_all(&header)?;
        self.file.rewind()?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [b' '; HEADER];
        header[..8].copy_from_slice(b"\x93NUMPY\x01\x00");
        header[8..10].copy_from_slice(&((HEADER - 10) as u16).to_le_bytes());
        let shape = format!("({}, {})", self.rows, self.columns);
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        header[10..10 + text.len()].copy_from_slice(text.as_bytes());
        header[HEADER - 1] = b'\n';
        header
    }
}
