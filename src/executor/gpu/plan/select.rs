//! Selects the kernel for a layer on a device, with a reason: the one that the user asks for, the fastest by measurement, or the
//! one that the rules choose.

use super::{Options, Reason, candidates, problem, rules};
use crate::{
    executor::gpu::kernels::{self, Caps, KernelId, Problem, Types, Work},
    network::Layer,
    tensor::Shape,
};

/// The kernel for a layer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice {
    /// The layer, each value with a buffer to itself.
    pub(super) problem: Problem,
    /// The kernel.
    pub(super) kernel: KernelId,
    /// Why this one.
    pub(super) reason: Reason,
}

impl Choice {
    /// Bytes of each scratch array that the kernel needs.
    pub(super) fn scratch(&self, options: &Options, caps: &Caps) -> Vec<u64> {
        let work = self.kernel.work(&self.problem, Types::all(options.stored), caps);
        let scratch = work.map_or_else(Vec::new, |Work { scratch, .. }| scratch);
        scratch.into_iter().map(|elements| 4 * elements as u64).collect()
    }
}

/// The choice for `layer`; `None` for a block that is faster as two convolutions.
pub(super) fn choose(layer: &Layer, shapes: &[Shape], options: &Options, caps: &Caps) -> Option<Choice> {
    let problem = problem::of(layer, shapes);
    let decided = options.chosen_for.map_or(problem, |images| problem.of_images(images));
    let (kernel, reason) = decide(&decided, options, caps)?;
    // A batch of blocks needs more workgroups than one image does, so check the real batch too.
    kernel.serves(&problem, options.stored, caps).then_some(Choice { problem, kernel, reason })
}

fn decide(problem: &Problem, options: &Options, caps: &Caps) -> Option<(KernelId, Reason)> {
    let second = if let Problem::Block(conv) = problem { Some(Problem::Conv2d(*conv)) } else { None };
    if let Some(kernel) = options.forced {
        if kernel.serves(problem, options.stored, caps) {
            return Some((kernel, "asked for".into()));
        }
        if second.is_some_and(|conv| kernel.serves(&conv, options.stored, caps)) {
            return None;
        }
    }
    if let Some(choice) = candidates::measured(problem, options, caps) {
        return Some(choice);
    }
    let (kernel, reason) = rules::rule(problem, options, caps)?;
    if !options.is_faulty(kernel) {
        return Some((kernel, reason.into()));
    }
    let usable = |other: &KernelId| !options.is_faulty(*other) && other.fits(problem, options.stored, caps);
    match kernels::candidates(caps).find(usable) {
        _ if second.is_some() => None,
        Some(other) => {
            Some((other, "the faster one is wrong on this device, as verify found, or refused by its driver".into()))
        }
        None => Some((kernel, reason.into())),
    }
}
