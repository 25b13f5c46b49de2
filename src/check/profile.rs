//! How long each step of a network takes on the device, and how long it would take at the device's limits.

use std::time::Duration;

use crate::{
    Result,
    checkpoint::Synthetic,
    executor::{Executor, Footprint, StepInfo, Times},
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, Tensor},
};

/// The times of a network's steps: dispatches of kernels, or operators where each is computed by itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// One row a step, in execution order.
    pub rows: Vec<Row>,
    /// What the times were taken with.
    pub clock: String,
    /// Runs of which the medians are.
    pub runs: usize,
    /// Device memory, where the device has its own.
    pub memory: Option<Footprint>,
    /// Limits of the device, as kernels of this crate reach them.
    pub limits: Limits,
    /// Operations a second of multiply-adds in registers, measured; `None` where the device has no measure but kernels.
    pub peak: Option<f64>,
}

/// One step.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// Name of the layer.
    pub layer: String,
    /// The kernel with what is compiled of it, or the operator.
    pub kernel: String,
    /// Median time.
    pub time: Duration,
    /// Floating-point operations: two for each multiplication that the kernel does with the next addition.
    pub flops: u64,
    /// Bytes of the values and weights that it reads or writes.
    pub bytes: u64,
    /// The larger of the times that `flops` and `bytes` take at the device's limits.
    pub floor: Duration,
}

/// What a device can do, measured.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes a second of the step that moves them fastest, among the network's own and a ReLU over 64 MiB.
    pub bandwidth: f64,
    /// Operations a second of the fastest step among the network's own and a 1x1 convolution of 512 channels to 512 over 56x56
    /// pixels.
    pub flops: f64,
}

impl Profile {
    /// The sum of all times.
    #[doc(hidden)]
    pub fn total(&self) -> Duration {
        self.rows.iter().map(|row| row.time).sum()
    }

    /// The sum of all floors.
    #[doc(hidden)]
    pub fn floor(&self) -> Duration {
        self.rows.iter().map(|row| row.floor).sum()
    }
}

/// Profiles `runs` runs of `executor` on made-up images of shape `input`.
///
/// # Errors
/// Those of the device.
#[doc(hidden)]
pub async fn profile(executor: &dyn Executor, input: Shape, runs: usize) -> Result<Profile> {
    // First of all: a batch that the device cannot hold is refused before its pixels are made.
    let memory = executor.footprint(input)?;
    let Times { steps, clock, .. } = times(executor, input, runs).await?;

    let mut copy = Graph::new(64);
    copy.push("relu", Op::Relu, &[copy.input()]);
    let copied = alone(executor, copy, Shape::new(1, 64, 256, 512), runs).await?;
    let mut product = Graph::new(512);
    let params = Conv2dParams::pointwise(512, 512);
    product.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[product.input()]);
    let multiplied = alone(executor, product, Shape::new(1, 512, 56, 56), runs).await?;

    let per_second = |amount: u64, time: Duration| amount as f64 / time.as_secs_f64().max(1e-9);
    let best = |amount: fn(&StepInfo) -> u64, alone: &Times| {
        let (all, time) = alone
            .steps
            .iter()
            .fold((0, Duration::ZERO), |(all, total), (step, time)| (all + amount(step), total + *time));
        steps.iter().map(|(step, time)| per_second(amount(step), *time)).fold(per_second(all, time), f64::max)
    };
    let limits = Limits { bandwidth: best(|step| step.bytes, &copied), flops: best(|step| step.flops, &multiplied) };
    let row = |(step, time): (StepInfo, Duration)| {
        let StepInfo { layer, kernel, flops, bytes, .. } = step;
        let floor = (flops as f64 / limits.flops).max(bytes as f64 / limits.bandwidth);
        Row { layer, kernel, time, flops, bytes, floor: Duration::from_secs_f64(floor) }
    };
    let peak = executor.peak().await;
    Ok(Profile { rows: steps.into_iter().map(row).collect(), clock, runs, memory, limits, peak })
}

/// The median time of each step for made-up images of shape `input`.
async fn times(executor: &dyn Executor, input: Shape, runs: usize) -> Result<Times> {
    let images = Synthetic { salt: "profile".into(), damped: None, damp: 1.0 };
    let input = Tensor::new(input, images.input([input.n, input.c, input.h, input.w]));
    executor.times(&input, runs).await
}

/// The steps of `graph` on the device of `executor`.
async fn alone(executor: &dyn Executor, graph: Graph, input: Shape, runs: usize) -> Result<Times> {
    let weights = Synthetic { salt: "profile".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("profile", &graph.tensors())?);
    times(&*executor.with_network(network), input, runs).await
}
