//! Weights of which a file has only the parts: pruned ones, those with weight or spectral normalisation, and those with an adapter (LoRA).
//! They are computed once.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashSet},
};

use safetensors::Dtype;

use super::{adapter::MARK, header::TensorEntry, values};

/// The name of the module that holds the parts of a parametrised tensor (`torch.nn.utils.parametrize`).
const MODULE: &str = "parametrizations.";

/// A weight to compute from other tensors.
#[derive(Clone)]
pub(super) struct Made {
    /// Its position among the tensors.
    position: usize,
    recipe: Recipe,
    /// Positions of its parts.
    pub(super) parts: Vec<usize>,
}

/// How a weight is computed from its parts.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Recipe {
    /// Values times a mask (`torch.nn.utils.prune`).
    Masked,
    /// Magnitudes, and directions that are divided by their norm (Salimans and Kingma 2016, "Weight Normalization", equation 2).
    WeightNorm,
    /// Values, divided by their largest singular value: u W v for two stored vectors (Miyato et al. 2018, "Spectral Normalization for
    /// Generative Adversarial Networks", section 2.1).
    Spectral,
    /// Values plus this multiple of the product of two matrices, the last part first (Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large
    /// Language Models", section 4.1). For a convolution, the first matrix has the kernel's pixels in its columns.
    LowRank(f64),
    /// The values of the first part, under another name.
    Same,
}

/// A weight's name, its recipe and the positions of its parts.
type Found = (String, Recipe, Vec<usize>);

/// Adds an entry for each weight of which `tensors` has the parts, and marks the parts. `scaling` is the adapter's, if it is known.
pub(super) fn find(tensors: &mut Vec<TensorEntry>, scaling: Option<f64>) -> Vec<Made> {
    let mut found = by_names(tensors);
    found.extend(scaling.into_iter().flat_map(|scaling| adapted(tensors, scaling)));
    if found.is_empty() {
        return Vec::new();
    }
    let known: HashSet<String> = tensors.iter().map(|tensor| tensor.name.clone()).collect();
    let mut made = Vec::new();
    for (name, recipe, parts) in found {
        let shapes: Vec<&[usize]> = parts.iter().map(|part| tensors[*part].shape.as_slice()).collect();
        let weights = parts.iter().all(|part| values::is_weight(tensors[*part].dtype));
        // A file that has the weight too is left as it is.
        if !weights || !recipe.fits(&shapes) || known.contains(&name) {
            continue;
        }
        let shape = tensors[parts[recipe.values()]].shape.clone();
        parts.iter().for_each(|part| tensors[*part].part = true);
        made.push(Made { position: tensors.len(), recipe, parts });
        let bytes = 0..4 * shape.iter().product::<usize>();
        tensors.push(TensorEntry { name, dtype: Dtype::F32, shape, file: usize::MAX, bytes, part: false });
    }
    made
}

/// Finds the parts that `torch.nn.utils` names.
fn by_names(tensors: &[TensorEntry]) -> Vec<Found> {
    let positions = positions(tensors);
    let mut modules: BTreeMap<(&str, &str), Vec<(&str, usize)>> = BTreeMap::new();
    let mut found = Vec::new();
    for (name, position) in &positions {
        let inside = name.split_once(MODULE).filter(|(front, _)| front.is_empty() || front.ends_with('.'));
        if let Some((front, (weight, part))) = inside.and_then(|(front, rest)| Some((front, rest.split_once('.')?))) {
            modules.entry((front, weight)).or_default().push((part, *position));
            continue;
        }
        let with = |ending: &str, others: &[&str]| {
            let weight = name.strip_suffix(ending)?;
            let others = others.iter().map(|other| positions.get(format!("{weight}{other}").as_str()).copied());
            let parts = [Some(*position)].into_iter().chain(others).collect::<Option<Vec<usize>>>()?;
            let last = weight.rsplit('.').next()?;
            matches!(last, "weight" | "bias").then(|| (weight.to_string(), parts))
        };
        let candidates = [
            (Recipe::Masked, with("_orig", &["_mask"])),
            (Recipe::Spectral, with("_orig", &["_u", "_v"])),
            (Recipe::WeightNorm, with("_g", &["_v"])),
        ];
        found.extend(
            candidates.into_iter().filter_map(|(recipe, parts)| parts.map(|(name, parts)| (name, recipe, parts))),
        );
    }
    for ((front, weight), parts) in modules {
        let name = format!("{front}{weight}");
        match parts[..] {
            [("original0", magnitudes), ("original1", directions)] => {
                found.push((name, Recipe::WeightNorm, vec![magnitudes, directions]));
            }
            [("0._u", u), ("0._v", v), ("original", values)] => {
                found.push((name, Recipe::Spectral, vec![values, u, v]));
            }
            _ => {}
        }
    }
    found
}

