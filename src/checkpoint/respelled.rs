//! A network's tensors under torchvision's names.

use std::collections::HashMap;

use super::{Checkpoint, Stored, directory::module};

/// The batch counter of PyTorch's norms.
const COUNTER: &str = "num_batches_tracked";

impl Checkpoint {
    /// The tensors as they are stored, under torchvision's names: those for which `keeps` is true, and the batch counters of
    /// their norms.
    #[doc(hidden)]
    pub fn respelled(&self, keeps: impl Fn(&str) -> bool) -> Vec<Stored<'_>> {
        let mut modules = HashMap::new();
        let mut tensors = Vec::new();
        // Counters come last.
        for (canonical, stored) in self.stored() {
            let own = module(&stored.name).to_string();
            let name = match canonical {
                Some(name) if keeps(name) => {
                    modules.insert(own, module(name));
                    Some(name.to_string())
                }
                None if stored.name.strip_prefix(&own) == Some(&format!(".{COUNTER}")) => {
                    modules.get(&own).map(|module| format!("{module}.{COUNTER}"))
                }
                _ => None,
            };
            tensors.extend(name.map(|name| Stored { name, ..stored }));
        }
        tensors
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use safetensors::Dtype;

    use super::*;
    use crate::checkpoint::save;

    #[test]
    fn counters_go_with_their_norms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.safetensors");
        let f32 = |name: &str, shape: &[usize]| Stored::f32(name, shape.into(), &vec![1.0; shape.iter().product()]);
        let counter = |name: &str| Stored {
            name: name.into(),
            dtype: Dtype::I64,
            shape: Vec::new(),
            bytes: 7_i64.to_le_bytes().to_vec().into(),
        };
        let tensors = [
            f32("net.conv1.weight", &[4, 3, 7, 7]),
            f32("net.bn1.weight", &[4]),
            counter("net.bn1.num_batches_tracked"),
            counter("net.bn1.total_ops"),
            f32("net.layer1.0.conv1.weight", &[4, 4, 3, 3]),
            f32("net.layer1.0.bn1.weight", &[4]),
            counter("net.layer1.0.bn1.num_batches_tracked"),
        ];
        save(&path, &tensors, &BTreeMap::new()).unwrap();
        let read = Checkpoint::open(&path).unwrap();
        let mut kept = read.respelled(|name| name != "layer1.0.bn1.weight");
        kept.sort_by(|a, b| a.name.cmp(&b.name));
        let names: Vec<&str> = kept.iter().map(|tensor| tensor.name.as_str()).collect();
        assert_eq!(names, ["bn1.num_batches_tracked", "bn1.weight", "conv1.weight", "layer1.0.conv1.weight"]);
        assert_eq!((kept[0].dtype, &*kept[0].bytes), (Dtype::I64, &7_i64.to_le_bytes()[..]));
    }
}
