//! The reference: every operator as the plain loops of its definition, `f32` in and out, `f64` sums.
//!
//! It is what kernels are compared with, and what runs where there is no GPU. It shares no code with the GPU path.
//! Outputs do not depend on the number of threads: each element is summed by one thread in one order.

mod activation;
mod conv2d;
pub(crate) mod executor;
mod join;
mod linear;
mod norm;
mod pool;
mod threads;

use crate::{
    Error, Result,
    checkpoint::Checkpoint,
    graph::{Graph, Node, Op, ValueId},
    tensor::{Shape, Tensor},
};

/// The value of every node for `input` `[N, C, H, W]`, in node order.
///
/// # Errors
/// [`Error::Shape`] if the graph cannot take the input, and those of [`Checkpoint::tensor`] for its weights.
pub fn run(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor) -> Result<Vec<Tensor>> {
    let values = evaluate(graph, checkpoint, input, &vec![true; graph.nodes().len()])?;
    Ok(values.into_iter().flatten().collect())
}

/// The values `wanted`, in that order; all others are dropped after their last reader.
///
/// # Errors
/// Those of [`run`].
pub fn values(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, wanted: &[ValueId]) -> Result<Vec<Tensor>> {
    let keep: Vec<bool> = (0..graph.nodes().len()).map(|i| wanted.contains(&ValueId(i))).collect();
    let values = evaluate(graph, checkpoint, input, &keep)?;
    let value = |id: &ValueId| match values.get(id.0) {
        Some(Some(value)) => Ok(value.clone()),
        _ => Err(Error::Shape { node: format!("%{}", id.0), reason: "there is no such node".into() }),
    };
    wanted.iter().map(value).collect()
}

/// The value of the last node, `[N, classes, 1, 1]`; values are dropped after their last reader.
///
/// # Errors
/// Those of [`run`].
pub fn logits(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor) -> Result<Tensor> {
    let mut logits = values(graph, checkpoint, input, &[graph.output()])?;
    Ok(logits.remove(0))
}

/// All values that are to be kept; the others are `None` in the end.
fn evaluate(graph: &Graph, checkpoint: &Checkpoint, input: &Tensor, keep: &[bool]) -> Result<Vec<Option<Tensor>>> {
    let shapes = graph.infer_shapes(input.shape)?;
    let mut readers = graph.reader_counts();
    let mut values: Vec<Option<Tensor>> = vec![None; graph.nodes().len()];
    for (i, node) in graph.nodes().iter().enumerate() {
        let inputs: Vec<&Tensor> = match node.op {
            Op::Input { .. } => vec![input],
            _ => node.inputs.iter().filter_map(|id| values[id.0].as_ref()).collect(),
        };
        let value = apply(node, &inputs, shapes[i], checkpoint)?;
        values[i] = Some(value);
        for id in &node.inputs {
            readers[id.0] -= 1;
            if readers[id.0] == 0 && !keep[id.0] {
                values[id.0] = None;
            }
        }
    }
    Ok(values)
}

fn apply(node: &Node, inputs: &[&Tensor], output: Shape, checkpoint: &Checkpoint) -> Result<Tensor> {
    let bias = |name: &Option<String>, len: usize| name.as_ref().map(|b| checkpoint.tensor(b, &[len])).transpose();
    Ok(match (&node.op, inputs) {
        (Op::Input { .. }, [x]) => (*x).clone(),
        (Op::Conv2d { weight, bias: b, params }, [x]) => {
            let weight = checkpoint.tensor(weight, &params.weight_shape())?;
            conv2d::conv2d(x, &weight, bias(b, params.out_channels)?.as_deref(), params, output)
        }
        (Op::BatchNorm { prefix, channels, eps }, [x]) => {
            let part = |suffix: &str| checkpoint.tensor(&format!("{prefix}.{suffix}"), &[*channels]);
            let (weight, bias) = (part("weight")?, part("bias")?);
            let (mean, var) = (part("running_mean")?, part("running_var")?);
            norm::batch_norm(x, &norm::Statistics { weight: &weight, bias: &bias, mean: &mean, var: &var, eps: *eps })
        }
        (Op::Relu, [x]) => join::relu(x),
        (Op::Sigmoid, [x]) => join::sigmoid(x),
        (Op::Activation(activation), [x]) => activation::activate(x, *activation),
        (Op::Add, [a, b]) => join::add(a, b),
        (Op::Scale, [x, gate]) => join::scale(x, gate),
        (Op::MaxPool2d(window), [x]) => pool::max_pool2d(x, window, output),
        (Op::AvgPool2d(window), [x]) => pool::avg_pool2d(x, window, output),
        (Op::GlobalAvgPool, [x]) => pool::global_avg_pool(x),
        (Op::GlobalMaxPool, [x]) => pool::global_max_pool(x),
        (Op::GlobalAvgMaxPool, [x]) => pool::global_avg_max_pool(x),
        (Op::Linear { weight, bias: b, in_features, out_features }, [x]) => {
            let weight = checkpoint.tensor(weight, &[*out_features, *in_features])?;
            linear::linear(x, &weight, bias(b, *out_features)?.as_deref(), output)
        }
        (Op::SubsamplePad { stride, before, .. }, [x]) => join::subsample_pad(x, *stride, *before, output),
        (Op::Concat, inputs) => join::concat(inputs, output),
        (op, inputs) => {
            let reason = format!("{} does not take {} inputs", op.name(), inputs.len());
            return Err(Error::Shape { node: node.name.clone(), reason });
        }
    })
}
