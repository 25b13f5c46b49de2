//! The only place where output shapes are computed.

use super::{Graph, Node, Op, PoolParams};
use crate::{Error, Result, tensor::Shape};

/// Most elements of a value: the sums and products of all that is computed from shapes then fit into 64 bits.
const MOST_ELEMENTS: u64 = 1 << 44;

impl Graph {
    /// The shape of every value for an input of shape `input`, in node order.
    ///
    /// # Errors
    /// [`Error::Shape`] names the first node that cannot take its input.
    pub fn infer_shapes(&self, input: Shape) -> Result<Vec<Shape>> {
        let mut shapes: Vec<Shape> = Vec::with_capacity(self.nodes().len());
        for node in self.nodes() {
            let inputs: Vec<Shape> = node.inputs.iter().map(|id| shapes[id.0]).collect();
            let shape = output_shape(node, &inputs, input)
                .and_then(|shape| match shape.elements() {
                    0 => Err(format!("{shape} is empty")),
                    // The largest number stands for all that are larger.
                    n if n == usize::MAX || n as u64 > MOST_ELEMENTS => Err(format!("{shape} are too many values")),
                    _ => Ok(shape),
                })
                .map_err(|reason| Error::Shape { node: node.name.clone(), reason })?;
            shapes.push(shape);
        }
        Ok(shapes)
    }
}

fn output_shape(node: &Node, inputs: &[Shape], network_input: Shape) -> Result<Shape, String> {
    let expect_channels = |expected: usize, got: Shape| {
        if got.c == expected { Ok(got) } else { Err(format!("takes {expected} channels, got {got} (NCHW)")) }
    };
    match &node.op {
        Op::Input { channels } => expect_channels(*channels, network_input),
        Op::Conv2d { params, .. } => {
            let x = expect_channels(params.in_channels, inputs[0])?;
            let window =
                PoolParams { kernel: params.span(), stride: params.stride, padding: params.padding, ceil: false };
            let out = |extent| windows(extent, &window);
            Ok(Shape::new(x.n, params.out_channels, out(x.h)?, out(x.w)?))
        }
        Op::MaxPool2d(pool) | Op::AvgPool2d(pool) => {
            let x = inputs[0];
            let out = |extent| windows(extent, pool);
            Ok(Shape::new(x.n, x.c, out(x.h)?, out(x.w)?))
        }
        Op::BatchNorm { channels, .. } => expect_channels(*channels, inputs[0]),
        Op::Relu | Op::Sigmoid | Op::Activation(_) => Ok(inputs[0]),
        Op::Add => {
            if inputs[0] == inputs[1] {
                Ok(inputs[0])
            } else {
                Err(format!("adds {} and {}, which differ", inputs[0], inputs[1]))
            }
        }
        Op::Scale => {
            let [x, gate] = [inputs[0], inputs[1]];
            if gate == Shape::new(x.n, x.c, 1, 1) { Ok(x) } else { Err(format!("scales {x} by {gate}")) }
        }
        Op::GlobalAvgPool | Op::GlobalMaxPool | Op::GlobalAvgMaxPool => Ok(Shape::new(inputs[0].n, inputs[0].c, 1, 1)),
        Op::Linear { in_features, out_features, .. } => {
            let x = expect_channels(*in_features, inputs[0])?;
            if x.pixels() == 1 {
                Ok(Shape::new(x.n, *out_features, 1, 1))
            } else {
                Err(format!("takes one pixel, got {x}"))
            }
        }
        Op::SubsamplePad { stride, before, after } => {
            let x = inputs[0];
            Ok(Shape::new(x.n, before + x.c + after, x.h.div_ceil(*stride), x.w.div_ceil(*stride)))
        }
        Op::Concat => {
            let first = inputs[0];
            let mut c = 0;
            for x in inputs {
                if (x.n, x.h, x.w) != (first.n, first.h, first.w) {
                    return Err(format!("concatenates {first} and {x}, which differ in more than channels"));
                }
                c += x.c;
            }
            Ok(Shape { c, ..first })
        }
    }
}

/// Positions of a window that moves over `extent` plus padding on both sides.
fn windows(extent: usize, window: &PoolParams) -> Result<usize, String> {
    let &PoolParams { kernel, stride, padding, ceil } = window;
    let overhang = if ceil { stride - 1 } else { 0 };
    match (extent + 2 * padding + overhang).checked_sub(kernel) {
        // The last window starts inside the extent or in the padding before it, as in PyTorch.
        Some(room) if ceil && room / stride * stride >= extent + padding => Ok(room / stride),
        Some(room) => Ok(room / stride + 1),
        None => Err(format!("a window of {kernel} does not fit into {extent} with padding {padding}")),
    }
}
