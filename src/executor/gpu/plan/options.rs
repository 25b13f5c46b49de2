//! How to plan.

use std::sync::Arc;

use super::Table;
use crate::{executor::gpu::kernels::KernelId, tensor::StorageType};

/// How to plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Type of stored activations and weights.
    pub stored: StorageType,
    /// This kernel for every layer that it serves, instead of the choice by shape and device.
    pub forced: Option<KernelId>,
    /// Kernels are chosen as for a batch of so many images, whatever batch comes, so that the bits of an image do not depend on the
    /// batch it is in; `None` chooses them for each batch.
    pub chosen_for: Option<usize>,
    /// Kernels that are not chosen, with the storage precision in which they were found to be wrong on the device.
    pub faulty: Vec<(KernelId, StorageType)>,
    /// What was measured on the device; the first table that knows a layer overrules the rules.
    pub tuned: Arc<Vec<Table>>,
}

impl Options {
    /// The ordinary plan: kernels are chosen.
    pub fn new(stored: StorageType) -> Self {
        Options { stored, forced: None, chosen_for: None, faulty: Vec::new(), tuned: Arc::default() }
    }

    /// Whether `kernel` was found to be wrong.
    pub(super) fn is_faulty(&self, kernel: KernelId) -> bool {
        self.faulty.contains(&(kernel, self.stored))
    }
}
