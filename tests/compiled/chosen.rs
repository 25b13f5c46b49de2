//! The kernels that the rules choose on a device.

use std::{collections::BTreeMap, iter};

use residua::{
    checkpoint::Checkpoint,
    executor::gpu::{
        kernels::{Caps, KernelKey},
        plan::{Options, Plan},
    },
    models::Architecture,
    network::Network,
    tensor::{Shape, StorageType},
};

/// Networks of every family, each with the side of its input.
const NETWORKS: [(&str, usize); 6] = [
    ("resnet18", 224),
    ("resnet50", 224),
    ("resnext50_32x4d", 224),
    ("seresnet50", 224),
    ("densenet121", 224),
    ("cifar_resnet20a", 32),
];

const BATCHES: [usize; 3] = [1, 8, 64];

/// A kernel to compile, and where it is used.
pub(crate) struct Chosen {
    pub(crate) key: KernelKey,
    /// The multiply-accumulates of ResNet-50 at batch 64 that it does.
    pub(crate) macs: u64,
}

impl Chosen {
    /// Changes a 128x64 tile to load so much in advance that no thread has enough registers; returns `false` for other tiles.
    pub(crate) fn spill(&mut self) -> bool {
        let is = |constant| self.key.consts.contains(&constant);
        let large = is(("TILE_VECTORS", 16)) && is(("COLUMNS", 2));
        self.key.consts.iter_mut().filter(|(name, _)| *name == "DEPTH").for_each(|(_, depth)| *depth = 20);
        large
    }
}

/// All kernels that are compiled for the networks at every batch in f32 and f16, by name.
pub(crate) fn chosen(caps: &Caps) -> BTreeMap<String, Chosen> {
    // No weights are read: planning needs only their shapes.
    let nothing = [&2_u64.to_le_bytes()[..], b"{}"].concat();
    let mut all = BTreeMap::new();
    for (name, side) in NETWORKS {
        let graph = Architecture::by_name(name).unwrap_or_else(|| panic!("no network {name}")).graph();
        let network = Network::new(
            graph,
            Checkpoint::from_bytes("none", nothing.clone()).unwrap_or_else(|error| panic!("{error}")),
        );
        let keep = [network.graph().output()];
        for (stored, batch) in stored(caps).flat_map(|stored| BATCHES.map(|batch| (stored, batch))) {
            let options = Options::new(stored);
            let plan = |batch: &usize| {
                Plan::new(&network, Shape::new(*batch, 3, side, side), &keep, &options, caps)
                    .and_then(|plan| plan.of_pixels(network.graph().input(), caps))
            };
            // Halve the batch, as the error tells users if a batch is too large for a device.
            let batches: Vec<usize> =
                iter::successors(Some(batch), |batch| Some(batch / 2).filter(|&half| half > 0)).collect();
            let plan = batches.iter().find_map(|batch| plan(batch).ok());
            let plan = plan.unwrap_or_else(|| panic!("{name} in {stored} does not fit, not even one image"));
            for step in plan.steps {
                let chosen = all.entry(label(&step.key)).or_insert(Chosen { key: step.key, macs: 0 });
                if (name, batch) == ("resnet50", 64) {
                    chosen.macs += step.macs;
                }
            }
        }
    }
    all
}

fn stored(caps: &Caps) -> impl Iterator<Item = StorageType> {
    [Some(StorageType::F32), caps.f16.then_some(StorageType::F16)].into_iter().flatten()
}

/// A name that distinguishes a key from every other.
pub(crate) fn label(key: &KernelKey) -> String {
    let mut label = format!("{} {}", key.shader.name, key.types.stored);
    if key.types.output != key.types.stored {
        label += &format!(">{}", key.types.output);
    }
    for (name, value) in key.consts.iter().chain(&key.overrides) {
        label += &format!(" {name}={value}");
    }
    label
}
