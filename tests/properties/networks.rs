//! Compares whole networks on every executor with the reference: fused, unfused, in other batches, with other kernels and stored in f16.

use proptest::prelude::*;
use residua::{
    checkpoint::Checkpoint,
    executor::{
        Executor,
        gpu::{
            self,
            kernels::{KernelId, candidates},
            plan::Options,
        },
        reference,
    },
    graph::{Graph, Op, ValueId},
    network::Network,
    tensor::{Shape, StorageType, Tensor},
};

use crate::{
    bound,
    common::{
        self,
        executors::{Machine, machine, values},
    },
    config,
    recipe::{Recipe, recipe},
};

/// `graph` with two more readers for every value, which prevents fusion: each node is a separate layer.
fn unfused(graph: &Graph) -> Graph {
    let mut unfused = graph.clone();
    for i in 0..graph.nodes().len() {
        for _ in 0..2 {
            unfused.push(format!("reader of %{i}"), Op::Relu, &[ValueId(i)]);
        }
    }
    unfused
}

/// A network with its expected values and their error bounds.
struct Case<'a> {
    graph: &'a Graph,
    checkpoint: &'a Checkpoint,
    input: &'a Tensor,
    expected: Vec<Tensor>,
}

impl Case<'_> {
    /// Compares the values `wanted` of `executor` with the reference.
    fn check(&self, what: &str, executor: &dyn Executor, wanted: &[ValueId]) -> Result<Vec<Tensor>, TestCaseError> {
        let stored = executor.stored();
        let bounds = bound::bounds(self.graph, self.checkpoint, self.input, stored);
        let steps = executor.steps(self.input.into(), wanted).unwrap();
        let winograd = steps.iter().any(|step| step.kernel.contains("winograd"));
        let values = values(executor, self.input, wanted);
        for (id, got) in wanted.iter().zip(&values) {
            let (expected, bound) = (&self.expected[id.0], &bounds[id.0]);
            let name = &self.graph.nodes()[id.0].name;
            prop_assert_eq!(got.shape, expected.shape, "{}: {}", what, name);
            // Winograd's transforms keep the tolerance for whole networks, but not the bound for direct sums.
            if winograd {
                let worst = common::compare(&got.data, &expected.data, common::F32_BOUND);
                prop_assert!(worst.is_ok() || expected.data.iter().all(|x| *x == 0.0), "{what}: {name}: {worst:?}");
                continue;
            }
            // Written so that NaN fails.
            let near = |i: usize| (got.data[i] - expected.data[i]).abs() <= bound.data[i];
            let wrong = (0..got.data.len()).find(|&i| !near(i));
            if let Some(i) = wrong {
                let (got, expected, bound) = (got.data[i], expected.data[i], bound.data[i]);
                let values =
                    format!("element {i} of {}: got {got}, expected {expected}, bound {bound:e}", bounds[id.0].shape);
                prop_assert!(false, "{what}, {executor:?}: {name}: {values}\n{}{steps:#?}", self.graph);
            }
        }
        Ok(values)
    }
}

fn check(machine: &Machine, recipe: &Recipe, kernel: usize) -> Result<(), TestCaseError> {
    let graph = recipe.graph();
    let (checkpoint, input) = (recipe.checkpoint(&graph), recipe.images());
    let output = [graph.output()];
    prop_assume!(output[0] != graph.input());
    let expected = reference::run(&graph, &checkpoint, &input).unwrap();
    let first = |value: &Tensor| Tensor::new(Shape { n: 1, ..value.shape }, value.image(0).to_vec());
    let (image, expected_of_one) = (first(&input), expected.iter().map(first).collect());
    let case = Case { graph: &graph, checkpoint: &checkpoint, input: &input, expected };
    let one = Case { input: &image, expected: expected_of_one, ..case };

    for any in &machine.executors {
        let fused = any.open(&graph, &checkpoint);
        // A value that `commute` exchanged is not in the given graph.
        let same = |id: &ValueId| fused.network().graph().nodes()[id.0].name == graph.nodes()[id.0].name;
        let values: Vec<ValueId> =
            fused.network().values().into_iter().filter(|id| same(id) || *id == output[0]).collect();
        case.check("fused", &*fused, &output)?;
        if any.stored == StorageType::F16 {
            case.check("two kept", &*fused, &[values[values.len() - 1], values[values.len() / 2]])?;
            continue;
        }
        case.check("every layer kept", &*fused, &values)?;
        one.check("one image", &*fused, &output)?;
        if !any.slow {
            let nodes: Vec<ValueId> = (1..graph.nodes().len()).map(ValueId).collect();
            let separate = any.open(&unfused(&graph), &checkpoint);
            prop_assert_eq!(&separate.network().values()[..nodes.len()], &nodes[..], "something was fused");
            case.check("unfused, every node kept", &*separate, &nodes)?;
            case.check("unfused", &*separate, &output)?;
        }
    }

    let usual = Options::new(StorageType::F32);
    let network = Network::new(graph.clone(), checkpoint.clone());
    let fused = gpu::Executor::new(machine.device.clone(), network, usual.clone());
    case.check("fused", &fused, &output)?;
    let footprint = fused.plan(input.shape).unwrap().footprint;
    prop_assert_eq!(footprint.weights, fused.weight_bytes(), "weights that were uploaded: {}", footprint);

    let kernels: Vec<KernelId> = candidates(machine.device.caps()).collect();
    let forced = Some(kernels[kernel % kernels.len()]);
    case.check("with one kernel", &fused.with_options(Options { forced, ..usual.clone() }), &output)?;

    let deterministic = fused.with_options(Options { chosen_for: Some(1), ..usual });
    let all = case.check("deterministic", &deterministic, &output)?.remove(0);
    for n in 0..input.shape.n {
        let image = Tensor::new(Shape { n: 1, ..input.shape }, input.image(n).to_vec());
        let alone = pollster::block_on(deterministic.run(&image)).unwrap();
        prop_assert_eq!(bits(&alone.data), bits(all.image(n)), "image {} alone", n);
    }
    Ok(())
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn fused_unfused_and_reference_agree() {
    let machine = machine();
    let mut runner = proptest::test_runner::TestRunner::new(config(60));
    let outcome = runner.run(&(recipe(), any::<usize>()), |(recipe, kernel)| check(&machine, &recipe, kernel));
    outcome.unwrap_or_else(|error| panic!("{error}"));
}
