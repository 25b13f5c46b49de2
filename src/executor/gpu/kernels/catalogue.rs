//! Look-ups in the list of all kernels.

use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use super::{Caps, KERNELS, Kernel, KernelId, Setting, Shader, shader::checksum_of_texts};

/// Every kernel that is worth trying on a device like this, with each of its settings.
pub fn candidates(caps: &Caps) -> impl Iterator<Item = KernelId> + '_ {
    KERNELS.iter().flat_map(|kernel| (kernel.settings)(caps).into_iter().map(|setting| KernelId::new(kernel, setting)))
}

/// Every shader; one that several kernels use appears several times.
pub fn shaders() -> impl Iterator<Item = &'static Shader> {
    KERNELS.iter().flat_map(|kernel| kernel.shaders).copied()
}

/// A number that changes whenever the text of a shader does (64-bit FNV-1a), in hexadecimal.
pub fn checksum() -> String {
    checksum_of_texts(shaders())
}

impl FromStr for KernelId {
    type Err = String;

    /// Finds the id with this text.
    fn from_str(text: &str) -> Result<Self, String> {
        let id = |kernel: &&'static Kernel| {
            let mut setting = Setting::default();
            let numbers = text.strip_prefix(kernel.name)?;
            for (i, number) in numbers.split(['.', 'x']).skip(1).enumerate() {
                *setting.get_mut(i)? = number.parse().ok()?;
            }
            Some(KernelId::new(kernel, setting)).filter(|id| id.to_string() == text)
        };
        KERNELS.iter().find_map(id).ok_or_else(|| format!("there is no kernel {text:?}"))
    }
}

impl<'de> Deserialize<'de> for KernelId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn caps() -> Caps {
        Caps { subgroup: Some(32), cooperative: true, ..Caps::least() }
    }

    #[test]
    fn every_id_is_read_as_it_is_written_and_is_of_one_kernel() {
        let ids: Vec<KernelId> = candidates(&caps()).collect();
        assert_eq!(ids.iter().map(KernelId::to_string).collect::<HashSet<_>>().len(), ids.len());
        for id in &ids {
            assert_eq!(serde_json::from_str::<KernelId>(&serde_json::to_string(id).unwrap()).unwrap(), *id);
        }
        let names: HashSet<_> = KERNELS.iter().map(|kernel| kernel.name).collect();
        assert_eq!(names.len(), KERNELS.len());
        assert!(ids.iter().any(|id| id.to_string() == "conv2d.tiled.64x64"), "{ids:?}");
    }

    #[test]
    fn what_is_not_an_id_is_refused() {
        for text in ["", "conv2d", "conv2d.tiled.64x", "conv2d.tiled.64.64", "conv2d.tiled.064x64", "pool2d.0"] {
            assert!(text.parse::<KernelId>().is_err(), "{text}");
        }
        assert!("conv2d.tiled.1x2x3x4".parse::<KernelId>().is_err());
        assert!("conv2d.tiled.99999999999x1".parse::<KernelId>().is_err());
    }
}
