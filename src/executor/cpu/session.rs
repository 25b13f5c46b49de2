//! A plan with its weights and buffers, ready to run.

use std::mem;

use pulp::Arch;

use super::{
    attend,
    buffer::Buffer,
    conv::{self, Epilogue},
    elementwise,
    gather::{self, Places},
    group_norm,
    lanes::{LANES, Source, Target, View, to_blocks, to_tensor},
    plan::{Form, Plan, Step},
    pool::{self, Global},
    store::{Arrays, Store},
    threads::Threads,
    winograd,
};
use crate::{
    Result,
    graph::{Conv2dParams, Plain, ValueId},
    network::{Activation, Addend, Layer, LayerOp, Network, Subsample},
    tensor::{Shape, Tensor},
};

/// Runs a plan.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) input: Shape,
    pub(super) wanted: Vec<ValueId>,
    pub(super) plan: Plan,
    weights: Vec<Arrays>,
    buffers: Vec<Buffer>,
}

impl Session {
    /// Plans the network, packs the weights that no other session has packed, and allocates the buffers.
    ///
    /// # Errors
    /// The errors of [`Plan::new`] and [`Store::of`]; [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for the buffers.
    pub(super) fn new(
        network: &Network,
        store: &Store,
        arch: Arch,
        threads: &Threads,
        input: Shape,
        wanted: &[ValueId],
    ) -> Result<Self> {
        let plan = Plan::new(network, input, wanted)?;
        let weights = store.of(network, &plan, arch, threads)?;
        let buffers = plan.buffers.iter().map(|len| Buffer::zeroed("activations", *len)).collect::<Result<_>>()?;
        Ok(Session { input, wanted: wanted.to_vec(), plan, weights, buffers })
    }

    /// Computes the wanted values for `input`. Calls `done` after each step.
    ///
    /// # Errors
    /// [`Error::GpuMemory`](crate::Error::GpuMemory) if there is no memory for a step's scratch space or for the results. The
    /// session cannot run again after that.
    pub(super) fn run(
        &mut self,
        network: &Network,
        arch: Arch,
        threads: &Threads,
        input: &Tensor,
        mut done: impl FnMut(),
    ) -> Result<Vec<Tensor>> {
        let Session { plan, weights, buffers, .. } = self;
        let id = network.graph().input();
        if let Some(place) = plan.places[id.0] {
            to_blocks(threads, input, Target { data: &mut buffers[place.buffer], view: place.view });
        }
        done();
        for (step, arrays) in plan.steps.iter().zip(weights) {
            let layer = &network.layers()[step.layer];
            let output = plan.places[layer.output.0].expect("a layer's output has a place");
            let mut data = mem::take(&mut buffers[output.buffer]);
            let y = Target { data: &mut data, view: output.view };
            Running { plan, buffers, input, arch, threads, step, layer, arrays }.run(y)?;
            buffers[output.buffer] = data;
            done();
        }
        let value = |id: &ValueId| {
            let place = plan.places[id.0].expect("a value that is kept has a place");
            to_tensor(Source::new(&buffers[place.buffer], place.view))
        };
        self.wanted.iter().map(value).collect()
    }
}

/// A step while it runs.
struct Running<'a> {
    plan: &'a Plan,
    buffers: &'a [Buffer],
    input: &'a Tensor,
    arch: Arch,
    threads: &'a Threads,
    step: &'a Step,
    layer: &'a Layer,
    arrays: &'a Arrays,
}