/// Finds the parts of weights with an adapter, and the other tensors that PEFT renames, if there is only one adapter.
fn adapted(tensors: &[TensorEntry], scaling: f64) -> Vec<Found> {
    let positions = positions(tensors);
    let name_of = |name: &&str| name.split_once(MARK)?.1.strip_suffix(".weight").map(String::from);
    let adapters: HashSet<String> = positions.keys().filter_map(name_of).collect();
    let Some(adapter) = adapters.iter().next().filter(|_| adapters.len() == 1) else { return Vec::new() };
    let trained = format!(".modules_to_save.{adapter}.");
    let mut found = Vec::new();
    for (name, position) in &positions {
        let factor =
            |module: &str, part: &str| positions.get(format!("{module}.{part}.{adapter}.weight").as_str()).copied();
        if let Some(module) = name.strip_suffix(".base_layer.weight") {
            if let (Some(first), Some(second)) = (factor(module, "lora_A"), factor(module, "lora_B")) {
                found.push((format!("{module}.weight"), Recipe::LowRank(scaling), vec![*position, first, second]));
            }
        } else if let Some(module) = name.strip_suffix(".base_layer.bias") {
            found.push((format!("{module}.bias"), Recipe::Same, vec![*position]));
        } else if let Some((module, part)) = name.split_once(trained.as_str()) {
            let replaced = positions.get(format!("{module}.original_module.{part}").as_str()).copied();
            let parts = [Some(*position), replaced].into_iter().flatten().collect();
            found.push((format!("{module}.{part}"), Recipe::Same, parts));
        }
    }
    found
}

fn positions(tensors: &[TensorEntry]) -> BTreeMap<&str, usize> {
    tensors.iter().map(|tensor| tensor.name.as_str()).zip(0..).collect()
}

/// Computes the weights: the position and the bytes of each. `bytes` returns the bytes of a tensor.
pub(super) fn make<'a>(
    tensors: &[TensorEntry],
    made: Vec<Made>,
    bytes: impl Fn(&TensorEntry) -> &'a [u8],
) -> Vec<(usize, Vec<u8>)> {
    let compute = |Made { position, recipe, parts }: Made| {
        let values = |part: &usize| values::widen(bytes(&tensors[*part]), tensors[*part].dtype).unwrap_or_default();
        let shapes: Vec<&[usize]> = parts.iter().map(|part| tensors[*part].shape.as_slice()).collect();
        let weight = recipe.compute(&parts.iter().map(values).collect::<Vec<_>>(), &shapes);
        (position, weight.into_iter().flat_map(f32::to_le_bytes).collect())
    };
    made.into_iter().map(compute).collect()
}

impl Recipe {
    /// The part that has the shape of the weight.
    fn values(self) -> usize {
        if self == Recipe::WeightNorm { 1 } else { 0 }
    }

    /// Whether parts of these shapes belong together.
    fn fits(self, shapes: &[&[usize]]) -> bool {
        // The product of the other extents may overflow.
        if shapes.iter().any(|shape| shape.contains(&0)) {
            return false;
        }
        match (self, shapes) {
            (Recipe::Masked, [values, mask]) => values == mask,
            (Recipe::WeightNorm, [magnitudes, directions]) => {
                let pairs = || magnitudes.iter().zip(*directions);
                let one_axis = pairs().filter(|(magnitudes, _)| **magnitudes != 1).count() <= 1;
                let same = pairs().all(|(magnitudes, directions)| *magnitudes == 1 || magnitudes == directions);
                magnitudes.is_empty() || magnitudes.len() == directions.len() && one_axis && same
            }
            (Recipe::Spectral, [[rows, columns @ ..], [u], [v]]) => {
                u == rows && *v == columns.iter().product::<usize>() && !columns.is_empty()
            }
            (Recipe::LowRank(_), [[rows, columns @ ..], [rank, others @ ..], [outputs, inner, ones @ ..]]) => {
                *rank > 0 && (outputs, inner, columns) == (rows, rank, others) && ones.iter().all(|extent| *extent == 1)
            }
            (Recipe::Same, [first, others @ ..]) => others.iter().all(|other| other == first),
            _ => false,
        }
    }

