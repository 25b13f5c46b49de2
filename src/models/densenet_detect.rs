//! Reads a [`DenseNet`] from the names and shapes of its tensors. As in `resnet_detect`, the result is a guess: the caller then compares
//! all tensors with it.

use super::{
    Biases, DenseNet, Head, Properties, Shapes,
    majority::{MOST_CHANNELS, largest_index, most_frequent, outputs, rows, unsupported_stem},
};

/// Whether the names belong to the DenseNet family.
pub(super) fn resembles(shapes: &Shapes) -> bool {
    shapes.keys().any(|name| name.starts_with("features.denseblock1.denselayer1."))
}

/// The network with these tensors.
///
/// # Errors
/// A sentence about the feature that is not supported.
pub(super) fn read(shapes: &Shapes) -> Result<DenseNet, String> {
    let blocks = read_blocks(shapes)?;
    // The output channels of a convolution are the input channels of the next block's first layer.
    let into = |conv: &str, block: usize| {
        let first = format!("features.denseblock{block}.denselayer1.norm1");
        outputs(shapes, conv, &first).ok_or_else(|| format!("its {conv} has no output channels"))
    };
    let names =
        |(b, layers): (usize, &usize)| (1..=*layers).map(move |l| format!("features.denseblock{b}.denselayer{l}"));
    let layers: Vec<String> = (1..).zip(&blocks).flat_map(names).collect();
    let channels = |part: &str| {
        let weights = layers.iter().map(move |layer| format!("{layer}.{part}.weight"));
        rows(shapes, weights.collect::<Vec<_>>())
    };
    let two = shapes.keys().any(|name| name.contains(".conv2.") || name.contains(".norm2."));
    let (bottleneck, growth) = if two {
        (most_frequent(channels("conv1").chain(channels("norm2"))), most_frequent(channels("conv2")))
    } else {
        (None, most_frequent(channels("conv1")))
    };
    let deep_stem = if shapes.keys().any(|name| name.starts_with("features.conv1.")) {
        let yields = |i: usize| {
            outputs(shapes, &format!("features.conv{i}"), &format!("features.norm{i}"))
                .ok_or("its stem yields no channels")
        };
        Some([yields(0)?, yields(1)?])
    } else {
        None
    };
    let (pooled_stem, image) = read_stem(shapes, deep_stem.is_some())?;
    Ok(DenseNet {
        inputs: image,
        pooled_stem,
        deep_stem,
        stem_channels: into(if deep_stem.is_some() { "features.conv2" } else { "features.conv0" }, 1)?,
        growth: growth.ok_or("its dense layers yield no channels")?,
        bottleneck,
        transitions: (1..blocks.len())
            .map(|t| into(&format!("features.transition{t}.conv"), t + 1))
            .collect::<Result<_, _>>()?,
        blocks,
        last_norm: read_last_norm(shapes, deep_stem.is_some()),
        biases: Biases::read(shapes),
        head: Head::read(shapes, &["classifier"])?,
        properties: Properties::usual(!pooled_stem),
    })
}

/// Whether the stem is pooled, and the number of image channels.
fn read_stem(shapes: &Shapes, deep: bool) -> Result<(bool, usize), String> {
    match shapes.get("features.conv0.weight").map(Vec::as_slice) {
        Some([_, image @ 1..=MOST_CHANNELS, 7, 7]) if !deep => Ok((true, *image)),
        Some([_, image @ 1..=MOST_CHANNELS, 3, 3]) => Ok((deep, *image)),
        None => Ok((shapes.keys().any(|name| name.starts_with("features.norm0.")), 3)),
        other => Err(unsupported_stem("features.conv0.weight", other)),
    }
}

/// Number of dense layers in each block, from the highest index.
fn read_blocks(shapes: &Shapes) -> Result<Vec<usize>, String> {
    let blocks = largest_index(shapes, "features.denseblock")?.unwrap_or(0);
    (1..=blocks)
        .map(|b| Ok(largest_index(shapes, &format!("features.denseblock{b}.denselayer"))?.unwrap_or(0)))
        .collect()
}

fn read_last_norm(shapes: &Shapes, deep: bool) -> String {
    let of_stem: &[&str] = if deep { &["norm0", "norm1", "norm2"] } else { &["norm0"] };
    let norms = shapes.keys().filter_map(|name| name.strip_prefix("features.")?.split_once('.'));
    let last = norms.map(|(norm, _)| norm).find(|norm| norm.starts_with("norm") && !of_stem.contains(norm));
    last.unwrap_or("norm5").into()
}
