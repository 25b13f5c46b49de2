//! The kernels that can compute a layer on a device, and the choice among those that were timed.

use super::{Case, Options, Reason, rules::rule};
use crate::executor::gpu::kernels::{self, Caps, KernelId, Problem, Types, checksum_of};

/// The kernels that can compute a [`Case`] on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// The kernel that the rules choose, then [`kernels::candidates`].
    pub kernels: Vec<KernelId>,
    /// Checksum of the final WGSL of all candidates.
    pub wgsl: String,
}

impl Candidates {
    /// The kernels for `case`.
    pub fn of(case: &Case, options: &Options, caps: &Caps) -> Self {
        let problem = case.problem;
        let rule = rule(&problem, options, caps).map(|(rule, _)| rule);
        let fits = |kernel: &KernelId| Some(*kernel) != rule && kernel.fits(&problem, case.stored, caps);
        let kernels: Vec<KernelId> = rule.into_iter().chain(kernels::candidates(caps).filter(fits)).collect();
        let work = kernels.iter().filter_map(|kernel| kernel.work(&problem, Types::all(case.stored), caps));
        let keys: Vec<_> = work.flat_map(|work| work.dispatches).map(|dispatch| dispatch.key).collect();
        Candidates { kernels, wgsl: checksum_of(keys.iter()) }
    }
}

/// The choice for `problem` by times measured on the device, among kernels that exist and are not known to be wrong.
pub(super) fn measured(problem: &Problem, options: &Options, caps: &Caps) -> Option<(KernelId, Reason)> {
    let case = Case::of(problem, options.stored)?;
    let mut timings = options.tuned.iter().filter_map(|table| table.get(&case)).peekable();
    timings.peek()?;
    let Candidates { mut kernels, wgsl } = Candidates::of(&case, options, caps);
    let timing = timings.find(|timing| timing.wgsl == wgsl)?;
    let ruled = *kernels.first()?;
    kernels.retain(|&kernel| !options.is_faulty(kernel));
    let (kernel, reason) = timing.winner(ruled, &kernels)?;
    // If the rule chose the fastest kernel for the batch that was timed, trust it for the whole bucket.
    let kernel = if kernel == ruled { rule(problem, options, caps)?.0 } else { kernel };
    (kernel.fits(problem, options.stored, caps) && !options.is_faulty(kernel)).then_some((kernel, reason))
}
