//! Reads a [`ResNet`] from the names and shapes of its tensors.
//!
//! The result is a guess: the caller then compares all tensors with it. So a missing or misshapen tensor leads to an error that names it,
//! not to another network.

use super::{
    Biases, Block, BlockKind, Head, Norm, Properties, ResNet, Shapes, Shortcut, Stem,
    gate::Gates,
    majority::{MOST_CHANNELS, largest_index, most_frequent, outputs, unsupported_stem},
};

/// Whether the names belong to the ResNet family.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    let stem = shapes.contains_key("conv1.weight") || has_deep_stem(shapes) || is_legacy(shapes);
    stem && shapes.keys().any(|name| name.starts_with("layer1.0."))
}

fn has_deep_stem(shapes: &Shapes) -> bool {
    let position =
        |name: &String| name.strip_prefix("conv1.").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    shapes.keys().any(position)
}

/// Whether it is Cadene's SENet: its gates and the stem have other names.
fn is_legacy(shapes: &Shapes) -> bool {
    let has =
        |prefix: &str| shapes.range(prefix.to_string()..).next().is_some_and(|(name, _)| name.starts_with(prefix));
    has("layer0.") && shapes.keys().any(|name| name.contains(".se_module."))
}

/// The network with these tensors.
///
/// # Errors
/// A sentence about the feature that is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<ResNet, String> {
    let legacy = is_legacy(shapes);
    let (stem, image) = if legacy { read_legacy_stem(shapes)? } else { read_stem(shapes)? };
    let [last, norm] = match stem {
        Stem::Deep(_) if legacy => ["layer0.conv3", "layer0.bn3"],
        _ if legacy => ["layer0.conv1", "layer0.bn1"],
        Stem::Deep(_) => ["conv1.6", "bn1"],
        _ => ["conv1", "bn1"],
    };
    let stem_channels = outputs(shapes, last, norm).ok_or("its stem yields no channels")?;
    let depths = depths(shapes)?;
    let head = Head::read(shapes, &["fc", "linear"])?;
    let any = |part: &str| shapes.keys().any(|name| name.starts_with("layer") && name.contains(part));
    let kind = |stage: usize| {
        let start = format!("layer{stage}.");
        let mut names = shapes.range(start.clone()..).map_while(|(name, _)| name.strip_prefix(&start));
        let third = names.any(|name| name.contains(".conv3.") || name.contains(".bn3."));
        if third { BlockKind::Bottleneck } else { BlockKind::Basic }
    };
    // Projections are option B. A CIFAR network without any projection has option A.
    let padded = stem.is_small() && !any(".downsample.");
    let excitation = any(".excitation.");
    let gates = Gates::read(
        shapes,
        match (legacy, excitation) {
            (true, _) => "se_module",
            (_, true) => "excitation",
            _ => "se",
        },
    );
    let mut inputs = stem_channels;
    let mut stages = Vec::new();
    for (s, depth) in depths.into_iter().enumerate() {
        let mut blocks: Vec<Block> = Vec::with_capacity(depth);
        for b in 0..depth {
            let reader = BlockReader { shapes, gates: &gates, name: format!("layer{}.{b}", s + 1), kind: kind(s + 1) };
            let halves = s > 0 && b == 0;
            let block = reader.read(inputs, halves, padded, blocks.last())?;
            inputs = block.channels;
            blocks.push(block);
        }
        stages.push(blocks);
    }
    let [first_groups, groups] = read_groups(shapes, stem_channels, &stages);
    let net = ResNet {
        inputs: image,
        stem,
        stem_channels,
        stem_pool_conv: !stem.is_small() && shapes.keys().any(|name| name.starts_with("maxpool.")),
        legacy,
        excitation,
        groups,
        first_groups,
        norm: Norm::read(shapes),
        stages,
        biases: Biases::read(shapes),
        head,
        properties: Properties::usual(stem.is_small()),
    };
    let norm_groups = net.usual().norm_groups.filter(|_| net.norm == Norm::Batch);
    Ok(ResNet { properties: Properties { norm_groups, ..net.usual() }, ..net })
}

/// The stem, and the number of image channels.
fn read_stem(shapes: &Shapes) -> Result<(Stem, usize), String> {
    if has_deep_stem(shapes) {
        let first = shapes.get("conv1.0.weight").map(Vec::as_slice);
        let image = match first {
            None => 3,
            Some([_, image @ 1..=MOST_CHANNELS, 3, 3]) => *image,
            other => return Err(unsupported_stem("conv1.0.weight", other)),
        };
        let yields = |conv, norm| outputs(shapes, conv, norm).ok_or("its stem yields no channels");
        return Ok((Stem::Deep([yields("conv1.0", "conv1.1")?, yields("conv1.3", "conv1.4")?]), image));
    }
    match shapes.get("conv1.weight").map(Vec::as_slice) {
        Some([_, image @ 1..=MOST_CHANNELS, 7, 7]) => Ok((Stem::ImageNet, *image)),
        Some([_, image @ 1..=MOST_CHANNELS, 3, 3]) => Ok((Stem::Cifar, *image)),
        Some([_, image @ 1..=MOST_CHANNELS, 1, 1]) => Ok((Stem::Pointwise, *image)),
        other => Err(unsupported_stem("conv1.weight", other)),
    }
}

