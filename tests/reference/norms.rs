//! Norms that compute their statistics from the input.

use residua::{
    executor::reference,
    graph::{Graph, Op, Plain, ValueId},
    tensor::{Shape, Tensor},
};

use crate::{apply, checkpoint};

#[test]
fn groups_of_channels_are_normalised_together() {
    let weights: [(&str, &[usize], &[f32]); 2] =
        [("gn.weight", &[4], &[1.0, 2.0, 1.0, -1.0]), ("gn.bias", &[4], &[0.0, 0.5, 1.0, 0.0])];
    let norm = |eps| Plain::GroupNorm { channels: 4, groups: 2, eps }.named("gn");
    // Both groups hold four consecutive numbers, at distances 1.5 and 0.5 from their mean, with a variance of 1.25.
    let y = apply(norm(0.0), Shape::new(1, 4, 1, 2), &weights);
    let near = |values: [f64; 8], deviation: f64| {
        let expected =
            values.iter().zip([0.0, 0.0, 0.5, 0.5, 1.0, 1.0, 0.0, 0.0]).map(|(v, bias)| v / deviation + bias);
        assert!(
            y.data.iter().zip(expected).all(|(y, expected)| (f64::from(*y) - expected).abs() < 1e-6),
            "{:?}",
            y.data
        );
    };
    near([-1.5, -0.5, 1.0, 3.0, -1.5, -0.5, -0.5, -1.5], 1.25_f64.sqrt());
    let y = apply(norm(1.0), Shape::new(1, 4, 1, 2), &weights);
    assert_eq!(y.data[0], (-1.5 / 2.25_f64.sqrt()) as f32);
    for groups in [0, 3] {
        let mut graph = Graph::new(4);
        graph.push("gn", Plain::GroupNorm { channels: 4, groups, eps: 0.0 }.named("gn"), &[graph.input()]);
        assert_eq!(graph.infer_shapes(Shape::new(1, 4, 1, 1)).unwrap_err().code(), "graph.shape");
    }
}

/// The numbers of a group have a variance of 1.25, so with an epsilon of 1 they are divided by 1.5.
#[test]
fn an_evonorm_divides_by_the_deviation_of_the_group() {
    let norm = Plain::EvoNorm { channels: 4, groups: 2, eps: 1.0 }.named("evo");
    let log = 3.0_f32.ln() / 5.0;
    let weights: [(&str, &[usize], &[f32]); 3] = [
        ("evo.weight", &[4], &[3.0, 1.0, -1.0, 1.0]),
        ("evo.bias", &[4], &[1.0, 0.0, 0.0, 0.5]),
        ("evo.v", &[4], &[0.0, 100.0, log, -100.0]),
    ];
    let y = apply(norm, Shape::new(1, 4, 1, 2), &weights);
    let three_quarters = 1.0 / (1.0 + 3.0_f64.powf(-1.2));
    let expected =
        [2.0, 3.0, 2.0, 4.0 / 1.5, -5.0 * 0.75 / 1.5, -6.0 * three_quarters / 1.5, 0.5, 0.5].map(|y| y as f32);
    assert!(y.data.iter().zip(expected).all(|(y, expected)| (y - expected).abs() < 1e-6), "{:?}", y.data);
    for groups in [0, 3] {
        let mut graph = Graph::new(4);
        graph.push("evo", Plain::EvoNorm { channels: 4, groups, eps: 1.0 }.named("evo"), &[graph.input()]);
        assert_eq!(graph.infer_shapes(Shape::new(1, 4, 1, 1)).unwrap_err().code(), "graph.shape");
    }
}

/// The squares of 1 to 7 have a mean of 20, so with an epsilon of 5 the numbers are divided by 5.
#[test]
fn a_filter_response_norm_divides_by_the_root_of_the_mean_square() {
    let norm = |channels, eps| Plain::FilterResponseNorm { channels, eps }.named("frn");
    let weights: [(&str, &[usize], &[f32]); 3] =
        [("frn.weight", &[1], &[10.0]), ("frn.bias", &[1], &[-5.0]), ("frn.tau", &[1], &[0.5])];
    let y = apply(norm(1, 5.0), Shape::new(1, 1, 1, 7), &weights);
    assert_eq!(y.data, [0.5, 0.5, 1.0, 3.0, 5.0, 7.0, 9.0]);
    // A channel of one pixel becomes 1.
    let weights: [(&str, &[usize], &[f32]); 3] =
        [("frn.weight", &[2], &[2.0, -1.0]), ("frn.bias", &[2], &[1.0, 0.0]), ("frn.tau", &[2], &[0.0, -0.5])];
    assert_eq!(apply(norm(2, 0.0), Shape::new(2, 2, 1, 1), &weights).data, [3.0, -0.5, 3.0, -0.5]);
    let mut graph = Graph::new(3);
    graph.push("frn", norm(2, 0.0), &[graph.input()]);
    assert_eq!(graph.infer_shapes(Shape::new(1, 3, 1, 1)).unwrap_err().code(), "graph.shape");
}

#[test]
fn nan_is_not_hidden_by_a_threshold() {
    let mut graph = Graph::new(1);
    graph.push("frn", Plain::FilterResponseNorm { channels: 1, eps: 1e-5 }.named("frn"), &[graph.input()]);
    let weights: [(&str, &[usize], &[f32]); 3] =
        [("frn.weight", &[1], &[1.0]), ("frn.bias", &[1], &[0.0]), ("frn.tau", &[1], &[0.0])];
    let x = Tensor::new(Shape::new(1, 1, 1, 2), vec![f32::NAN, 1.0]);
    assert!(reference::logits(&graph, &checkpoint(&weights), &x).unwrap().data.iter().all(|y| y.is_nan()));
}

/// An operator without one of its tensors cannot be evaluated; only the bias of a linear layer may be missing.
#[test]
#[should_panic(expected = "1 inputs for")]
fn a_norm_without_its_bias_is_refused() {
    let op = Op::Plain { op: Plain::GroupNorm { channels: 1, groups: 1, eps: 0.0 }, weights: vec!["weight".into()] };
    Graph::new(1).push("gn", op, &[ValueId(0)]);
}
