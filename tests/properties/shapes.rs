//! Compares inferred shapes with counting by the definition, and with the reference's shapes.

use proptest::prelude::*;
use residua::{
    executor::reference,
    graph::{Op, Padding, Plain, PoolParams},
    tensor::Shape,
};

use crate::{config, recipe::recipe_with_norms};

/// Counts windows by moving one: it stays inside the extent and its padding or, with `ceil`, starts inside the extent or the padding
/// before it and extends beyond by less than a stride (`torch.nn.MaxPool2d`).
fn positions(extent: usize, window: PoolParams) -> usize {
    let PoolParams { kernel, stride, padding, ceil } = window;
    let end = extent + 2 * padding;
    let admitted =
        |start: usize| start + kernel <= end || (ceil && start < extent + padding && start + kernel < end + stride);
    (0..).map(|i| i * stride).take_while(|start| admitted(*start)).count()
}

fn by_definition(op: &Op, inputs: &[Shape], network_input: Shape) -> Shape {
    let moved = |c: usize, window: PoolParams| {
        let Shape { n, h, w, .. } = inputs[0];
        Shape::new(n, c, positions(h, window), positions(w, window))
    };
    match op {
        Op::Input { .. } => network_input,
        Op::Conv2d { params: p, .. } => {
            // Distance in pixels from the first tap to the last.
            let kernel = 1 + (p.kernel - 1) * p.dilation;
            let window = PoolParams { kernel, stride: p.stride, padding: p.padding, ceil: false };
            moved(p.out_channels, window)
        }
        Op::MaxPool2d(window) | Op::AvgPool2d(window) => moved(inputs[0].c, *window),
        Op::Plain { op: Plain::GlobalAvgPool | Plain::GlobalMaxPool | Plain::GlobalAvgMaxPool, .. } => {
            Shape { h: 1, w: 1, ..inputs[0] }
        }
        Op::Plain { op: Plain::Linear { out_features, .. }, .. } => Shape { c: *out_features, ..inputs[0] },
        Op::Plain { op: Plain::Slice { channels, .. }, .. } => Shape { c: *channels, ..inputs[0] },
        Op::Plain { op: Plain::Upsample { factor }, .. } => {
            let Shape { h, w, .. } = inputs[0];
            Shape { h: h * factor, w: w * factor, ..inputs[0] }
        }
        Op::Plain { op: Plain::Pad(padding), .. } => {
            let padded = |extent: usize| match padding {
                Padding::Sides(side) => extent + 2 * side,
                // As many windows as there are strides that start inside, and room for the last one.
                Padding::Same { kernel, stride } => {
                    extent.max((0..extent).step_by(*stride).next_back().unwrap_or(0) + kernel)
                }
                other => unreachable!("{other:?}"),
            };
            let Shape { h, w, .. } = inputs[0];
            Shape { h: padded(h), w: padded(w), ..inputs[0] }
        }
        Op::SubsamplePad { stride, before, after } => {
            let Shape { n, c, h, w } = inputs[0];
            let kept = |extent: usize| (0..extent).step_by(*stride).count();
            Shape::new(n, before + c + after, kept(h), kept(w))
        }
        Op::Concat => Shape { c: inputs.iter().map(|shape| shape.c).sum(), ..inputs[0] },
        _ => inputs[0],
    }
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn inferred_shapes_are_those_of_the_definition_and_of_the_reference(recipe in recipe_with_norms()) {
        let graph = recipe.graph();
        let inferred = graph.infer_shapes(recipe.shape()).unwrap();
        for (node, shape) in graph.nodes().iter().zip(&inferred) {
            let inputs: Vec<Shape> = node.inputs.iter().map(|id| inferred[id.0]).collect();
            prop_assert_eq!(*shape, by_definition(&node.op, &inputs, recipe.shape()), "{}", &node.name);
        }
        let values = reference::run(&graph, &recipe.checkpoint(&graph), &recipe.images()).unwrap();
        for (value, shape) in values.iter().zip(&inferred) {
            prop_assert_eq!((value.shape, value.data.len()), (*shape, shape.elements()));
        }
        // A size without room for a window is an error.
        let none = Shape { h: 0, ..recipe.shape() };
        prop_assert_eq!(graph.infer_shapes(none).unwrap_err().code(), "graph.shape");
    }
}
