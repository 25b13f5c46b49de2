//! Checks and measures a device: [`verify`] compares each layer with the reference, [`profile`] times each step, [`tune`] measures
//! kernels, and every device must pass a self-test before use.

pub mod faults;
pub mod profile;
pub(crate) mod selftest;
pub mod tune;
pub mod verify;

/// A wrong kernel that every device can run: it applies ReLU exactly where it should not.
#[cfg(test)]
mod wrong {
    use crate::{
        executor::gpu::kernels::{Caps, Kernel, KernelId, Problem, Setting, Types, Work, conv2d::Conv2d, registers},
        network::Activation,
    };

    /// Id of the wrong kernel.
    pub(super) const ID: KernelId = KernelId::new(&KERNEL, [0; 3]);

    const KERNEL: Kernel = Kernel {
        name: "conv2d.wrong",
        shaders: &[&registers::SHADER],
        settings: |_| Vec::new(),
        work,
        is_exact: true,
        tolerance: |_, _| 1e-3,
    };

    fn work(_: Setting, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
        let Problem::Conv2d(conv) = *problem else { return None };
        let activation = if conv.activation == Activation::None { Activation::Relu } else { Activation::None };
        registers::ID.work(&Problem::Conv2d(Conv2d { activation, ..conv }), types, caps)
    }
}
