//! The named RegNets: timm's names, and torchvision's for some of them.

use super::{Biases, Gate, Head, Norm, Properties, RegNet, RegNetBlock, Shortcut};
use Form::{V, X, Y, Z};

/// The supported networks, for messages.
pub(super) const SUPPORTED: &str = "RegNet (X, Y, Z, V)";

/// Meaning of the letter in a name.
#[derive(Clone, Copy, PartialEq)]
enum Form {
    /// Plain.
    X,
    /// With squeeze-and-excitation.
    Y,
    /// Y with inverted bottlenecks, four times as wide inside. Blocks end without an activation, and those that change shape have no
    /// shortcut.
    Z,
    /// Y with norms and activations before the convolutions.
    V,
}

/// A network for ImageNet.
#[derive(Clone, Copy)]
struct Row {
    name: &'static str,
    form: Form,
    /// Channels in each group of the 3x3 convolutions, unless a block has fewer channels.
    per_group: usize,
    /// Blocks in each stage, and their output channels.
    depths: [usize; 4],
    channels: [usize; 4],
    final_channels: Option<usize>,
    norm: Norm,
    /// The shortcut of blocks that change shape.
    shortcut: Shortcut,
}

const fn row(name: &'static str, form: Form, per_group: usize, depths: [usize; 4], channels: [usize; 4]) -> Row {
    Row {
        name,
        form,
        per_group,
        depths,
        channels,
        final_channels: None,
        norm: Norm::Batch,
        shortcut: Shortcut::Projection,
    }
}

const ROWS: [Row; 36] = [
    row("regnetv_040", V, 64, [2, 6, 12, 2], [128, 192, 512, 1088]),
    row("regnetv_064", V, 72, [2, 7, 14, 2], [144, 288, 576, 1296]).pooled(),
    row("regnetx_002", X, 8, [1, 1, 4, 7], [24, 56, 152, 368]),
    row("regnetx_004", X, 16, [1, 2, 7, 12], [32, 64, 160, 384]),
    row("regnetx_004_tv", X, 16, [1, 2, 7, 12], [32, 64, 160, 400]),
    row("regnetx_006", X, 24, [1, 3, 5, 7], [48, 96, 240, 528]),
    row("regnetx_008", X, 16, [1, 3, 7, 5], [64, 128, 288, 672]),
    row("regnetx_016", X, 24, [2, 4, 10, 2], [72, 168, 408, 912]),
    row("regnetx_032", X, 48, [2, 6, 15, 2], [96, 192, 432, 1008]),
    row("regnetx_040", X, 40, [2, 5, 14, 2], [80, 240, 560, 1360]),
    row("regnetx_064", X, 56, [2, 4, 10, 1], [168, 392, 784, 1624]),
    row("regnetx_080", X, 120, [2, 5, 15, 1], [80, 240, 720, 1920]),
    row("regnetx_120", X, 112, [2, 5, 11, 1], [224, 448, 896, 2240]),
    row("regnetx_160", X, 128, [2, 6, 13, 1], [256, 512, 896, 2048]),
    row("regnetx_320", X, 168, [2, 7, 13, 1], [336, 672, 1344, 2520]),
    row("regnety_002", Y, 8, [1, 1, 4, 7], [24, 56, 152, 368]),
    row("regnety_004", Y, 8, [1, 3, 6, 6], [48, 104, 208, 440]),
    row("regnety_006", Y, 16, [1, 3, 7, 4], [48, 112, 256, 608]),
    row("regnety_008", Y, 16, [1, 3, 8, 2], [64, 128, 320, 768]),
    row("regnety_008_tv", Y, 16, [1, 3, 8, 2], [64, 144, 320, 784]),
    row("regnety_016", Y, 24, [2, 6, 17, 2], [48, 120, 336, 888]),
    row("regnety_032", Y, 24, [2, 5, 13, 1], [72, 216, 576, 1512]),
    row("regnety_040", Y, 64, [2, 6, 12, 2], [128, 192, 512, 1088]),
    row("regnety_040_sgn", Y, 64, [2, 6, 12, 2], [128, 192, 512, 1088]).group_norm(),
    row("regnety_064", Y, 72, [2, 7, 14, 2], [144, 288, 576, 1296]),
    row("regnety_080", Y, 56, [2, 4, 10, 1], [168, 448, 896, 2016]),
    row("regnety_080_tv", Y, 56, [2, 4, 10, 1], [224, 448, 896, 2016]),
    row("regnety_120", Y, 112, [2, 5, 11, 1], [224, 448, 896, 2240]),
    row("regnety_160", Y, 112, [2, 4, 11, 1], [224, 448, 1232, 3024]),
    row("regnety_320", Y, 232, [2, 5, 12, 1], [232, 696, 1392, 3712]),
    row("regnety_640", Y, 328, [2, 5, 12, 1], [328, 984, 1968, 4920]),
    row("regnety_1280", Y, 264, [2, 7, 17, 1], [528, 1056, 2904, 7392]),
    row("regnety_2560", Y, 373, [2, 7, 17, 1], [746, 1492, 4103, 10444]),
    row("regnetz_005", Z, 4, [1, 4, 9, 7], [16, 40, 104, 256]).followed_by(1024),
    row("regnetz_040", Z, 8, [2, 6, 14, 6], [48, 104, 240, 528]),
    row("regnetz_040_h", Z, 8, [2, 6, 14, 6], [48, 104, 240, 528]).followed_by(1536),
];

