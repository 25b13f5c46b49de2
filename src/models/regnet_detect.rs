//! Reads a [`RegNet`] from the names and shapes of its tensors. As in `resnet_detect`, the result is a guess: the caller then compares all
//! tensors with it.

use super::{
    Biases, Head, Norm, Properties, RegNet, RegNetBlock, Shapes, Shortcut,
    gate::Gates,
    majority::{MOST_CHANNELS, largest_index, most_frequent, rows, unsupported_stem},
};

/// Whether the names belong to the RegNet family.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    starts(shapes, "s1.b1.")
}

fn starts(shapes: &Shapes, prefix: &str) -> bool {
    shapes.range(prefix.to_string()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
}

/// The network with these tensors.
///
/// # Errors
/// A sentence about the feature that is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<RegNet, String> {
    let in_block = |part: &str| shapes.keys().any(|name| name.starts_with('s') && name.contains(part));
    let preactivated = in_block(".norm1.");
    let reader = Reader {
        shapes,
        preactivated,
        linear: !preactivated && !in_block(".downsample."),
        gates: Gates::read(shapes, "se"),
    };
    let (stem_channels, image) = reader.stem()?;
    let depths = depths(shapes)?;
    let per_group = reader.per_group(&depths);
    let (mut inputs, mut stages) = (stem_channels, Vec::new());
    for (s, depth) in (1..).zip(depths.iter().copied()) {
        let mut blocks: Vec<RegNetBlock> = Vec::with_capacity(depth);
        for b in 1..=depth {
            let next = if b < depth { format!("s{s}.b{}", b + 1) } else { format!("s{}.b1", s + 1) };
            let block = reader.block([&format!("s{s}.b{b}"), &next], inputs, per_group, blocks.last())?;
            inputs = block.channels;
            blocks.push(block);
        }
        stages.push(blocks);
    }
    let final_channels = starts(shapes, "final_conv.")
        .then(|| most_frequent(reader.conv_norm("final_conv").into_iter()).ok_or("its final_conv yields no channels"))
        .transpose()?;
    let mut net = RegNet {
        inputs: image,
        stem_channels,
        preactivated,
        linear: reader.linear,
        norm: Norm::read(shapes),
        stages,
        final_channels,
        biases: if preactivated { Biases::default() } else { Biases::read(shapes) },
        head: Head::read(shapes, &["head.fc"])?,
        properties: Properties::usual(false),
    };
    net.properties = net.usual();
    net.properties.norm_groups = net.properties.norm_groups.filter(|_| net.norm == Norm::Batch);
    // A block that strides has a convolution in its shortcut.
    let first = net.stages.first().and_then(|stage| stage.first());
    if first.is_some_and(|block| block.shortcut == Some(Shortcut::Identity)) {
        net.properties.layer1_stride = 1;
    }
    Ok(net)
}

/// Number of blocks in each stage, from the highest index.
fn depths(shapes: &Shapes) -> Result<Vec<usize>, String> {
    let mut depths = Vec::new();
    while let Some(last) = largest_index(shapes, &format!("s{}.b", depths.len() + 1))? {
        depths.push(last);
    }
    Ok(depths)
}

struct Reader<'a> {
    shapes: &'a Shapes,
    preactivated: bool,
    /// Whether no block has a convolution in its shortcut.
    linear: bool,
    gates: Gates<'a>,
}

