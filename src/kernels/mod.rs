//! The catalogue of WGSL kernels as data: which shader, its key (what is compiled in), its bindings, extents and grid.
//! Nothing here touches a device; `tests/shaders.rs` validates every kernel x key with naga.
//!
//! Activations are NHWC with channels padded to a multiple of four and stored as `vec4` along C; dense weights are
//! `[kh][kw][cin][cout]`, both channel axes padded to four, in one of two [`Packing`]s. Padding channels hold zeros.

pub mod activation;
pub mod block;
pub mod conv2d;
pub mod cooperative;
pub mod elementwise;
pub mod linear;
pub mod pixels;
pub mod pool;
pub mod tiled;
pub mod variant;
pub mod winograd;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::tensor::Shape;

/// Type in which activations and weights are stored. Sums and epilogues are always f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit IEEE floats.
    F32,
    /// 16-bit IEEE floats; needs the adapter feature `shader-f16`.
    F16,
}

impl Precision {
    /// Bytes of one stored element.
    pub const fn bytes(self) -> usize {
        match self {
            Precision::F32 => 4,
            Precision::F16 => 2,
        }
    }

    const fn vec4(self) -> &'static str {
        match self {
            Precision::F32 => "vec4<f32>",
            Precision::F16 => "vec4<f16>",
        }
    }
}

/// What happens to a sum last, before it is stored. The numbers are those of the shaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Activation {
    /// Nothing.
    #[default]
    None = 0,
    /// Clamp at zero.
    Relu = 1,
    /// `1 / (1 + exp(-x))`.
    Sigmoid = 2,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::F16 => "f16",
        })
    }
}

/// What the choice of kernels needs to know of an adapter, as numbers.
#[derive(Debug, Clone, PartialEq)]
pub struct Caps {
    /// Adapter name, for messages.
    pub device: String,
    /// The adapter runs on the CPU (lavapipe, WARP, SwiftShader).
    pub software: bool,
    /// `shader-f16` is there.
    pub f16: bool,
    /// Lanes of a subgroup where the adapter has subgroups of exactly one size.
    pub subgroup: Option<u32>,
    /// It multiplies cooperative matrices of 16x16, f16 into f32, with subgroups of 32 lanes and memory for [`cooperative`].
    pub cooperative: bool,
    /// Workgroup memory, bytes.
    pub workgroup_bytes: u32,
    /// Largest storage buffer binding, bytes.
    pub max_binding_bytes: u64,
    /// Largest number of workgroups along one axis of a dispatch.
    pub max_workgroups: u32,
}

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

/// A WGSL file of `shaders/` with the shared parts that precede it.
#[derive(Debug)]
pub struct Shader {
    /// File stem, `<op>_<algorithm>`.
    pub name: &'static str,
    parts: &'static [&'static str],
    /// Binding 0, 1, ... of group 0.
    pub bindings: &'static [Binding],
}

/// Identity of a compiled kernel: the shader and everything that is compiled into it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct KernelKey {
    /// File stem of the shader.
    pub shader: ShaderId,
    /// Type of activations and weights.
    pub stored: Precision,
    /// Type of the output (f32 for logits, whatever the activations are).
    pub output: Precision,
    /// `const` lines of the generated header (register and workgroup tiles).
    pub consts: Vec<(&'static str, u32)>,
    /// `override` values.
    pub overrides: Vec<(&'static str, u32)>,
}

/// One of the shaders in the catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(
    missing_docs,
    reason = "each variant is the shader file of the same name, which opens with its own description"
)]
pub enum ShaderId {
    Activation,
    BlockBroadcast,
    BlockThreads,
    Conv2dRegisters,
    Conv2dBroadcast,
    Conv2dTiled,
    Conv2dReduce,
    Conv2dCooperative,
    Conv2dGrouped,
    Conv2dGroupedRows,
    Conv2dWinograd2Input,
    Conv2dWinograd4Input,
    Conv2dWinogradGemm,
    Conv2dWinogradTiledInput,
    Conv2dWinograd2Output,
    Conv2dWinograd4Output,
    Elementwise,
    GlobalAvgPool,
    GlobalMaxPool,
    LinearGemv,
    Pixels,
    Pool2d,
}

impl ShaderId {
    /// Every shader of the catalogue.
    pub const ALL: [ShaderId; 22] = [
        ShaderId::Activation,
        ShaderId::BlockBroadcast,
        ShaderId::BlockThreads,
        ShaderId::Conv2dRegisters,
        ShaderId::Conv2dBroadcast,
        ShaderId::Conv2dTiled,
        ShaderId::Conv2dReduce,
        ShaderId::Conv2dCooperative,
        ShaderId::Conv2dGrouped,
        ShaderId::Conv2dGroupedRows,
        ShaderId::Conv2dWinograd2Input,
        ShaderId::Conv2dWinograd4Input,
        ShaderId::Conv2dWinogradGemm,
        ShaderId::Conv2dWinogradTiledInput,
        ShaderId::Conv2dWinograd2Output,
        ShaderId::Conv2dWinograd4Output,
        ShaderId::Elementwise,
        ShaderId::GlobalAvgPool,
        ShaderId::GlobalMaxPool,
        ShaderId::LinearGemv,
        ShaderId::Pixels,
        ShaderId::Pool2d,
    ];