/// The stem of Cadene's SENet, and the number of image channels.
fn read_legacy_stem(shapes: &Shapes) -> Result<(Stem, usize), String> {
    let name = "layer0.conv1.weight";
    let deep = shapes.keys().any(|name| name.starts_with("layer0.conv3.") || name.starts_with("layer0.bn3."));
    let image = match (shapes.get(name).map(Vec::as_slice), deep) {
        (None, _) => 3,
        (Some([_, image @ 1..=MOST_CHANNELS, 7, 7]), false) => *image,
        (Some([_, image @ 1..=MOST_CHANNELS, 3, 3]), true) => *image,
        (other, _) => return Err(unsupported_stem(name, other)),
    };
    if !deep {
        return Ok((Stem::ImageNet, image));
    }
    let yields = |i: usize| {
        outputs(shapes, &format!("layer0.conv{i}"), &format!("layer0.bn{i}")).ok_or("its stem yields no channels")
    };
    Ok((Stem::Deep([yields(1)?, yields(2)?]), image))
}

/// Groups of the first two convolutions of bottlenecks: the same in all of them.
fn read_groups(shapes: &Shapes, stem_channels: usize, stages: &[Vec<Block>]) -> [usize; 2] {
    let (mut inputs, mut groups) = (stem_channels, [Vec::new(), Vec::new()]);
    for (s, blocks) in (1..).zip(stages) {
        for (b, block) in blocks.iter().enumerate() {
            let convolutions = [("conv1", inputs), ("conv2", block.first)];
            inputs = block.channels;
            if block.kind == BlockKind::Basic {
                continue;
            }
            for (groups, (conv, channels)) in groups.iter_mut().zip(convolutions) {
                match shapes.get(&format!("layer{s}.{b}.{conv}.weight")).map(Vec::as_slice) {
                    Some([_, each, _, _]) if *each > 0 && channels.is_multiple_of(*each) => {
                        groups.push(channels / each)
                    }
                    _ => {}
                }
            }
        }
    }
    groups.map(|groups| most_frequent(groups.into_iter()).unwrap_or(1))
}

/// Number of blocks in each stage, from the highest index.
fn depths(shapes: &Shapes) -> Result<Vec<usize>, String> {
    let mut depths = Vec::new();
    while let Some(last) = largest_index(shapes, &format!("layer{}.", depths.len() + 1))? {
        depths.push(last + 1);
    }
    Ok(depths)
}

struct BlockReader<'a> {
    shapes: &'a Shapes,
    gates: &'a Gates<'a>,
    name: String,
    kind: BlockKind,
}

impl BlockReader<'_> {
    /// Reads the block with `inputs` channels; `before` is the block before it in its stage.
    fn read(&self, inputs: usize, halves: bool, padded: bool, before: Option<&Block>) -> Result<Block, String> {
        let layer = |i: usize| outputs(self.shapes, &format!("{}.conv{i}", self.name), &format!("{}.bn{i}", self.name));
        let last = match self.kind {
            BlockKind::Basic => 2,
            BlockKind::Bottleneck => 3,
        };
        let first = layer(1).or(before.map(|b| b.first)).unwrap_or(inputs);
        let width = match self.kind {
            BlockKind::Basic => first,
            BlockKind::Bottleneck => layer(2).or(before.map(|b| b.width)).unwrap_or(first),
        };
        let channels = layer(last).or(before.map(|b| b.channels)).unwrap_or(inputs);
        let reshapes = halves || inputs != channels;
        let pooled =
            self.shapes.get(&format!("{}.downsample.1.weight", self.name)).is_some_and(|shape| shape.len() == 4);
        let shortcut = if pooled || self.has(".downsample.2.") {
            Shortcut::PooledProjection
        } else if self.has(".downsample.") {
            let weight = self.shapes.get(&format!("{}.downsample.0.weight", self.name));
            let spatial = matches!(weight.map(Vec::as_slice), Some([_, _, 3, 3]));
            if spatial { Shortcut::SpatialProjection } else { Shortcut::Projection }
        } else if !reshapes {
            Shortcut::Identity
        } else if padded {
            self.check_padding(inputs, channels)?;
            Shortcut::SubsamplePad
        } else {
            Shortcut::Projection
        };
        Ok(Block { kind: self.kind, first, width, channels, gate: self.gates.of(&self.name, channels), shortcut })
    }

    fn has(&self, part: &str) -> bool {
        let start = format!("{}{part}", self.name);
        self.shapes.range(start.clone()..).next().is_some_and(|(name, _)| name.starts_with(&start))
    }

    fn check_padding(&self, inputs: usize, channels: usize) -> Result<(), String> {
        if channels >= inputs && (channels - inputs).is_multiple_of(2) {
            Ok(())
        } else {
            Err(format!("{}: a shortcut without weights from {inputs} to {channels} channels", self.name))
        }
    }
}
