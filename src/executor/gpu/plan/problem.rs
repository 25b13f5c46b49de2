//! Layers as kernels see them.

use crate::{
    executor::gpu::kernels::{Applied, Elementwise, Pool2d, Problem, Residual, Role, View, conv2d::Conv2d},
    graph::ValueId,
    network::{Activation, Addend, Epilogue, Layer, LayerOp},
    tensor::Shape,
};

/// `layer` as a problem in which each value has a buffer to itself. A concatenation becomes the copy of its first input.
pub(super) fn of(layer: &Layer, shapes: &[Shape]) -> Problem {
    let view = |id: ValueId| View::whole(shapes[id.0]);
    let (x, y) = (layer.inputs.first().map(|id| view(*id)), view(layer.output));
    let first = || x.unwrap_or(y);
    match &layer.op {
        LayerOp::Conv2d { prologue, params, epilogue, .. } => Problem::Conv2d(Conv2d {
            params: *params,
            x: first(),
            y,
            prologue: prologue.is_some(),
            residual: residual(epilogue, view),
            activation: epilogue.activation,
        }),
        LayerOp::Block { params, .. } => {
            let (residual, activation) = (Residual::Same(first()), Activation::Relu);
            Problem::Block(Conv2d { params: *params, x: first(), y, prologue: false, residual, activation })
        }
        LayerOp::Pool2d { prologue, max, params } => {
            Problem::Pool2d(Pool2d { max: *max, params: *params, prologue: prologue.is_some(), x: first(), y })
        }
        LayerOp::Plain { op, .. } => Problem::Plain(Applied { op: *op, x: first(), y }),
        LayerOp::Elementwise { norm, gate, epilogue } => Problem::Elementwise(Elementwise {
            x,
            affine: norm.is_some(),
            gate: gate.zip(layer.inputs.get(1)).map(|(gate, id)| (gate, view(*id))),
            residual: residual(epilogue, view),
            activation: epilogue.activation,
            y,
            channels: [0, y.shape.c],
        }),
        LayerOp::Concat => Problem::Elementwise(Elementwise::copy(first(), y, 0)),
    }
}

/// The second addend of an epilogue.
fn residual(epilogue: &Epilogue, view: impl Fn(ValueId) -> View) -> Residual {
    match &epilogue.residual {
        None => Residual::None,
        Some(Addend { value, subsample: None }) => Residual::Same(view(*value)),
        Some(Addend { value, subsample: Some(subsample) }) => {
            Residual::SubsamplePad { view: view(*value), step: subsample.stride, before: subsample.before }
        }
    }
}

/// The value that `layer` has in this role, if any.
pub(super) fn value(layer: &Layer, role: Role) -> Option<ValueId> {
    match role {
        Role::X => layer.inputs.first().copied(),
        Role::Gate if matches!(layer.op, LayerOp::Elementwise { gate: Some(_), .. }) => layer.inputs.get(1).copied(),
        Role::Residual => layer.residual(),
        Role::Y => Some(layer.output),
        Role::Gate | Role::Weights(_) | Role::Both(_) | Role::Scratch(_) | Role::Pixels | Role::Unused => None,
    }
}