    /// The shader's text and interface.
    pub fn shader(self) -> &'static Shader {
        match self {
            ShaderId::Activation => &activation::ACTIVATION,
            ShaderId::BlockBroadcast => &block::BROADCAST,
            ShaderId::BlockThreads => &block::THREADS,
            ShaderId::Conv2dRegisters => &conv2d::REGISTERS,
            ShaderId::Conv2dBroadcast => &conv2d::BROADCAST,
            ShaderId::Conv2dTiled => &tiled::TILED,
            ShaderId::Conv2dReduce => &tiled::REDUCE,
            ShaderId::Conv2dCooperative => &cooperative::COOPERATIVE,
            ShaderId::Conv2dGrouped => &conv2d::GROUPED,
            ShaderId::Conv2dGroupedRows => &conv2d::GROUPED_ROWS,
            ShaderId::Conv2dWinograd2Input => &winograd::INPUT2,
            ShaderId::Conv2dWinograd2Output => &winograd::OUTPUT2,
            ShaderId::Conv2dWinograd4Input => &winograd::INPUT4,
            ShaderId::Conv2dWinograd4Output => &winograd::OUTPUT4,
            ShaderId::Conv2dWinogradGemm => &winograd::GEMM,
            ShaderId::Conv2dWinogradTiledInput => &winograd::TILED_INPUT,
            ShaderId::Elementwise => &elementwise::ELEMENTWISE,
            ShaderId::GlobalAvgPool => &pool::GLOBAL_AVG_POOL,
            ShaderId::GlobalMaxPool => &pool::GLOBAL_MAX_POOL,
            ShaderId::LinearGemv => &linear::GEMV,
            ShaderId::Pixels => &pixels::PIXELS,
            ShaderId::Pool2d => &pool::POOL2D,
        }
    }
}

/// A number that changes whenever the text of a shader does (64-bit FNV-1a), in hexadecimal.
pub fn checksum() -> String {
    hash(ShaderId::ALL.iter().flat_map(|id| id.shader().parts).flat_map(|part| part.bytes().map(u64::from)))
}

/// A number that changes whenever the final WGSL of one of `kernels` does, or a value that is compiled into it.
pub fn checksum_of<'a>(kernels: impl Iterator<Item = &'a KernelKey>) -> String {
    // Eight bytes at a time: a plan wants it for each convolution.
    let word = |bytes: &[u8]| bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte));
    let words = |key: &KernelKey| -> Vec<u64> {
        format!("{}{:?}", key.wgsl(), key.overrides).as_bytes().chunks(8).map(word).collect()
    };
    hash(kernels.flat_map(words))
}

/// 64-bit FNV-1a of bytes or larger words, in hexadecimal.
fn hash(words: impl Iterator<Item = u64>) -> String {
    let hash = words.fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{hash:016x}")
}

impl KernelKey {
    /// The complete WGSL: generated header, shared parts, kernel.
    pub fn wgsl(&self) -> String {
        let shader = self.shader.shader();
        let mut text = String::new();
        if self.stored == Precision::F16 || self.output == Precision::F16 {
            text.push_str("enable f16;\n");
        }
        if self.shader == ShaderId::Conv2dCooperative {
            text.push_str("enable wgpu_cooperative_matrix;\n");
        }
        text.push_str(&format!("alias Stored = {};\nalias Output = {};\n", self.stored.vec4(), self.output.vec4()));
        for (name, value) in &self.consts {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        for part in shader.parts {
            text.push_str(part);
        }
        text
    }
}

impl fmt::Display for KernelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.shader.shader().name, self.stored)?;
        for (name, value) in self.consts.iter().chain(&self.overrides) {
            write!(f, " {name}={value}")?;
        }
        Ok(())
    }
}

/// Where the elements of a value lie in a buffer: NHWC, pixels `stride` vectors of four channels apart, the value's own channels from
/// vector `offset` on. The inputs of a concatenation are views of its buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Shape of the value.
    pub shape: Shape,
    /// Vectors from one pixel to the next.
    pub stride: u32,
    /// Vector at which its channels start.
    pub offset: u32,
}

impl View {
    /// A value that has its buffer to itself.
    pub fn whole(shape: Shape) -> Self {
        View { shape, stride: fours(shape.c) as u32, offset: 0 }
    }

    /// Channels in units of four.
    pub fn c4(&self) -> u32 {
        fours(self.shape.c) as u32
    }

    /// Pixels of the whole batch.
    pub fn pixels(&self) -> usize {
        self.shape.n * self.shape.pixels()
    }

    /// Elements of the buffer that it lies in.
    pub fn buffer_elements(&self) -> usize {
        4 * self.stride as usize * self.pixels()
    }
}

/// How the matrix of packed weights lies in memory, a row for each input of a sum, a column for each output channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    /// Row by row.
    Rows,
    /// In strips of up to 32 columns, each row by row: what a workgroup of the broadcast kernels reads is one stretch of memory, where rows
    /// would be a cache line or two out of each page.
    Strips,
}

impl Packing {
    /// Columns of a strip (of all rows, where there are none) for `channels` output channels.
    pub fn width(self, channels: usize) -> usize {
        match self {
            Packing::Rows => 4 * fours(channels),
            Packing::Strips => (4 * fours(channels)).min(32),
        }
    }

    /// Columns with those that pad the last strip.
    pub fn columns(self, channels: usize) -> usize {
        channels.next_multiple_of(self.width(channels))
    }
}

/// Channels in units of four, padded up.
pub const fn fours(channels: usize) -> usize {
    channels.div_ceil(4)
}
