//! Lowers a layer to dispatches, each with its uniform block, operands and grid.

use super::{Operand, Options, Placed, Step, WeightsId, problem, select::Choice};
use crate::{
    executor::gpu::kernels::{Array, Caps, Elementwise, Problem, Role, Types},
    graph::ValueId,
    network::{Layer, LayerOp},
};

/// A layer with everything that its dispatches depend on.
pub(super) struct Context<'a> {
    /// Number of the layer in the network.
    pub(super) index: usize,
    pub(super) layer: &'a Layer,
    /// Its kernel.
    pub(super) choice: Choice,
    /// Buffers of the kernel's scratch arrays.
    pub(super) scratch: &'a [usize],
    /// Place of each value.
    pub(super) places: &'a [Option<Placed>],
    pub(super) options: &'a Options,
    pub(super) caps: &'a Caps,
}

/// Appends the dispatches of a layer.
pub(super) fn lower(context: &Context<'_>, steps: &mut Vec<Step>) {
    let layer = context.layer;
    let value = |role| problem::value(layer, role);
    if layer.op != LayerOp::Concat {
        let place = |role, view| value(role).map_or(view, |id| context.placed(id).view);
        context.append(&context.choice.problem.map_views(place), value, steps);
        return;
    }
    // Do not copy inputs that already lie in the output's buffer.
    let y = context.placed(layer.output);
    let mut channel = 0;
    for &id in &layer.inputs {
        let x = context.placed(id);
        if x.buffer != y.buffer {
            let copy = Problem::Elementwise(Elementwise::copy(x.view, y.view, channel));
            context.append(&copy, |role| if role == Role::X { Some(id) } else { value(role) }, steps);
        }
        channel += x.view.shape.c;
    }
}

impl Context<'_> {
    fn placed(&self, id: ValueId) -> Placed {
        self.places[id.0].expect("a layer reads values of earlier layers")
    }

    /// Appends the dispatches for `problem`; `value` gives the value for a role.
    fn append(&self, problem: &Problem, value: impl Fn(Role) -> Option<ValueId>, steps: &mut Vec<Step>) {
        let Choice { kernel, reason, .. } = self.choice;
        let types = Types { stored: self.options.stored, output: self.placed(self.layer.output).stored };
        let work =
            kernel.work(problem, types, self.caps).expect("a kernel computes what it was chosen for, wherever it lies");
        for dispatch in work.dispatches {
            let operand = |role| match role {
                Role::X | Role::Residual | Role::Gate | Role::Y => {
                    value(role).map_or(Operand::Unused, |id| Operand::Buffer(self.placed(id).buffer))
                }
                Role::Weights(Array::Affine) if self.layer.op.norm().is_none() => Operand::Unused,
                Role::Weights(array) => Operand::Weights(WeightsId { layer: self.index, first: None, array }),
                Role::Both(array) => {
                    Operand::Weights(WeightsId { layer: self.index, first: self.layer.op.first(), array })
                }
                Role::Scratch(array) => Operand::Buffer(self.scratch[array]),
                Role::Pixels | Role::Unused => Operand::Unused,
            };
            steps.push(Step {
                name: self.layer.name.clone(),
                value: self.layer.output,
                kernel,
                reason,
                operands: dispatch.operands.into_iter().map(operand).collect(),
                key: dispatch.key,
                uniform: dispatch.uniform,
                grid: dispatch.grid,
                macs: dispatch.macs,
                bytes: 0,
            });
        }
    }
}
