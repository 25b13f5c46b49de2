//! Times each step of a network on the device, and computes the time that it would take at the device's limits.

use std::time::Duration;

use crate::{
    Result,
    checkpoint::Synthetic,
    executor::{Executor, Footprint, StepInfo, Times},
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, Tensor},
};

/// The times of a network's steps: dispatches of kernels, or operators if each is computed on its own.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// One row per step, in execution order.
    pub rows: Vec<Row>,
    /// The clock of the measurement.
    pub clock: String,
    /// Number of runs for each median.
    pub runs: usize,
    /// Device memory, if the device has its own.
    pub memory: Option<Footprint>,
    /// Limits of the device, as this crate's kernels reach them.
    pub limits: Limits,
    /// Measured operations per second of multiply-adds in registers; `None` if only kernels can measure the device.
    pub peak: Option<f64>,
}

/// One step.
#[doc(hidden)]
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// Name of the layer.
    pub layer: String,
    /// The kernel with its compile-time constants, or the operator.
    pub kernel: String,
    /// Median time.
    pub time: Duration,
    /// Floating-point operations: two per multiply-add of the kernel.
    pub flops: u64,
    /// Bytes of values and weights read or written.
    pub bytes: u64,
    /// The floor: the larger of the times for `flops` and for `bytes` at the device's limits.
    pub floor: Duration,
}

/// The measured limits of a device.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes per second of the fastest step, among the network's own and a ReLU over 64 MiB.
    pub bandwidth: f64,
    /// Operations per second of the fastest step, among the network's own and a 1x1 convolution of 512 channels to 512 over 56x56
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

/// Profiles `runs` runs of `executor` on synthetic images of shape `input`.
///
/// # Errors
/// The errors of the device.
#[doc(hidden)]
pub async fn profile(executor: &dyn Executor, input: Shape, runs: usize) -> Result<Profile> {
    // Plan first, so that a batch too large for the device is refused before its pixels are made.
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

/// The median time of each step for synthetic images of shape `input`.
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
