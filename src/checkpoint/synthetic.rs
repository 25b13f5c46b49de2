//! Synthetic checkpoints: every weight is a pure function of a salt, the tensor's name and the flat index.
//!
//! A test can thus build a ResNet-152 in memory and compare its logits with PyTorch's for the same weights, without a download.
//! `golden/synthetic.py` has the same functions. A key is the FNV-1a hash of `salt:name`, and element `i` takes the top 24 bits
//! of splitmix64 at position `i + 1`.

use std::{collections::BTreeMap, f64::consts::PI, hash::Hasher};

use fnv::FnvHasher;
use safetensors::Dtype;

use super::{Bytes, Checkpoint, Directory, TensorEntry};
use crate::Result;

/// A family of synthetic checkpoints.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
pub struct Synthetic {
    /// Distinguishes families.
    pub salt: String,
    /// Ending of the name of a block's last batch normalisation, whose scale is damped (`bn2.weight`).
    pub damped: Option<String>,
    /// The factor that keeps the residual sum from growing with depth.
    pub damp: f64,
}

impl Synthetic {
    /// The weights `name` of shape `shape`, row-major. Values are uniform: within ±sqrt(6 / fan-in) for convolutions and linear
    /// layers, 0.75 to 1.25 for scales and variances, ±0.1 for biases, means and thresholds.
    pub fn tensor(&self, name: &str, shape: &[usize]) -> Vec<f32> {
        let mut values = Vec::with_capacity(shape.iter().product());
        self.generate(name, shape, |v| values.push(v));
        values
    }

    /// A checkpoint with the weights of all `tensors`, given by name and shape. The names may have any spelling that is accepted
    /// in files.
    ///
    /// # Errors
    /// [`crate::Error::ModelHeader`] if two names mean the same tensor.
    pub fn checkpoint(&self, name: &str, tensors: &[(String, Vec<usize>)]) -> Result<Checkpoint> {
        let elements: usize = tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum();
        let mut bytes = Vec::with_capacity(4 * elements);
        let mut entries = Vec::with_capacity(tensors.len());
        for (tensor, shape) in tensors {
            let start = bytes.len();
            self.generate(tensor, shape, |v| bytes.extend_from_slice(&v.to_le_bytes()));
            entries.push(TensorEntry {
                name: tensor.clone(),
                dtype: Dtype::F32,
                shape: shape.clone(),
                file: 0,
                bytes: start..bytes.len(),
                part: false,
            });
        }
        let directory = Directory::new(name, entries, BTreeMap::new(), None)?;
        Ok(Checkpoint::assemble(vec![Bytes::Given(bytes.into()).into()], directory))
    }

    /// An input `[N, C, H, W]`: noise in ±1 and a wave that differs between images and between channels.
    pub fn input(&self, shape: [usize; 4]) -> Vec<f32> {
        let [images, channels, rows, columns] = shape;
        let mut noise = uniform(self.key("input"));
        let mut values = Vec::with_capacity(shape.iter().product());
        for n in 0..images {
            for c in 0..channels {
                for y in 0..rows {
                    for x in 0..columns {
                        let turns =
                            ((n + 1) * y) as f64 / rows as f64 + ((c + 1) * (n + 2) * x) as f64 / columns as f64;
                        values.push((2.0 * noise() - 1.0 + 2.0 * (2.0 * PI * turns).cos()) as f32);
                    }
                }
            }
        }
        values
    }

    fn generate(&self, name: &str, shape: &[usize], mut sink: impl FnMut(f32)) {
        let count: usize = shape.iter().product();
        let mut u = uniform(self.key(name));
        if ["running_mean", "bias", ".tau"].iter().any(|end| name.ends_with(end)) {
            (0..count).for_each(|_| sink((0.2 * (u() - 0.5)) as f32));
        } else if shape.len() == 1 || name.ends_with(".gain") {
            let damp = if self.damped.as_deref().is_some_and(|end| name.ends_with(end)) { self.damp } else { 1.0 };
            (0..count).for_each(|_| sink((damp * (0.75 + 0.5 * u())) as f32));
        } else {
            let fan_in: usize = shape.iter().skip(1).product();
            let bound = (6.0 / fan_in as f64).sqrt();
            (0..count).for_each(|_| sink(((2.0 * u() - 1.0) * bound) as f32));
        }
    }

