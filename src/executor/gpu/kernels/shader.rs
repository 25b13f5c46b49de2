//! Shaders, and the constants that are compiled into them.

use crate::tensor::StorageType;
use std::{
    fmt,
    hash::{Hash, Hasher},
};

use super::Types;

/// How a kernel uses one of its bindings; the position in the list is the binding number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binding {
    /// Uniform block of that many bytes.
    Uniform(u64),
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    Write,
}

/// `shaders/lib/nan.wgsl`: maxima that keep NaN.
pub(super) const NAN: &str = include_str!("../../../../shaders/lib/nan.wgsl");

/// A WGSL file of `shaders/` with the shared parts that precede it.
#[derive(Debug, PartialEq, Eq)]
pub struct Shader {
    /// File stem, `<op>_<algorithm>`.
    pub name: &'static str,
    /// A WGSL extension that it needs besides `f16`.
    pub(super) enable: Option<&'static str>,
    pub(super) parts: &'static [&'static str],
    /// Binding 0, 1, ... of group 0.
    pub bindings: &'static [Binding],
}

impl Shader {
    pub(super) const fn new(name: &'static str, parts: &'static [&'static str], bindings: &'static [Binding]) -> Self {
        Shader { name, enable: None, parts, bindings }
    }
}

impl Hash for Shader {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

/// Identifies a compiled shader: its text and everything that is compiled into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelKey {
    /// The shader.
    pub shader: &'static Shader,
    /// Types of its inputs and its output.
    pub types: Types,
    /// `const` lines of the generated header (register and workgroup tiles).
    pub consts: Vec<(&'static str, u32)>,
    /// `override` values.
    pub overrides: Vec<(&'static str, u32)>,
}

impl KernelKey {
    /// The complete WGSL: generated header, shared parts, kernel.
    pub fn wgsl(&self) -> String {
        let Types { stored, output } = self.types;
        let mut text = String::new();
        if stored == StorageType::F16 || output == StorageType::F16 {
            text.push_str("enable f16;\n");
        }
        if let Some(extension) = self.shader.enable {
            text.push_str(&format!("enable {extension};\n"));
        }
        text.push_str(&format!("alias Stored = {};\nalias Output = {};\n", vec4(stored), vec4(output)));
        for (name, value) in &self.consts {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        for part in self.shader.parts {
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for KernelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shader.name, self.types.stored)?;
        for (name, value) in self.consts.iter().chain(&self.overrides) {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// A number that changes whenever the text of one of `shaders` does, in hexadecimal.
pub(super) fn checksum_of_texts(shaders: impl Iterator<Item = &'static Shader>) -> String {
    hash(shaders.flat_map(|shader| shader.parts).flat_map(|part| part.bytes().map(u64::from)))
}

/// A number that changes whenever the final WGSL of one of `keys` changes, or a value compiled into it; in hexadecimal.
pub fn checksum_of<'a>(keys: impl Iterator<Item = &'a KernelKey>) -> String {
    // Hash eight bytes at a time: a plan needs this for each convolution.
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let words = |key: &KernelKey| -> Vec<u64> {
        format!("{}{:?}", key.wgsl(), key.overrides).as_bytes().chunks(8).map(word).collect()
    };
    hash(keys.flat_map(words))
}

/// 64-bit FNV-1a of bytes or larger words, in hexadecimal.
fn hash(words: impl Iterator<Item = u64>) -> String {
    let hash = words.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

/// The WGSL type of four stored elements.
fn vec4(stored: StorageType) -> &'static str {
    match stored {
        StorageType::F32 => "vec4<f32>",
        StorageType::F16 => "vec4<f16>",
    }
}