impl Reader<'_> {
    /// Output channels of the stem, and the number of image channels.
    fn stem(&self) -> Result<(usize, usize), String> {
        let name = if self.preactivated { "stem.weight" } else { "stem.conv.weight" };
        let image = match self.shapes.get(name).map(Vec::as_slice) {
            None => 3,
            Some([_, image @ 1..=MOST_CHANNELS, 3, 3]) => *image,
            other => return Err(unsupported_stem(name, other)),
        };
        let channels = if self.preactivated {
            most_frequent(rows(self.shapes, [name.into()]).chain(self.norm("s1.b1.norm1")))
        } else {
            most_frequent(self.conv_norm("stem").into_iter())
        };
        Ok((channels.ok_or("its stem yields no channels")?, image))
    }

    /// Output channels of a convolution `<name>.conv` and its norm `<name>.bn`.
    fn conv_norm(&self, name: &str) -> Vec<usize> {
        rows(self.shapes, [format!("{name}.conv.weight")]).chain(self.norm(&format!("{name}.bn"))).collect()
    }

    fn norm(&self, name: &str) -> Vec<usize> {
        let parts = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{name}.{part}"));
        rows(self.shapes, parts).collect()
    }

    fn width(&self, block: &str) -> Option<usize> {
        let parts = ["conv1", "conv2"].map(|conv| format!("{block}.{conv}"));
        if self.preactivated {
            let convs = rows(self.shapes, parts.map(|conv| format!("{conv}.weight")));
            let norms = ["norm2", "norm3"].map(|norm| self.norm(&format!("{block}.{norm}")));
            return most_frequent(convs.chain(norms.into_iter().flatten()));
        }
        most_frequent(parts.into_iter().flat_map(|conv| self.conv_norm(&conv)))
    }

    /// Output channels of a block, which later blocks of its stage keep; `next` is the block after it.
    fn channels(&self, block: &str, next: &str) -> Option<usize> {
        if self.preactivated {
            let convs = rows(self.shapes, ["conv3", "downsample"].map(|conv| format!("{block}.{conv}.weight")));
            return most_frequent(convs.chain(self.norm(&format!("{next}.norm1"))));
        }
        most_frequent(self.conv_norm(&format!("{block}.conv3")).into_iter())
    }

    /// Channels in each group of the 3x3 convolutions: the same in all blocks, unless a block has fewer channels.
    fn per_group(&self, depths: &[usize]) -> Option<usize> {
        let blocks = (1..).zip(depths).flat_map(|(s, depth)| (1..=*depth).map(move |b| format!("s{s}.b{b}")));
        let per_group = blocks.filter_map(|block| {
            let conv = if self.preactivated { "conv2" } else { "conv2.conv" };
            match self.shapes.get(&format!("{block}.{conv}.weight"))?.as_slice() {
                [_, per_group, _, _] if *per_group > 0 => Some(*per_group),
                _ => None,
            }
        });
        most_frequent(per_group)
    }

    /// Reads the block with `inputs` channels; `before` is the block before it in its stage.
    fn block(
        &self,
        [name, next]: [&str; 2],
        inputs: usize,
        per_group: Option<usize>,
        before: Option<&RegNetBlock>,
    ) -> Result<RegNetBlock, String> {
        let width = self.width(name).or(before.map(|b| b.width)).unwrap_or(inputs);
        let channels = before.map(|b| b.channels).or_else(|| self.channels(name, next)).unwrap_or(inputs);
        let groups = per_group.map_or(1, |per_group| (width / per_group).max(1));
        if !width.is_multiple_of(groups) {
            return Err(format!("{name}: {width} channels in {groups} groups"));
        }
        let reshapes = before.is_none();
        let shortcut = if !reshapes {
            Some(Shortcut::Identity)
        } else if self.linear {
            None
        } else if starts(self.shapes, &format!("{name}.downsample.1.")) {
            Some(Shortcut::PooledProjection)
        } else if starts(self.shapes, &format!("{name}.downsample.")) {
            Some(Shortcut::Projection)
        } else if name == "s1.b1" && inputs == channels && !self.preactivated {
            Some(Shortcut::Identity)
        } else if self.pools() {
            Some(Shortcut::PooledProjection)
        } else {
            Some(Shortcut::Projection)
        };
        Ok(RegNetBlock { width, channels, groups, gate: self.gates.of(name, width), shortcut })
    }

    /// Whether shortcuts pool: then their convolution is their second module.
    fn pools(&self) -> bool {
        self.shapes.keys().any(|name| name.starts_with('s') && name.contains(".downsample.1."))
    }
}
