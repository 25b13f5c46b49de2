//! The dispatches that compute a layer, and what they bind.

use super::{Array, KernelKey};

/// The dispatches that compute a layer.
#[derive(Debug, Clone)]
pub struct Work {
    /// Dispatches in order.
    pub dispatches: Vec<Dispatch>,
    /// Number of elements of each array that the dispatches exchange; all f32.
    pub scratch: Vec<usize>,
}

impl From<Dispatch> for Work {
    fn from(dispatch: Dispatch) -> Self {
        Work { dispatches: vec![dispatch], scratch: Vec::new() }
    }
}

/// One dispatch.
#[derive(Debug, Clone)]
pub struct Dispatch {
    /// Names the compiled kernel.
    pub key: KernelKey,
    /// Contents of the uniform block, binding 0.
    pub uniform: Vec<u8>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// The operands at bindings 1, 2, ...
    pub operands: Vec<Role>,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// The array of a layer that a kernel's binding stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The input.
    X,
    /// The second addend.
    Residual,
    /// The gates.
    Gate,
    /// The output.
    Y,
    /// Packed weights.
    Weights(Array),
    /// Packed weights of both convolutions of a block, one array after the other.
    Both(Array),
    /// One of the arrays of [`Work::scratch`].
    Scratch(usize),
    /// Pixels as decoded from a file.
    Pixels,
    /// The kernel declares the binding, but does not read it with this key.
    Unused,
}
