//! How long each dispatch of a network takes on the device, and how long it would take at the device's limits.

use std::time::Duration;

use crate::{
    Result,
    checkpoint::Synthetic,
    executor::{
        Footprint,
        gpu::{
            Clock, Executor,
            plan::{Plan, Step},
        },
    },
    graph::{Conv2dParams, Graph, Op},
    network::Network,
    tensor::{Shape, Tensor},
};

/// The times of a network's dispatches.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Profile {
    /// One row a dispatch, in execution order.
    pub rows: Vec<Row>,
    /// What the times were taken with.
    pub clock: String,
    /// Runs of which the medians are.
    pub runs: usize,
    /// Device memory of the plan.
    pub memory: Footprint,
    /// Limits of the device, as kernels of this crate reach them.
    pub limits: Limits,
}

/// One dispatch.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Row {
    /// Name of the layer.
    pub layer: String,
    /// The kernel with its key.
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
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes a second of the dispatch that moves them fastest, among the network's own and an elementwise kernel over 64 MiB.
    pub bandwidth: f64,
    /// Operations a second of the fastest dispatch among the network's own and a 1x1 convolution of 512 channels to 512 over 56x56
    /// pixels.
    pub flops: f64,
}

impl Profile {
    /// The sum of all times.
    pub fn total(&self) -> Duration {
        self.rows.iter().map(|row| row.time).sum()
    }

    /// The sum of all floors.
    pub fn floor(&self) -> Duration {
        self.rows.iter().map(|row| row.floor).sum()
    }
}

/// Profiles `runs` runs on made-up images of shape `input`.
pub(crate) async fn profile(executor: &Executor, input: Shape, runs: usize) -> Result<Profile> {
    let clock = executor.device().clock();
    // Planned first: a batch that the device cannot hold is refused before its pixels are made.
    let memory = executor.plan(input)?.footprint;
    let (plan, times) = times(executor, input, runs, clock).await?;
    let per_second = |amount: u64, time: Duration| amount as f64 / time.as_secs_f64().max(1e-9);

    let mut copy = Graph::new(64);
    copy.push("relu", Op::Relu, &[copy.input()]);
    let (_, bytes, copied) = alone(executor, copy, Shape::new(1, 64, 256, 512), runs, clock).await?;
    let mut product = Graph::new(512);
    let params =
        Conv2dParams { in_channels: 512, out_channels: 512, kernel: 1, stride: 1, padding: 0, dilation: 1, groups: 1 };
    product.push("conv", Op::Conv2d { weight: "conv.weight".into(), bias: None, params }, &[product.input()]);
    let (flops, _, multiplied) = alone(executor, product, Shape::new(1, 512, 56, 56), runs, clock).await?;
    let best = |amount: fn(&Step) -> u64, other: f64| {
        plan.steps.iter().zip(&times).map(|(step, time)| per_second(amount(step), *time)).fold(other, f64::max)
    };
    let limits = Limits {
        bandwidth: best(|step| step.bytes, per_second(bytes, copied)),
        flops: best(|step| 2 * step.macs, per_second(flops, multiplied)),
    };
    let row = |(step, &time): (&Step, &Duration)| {
        let (flops, bytes) = (2 * step.macs, step.bytes);
        let floor = (flops as f64 / limits.flops).max(bytes as f64 / limits.bandwidth);
        let (layer, kernel) = (step.name.clone(), step.label());
        Row { layer, kernel, time, flops, bytes, floor: Duration::from_secs_f64(floor) }
    };
    let rows = plan.steps.iter().zip(&times).map(row).collect();
    Ok(Profile { rows, clock: clock.to_string(), runs, memory, limits })
}

/// The plan for made-up images of shape `input`, and the median time of each of its dispatches.
async fn times(executor: &Executor, input: Shape, runs: usize, clock: Clock) -> Result<(Plan, Vec<Duration>)> {
    let images = Synthetic { salt: "profile".into(), damped: None, damp: 1.0 };
    let input = Tensor::new(input, images.input([input.n, input.c, input.h, input.w]));
    executor.profile(&input, runs, clock).await
}

/// Operations, bytes and time of `graph` on the device of `executor`.
async fn alone(
    executor: &Executor,
    graph: Graph,
    input: Shape,
    runs: usize,
    clock: Clock,
) -> Result<(u64, u64, Duration)> {
    let weights = Synthetic { salt: "profile".into(), damped: None, damp: 1.0 };
    let network = Network::new(graph.clone(), weights.checkpoint("profile", &graph.tensors())?);
    let (plan, times) = times(&executor.with(network), input, runs, clock).await?;
    let sum = |amount: fn(&Step) -> u64| plan.steps.iter().map(amount).sum();
    Ok((sum(|step| 2 * step.macs), sum(|step| step.bytes), times.iter().sum()))
}
