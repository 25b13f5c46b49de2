//! Checkpoints from arbitrary bytes: the tensors of a small network, intact, or with some of them renamed, reshaped, retyped, left
//! out or moved. Random bytes alone hardly ever get past the header.

use std::fmt::Write;

use arbitrary::{Arbitrary, Result, Unstructured};
use residua::{
    graph::Graph,
    models::{Architecture, Biases, Block, BlockKind, DenseNet, Gate, Head, Norm, Properties, ResNet, Shortcut, Stem},
};

/// Largest number of bytes of data to make; the place of larger data in the file is left empty.
const MOST_BYTES: u64 = 1 << 16;

/// A network's tensors, with damage.
pub(crate) struct Generated {
    tensors: Vec<Tensor>,
    damage: Vec<Damage>,
    values: Vec<u8>,
}

struct Tensor {
    name: String,
    dtype: &'static str,
    shape: Vec<u64>,
    /// Added to the offsets in the header.
    shift: [i64; 2],
}

/// Damage to a file. Any number names a tensor, modulo the number of tensors.
#[derive(Arbitrary, Debug)]
enum Damage {
    LeaveOut(u16),
    Rename(u16, String),
    /// Gives a tensor the name of another.
    Double(u16, u16),
    Extent(u16, u8, Extent),
    Reshape(u16, Vec<Extent>),
    /// A shape with a zero extent, so that no other extent needs data.
    Hollow(u16, Extent),
    /// The same change for all tensors of a layer, which stay consistent with each other.
    HollowLayer(u16, Extent),
    Retype(u16, u8),
    Shift(u16, i8, i8),
    /// A wrapper's prefix in front of all names.
    Wrap(u8),
    Add(String, u8, Vec<Extent>),
    HeaderLength(u64),
    /// Arbitrary values in the data, including NaN and infinity.
    Values(u16, u32),
    Cut(u16),
    Trail(Vec<u8>),
}

/// Extents that make arithmetic overflow, and small ones.
#[derive(Arbitrary, Debug, Clone, Copy)]
enum Extent {
    Small(u8),
    Power(u8),
    BelowPower(u8),
    Any(u64),
}

impl Extent {
    fn value(self) -> u64 {
        match self {
            Extent::Small(value) => value.into(),
            Extent::Power(bits) => 1 << (bits % 64),
            Extent::BelowPower(bits) => (1 << (bits % 64)) - 1,
            Extent::Any(value) => value,
        }
    }
}

const DTYPES: [&str; 14] =
    ["F32", "F16", "BF16", "F64", "I8", "U8", "I64", "BOOL", "F8_E4M3", "F8_E5M2", "C64", "F4", "U16", "X"];

const WRAPPERS: [&str; 6] = ["module.", "_orig_mod.", "model.", "resnet.", "encoder.", "features."];

impl Generated {
    /// The checkpoint that `data` describes; `None` if `data` is too short.
    pub(crate) fn read(data: &[u8]) -> Option<Self> {
        let mut bytes = Unstructured::new(data);
        let graph = graph(&mut bytes).ok()?;
        let dtype = *bytes.choose(&DTYPES[..4]).ok()?;
        let damage = if bytes.ratio(1, 8).ok()? { Vec::new() } else { Vec::<Damage>::arbitrary(&mut bytes).ok()? };
        let tensors = graph.tensors().into_iter().map(|(name, shape)| {
            let shape = shape.into_iter().map(|extent| extent as u64).collect();
            Tensor { name, dtype, shape, shift: [0; 2] }
        });
        let values = bytes.take_rest().to_vec();
        Some(Generated { tensors: tensors.collect(), damage, values })
    }

    /// Whether there is no damage.
    pub(crate) fn is_whole(&self) -> bool {
        self.damage.is_empty()
    }

