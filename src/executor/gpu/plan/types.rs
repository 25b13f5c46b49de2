//! A plan as data.

use std::fmt;

use super::Reason;
use crate::{
    Error,
    executor::{
        Footprint,
        gpu::kernels::{Array, Caps, KernelId, KernelKey, View, fours},
    },
    graph::ValueId,
    tensor::StorageType,
};

/// Number of runs of a plan that may be under way at once: one on the device, and one that is uploading its input or reading its
/// results.
pub(crate) const RUNS: usize = 2;

/// The operand at one of a kernel's bindings after the uniform block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operand {
    /// An activation buffer, by its index in [`Plan::buffers`].
    Buffer(usize),
    /// Packed weights.
    Weights(WeightsId),
    /// The kernel declares the binding, but does not read it with this key.
    Unused,
}

/// Names one packed array of weights. It is the same for every plan of a network, so the array is uploaded once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WeightsId {
    /// Index of the layer.
    pub layer: usize,
    /// Index of the layer whose array comes before it in the same buffer: the first convolution of a residual block.
    pub first: Option<usize>,
    /// Which of its arrays.
    pub array: Array,
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Name of the layer.
    pub name: String,
    /// The graph value that it yields; a concatenation takes several steps for one value.
    pub value: ValueId,
    /// The kernel that computes its layer.
    pub kernel: KernelId,
    /// The part of that kernel that this step runs.
    pub key: KernelKey,
    /// Why this kernel was chosen.
    pub reason: Reason,
    /// Contents of the uniform block, binding 0.
    pub uniform: Vec<u8>,
    /// Bindings 1, 2, ...
    pub operands: Vec<Operand>,
    /// Workgroups along x, y, z.
    pub grid: [u32; 3],
    /// Multiply-accumulates.
    pub macs: u64,
    /// Bytes of values and weights that it reads or writes.
    pub bytes: u64,
}

impl Step {
    /// The kernel's id and its key, as text.
    pub fn label(&self) -> String {
        format!("{}: {}", self.kernel, self.key)
    }
}

/// Where a value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Index in [`Plan::buffers`].
    pub buffer: usize,
    /// Its shape, and its place in the buffer.
    pub view: View,
    /// Its type.
    pub stored: StorageType,
}

impl Placed {
    /// Bytes of the value.
    pub(super) fn bytes(&self) -> u64 {
        (self.view.pixels() * 4 * fours(self.view.shape.c) * self.stored.bytes()) as u64
    }

    /// Bytes of the whole buffer.
    pub fn buffer_bytes(&self) -> u64 {
        (self.view.buffer_elements() * self.stored.bytes()) as u64
    }
}

/// A network for one input shape on one kind of device: every dispatch with its operands.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Dispatches in order.
    pub steps: Vec<Step>,
    /// Sizes of the activation buffers in bytes.
    pub buffers: Vec<u64>,
    /// The network's input.
    pub input: Placed,
    /// Index of the buffer for pixels, if the first step makes the input from them.
    pub pixels: Option<usize>,
    /// The values that can be read after the last step, in the order in which they were asked for. One that no step reads, such
    /// as the logits, is f32.
    pub kept: Vec<Placed>,
    /// Memory that it takes.
    pub footprint: Footprint,
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let macs = step.macs as f64 / 1e6;
            writeln!(f, "{:<28} {:9.2} MMAC  {:?}  {}  ({})", step.name, macs, step.grid, step.label(), step.reason)?;
        }
        writeln!(f, "{} dispatches, {} activation buffers", self.steps.len(), self.buffers.len())?;
        writeln!(f, "device memory {}", self.footprint)
    }
}

/// The error that says that `needed` exceeds the device's `limit`.
pub(super) fn limit(caps: &Caps, what: String, needed: u64, limit: u64) -> Error {
    Error::GpuLimits { device: caps.device.clone(), what, needed, limit }
}
