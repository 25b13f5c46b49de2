//! A third kind of executor: the calls of `verify` and `profile`, and their use of its answers.

mod common;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use residua::{
    Classifier, DeviceInfo, DeviceKind, Threads,
    check::{
        profile::profile,
        verify::{Coverage, Fault, LayerCheck, verify},
    },
    executor::{Executor, StepInfo, Times, Work, on_cpu, on_cpu_names, reference},
    graph::ValueId,
    models::Architecture,
    network::Network,
    tensor::{Input, Shape, StorageType, Tensor},
};

/// A third executor, as small as possible, on a device where one layer may be wrong.
#[derive(Debug)]
struct Third {
    info: DeviceInfo,
    network: Network,
    /// The value that is wrong until its kernel is given up, if there is another way to compute it.
    wrong: Option<(ValueId, bool)>,
    given_up: Arc<AtomicBool>,
}

impl Third {
    fn new(network: Network, wrong: Option<(ValueId, bool)>) -> Self {
        let mut info = DeviceInfo::reference();
        info.name = "third".into();
        Third { info, network, wrong, given_up: Arc::default() }
    }
}

impl Executor for Third {
    fn info(&self) -> &DeviceInfo {
        &self.info
    }

    fn network(&self) -> &Network {
        &self.network
    }

    fn with_network(&self, network: Network) -> Box<dyn Executor> {
        Box::new(Third::new(network, None))
    }

    fn values<'a>(&'a self, input: Input<'a>, wanted: &'a [ValueId]) -> Work<'a, residua::Result<Vec<Tensor>>> {
        Box::pin(async move {
            let network = &self.network;
            let mut values = reference::values(network.graph(), network.checkpoint(), &input.tensor(), wanted)?;
            let wrong = self.wrong.filter(|_| !self.given_up.load(Ordering::Relaxed));
            for (id, value) in wanted.iter().zip(&mut values) {
                if wrong.is_some_and(|(layer, _)| layer == *id) {
                    value.data[0] += 1.0;
                }
            }
            Ok(values)
        })
    }

    fn times<'a>(&'a self, input: &'a Tensor, runs: usize) -> Work<'a, residua::Result<Times>> {
        Box::pin(async move {
            let steps = StepInfo::of_nodes(self.network.graph(), input.shape)?;
            // One run is slow.
            let time = |run| Duration::from_millis(if run == 0 { 1000 } else { 2 });
            let runs: Vec<Vec<Duration>> = (0..runs).map(|run| vec![time(run); steps.len()]).collect();
            Ok(Times::medians("a clock", steps, &runs))
        })
    }

    fn give_up(&self, _: Shape, layer: Option<ValueId>, reason: &str) -> residua::Result<bool> {
        let Some((wrong, otherwise)) = self.wrong else { panic!("nothing is wrong: {reason}") };
        assert_eq!(layer, Some(wrong), "{reason}");
        Ok(otherwise && !self.given_up.swap(true, Ordering::Relaxed))
    }

    fn faults(&self) -> Vec<Fault> {
        let fault = || Fault::new(&self.info, "code".into(), "third.kernel".into(), StorageType::F32);
        Vec::from_iter(self.given_up.load(Ordering::Relaxed).then(fault))
    }
}

const SHAPE: Shape = Shape { n: 2, c: 3, h: 16, w: 16 };

fn network() -> Network {
    let golden = common::Golden::load("cifar_resnet20a");
    let graph = Architecture::by_name("cifar_resnet20a").unwrap().graph();
    let checkpoint = golden.synthetic().checkpoint("cifar_resnet20a", &graph.tensors()).unwrap();
    Network::new(graph, checkpoint)
}

#[test]
fn an_executor_of_any_kind_is_compared_with_the_reference() {
    let third = Third::new(network(), None);
    let verified = pollster::block_on(verify(&third, SHAPE, Coverage::Every)).unwrap();
    assert!(verified.ok && verified.faults.is_empty(), "{verified:?}");
    assert_eq!(verified.layers.len(), third.network.values().len() + 1, "every layer, and pixels");
    assert!(verified.layers.iter().all(|layer| layer.error == 0.0 && layer.stored == StorageType::F32));
}

#[test]
fn a_layer_that_is_wrong_is_named_and_done_without_where_that_is_possible() {
    let network = || network();
    let layer = network().values()[5];
    for otherwise in [false, true] {
        let third = Third::new(network(), Some((layer, otherwise)));
        let verified = pollster::block_on(verify(&third, SHAPE, Coverage::Chosen)).unwrap();
        assert!(!verified.ok);
        let wrong: Vec<&LayerCheck> = verified.layers.iter().filter(|layer| !layer.ok).collect();
        assert_eq!((wrong.len(), &wrong[0].name), (1, &third.network.graph().nodes()[layer.0].name));
        assert!(verified.layers.iter().all(|layer| layer.ok || !layer.follows), "{:?}", verified.layers);
        assert_eq!(verified.faults.len(), usize::from(otherwise));
        let again = pollster::block_on(verify(&third, SHAPE, Coverage::Chosen)).unwrap();
        assert_eq!(again.ok, otherwise, "once it is given up, it is right");
    }
}

#[test]
fn the_steps_of_an_executor_of_any_kind_are_profiled() {
    let third = Third::new(network(), None);
    let profiled = pollster::block_on(profile(&third, SHAPE, 3)).unwrap();
    let nodes = &third.network.graph().nodes()[1..];
    assert_eq!((profiled.rows.len(), profiled.runs, &*profiled.clock), (nodes.len(), 3, "a clock"));
    assert_eq!(profiled.memory, None);
    for (row, node) in profiled.rows.iter().zip(nodes) {
        assert_eq!((&row.layer, &*row.kernel, row.time), (&node.name, node.op.name(), Duration::from_millis(2)));
        assert!(row.bytes > 0 && row.floor <= row.time, "{row:?}");
    }
    // The first convolution: 3 to 16 channels, 3x3, 16x16 pixels, two images.
    assert_eq!(profiled.rows[0].flops, 2 * 2 * 16 * 16 * 16 * 27);
    let floats = 2 * 3 * 256 + 2 * 16 * 256 + 16 * 27;
    assert_eq!(profiled.rows[0].bytes, 4 * floats);
    assert!(profiled.limits.flops >= 2.0 * 512.0 * 512.0 * 3136.0 / 2e-3 * 0.999, "{:?}", profiled.limits);
}

#[test]
fn the_executors_that_need_no_adapter_are_devices_by_their_names() {
    for name in on_cpu_names() {
        let classifier = Classifier::builder().device(name).open().unwrap();
        assert!(classifier.device().index.is_none());
        assert!(classifier.verify(1, Coverage::Every).unwrap().ok, "{name}");
        let profiled = classifier.profile(1, 1).unwrap();
        assert!(!profiled.rows.is_empty() && profiled.total() > Duration::ZERO, "{name}");
        let network = classifier.network();
        let again = Network::new(network.graph().clone(), network.checkpoint().clone());
        assert_eq!(on_cpu(name, again, Threads::host()).info(), classifier.device());
    }
    assert_eq!(on_cpu("another", network(), Threads::host()).info().kind, DeviceKind::Cpu);
}
