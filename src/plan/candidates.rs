//! The kernels that can serve a convolution on a device, and the choice among those whose times are known.

use super::{
    Case, Options, Reason,
    select::{fastest, fits},
};
use crate::kernels::{
    Caps, checksum_of,
    conv2d::{Conv2d, Variant},
};

/// The kernels that can serve a [`Case`] on a device.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidates {
    /// The one that the rules choose, then those of [`Variant::all`].
    pub kernels: Vec<Variant>,
    /// Checksum of the final WGSL of all of them.
    pub wgsl: String,
}

impl Candidates {
    /// The kernels for `case`.
    pub fn of(case: &Case, options: &Options, caps: &Caps) -> Self {
        let conv = case.conv();
        let (rule, _) = fastest(&conv, caps, options);
        let mut kernels = vec![rule];
        kernels.extend(
            Variant::all(caps).into_iter().filter(|&kernel| kernel != rule && serves(&conv, kernel, caps, options)),
        );
        let dispatches = |kernel: &Variant| conv.dispatches(*kernel, case.stored, case.stored);
        let keys: Vec<_> = kernels.iter().flat_map(dispatches).map(|dispatch| dispatch.key).collect();
        Candidates { kernels, wgsl: checksum_of(keys.iter()) }
    }
}

/// Whether `kernel` computes `conv` and the device holds its arrays and its grid.
fn serves(conv: &Conv2d, kernel: Variant, caps: &Caps, options: &Options) -> bool {
    let stored = options.stored;
    let within = || {
        let dispatches = conv.dispatches(kernel, stored, stored);
        dispatches.iter().flat_map(|dispatch| dispatch.grid).all(|groups| groups <= caps.max_workgroups)
    };
    conv.admits(kernel, stored) && fits(conv, kernel, caps) && within()
}

/// The choice for `conv` by what was measured on the device, of the kernels that are there and not known to be wrong.
pub(super) fn measured(conv: &Conv2d, caps: &Caps, options: &Options) -> Option<(Variant, Reason)> {
    let case = Case::of(conv, options.stored);
    let mut timings = options.tuned.iter().filter_map(|table| table.get(&case)).peekable();
    timings.peek()?;
    let Candidates { mut kernels, wgsl } = Candidates::of(&case, options, caps);
    let timing = timings.find(|timing| timing.wgsl == wgsl)?;
    let rule = kernels[0];
    kernels.retain(|&kernel| !options.is_faulty(kernel));
    let (kernel, reason) = timing.winner(rule, &kernels)?;
    // Where the rule was right for the batch that was timed, it is trusted for the whole bucket.
    let kernel = if kernel == rule { fastest(conv, caps, options).0 } else { kernel };
    (serves(conv, kernel, caps, options) && !options.is_faulty(kernel)).then_some((kernel, reason))
}