/// torchvision's names for networks of the table.
const TORCHVISION: [(&str, &str); 15] = [
    ("regnet_x_400mf", "regnetx_004_tv"),
    ("regnet_x_800mf", "regnetx_008"),
    ("regnet_x_1_6gf", "regnetx_016"),
    ("regnet_x_3_2gf", "regnetx_032"),
    ("regnet_x_8gf", "regnetx_080"),
    ("regnet_x_16gf", "regnetx_160"),
    ("regnet_x_32gf", "regnetx_320"),
    ("regnet_y_400mf", "regnety_004"),
    ("regnet_y_800mf", "regnety_008_tv"),
    ("regnet_y_1_6gf", "regnety_016"),
    ("regnet_y_3_2gf", "regnety_032"),
    ("regnet_y_8gf", "regnety_080_tv"),
    ("regnet_y_16gf", "regnety_160"),
    ("regnet_y_32gf", "regnety_320"),
    ("regnet_y_128gf", "regnety_1280"),
];

impl Row {
    const fn followed_by(self, channels: usize) -> Row {
        Row { final_channels: Some(channels), ..self }
    }

    const fn group_norm(self) -> Row {
        Row { norm: Norm::Group, ..self }
    }

    const fn pooled(self) -> Row {
        Row { shortcut: Shortcut::PooledProjection, ..self }
    }

    fn network(&self) -> RegNet {
        const STEM: usize = 32;
        let mut inputs = STEM;
        let mut stages = Vec::new();
        for (depth, channels) in self.depths.into_iter().zip(self.channels) {
            let width = if self.form == Z { 4 * channels } else { channels };
            let mut blocks = Vec::new();
            for b in 0..depth {
                // A quarter of the block's inputs, rounded as Python does: half to even.
                let squeeze = (inputs as f64 / 4.0).round_ties_even() as usize;
                let shortcut = match (b, self.form) {
                    (0, Z) => None,
                    (0, _) => Some(self.shortcut),
                    _ => Some(Shortcut::Identity),
                };
                let gate = (self.form != X).then_some(Gate::SqueezeExcite { squeeze, bias: true });
                let groups = (width / self.per_group).max(1);
                blocks.push(RegNetBlock { width, channels, groups, gate, shortcut });
                inputs = channels;
            }
            stages.push(blocks);
        }
        let net = RegNet {
            inputs: 3,
            stem_channels: STEM,
            preactivated: self.form == V,
            linear: self.form == Z,
            norm: self.norm,
            stages,
            final_channels: self.final_channels,
            biases: Biases::default(),
            head: Some(Head::linear("head.fc", 1000)),
            properties: Properties::usual(false),
        };
        RegNet { properties: net.usual(), ..net }
    }
}

/// All names of the table.
pub(super) fn names() -> impl Iterator<Item = String> {
    ROWS.iter().map(|row| row.name.to_string())
}

/// The network with this name.
pub(super) fn by_name(name: &str) -> Option<RegNet> {
    ROWS.iter().find(|row| row.name == name).map(Row::network)
}

/// torchvision's names, each with the table's name.
pub(super) fn torchvision() -> impl Iterator<Item = (&'static str, &'static str)> {
    TORCHVISION.into_iter()
}

/// The name in the table, whatever the head, or else a description.
pub(super) fn name(net: &RegNet) -> String {
    let plain = |net: &RegNet| RegNet {
        inputs: 3,
        biases: Biases::default(),
        head: None,
        properties: net.usual(),
        ..net.clone()
    };
    let known = ROWS.iter().find(|row| plain(&row.network()) == plain(net));
    known.map_or_else(|| describe(net), |row| row.name.into())
}

/// Returns the prefix of timm's names for the form of the network.
pub(super) fn form(net: &RegNet) -> &'static str {
    let gates = net.stages.iter().flatten().any(|block| block.gate.is_some());
    match (net.preactivated, net.linear) {
        (true, _) => "regnetv",
        (false, true) => "regnetz",
        (false, false) if gates => "regnety",
        (false, false) => "regnetx",
    }
}

fn describe(net: &RegNet) -> String {
    let depths: Vec<usize> = net.stages.iter().map(Vec::len).collect();
    let channels: Vec<usize> = net.stages.iter().filter_map(|stage| Some(stage.last()?.channels)).collect();
    let first = net.stages.iter().flatten().last();
    let per_group = first.map_or(0, |block| block.width / block.groups);
    format!("{} {depths:?} of {channels:?} channels in groups of {per_group}", form(net)).replace(", ", ",")
}
