//! Moves a mean pooling before the 1x1 convolution that it follows, so that the convolution computes fewer pixels. The result is the same,
//! because both are linear. DenseNet's transitions (Huang et al. 2016, section 3) are such pairs.

use crate::graph::{Conv2dParams, Graph, Node, Op, ValueId};

/// Exchanges a 1x1 convolution with the mean pooling after it, wherever nothing else reads the convolution. The value after both keeps its
/// id.
pub(super) fn commute(graph: &Graph) -> Graph {
    let nodes = graph.nodes();
    let Some(Op::Input { channels }) = nodes.first().map(|node| &node.op) else { return graph.clone() };
    let mut out = Graph::new(*channels);
    let readers = graph.reader_counts();
    let is_pointwise =
        |op: &Op| matches!(op, Op::Conv2d { params: Conv2dParams { kernel: 1, stride: 1, padding: 0, .. }, .. });
    let pools_next = |i: usize| {
        let marked = graph.stages().iter().any(|(_, value)| *value == ValueId(i));
        let means = |next: &Node| matches!(next.op, Op::AvgPool2d(window) if window.padding == 0);
        let pools = nodes.get(i + 1).is_some_and(|next| means(next) && next.inputs == [ValueId(i)]);
        is_pointwise(&nodes[i].op) && pools && readers[i] == 1 && !marked
    };
    let mut i = 1;
    while i < nodes.len() {
        if pools_next(i) {
            let (conv, pool) = (&nodes[i], &nodes[i + 1]);
            let pooled = out.push(pool.name.clone(), pool.op.clone(), &conv.inputs);
            out.push(conv.name.clone(), conv.op.clone(), &[pooled]);
            i += 2;
        } else {
            out.push(nodes[i].name.clone(), nodes[i].op.clone(), &nodes[i].inputs);
            i += 1;
        }
    }
    for (name, value) in graph.stages() {
        out.mark_stage(name.clone(), *value);
    }
    for (name, rewrite) in graph.rewrites() {
        out.rewrite(name.clone(), rewrite.clone());
    }
    out
}
