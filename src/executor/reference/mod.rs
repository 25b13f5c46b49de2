//! The reference: every operator as the plain loops of its definition, with `f32` in and out and `f64` sums.
//!
//! All kernels are compared with it. It shares no code with the fast paths.
//! Outputs do not depend on the number of threads: each element is summed by one thread in one order.

mod activation;
mod attend;
mod channel_gate;
mod conv2d;
mod evo_norm;
pub(crate) mod executor;
mod filter_response_norm;
mod gather;
mod group_norm;
mod join;
mod linear;
mod norm;
mod pool;
mod softmax;
mod threads;

use std::time::Duration;

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, Node, Op, Plain, ValueId},
    tensor::{Shape, Tensor},
};

/// The value of every node for `input` `[N, C, H, W]`, in node order.
///
/// # Errors
/// [`Error::Shape`] if the graph cannot take the input, and the errors of [`Checkpoint::tensor`] for its weights.
pub fn run(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor) -> Result<Vec<Tensor>> {
    let values = evaluate(graph, checkpoint, input, &vec![true; graph.nodes().len()], || {})?;
    Ok(values.into_iter().flatten().collect())
}

/// The values `wanted`, in that order; other values are dropped after their last reader.
///
/// # Errors
/// The errors of [`run`].
pub fn values(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
    let keep: Vec<bool> = (0..graph.nodes().len()).map(|i| wanted.contains(&ValueId(i))).collect();
    let values = evaluate(graph, checkpoint, input, &keep, || {})?;
    let value = |id: &ValueId| {
        let none = || Error::NoValue { node: format!("%{}", id.0), reason: "there is no such node" };
        values.get(id.0).cloned().flatten().ok_or_else(none)
    };
    wanted.iter().map(value).collect()
}

/// The value of the last node, `[N, classes, 1, 1]`; values are dropped after their last reader.
///
/// # Errors
/// The errors of [`run`].
pub fn logits(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor) -> Result<Tensor> {
    let mut logits = values(graph, checkpoint, input, &[graph.output()])?;
    Ok(logits.remove(0))
}

/// The time of each node except the input, by the clock `now`.
pub(super) fn times(
    graph: &Graph,
    checkpoint: &Checkpoint,
    input: &Tensor,
    now: impl Fn() -> Duration,
) -> Result<Vec<Duration>> {
    let mut ends = Vec::with_capacity(graph.nodes().len());
    evaluate(graph, checkpoint, input, &vec![false; graph.nodes().len()], || ends.push(now()))?;
    Ok(ends.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).collect())
}

/// Computes all values and returns those to keep; the others are `None`. Calls `done` after each node.
fn evaluate(
    graph: &Graph,
    checkpoint: &Checkpoint,
    input: &Tensor,
    keep: &[bool],
    mut done: impl FnMut(),
) -> Result<Vec<Option<Tensor>>> {
    let checkpoint = &checkpoint.rewritten(graph.rewrites());
    let shapes = graph.infer_shapes(input.shape)?;
    let mut readers = graph.reader_counts();
    let mut values: Vec<Option<Tensor>> = vec![None; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let is_input = matches!(node.op, Op::Input { .. });
        let of_nodes = node.inputs.iter().filter_map(|id| values[id.0].as_ref());
        let inputs: Vec<&Tensor> = if is_input { vec![input] } else { of_nodes.collect() };
        let value = apply(node, &inputs, shapes[i], checkpoint)?;
        values[i] = Some(value);
        for id in &node.inputs {
            readers[id.0] -= 1;
            if readers[id.0] == 0 && !keep[id.0] {
                values[id.0] = None;
            }
        }
        done();
    }
    Ok(values)
}

fn apply(node: &Node, inputs: &[&Tensor], output: Shape, checkpoint: &Checkpoint) -> Result<Tensor> {
    let tensors = node.op.tensors();
    let tensors = tensors.iter().map(|(name, shape)| checkpoint.tensor(name, shape)).collect::<Result<Vec<_>>>()?;
    let tensors: Vec<&[f32]> = tensors.iter().map(|tensor| &**tensor).collect();
    let (x, second) = (inputs[0], || inputs[1]);
    Ok(match &node.op {
        Op::Input { .. } => x.clone(),
        Op::Conv2d { params, .. } => conv2d::conv2d(x, tensors[0], tensors.get(1).copied(), params, output),
        Op::BatchNorm { eps, .. } => {
            let [weight, bias, mean, var] = [0, 1, 2, 3].map(|part| tensors[part]);
            norm::batch_norm(x, &norm::Statistics { weight, bias, mean, var, eps: *eps })
        }
        Op::Relu => join::relu(x),
        Op::Sigmoid => join::sigmoid(x),
        Op::Add => join::add(x, second()),
        Op::Scale => join::by_channel(x, second(), |x, scale| x * scale),
        Op::Shift => join::by_channel(x, second(), |x, shift| x + shift),
        Op::MaxPool2d(window) => pool::max_pool2d(x, window, output),
        Op::AvgPool2d(window) => pool::avg_pool2d(x, window, output),
        Op::SubsamplePad { stride, before, .. } => join::subsample_pad(x, *stride, *before, output),
        Op::Concat => join::concat(inputs, output),
        Op::Plain { op: Plain::GlobalAvgPool, .. } => pool::global_avg_pool(x),
        Op::Plain { op: Plain::GlobalMaxPool, .. } => pool::global_max_pool(x),
        Op::Plain { op: Plain::GlobalAvgMaxPool, .. } => pool::global_avg_max_pool(x),
        Op::Plain { op: Plain::Activation(activation), .. } => activation::activate(x, *activation),
        Op::Plain { op: Plain::ChannelGate { .. }, .. } => channel_gate::channel_gate(x, tensors[0]),
        Op::Plain { op: Plain::GroupNorm { groups, eps, .. }, .. } => {
            group_norm::group_norm(x, tensors[0], tensors[1], *groups, *eps)
        }
        Op::Plain { op: Plain::EvoNorm { groups, eps, .. }, .. } => {
            evo_norm::evo_norm(x, [tensors[0], tensors[1], tensors[2]], *groups, *eps)
        }
        Op::Plain { op: Plain::FilterResponseNorm { eps, .. }, .. } => {
            filter_response_norm::filter_response_norm(x, [tensors[0], tensors[1], tensors[2]], *eps)
        }
        Op::Plain { op: Plain::Slice { from, .. }, .. } => gather::slice(x, *from, output),
        Op::Plain { op: Plain::Pad(padding), .. } => {
            gather::pad(x, [x.shape.h, x.shape.w].map(|extent| padding.of(extent)[0]), output)
        }
        Op::Plain { op: Plain::Upsample { factor }, .. } => gather::upsample(x, *factor, output),
        Op::Plain { op: Plain::Softmax { outer, groups }, .. } => softmax::softmax(x, *outer, *groups),
        Op::Plain { op: Plain::Attend { heads, keys, scale }, .. } => attend::attend(x, *heads, *keys, *scale, output),
        Op::Plain { op: Plain::Tokens { side, .. }, .. } => attend::tokens(x, tensors[0], *side, output),
        Op::Plain { op: Plain::Linear { .. }, .. } => linear::linear(x, tensors[0], tensors.get(1).copied(), output),
    })
}
