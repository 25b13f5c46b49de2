//! The steps of a run, and their times.

use std::{fmt, time::Duration};

use crate::{
    Result,
    graph::{Graph, Op, ValueId},
    tensor::Shape,
};

/// A step of a run: a kernel on a device, or an operator if each is computed on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StepInfo {
    /// Name of the layer or node.
    pub layer: String,
    /// The value to which it contributes.
    pub value: ValueId,
    /// The kernel's id with its compile-time constants, or the operator.
    pub kernel: String,
    /// Floating-point operations: two per multiply-add.
    pub flops: u64,
    /// Bytes of the values and weights that it reads or writes.
    pub bytes: u64,
}

impl StepInfo {
    /// One step per node, in f32.
    ///
    /// # Errors
    /// [`Error::Shape`](crate::Error::Shape) if the graph cannot take an input of this shape.
    pub fn of_nodes(graph: &Graph, input: Shape) -> Result<Vec<Self>> {
        let shapes = graph.infer_shapes(input)?;
        let steps = graph.nodes().iter().enumerate().filter(|(_, node)| !matches!(node.op, Op::Input { .. }));
        let step = |(i, node): (usize, &crate::graph::Node)| {
            let values = node.inputs.iter().map(|id| id.0).chain([i]).map(|value| shapes[value].elements());
            let weights = node.op.tensors().into_iter().map(|(_, shape)| shape.iter().product());
            StepInfo {
                layer: node.name.clone(),
                value: ValueId(i),
                kernel: node.op.name().into(),
                flops: 2 * node.op.macs(shapes[i]),
                bytes: 4 * values.chain(weights).sum::<usize>() as u64,
            }
        };
        Ok(steps.map(step).collect())
    }
}

/// The times of a run's steps.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Times {
    /// The clock of the measurement.
    pub clock: String,
    /// The steps in order, each with its time.
    pub steps: Vec<(StepInfo, Duration)>,
}

impl Times {
    /// The median times of `steps` over all runs, each of which has a time for each step.
    pub fn medians(clock: impl fmt::Display, steps: Vec<StepInfo>, runs: &[Vec<Duration>]) -> Self {
        Times { clock: clock.to_string(), steps: steps.into_iter().zip(medians(runs)).collect() }
    }
}

/// The median over `runs` of each step's times.
pub(crate) fn medians(runs: &[Vec<Duration>]) -> Vec<Duration> {
    let median = |step: usize| {
        let mut times: Vec<Duration> = runs.iter().map(|run| run[step]).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    (0..runs.first().map_or(0, Vec::len)).map(median).collect()
}
