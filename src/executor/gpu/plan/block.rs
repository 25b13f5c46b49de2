//! Joins residual blocks into layers of their own, if one dispatch can compute both convolutions.

use std::borrow::Cow;

use crate::{
    graph::{Conv2dParams, ValueId},
    network::{Activation, Addend, Epilogue, Layer, LayerOp},
};

/// A layer and its number in the network; a block has the number of its last layer.
pub(super) type Numbered<'a> = (usize, Cow<'a, Layer>);

/// Joins each two `layers` that are a basic block with identity shortcut, if no other layer reads the value between them and
/// `pays` accepts the result.
pub(super) fn join<'a>(
    layers: Vec<(usize, &'a Layer)>,
    keep: &[ValueId],
    pays: impl Fn(&Layer) -> bool,
) -> Vec<Numbered<'a>> {
    let readers = |id: ValueId| {
        let reads = layers.iter().flat_map(|(_, layer)| layer.reads());
        reads.chain(keep.iter().copied()).filter(|read| *read == id).count()
    };
    let mut joined: Vec<Numbered<'a>> = Vec::new();
    let mut rest = layers.iter().copied().peekable();
    while let Some((index, layer)) = rest.next() {
        let block = rest.peek().and_then(|(_, next)| block(index, layer, next));
        match (block.filter(|block| readers(layer.output) == 1 && pays(block)), rest.peek().map(|(second, _)| *second))
        {
            (Some(block), Some(second)) => {
                joined.push((second, Cow::Owned(block)));
                rest.next();
            }
            _ => joined.push((index, Cow::Borrowed(layer))),
        }
    }
    joined
}

/// The two layers as one, if they are the convolutions of such a block. `index` is the number of the first.
fn block(index: usize, first: &Layer, second: &Layer) -> Option<Layer> {
    let LayerOp::Conv2d { prologue: None, params, epilogue, .. } = &first.op else { return None };
    let LayerOp::Conv2d { prologue: None, params: other, epilogue: end, .. } = &second.op else { return None };
    let plain = Conv2dParams {
        kernel: 3,
        stride: 1,
        padding: 1,
        dilation: 1,
        groups: 1,
        out_channels: params.in_channels,
        ..*params
    };
    let shortcut = Some(Addend { value: first.inputs[0], subsample: None });
    let is_block = (params, other) == (&plain, &plain)
        && *epilogue == Epilogue { residual: None, activation: Activation::Relu }
        && *end == Epilogue { residual: shortcut, activation: Activation::Relu }
        && second.inputs == [first.output];
    is_block.then(|| Layer {
        name: format!("{} + {}", first.name, second.name),
        op: LayerOp::Block { first: index, params: plain },
        inputs: first.inputs.clone(),
        output: second.output,
    })
}
