//! Shapes, host tensors and batches of pixels. Axes are named once here: n images, c channels, h rows, w columns.

mod rewrite;

use std::{borrow::Cow, fmt};

pub use rewrite::{Gain, Rewrite};

use serde::{Deserialize, Serialize};

/// Storage type of activations and weights. Sums and epilogues are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageType {
    /// 32-bit IEEE floats.
    F32,
    /// 16-bit IEEE floats; needs the adapter feature `shader-f16`.
    F16,
}

impl StorageType {
    /// Bytes of one stored element.
    #[doc(hidden)]
    pub const fn bytes(self) -> usize {
        match self {
            StorageType::F32 => 4,
            StorageType::F16 => 2,
        }
    }
}

impl fmt::Display for StorageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StorageType::F32 => "f32",
            StorageType::F16 => "f16",
        })
    }
}

/// Shape of an activation. Features and logits, one vector per image, have `h = w = 1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Images in the batch.
    pub n: usize,
    /// Channels.
    pub c: usize,
    /// Rows.
    pub h: usize,
    /// Columns.
    pub w: usize,
}

impl Shape {
    /// A shape from its four extents.
    pub const fn new(n: usize, c: usize, h: usize, w: usize) -> Self {
        Shape { n, c, h, w }
    }

    /// Number of elements; `usize::MAX` if it would overflow.
    #[doc(hidden)]
    pub const fn elements(&self) -> usize {
        self.n.saturating_mul(self.c).saturating_mul(self.h).saturating_mul(self.w)
    }

    /// Rows times columns.
    #[doc(hidden)]
    pub const fn pixels(&self) -> usize {
        self.h * self.w
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}x{}", self.n, self.c, self.h, self.w)
    }
}

/// A host tensor of f32 in NCHW order (row-major, `w` fastest), as PyTorch lays it out.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    /// Extents of the four axes.
    pub shape: Shape,
    /// `shape.elements()` values.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A tensor over `data`.
    ///
    /// # Panics
    /// If `data` does not hold exactly `shape.elements()` values.
    pub fn new(shape: Shape, data: Vec<f32>) -> Self {
        assert_eq!(data.len(), shape.elements(), "tensor data against shape {shape}");
        Tensor { shape, data }
    }

    /// A tensor of zeros.
    #[doc(hidden)]
    pub fn zeros(shape: Shape) -> Self {
        Tensor { shape, data: vec![0.0; shape.elements()] }
    }

    /// The values of image `n`, `[C, H, W]`.
    #[doc(hidden)]
    pub fn image(&self, n: usize) -> &[f32] {
        let len = self.shape.c * self.shape.pixels();
        &self.data[n * len..(n + 1) * len]
    }
}

/// Images of eight bits per channel, with a table of the number that the network reads for each value.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct PixelBatch {
    /// Extents of the four axes; three channels.
    pub(crate) shape: Shape,
    /// `[N, H, W, 3]`: red, green and blue interleaved.
    pub(crate) bytes: Vec<u8>,
    /// The number for each value of red, green and blue.
    pub(crate) table: [[f32; 256]; 3],
}

impl PixelBatch {
    /// A batch of `bytes` `[N, H, W, 3]`, red, green and blue interleaved, with the number for each value of the three.
    ///
    /// # Panics
    /// If `shape` does not have three channels, or `bytes` does not hold exactly `shape.elements()` values.
    pub fn new(shape: Shape, bytes: Vec<u8>, table: [[f32; 256]; 3]) -> Self {
        assert_eq!((shape.c, bytes.len()), (3, shape.elements()), "pixels against shape {shape}");
        PixelBatch { shape, bytes, table }
    }

    /// The numbers that the network reads.
    pub fn tensor(&self) -> Tensor {
        let mut data = Vec::with_capacity(self.shape.elements());
        for image in self.bytes.chunks_exact((3 * self.shape.pixels()).max(1)) {
            for (c, table) in self.table.iter().enumerate() {
                data.extend(image.iter().skip(c).step_by(3).map(|&value| table[usize::from(value)]));
            }
        }
        Tensor::new(self.shape, data)
    }

    /// The numbers of the first channel alone.
    pub(crate) fn first_channel(&self) -> Tensor {
        let values = self.bytes.iter().step_by(3).map(|&value| self.table[0][usize::from(value)]);
        Tensor::new(Shape { c: 1, ..self.shape }, values.collect())
    }
}

/// The input of a network.
#[doc(hidden)]
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// Normalised values.
    Values(&'a Tensor),
    /// Pixels, which the device normalises: at most a quarter of the bytes to transfer.
    Pixels(&'a PixelBatch),
}

impl Input<'_> {
    /// The input's shape.
    pub fn shape(&self) -> Shape {
        match self {
            Input::Values(tensor) => tensor.shape,
            Input::Pixels(pixels) => pixels.shape,
        }
    }

    /// The numbers that the network reads.
    pub fn tensor(&self) -> Cow<'_, Tensor> {
        match self {
            Input::Values(tensor) => Cow::Borrowed(tensor),
            Input::Pixels(pixels) => Cow::Owned(pixels.tensor()),
        }
    }
}

impl<'a> From<&'a Tensor> for Input<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        Input::Values(tensor)
    }
}

impl<'a> From<&'a PixelBatch> for Input<'a> {
    fn from(pixels: &'a PixelBatch) -> Self {
        Input::Pixels(pixels)
    }
}