    /// The bytes of the file.
    pub(crate) fn file(mut self) -> Vec<u8> {
        let (mut length, mut cut, mut trail, mut poison) = (None, 0, Vec::new(), Vec::new());
        for damage in std::mem::take(&mut self.damage) {
            if let Damage::Add(name, dtype, shape) = damage {
                let shape = shape.into_iter().map(Extent::value).collect();
                self.tensors.push(Tensor { name, dtype: dtype_of(dtype), shape, shift: [0; 2] });
                continue;
            }
            match damage {
                Damage::HeaderLength(bytes) => length = Some(bytes),
                Damage::Cut(bytes) => cut = usize::from(bytes),
                Damage::Trail(bytes) => trail = bytes,
                Damage::Values(at, bits) => poison.push((at, bits)),
                Damage::Wrap(prefix) => {
                    let prefix = WRAPPERS[usize::from(prefix) % WRAPPERS.len()];
                    self.tensors.iter_mut().for_each(|tensor| tensor.name.insert_str(0, prefix));
                }
                other if self.tensors.is_empty() => drop(other),
                other => self.damage_one(other),
            }
        }
        let (header, mut data) = self.parts();
        for (at, bits) in poison {
            if let Some(places) = data.len().checked_sub(3).filter(|places| *places > 0) {
                let at = usize::from(at) * 4 % places;
                data[at..at + 4].copy_from_slice(&u32::to_le_bytes(bits));
            }
        }
        let mut file = length.unwrap_or(header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend(data);
        file.truncate(file.len().saturating_sub(cut));
        file.extend(trail);
        file
    }

    /// Damages one of the tensors. There must be at least one.
    fn damage_one(&mut self, damage: Damage) {
        let count = self.tensors.len();
        let at = |number: u16| usize::from(number) % count;
        match damage {
            Damage::LeaveOut(tensor) => drop(self.tensors.remove(at(tensor))),
            Damage::Rename(tensor, name) => self.tensors[at(tensor)].name = name,
            Damage::Double(tensor, other) => self.tensors[at(tensor)].name = self.tensors[at(other)].name.clone(),
            Damage::Extent(tensor, axis, extent) => {
                let shape = &mut self.tensors[at(tensor)].shape;
                if let Some(old) = shape.len().checked_sub(1).map(|last| usize::from(axis) % (last + 1)) {
                    shape[old] = extent.value();
                }
            }
            Damage::Reshape(tensor, shape) => {
                self.tensors[at(tensor)].shape = shape.into_iter().map(Extent::value).collect();
            }
            Damage::Hollow(tensor, extent) => self.tensors[at(tensor)].shape = vec![extent.value(), 0],
            Damage::HollowLayer(tensor, extent) => {
                let layer = self.tensors[at(tensor)].name.rsplit_once('.').map_or("", |(layer, _)| layer).to_string();
                for tensor in self.tensors.iter_mut().filter(|tensor| tensor.name.starts_with(&layer)) {
                    tensor.shape = vec![extent.value(), 0];
                }
            }
            Damage::Retype(tensor, dtype) => self.tensors[at(tensor)].dtype = dtype_of(dtype),
            Damage::Shift(tensor, from, to) => self.tensors[at(tensor)].shift = [from.into(), to.into()],
            _ => {}
        }
    }

    /// Header and data.
    fn parts(&self) -> (String, Vec<u8>) {
        let (mut header, mut data) = (String::from("{"), Vec::new());
        for tensor in &self.tensors {
            let bytes = tensor.shape.iter().try_fold(size(tensor.dtype), |bytes, extent| bytes.checked_mul(*extent));
            let start = data.len() as u64;
            self.fill(&mut data, bytes.filter(|bytes| *bytes <= MOST_BYTES).unwrap_or(0), tensor.dtype);
            let offsets =
                [start.wrapping_add_signed(tensor.shift[0]), (data.len() as u64).wrapping_add_signed(tensor.shift[1])];
            let comma = if header.len() > 1 { "," } else { "" };
            let Tensor { name, dtype, shape, .. } = tensor;
            let _ = write!(
                header,
                r#"{comma}{}:{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":{offsets:?}}}"#,
                serde_json::Value::from(name.as_str())
            );
        }
        header.push('}');
        (header, data)
    }

    /// Appends `bytes` bytes of positive numbers below two.
    fn fill(&self, data: &mut Vec<u8>, bytes: u64, dtype: &str) {
        let end = data.len() + bytes as usize;
        let one: &[u8] = match dtype {
            "F32" => &1f32.to_le_bytes(),
            "F16" => &[0x00, 0x3c],
            "BF16" => &[0x80, 0x3f],
            "F64" => &1f64.to_le_bytes(),
            _ => &[1],
        };
        let mut spread = self.values.iter().cycle();
        while data.len() < end {
            let start = data.len();
            data.extend(one);
            // The lowest byte of the mantissa of f16, and the lowest bytes of the others' mantissas.
            data[start] = spread.next().copied().unwrap_or(0);
        }
        data.truncate(end);
    }
}

fn dtype_of(number: u8) -> &'static str {
    DTYPES[usize::from(number) % DTYPES.len()]
}

