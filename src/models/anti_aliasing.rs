//! The filters that replace strides, built from existing operators.

use crate::{
    graph::{Graph, Op, PoolParams, ValueId},
    structure::AntiAliasing,
};

/// Halves the rows and columns of `x`. Without anti-aliasing, returns `x`.
pub(super) fn halve(graph: &mut Graph, kind: AntiAliasing, name: &str, x: ValueId) -> ValueId {
    let mean = |stride, padding| Op::AvgPool2d(PoolParams { kernel: 2, stride, padding, ceil: false });
    match kind {
        AntiAliasing::None => x,
        AntiAliasing::Avg => graph.push(name, mean(2, 0), &[x]),
        // (1 2 1) / 4 is (1 1) / 2 twice. At an edge, the reflected pixel makes both values of the second mean equal, which equals a mean
        // that does not count padding.
        AntiAliasing::Blur => {
            let x = graph.push(format!("{name}.0"), mean(1, 0), &[x]);
            graph.push(name, mean(2, 1), &[x])
        }
    }
}

/// Appends the stem's pooling. Average pooling replaces max pooling; a blur follows max pooling with stride 1.
pub(super) fn pool(graph: &mut Graph, kind: AntiAliasing, name: &str, x: ValueId) -> ValueId {
    let max = |stride| Op::MaxPool2d(PoolParams { kernel: 3, stride, padding: 1, ceil: false });
    match kind {
        AntiAliasing::None => graph.push(name, max(2), &[x]),
        AntiAliasing::Avg => halve(graph, kind, name, x),
        AntiAliasing::Blur => {
            let x = graph.push(format!("{name}.max"), max(1), &[x]);
            halve(graph, kind, name, x)
        }
    }
}
