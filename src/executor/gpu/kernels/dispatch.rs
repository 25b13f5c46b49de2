//! What computes a layer: dispatches, and what they bind.

use super::{Array, KernelKey};

/// What computes a layer.
#[derive(Debug, Clone)]
pub struct Work {
    /// In order.
    pub dispatches: Vec<Dispatch>,
    /// Elements, all f32, of each array that they exchange.
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
    /// What is compiled.
    pub key: KernelKey,
    /// Contents of the uniform block, binding 0.
    pub uniform: Vec<u8>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// What bindings 1, 2, ... are.
    pub operands: Vec<Role>,
    /// Multiply-accumulates.
    pub macs: u64,
}

/// What a binding of a kernel is in its layer.
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
    /// Pixels as they come out of a file.
    Pixels,
    /// The kernel has the binding and, with this key, does not read it.
    Unused,
}
