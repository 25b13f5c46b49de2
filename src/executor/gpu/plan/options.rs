//! Options of a plan.

use std::sync::Arc;

use super::Table;
use crate::{executor::gpu::kernels::KernelId, tensor::StorageType};

/// Options of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Type of stored activations and weights.
    pub stored: StorageType,
    /// Use this kernel for every layer that it serves, instead of choosing by shape and device.
    pub forced: Option<KernelId>,
    /// Choose kernels for a batch of this many images, whatever the real batch, so that the bits of an image's result do not
    /// depend on its batch. `None` chooses them for each batch.
    pub chosen_for: Option<usize>,
    /// Kernels not to choose, with the storage precision in which they were found wrong on the device.
    pub faulty: Vec<(KernelId, StorageType)>,
    /// Times measured on the device. The first table that has a layer overrules the rules.
    pub tuned: Arc<Vec<Table>>,
}

impl Options {
    /// The ordinary options: kernels are chosen by shape and device.
    pub fn new(stored: StorageType) -> Self {
        Options { stored, forced: None, chosen_for: None, faulty: Vec::new(), tuned: Arc::default() }
    }

    /// Whether `kernel` was found wrong.
    pub(super) fn is_faulty(&self, kernel: KernelId) -> bool {
        self.faulty.contains(&(kernel, self.stored))
    }
}
