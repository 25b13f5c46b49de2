//! Finds extents by majority over many tensors, so that an exception is reported as misshapen.

use std::collections::BTreeMap;

use super::Shapes;

/// Largest plausible number of channels: a tensor without values may announce any. Sums over all layers then do not overflow.
pub(super) const MOST_CHANNELS: usize = usize::MAX >> 16;

/// Output channels of a convolution, which its batch normalisation shares.
pub(super) fn outputs(shapes: &Shapes, conv: &str, norm: &str) -> Option<usize> {
    let norms = ["weight", "bias", "running_mean", "running_var"].map(|part| format!("{norm}.{part}"));
    most_frequent(rows(shapes, norms.into_iter().chain([format!("{conv}.weight")])))
}

/// The plausible first extents among those tensors that exist.
pub(super) fn rows(shapes: &Shapes, names: impl IntoIterator<Item = String>) -> impl Iterator<Item = usize> {
    names.into_iter().filter_map(|name| {
        shapes.get(&name)?.first().copied().filter(|channels| (1..=MOST_CHANNELS).contains(channels))
    })
}

/// The most frequent value; the largest, if several are equally frequent.
pub(super) fn most_frequent(values: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_insert(0) += 1);
    counts.into_iter().max_by_key(|(_, count)| *count).map(|(value, _)| value)
}

/// The largest number after `prefix` in the names, if there is any.
///
/// # Errors
/// A sentence, if the number exceeds the count of such names: every numbered part has several tensors.
pub(super) fn largest_index(shapes: &Shapes, prefix: &str) -> Result<Option<usize>, String> {
    let (mut tensors, mut largest) = (0, None);
    for name in shapes.range(prefix.to_string()..).map_while(|(name, _)| name.strip_prefix(prefix)) {
        largest = largest.max(name.split('.').next().and_then(|digits| digits.parse::<usize>().ok()));
        tensors += 1;
    }
    match largest {
        Some(largest) if largest > tensors => {
            Err(format!("it has {prefix}{largest}, but only {tensors} tensors whose names begin with {prefix}"))
        }
        largest => Ok(largest),
    }
}

/// The reason why the first convolution is not supported.
pub(super) fn unsupported_stem(name: &str, shape: Option<&[usize]>) -> String {
    match shape {
        Some([_, _, _, _, _]) => {
            format!("a stem {name} of three-dimensional convolutions is not supported: residua classifies photos")
        }
        Some(shape) => {
            format!("a stem {name} of shape {shape:?} is not supported, only kernels of 7x7, 3x3 and, in a ResNet, 1x1")
        }
        None => format!("a stem without {name} is not supported"),
    }
}