    fn compute(self, parts: &[Cow<'_, [f32]>], shapes: &[&[usize]]) -> Vec<f32> {
        match (self, parts, shapes) {
            (Recipe::Masked, [values, mask], _) => {
                values.iter().zip(mask.iter()).map(|(value, mask)| value * mask).collect()
            }
            (Recipe::WeightNorm, [magnitudes, directions], [axes, shape]) => {
                // A magnitude for each index of one axis, or a single one.
                let axis = axes.iter().position(|extent| *extent != 1);
                let after = axis.map_or(1, |axis| shape[axis + 1..].iter().product::<usize>().max(1));
                let index = |i: usize| axis.map_or(0, |axis| i / after % shape[axis]);
                let mut squares = vec![0.0; magnitudes.len()];
                for (i, value) in directions.iter().enumerate() {
                    squares[index(i)] += f64::from(*value).powi(2);
                }
                let factors: Vec<f64> = squares
                    .iter()
                    .zip(magnitudes.iter())
                    .map(|(square, magnitude)| f64::from(*magnitude) / square.sqrt())
                    .collect();
                directions.iter().enumerate().map(|(i, value)| (f64::from(*value) * factors[index(i)]) as f32).collect()
            }
            (Recipe::Spectral, [values, u, v], _) => {
                let rows = values.chunks(v.len().max(1)).zip(u.iter());
                let dot =
                    |row: &[f32]| row.iter().zip(v.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
                let largest: f64 = rows.map(|(row, u)| f64::from(*u) * dot(row)).sum();
                values.iter().map(|value| (f64::from(*value) / largest) as f32).collect()
            }
            (Recipe::LowRank(scaling), [values, first, second], [_, [rank, ..], _]) => {
                let columns = first.len() / (*rank).max(1);
                let delta = |row: usize, column: usize| {
                    let factors = second[row * rank..][..*rank].iter().zip(first.iter().skip(column).step_by(columns));
                    factors.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>()
                };
                let sum =
                    |(i, value): (usize, &f32)| (f64::from(*value) + scaling * delta(i / columns, i % columns)) as f32;
                values.iter().enumerate().map(sum).collect()
            }
            (Recipe::Same, [first, ..], _) => first.to_vec(),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compute(recipe: Recipe, parts: &[(&[usize], &[f32])]) -> Option<Vec<f32>> {
        let shapes: Vec<&[usize]> = parts.iter().map(|(shape, _)| *shape).collect();
        let values: Vec<Cow<'_, [f32]>> = parts.iter().map(|(_, values)| Cow::Borrowed(*values)).collect();
        recipe.fits(&shapes).then(|| recipe.compute(&values, &shapes))
    }

    #[test]
    fn weights_are_computed_from_their_parts() {
        let four = [3.0, 4.0, 6.0, -8.0];
        let norm = |axes: &[usize], magnitudes: &[f32]| {
            compute(Recipe::WeightNorm, &[(axes, magnitudes), (&[2, 2], &four)]).unwrap()
        };
        assert_eq!(norm(&[2, 1], &[5.0, 1.0]), [3.0, 4.0, 0.6, -0.8]);
        let columns = norm(&[1, 2], &[45f32.sqrt(), 80f32.sqrt()]);
        assert!(columns.iter().zip(four).all(|(got, want)| (got - want).abs() < 1e-5), "{columns:?}");
        assert_eq!(norm(&[], &[125f32.sqrt()]).iter().map(|v| v.round()).collect::<Vec<_>>(), four);
        assert_eq!(norm(&[1, 1], &[0.0]), [0.0, 0.0, 0.0, -0.0]);
        let masked = compute(Recipe::Masked, &[(&[4], &four), (&[4], &[1.0, 0.0, 1.0, 0.0])]).unwrap();
        assert_eq!(masked, [3.0, 0.0, 6.0, -0.0]);
        let spectral = compute(Recipe::Spectral, &[(&[2, 2, 1], &four), (&[2], &[1.0, 0.0]), (&[2], &[0.0, 0.5])]);
        assert_eq!(spectral.unwrap(), [1.5, 2.0, 3.0, -4.0]);
        let [first, second]: [&[f32]; 2] = [&[1.0, 2.0], &[10.0, -1.0]];
        let adapted = |ones: &[usize]| {
            let last = [&[2, 1], ones].concat();
            compute(Recipe::LowRank(0.5), &[(&[2, 2], &four), (&[1, 2], first), (&last, second)]).unwrap()
        };
        assert_eq!(adapted(&[]), [8.0, 14.0, 5.5, -9.0]);
        assert_eq!(adapted(&[1, 1]), adapted(&[]));
        // Parts of other shapes do not belong together.
        assert_eq!(compute(Recipe::Masked, &[(&[4], &four), (&[2, 2], &four)]), None);
        let empty = [0, 1 << 40, 1 << 40];
        assert_eq!(compute(Recipe::WeightNorm, &[(&[0, 1, 1], &[]), (&empty, &[])]), None);
        assert_eq!(compute(Recipe::WeightNorm, &[(&[2, 2], &four), (&[2, 2], &four)]), None);
        assert_eq!(compute(Recipe::Spectral, &[(&[2, 2], &four), (&[4], &four), (&[2], &[1.0, 1.0])]), None);
    }
}
