//! A kernel: a way to compute a kind of layer. Its id is the one name that it has, in plans, errors and files.

use crate::tensor::StorageType;
use std::{
    fmt,
    hash::{Hash, Hasher},
};

use serde::{Serialize, Serializer};

use super::{Caps, Problem, Role, Shader, Types, Work};

/// The numbers of an id, each described by its kernel; zeros stand for none.
pub type Setting = [u32; 3];

/// A way to compute layers, one for each [`Setting`].
pub struct Kernel {
    /// First part of its ids, `<op>.<algorithm>`.
    pub name: &'static str,
    /// The shaders that it uses.
    pub shaders: &'static [&'static Shader],
    /// The settings that are worth trying on a device like this; none where it does not run there. By default one without numbers.
    pub settings: fn(&Caps) -> Vec<Setting>,
    /// What computes a problem, or `None` if the kernel does not, or not with this setting.
    pub work: fn(Setting, &Problem, Types, &Caps) -> Option<Work>,
    /// Whether sums of small integers are exact, as they are by default.
    pub is_exact: bool,
    /// How far its f32 outputs may be from those of another kernel, over the largest of them. By default both sum the same products in f32,
    /// each in its order: an error of eps a term, and a few for bias, prologue and epilogue (Higham 2002, section 3.1).
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

/// A kernel with a setting: `conv2d.tiled.64x64`, `linear.gemv.16`, `pool2d.window`. Equal if its text is.
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

    /// What computes `problem`, or `None` if it does not.
    pub fn work(self, problem: &Problem, types: Types, caps: &Caps) -> Option<Work> {
        (self.kernel.work)(self.setting, problem, types, caps)
    }

    /// Whether it computes `problem`.
    pub fn serves(self, problem: &Problem, stored: StorageType, caps: &Caps) -> bool {
        self.work(problem, Types::all(stored), caps).is_some()
    }

    /// Whether it computes `problem`, and the device takes its workgroups and can bind its arrays.
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

    /// How far its outputs may be from those of another kernel, over the largest of them. In f16 the output is rounded in both (2^-11 each),
    /// and a prologue's output in one of them.
    pub fn tolerance(self, problem: &Problem, stored: StorageType) -> f32 {
        let rounded = if stored == StorageType::F16 { 2.0_f32.powi(-9) } else { 0.0 };
        (self.kernel.tolerance)(self.setting, problem) + rounded
    }

    /// What equal ids agree in.
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