impl Running<'_> {
    fn source(&self, id: ValueId) -> Source<'_> {
        let place = self.plan.places[id.0].expect("a layer reads values of earlier layers");
        Source::new(&self.buffers[place.buffer], place.view)
    }

    fn run(&self, y: Target<'_>) -> Result<()> {
        let Running { layer, arch, threads, .. } = *self;
        let x = || self.source(layer.inputs[0]);
        let affine = self.arrays.affine.as_deref();
        match &layer.op {
            LayerOp::Conv2d { params, epilogue, .. } => {
                return self.with_addend(epilogue.residual.as_ref(), y.view.shape, |residual| {
                    self.convolution(*params, Epilogue { residual, activation: epilogue.activation }, y)
                });
            }
            LayerOp::Pool2d { max, params, .. } => pool::run(arch, threads, *max, params, affine, x(), y),
            LayerOp::Plain { op, .. } => match op {
                Plain::GlobalAvgPool => pool::global(threads, Global::Mean, x(), y),
                Plain::GlobalMaxPool => pool::global(threads, Global::Max, x(), y),
                Plain::GlobalAvgMaxPool => pool::global(threads, Global::MeanAndMax, x(), y),
                Plain::Activation(activation) => elementwise::activation(threads, *activation, x(), y),
                Plain::Linear { in_features, out_features } => {
                    let params = Conv2dParams::pointwise(*in_features, *out_features);
                    return self.convolution(params, Epilogue { residual: None, activation: Activation::None }, y);
                }
                Plain::ChannelGate { .. } => {
                    let weight = self.arrays.plain.as_ref().expect("a gate has weights");
                    elementwise::channel_gate(weight, x(), y);
                }
                Plain::GroupNorm { .. } | Plain::EvoNorm { .. } | Plain::FilterResponseNorm { .. } => {
                    let weights = self.arrays.plain.as_ref().expect("a norm has weights");
                    group_norm::run(threads, *op, weights, x(), y);
                }
                Plain::Slice { from, .. } => {
                    gather::run(threads, Places { from: *from, before: [0; 2], factor: 1 }, x(), y);
                }
                Plain::Pad(padding) => {
                    let Shape { h, w, .. } = x().view.shape;
                    let before = [h, w].map(|extent| padding.of(extent)[0]);
                    gather::run(threads, Places { from: 0, before, factor: 1 }, x(), y);
                }
                Plain::Upsample { factor } => {
                    gather::run(threads, Places { from: 0, before: [0; 2], factor: *factor }, x(), y);
                }
                Plain::Attend { heads, keys, scale } => attend::attend(threads, *heads, *keys, *scale, x(), y),
                Plain::Tokens { side, .. } => {
                    let weight = self.arrays.plain.as_ref().expect("tokens have weights");
                    attend::tokens(threads, weight, *side, x(), y);
                }
                Plain::Softmax { outer, groups } => elementwise::softmax(*outer, *groups, x(), y),
            },
            LayerOp::Elementwise { gate, epilogue, .. } => {
                return self.with_addend(epilogue.residual.as_ref(), y.view.shape, |residual| {
                    let source = |i: usize| layer.inputs.get(i).map(|id| self.source(*id));
                    let gate = gate.zip(source(1));
                    let activation = epilogue.activation;
                    let operands = elementwise::Operands { x: source(0), affine, gate, residual, activation };
                    elementwise::run(arch, threads, &operands, y);
                    Ok(())
                });
            }
            LayerOp::Concat => self.concatenation(y),
            LayerOp::Block { .. } => unreachable!("a network has no layer that only plans of the GPU make"),
        }
        Ok(())
    }

    /// Copies the inputs that are not yet in the output's buffer.
    fn concatenation(&self, y: Target<'_>) {
        let buffer = |id: ValueId| self.plan.places[id.0].map(|place| place.buffer);
        let mut channel = 0;
        for &id in &self.layer.inputs {
            if buffer(id) != buffer(self.layer.output) {
                let target = Target { data: &mut *y.data, view: y.view };
                elementwise::copy_channels(self.threads, self.source(id), target, channel);
            }
            channel += self.plan.shapes[id.0].c;
        }
    }

    fn convolution(&self, params: Conv2dParams, epilogue: Epilogue<'_>, y: Target<'_>) -> Result<()> {
        let Running { arch, threads, .. } = *self;
        let weights = self.arrays.packed.as_deref().expect("a convolution has weights");
        if self.step.form == Some(Form::Channels) {
            let x = Source::planar(self.input);
            return conv::run(arch, threads, &conv::Operands { params, x, prologue: None, weights, epilogue }, y);
        }
        let x = self.source(self.layer.inputs[0]);
        let operands =
            conv::Operands::<LANES> { params, x, prologue: self.arrays.affine.as_deref(), weights, epilogue };
        if let Some(Form::Winograd(tile)) = self.step.form {
            return winograd::run(arch, threads, tile, &operands, y);
        }
        let one_pixel = x.view.shape.pixels() == 1 && params.kernel == 1 && params.padding == 0;
        if one_pixel && y.view.shape.n > 1 {
            conv::run_vectors(arch, threads, &operands, y)
        } else {
            conv::run(arch, threads, &operands, y)
        }
    }

    /// Calls `work` with the second addend of an epilogue, of shape `shape`.
    fn with_addend(
        &self,
        addend: Option<&Addend>,
        shape: Shape,
        work: impl FnOnce(Option<Source<'_>>) -> Result<()>,
    ) -> Result<()> {
        match addend {
            None => work(None),
            Some(Addend { value, subsample: None }) => work(Some(self.source(*value))),
            Some(Addend { value, subsample: Some(Subsample { stride, before }) }) => {
                let subsample = Subsample { stride: *stride, before: *before };
                let data = elementwise::subsampled(self.threads, self.source(*value), subsample, shape)?;
                work(Some(Source::new(&data, View::whole(shape))))
            }
        }
    }
}
