//! Plans: no two live values share a byte, and every byte is written before it is read. Needs no device.

use proptest::{prelude::*, sample::subsequence};
use residua::{
    executor::gpu::{
        kernels::{Caps, candidates},
        plan::{Options, Plan},
    },
    graph::ValueId,
    network::Network,
    tensor::StorageType,
};

use crate::{config, machine, recipe::recipe_with_norms};

/// A software adapter, one without subgroups, a GPU, one with cooperative matrices, those with fewer registers, and one whose
/// registers cannot be left to other threads.
fn adapters() -> Vec<Caps> {
    let adapter = |software, subgroup, cooperative, registers| Caps {
        software,
        f16: true,
        registers,
        subgroup,
        cooperative,
        workgroup_bytes: 32_768,
        ..Caps::least()
    };
    vec![
        adapter(true, Some(8), false, 96),
        adapter(true, None, false, 96),
        adapter(false, Some(32), false, 96),
        adapter(false, Some(32), true, 96),
        adapter(false, None, false, 48),
        Caps { fixed_registers: true, ..adapter(false, None, false, 48) },
        adapter(false, None, false, 32),
    ]
}

/// One of the adapters, a precision, `deterministic`, and optionally a kernel for all layers that it can compute.
fn planning() -> impl Strategy<Value = (Caps, Options)> {
    let numbers = (0..adapters().len(), any::<bool>(), any::<bool>(), 0_usize..40);
    numbers.prop_map(|(adapter, half, deterministic, kernel)| {
        let caps = adapters().swap_remove(adapter);
        let stored = if half { StorageType::F16 } else { StorageType::F32 };
        let forced = candidates(&caps).nth(kernel);
        (caps, Options { forced, chosen_for: deterministic.then_some(1), ..Options::new(stored) })
    })
}

proptest! {
    #![proptest_config(config(600))]

    #[test]
    fn values_that_are_alive_share_no_byte_and_what_is_read_was_written(
        recipe in recipe_with_norms(),
        (caps, options) in planning(),
        kept in subsequence((0..64).collect::<Vec<usize>>(), 0..=4),
    ) {
        let graph = recipe.graph();
        let checkpoint = recipe.checkpoint(&graph);
        let network = Network::new(graph, checkpoint);
        let values = network.values();
        prop_assume!(!values.is_empty());
        let mut keep: Vec<ValueId> = kept.iter().filter_map(|i| values.get(*i).copied()).collect();
        if keep.is_empty() {
            keep.push(network.graph().output());
        }
        let plan = Plan::new(&network, recipe.shape(), &keep, &options, &caps).unwrap();
        if let Err(reason) = machine::run(&network, &plan, &keep) {
            prop_assert!(false, "{reason}\nkept {keep:?}, {options:?}\n{}{plan}", network.graph());
        }
        let footprint = plan.footprint;
        prop_assert_eq!(footprint.activations, plan.buffers.iter().sum::<u64>());
        prop_assert!(footprint.live <= footprint.activations, "{footprint}");
        let exchanged: u64 = plan.kept.iter().chain([&plan.input]).map(|placed| placed.buffer_bytes()).sum();
        prop_assert_eq!(footprint.staging, 2 * exchanged, "for two runs");
    }
}
