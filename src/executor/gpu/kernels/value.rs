//! The layout and the type of values on a device.

use serde::{Deserialize, Serialize};

use crate::tensor::{Shape, StorageType};

/// The types of a dispatch: of its inputs, and of its output (f32 for logits, whatever the activations are).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Types {
    /// Type of activations and weights.
    pub stored: StorageType,
    /// Type of the output.
    pub output: StorageType,
}

impl Types {
    /// Everything in f32.
    pub const F32: Types = Types::all(StorageType::F32);

    /// Everything in one type.
    pub const fn all(stored: StorageType) -> Self {
        Types { stored, output: stored }
    }
}

/// The place of a value's elements in a buffer. Layout NHWC: pixels are `stride` vectors of four channels apart, and the value's own
/// channels start at vector `offset`. The inputs of a concatenation are views of its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Shape of the value.
    pub shape: Shape,
    /// Vectors from one pixel to the next.
    pub stride: u32,
    /// Index of the vector at which its channels start.
    pub offset: u32,
}

impl View {
    /// The view of a value that has a buffer of its own.
    pub fn whole(shape: Shape) -> Self {
        View { shape, stride: fours(shape.c) as u32, offset: 0 }
    }

    /// Channels in units of four.
    pub fn c4(&self) -> u32 {
        fours(self.shape.c) as u32
    }

    /// Pixels of the whole batch.
    pub fn pixels(&self) -> usize {
        self.shape.n * self.shape.pixels()
    }

    /// Number of elements in the whole buffer.
    pub fn buffer_elements(&self) -> usize {
        4 * self.stride as usize * self.pixels()
    }
}

/// Second addend of an epilogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Residual {
    /// None.
    None,
    /// A value of the output's shape.
    Same(View),
    /// Every `step`-th pixel of a value, after `before` zero channels.
    SubsamplePad {
        /// The value.
        view: View,
        /// Step in rows and columns.
        step: usize,
        /// Zero channels before it.
        before: usize,
    },
}

/// Channels in units of four, padded up.
pub const fn fours(channels: usize) -> usize {
    channels.div_ceil(4)
}

/// A grid of workgroups in rows of at most 32768, so that any number of them is within the limits of a dispatch.
pub(super) fn in_rows(workgroups: usize) -> [u32; 3] {
    let rows = workgroups.div_ceil(32768).max(1);
    [workgroups.div_ceil(rows) as u32, rows as u32, 1]
}
