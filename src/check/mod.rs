//! Whether a device is right and how fast it is: [`verify`] layer by layer against the reference, [`profile`] by time, [`tune`] by
//! measuring kernels, and the self-test that every device passes before it is used.

pub mod faults;
pub mod profile;
pub(crate) mod selftest;
pub mod tune;
pub mod verify;

/// A kernel that every device runs, and that is wrong: ReLU follows where it should not, and does not where it should.
#[cfg(test)]
mod wrong {
    use crate::{
        executor::gpu::kernels::{Caps, Kernel, KernelId, Problem, Setting, Types, Work, conv2d::Conv2d, registers},
        network::Activation,
    };

    /// Its id.
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