    fn key(&self, name: &str) -> u64 {
        let mut hasher = FnvHasher::default();
        [self.salt.as_bytes(), b":", name.as_bytes()].iter().for_each(|text| hasher.write(text));
        hasher.finish()
    }
}

/// Numbers in `[0, 1)` with 24 random bits.
fn uniform(key: u64) -> impl FnMut() -> f64 {
    let mut state = key;
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 40) as f64 / f64::from(1 << 24)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn residua() -> Synthetic {
        Synthetic { salt: "residua".into(), damped: Some("bn2.weight".into()), damp: 0.3 }
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn uniform_numbers_are_those_of_the_definition() {
        let mut u = uniform(residua().key("conv1.weight"));
        for expected in [0.95993596, 0.59414923, 0.08473861] {
            assert!((u() - expected).abs() < 5e-9);
        }
    }

    /// The values come from the formulas of `golden/synthetic.py`, in Python.
    #[test]
    fn weights_have_the_bits_of_the_definition() {
        let cases: [(&str, &[usize], [u32; 4]); 7] = [
            ("conv1.weight", &[2, 3, 1, 1], [0x3fa6_83bd, 0x3e88_57b8, 0xbf96_5737, 0xbf85_6420]),
            ("layer1.0.bn2.weight", &[4], [0x3eb1_5638, 0x3e6d_3ac2, 0x3eb4_3a11, 0x3eb2_2653]),
            ("layer1.0.bn1.weight", &[4], [0x3f84_3ed6, 0x3f80_637d, 0x3f9d_a085, 0x3f84_ec0f]),
            ("bn1.running_mean", &[4], [0x3d47_ae36, 0xbd9c_c1a5, 0x3d1c_acf0, 0xbc94_875a]),
            ("bn1.running_var", &[4], [0x3f88_fa7d, 0x3f8d_6672, 0x3f6f_a67c, 0x3f83_4886]),
            ("fc.bias", &[4], [0x3cd4_4c6d, 0xbc0c_9733, 0x3d84_0460, 0x3c19_9ff3]),
            ("fc.weight", &[2, 5], [0xbf22_f371, 0x3e1a_00a0, 0xbeb1_b4fb, 0xbf10_6e4b]),
        ];
        for (name, shape, expected) in cases {
            assert_eq!(bits(&residua().tensor(name, shape))[..4], expected, "{name}");
        }
    }

    #[test]
    fn a_whole_tensor_has_the_bits_of_the_definition() {
        let values = residua().tensor("layer2.0.conv1.weight", &[16, 24, 3, 3]);
        let hash = values.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, v| {
            (hash ^ u64::from(v.to_bits())).wrapping_mul(0x0000_0100_0000_01b3)
        });
        assert_eq!(hash, 0xa662_0cc2_7d3a_18d9);
    }

    #[test]
    fn the_input_has_the_bits_of_the_definition() {
        let values = bits(&residua().input([2, 3, 4, 5]));
        assert_eq!(values.len(), 120);
        assert_eq!(values[..3], [0x3fdb_9703, 0xbfe1_b717, 0xbd65_9a84]);
        assert_eq!(values[59..62], [0xbf82_45a0, 0x3f99_fe18, 0xbfe5_506d]);
        assert_eq!(values[117..], [0x3ff8_7bb7, 0x4017_1b9a, 0x3e99_ed01]);
    }

    #[test]
    fn a_checkpoint_holds_the_same_values_as_its_tensors() {
        let tensors = vec![("module.conv1.weight".to_string(), vec![4, 3, 3, 3]), ("module.bn1.bias".into(), vec![4])];
        let checkpoint = residua().checkpoint("two", &tensors).unwrap();
        for (name, shape) in &tensors {
            let canonical = name.strip_prefix("module.").unwrap();
            assert_eq!(checkpoint.tensor(canonical, shape).unwrap().as_ref(), residua().tensor(name, shape));
        }
    }
}
