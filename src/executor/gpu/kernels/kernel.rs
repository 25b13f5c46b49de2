//! A kernel: a way to compute a kind of layer. Plans, errors and files all name it by its id.

use crate::tensor::StorageType;
use std::{
    fmt,
    hash::{Hash, Hasher},
};

use serde::{Serialize, Serializer};

use super::{Caps, Problem, Role, Shader, Types, Work};

/// The numbers of an id; each kernel says what they mean. Zeros are left out of the text.
pub type Setting = [u32; 3];

/// A way to compute layers, one for each [`Setting`].
pub struct Kernel {
    /// The part that its ids begin with, `<op>.<algorithm>`.
    pub name: &'static str,
    /// The shaders that it uses.
    pub shaders: &'static [&'static Shader],
    /// The settings worth trying on a device like this; none if the kernel does not run there. By default one without numbers.
    pub settings: fn(&Caps) -> Vec<Setting>,
    /// The dispatches that compute a problem; `None` if the kernel cannot, or not with this setting.
    pub work: fn(Setting, &Problem, Types, &Caps) -> Option<Work>,
    /// Whether sums of small integers are exact, as they are by default.
    pub is_exact: bool,
    /// Largest difference between its f32 outputs and another kernel's, relative to the largest output. By default both
    /// kernels sum the same products in f32, in different orders. That gives an error of eps for each term, and a few eps for
    /// bias, prologue and epilogue (Higham 2002, section 3.1).
    pub tolerance: fn(Setting, &Problem) -> f32,
}

impl Kernel {
    /// A kernel with the defaults.
    pub(super) const fn new(
        name: &'static str,
        shaders: &'static [&'static Shader],
        work: fn(Setting, &Problem, Types, &Caps) -> Option<Work>,
    ) -> Self {
        let settings = |_: &Caps| vec![Setting::default()];
        let tolerance = |_, problem: &Problem| f32::EPSILON * (problem.terms() + 8) as f32;
        Kernel { name, shaders, settings, work, is_exact: true, tolerance }
    }
}

/// A kernel with a setting: `conv2d.tiled.64x64`, `linear.gemv.16`, `pool2d.window`. Two ids are equal if their texts are.
#[derive(Clone, Copy)]
pub struct KernelId {
    kernel: &'static Kernel,
    setting: Setting,
}

impl KernelId {
    /// `kernel` with `setting`.
    pub const fn new(kernel: &'static Kernel, setting: Setting) -> Self {
        KernelId { kernel, setting }
    }

    /// The dispatches that compute `problem`; `None` if the kernel cannot.
    pub fn work(self, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
        (self.kernel.work)(self.setting, problem, types, caps)
    }

    /// Whether it computes `problem`.
    pub fn serves(self, problem: &Problem, stored: StorageType, caps: &Caps) -> bool {
        self.work(problem, Types::all(stored), caps).is_some()
    }

    /// Whether it computes `problem`, and its workgroups and arrays are within the device's limits.
    pub fn fits(self, problem: &Problem, stored: StorageType, caps: &Caps) -> bool {
        let Some(Work { dispatches, scratch }) = self.work(problem, Types::all(stored), caps) else { return false };
        let params = problem.convolution().map(|conv| conv.params);
        let packed = |role: &Role| match (role, &params) {
            (Role::Weights(array), Some(params)) => array.elements(params) * array.stored(stored).bytes(),
            _ => 0,
        };
        let bindable = |bytes: usize| bytes as u64 <= caps.max_binding_bytes;
        scratch.iter().all(|elements| bindable(4 * elements))
            && dispatches.iter().all(|dispatch| {
                dispatch.grid.iter().all(|&groups| groups <= caps.max_workgroups)
                    && dispatch.operands.iter().map(packed).all(bindable)
            })
    }

    /// Whether sums of small integers are exact.
    pub fn is_exact(self) -> bool {
        self.kernel.is_exact
    }

    /// Largest difference between its outputs and another kernel's, relative to the largest output. In f16 both kernels
    /// round the output (2^-11 each), and one of them may round a prologue's output.
    pub fn tolerance(self, problem: &Problem, stored: StorageType) -> f32 {
        let rounded = if stored == StorageType::F16 { 2.0_f32.powi(-9) } else { 0.0 };
        (self.kernel.tolerance)(self.setting, problem) + rounded
    }

    /// The parts in which equal ids agree.
    fn parts(&self) -> (&'static str, Setting) {
        (self.kernel.name, self.setting)
    }
}

impl PartialEq for KernelId {
    fn eq(&self, other: &Self) -> bool {
        self.parts() == other.parts()
    }
}

impl Eq for KernelId {}

impl Hash for KernelId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.parts().hash(state);
    }
}

impl fmt::Display for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kernel.name)?;
        for (i, number) in self.setting.iter().take_while(|&&number| number > 0).enumerate() {
            write!(f, "{}{number}", if i == 0 { '.' } else { 'x' })?;
        }
        Ok(())
    }
}

impl fmt::Debug for KernelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for KernelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