/// Bytes of an element; 1 for types smaller than a byte.
fn size(dtype: &str) -> u64 {
    match dtype {
        "F64" | "I64" | "C64" => 8,
        "F32" => 4,
        "F16" | "BF16" | "U16" => 2,
        _ => 1,
    }
}

/// A network with few channels.
fn graph(bytes: &mut Unstructured<'_>) -> Result<Graph> {
    let head = if bytes.ratio(7, 8)? { Some(bytes.int_in_range(1..=12)?) } else { None };
    let architecture = if bytes.arbitrary()? {
        Architecture::DenseNet(densenet(bytes, head)?)
    } else {
        Architecture::ResNet(resnet(bytes, head)?)
    };
    Ok(architecture.graph())
}

fn channels(bytes: &mut Unstructured<'_>) -> Result<usize> {
    bytes.int_in_range(1..=8)
}

fn resnet(bytes: &mut Unstructured<'_>, classes: Option<usize>) -> Result<ResNet> {
    let [a, b, stem_channels] = [channels(bytes)?, channels(bytes)?, channels(bytes)?];
    let stem = *bytes.choose(&[Stem::ImageNet, Stem::Deep([a, b]), Stem::Cifar])?;
    let kind = *bytes.choose(&[BlockKind::Basic, BlockKind::Bottleneck])?;
    let groups = if kind == BlockKind::Bottleneck { bytes.int_in_range(1..=3)? } else { 1 };
    let stages = if stem == Stem::Cifar { bytes.int_in_range(1..=4)? } else { 4 };
    let pooled = stem != Stem::Cifar && bytes.arbitrary()?;
    let squeeze = bytes.ratio(1, 4)?.then(|| bytes.int_in_range(1..=4)).transpose()?;
    let gate = squeeze.map(|squeeze| Gate::SqueezeExcite { squeeze, bias: true });
    let (mut inputs, mut all) = (stem_channels, Vec::new());
    for stage in 0..stages {
        let channels = channels(bytes)?;
        let width = groups * bytes.int_in_range(1..=3)?;
        let mut blocks = Vec::new();
        for block in 0..bytes.int_in_range(1..=2)? {
            let halves = stage > 0 && block == 0;
            let shortcut = match (halves || inputs != channels, pooled) {
                (false, _) => Shortcut::Identity,
                (true, true) => Shortcut::PooledProjection,
                (true, false) => Shortcut::Projection,
            };
            blocks.push(Block { kind, first: width, width, channels, gate, shortcut });
            inputs = channels;
        }
        all.push(blocks);
    }
    Ok(ResNet {
        inputs: 3,
        biases: Biases::default(),
        stem,
        stem_channels,
        stem_pool_conv: stem != Stem::Cifar && bytes.ratio(1, 8)?,
        legacy: false,
        excitation: false,
        groups,
        first_groups: 1,
        norm: Norm::Batch,
        stages: all,
        head: classes.map(|classes| Head::linear("fc", classes)),
        properties: Properties::usual(stem == Stem::Cifar),
    })
}

fn densenet(bytes: &mut Unstructured<'_>, classes: Option<usize>) -> Result<DenseNet> {
    let pooled_stem = bytes.arbitrary()?;
    let [stem_channels, growth, bottleneck] = [channels(bytes)?, channels(bytes)?, channels(bytes)?];
    let blocks: Vec<usize> =
        (0..bytes.int_in_range(1..=4)?).map(|_| bytes.int_in_range(1..=3)).collect::<Result<_>>()?;
    let transitions = (1..blocks.len()).map(|_| channels(bytes)).collect::<Result<_>>()?;
    Ok(DenseNet {
        inputs: 3,
        biases: Biases::default(),
        pooled_stem,
        deep_stem: None,
        stem_channels,
        growth,
        bottleneck: bytes.arbitrary::<bool>()?.then_some(bottleneck),
        blocks,
        transitions,
        last_norm: "norm5".into(),
        head: classes.map(|classes| Head::linear("classifier", classes)),
        properties: Properties::usual(!pooled_stem),
    })
}
