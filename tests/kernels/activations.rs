//! Functions of each element.

use residua::{
    executor::reference,
    graph::{Activation, Graph, Plain, ValueId},
    tensor::{Shape, Tensor},
};

use crate::{F32, checkpoint, common::executors::machine, conv2d::conv, each_exact, outputs, small};

/// Every activation that is a separate operator.
pub(crate) const ACTIVATIONS: [Activation; 18] = [
    Activation::Identity,
    Activation::Relu,
    Activation::Relu6,
    Activation::LeakyRelu(0.01),
    Activation::LeakyRelu(-0.5),
    Activation::Silu,
    Activation::Mish,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::QuickGelu,
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::HardSigmoid,
    Activation::HardSwish,
    Activation::HardMish,
    Activation::Elu(0.5),
    Activation::Celu(2.0),
    Activation::Selu,
];

/// Vulkan allows exp an error of 3 + 2|x| units in the last place, and division 2.5; formula 7.1.26 of Abramowitz and Stegun is off by
/// 1.5e-7. So 1e-6 relative to the input's magnitude suffices for arguments up to 8; beyond them the exponentials vanish.
#[test]
fn activations_are_those_of_their_definition() {
    let machine = machine();
    let shape = Shape::new(2, 6, 7, 9);
    let data: Vec<f32> = (0..shape.elements()).map(|i| (i as f32 - 378.0) / 40.0).collect();
    let mut input = Tensor::new(shape, data);
    // Zero, tiny arguments, and arguments for which exponentials overflow.
    let special = [0.0, -0.0, 1e-30, -1e-30, 1e-3, -1e-3, 100.0, -100.0, 1e4, -1e4];
    input.data[..special.len()].copy_from_slice(&special);
    for activation in ACTIVATIONS {
        let mut graph = Graph::new(shape.c);
        graph.push("activation", Plain::Activation(activation), &[ValueId(0)]);
        let checkpoint = checkpoint(&[], small);
        let expected = reference::logits(&graph, &checkpoint, &input).unwrap();
        for (who, got) in outputs(&machine, &graph, &checkpoint, &input, None, F32) {
            for ((x, got), expected) in input.data.iter().zip(&got.data).zip(&expected.data) {
                let bound = 1e-6 * x.abs().max(1.0);
                assert!((got - expected).abs() <= bound, "{activation} of {x}, {who}: {got}, expected {expected}");
            }
        }
    }
}

/// Channel counts that are not multiples of four, between two convolutions: the second must not read the padding.
#[test]
fn activations_between_convolutions() {
    let machine = machine();
    for function in [Activation::Relu6, Activation::Identity, Activation::LeakyRelu(2.0)] {
        let (first, second) = (conv((2, 5, 4, 3), 6, 3, 1, 1), conv((2, 6, 4, 3), 7, 1, 1, 1));
        let mut graph = Graph::new(5);
        let x = first.push(&mut graph, "first", ValueId(0));
        let x = graph.push("activation", Plain::Activation(function), &[x]);
        second.push(&mut graph, "second", x);
        each_exact(&machine, &format!("{function} between convolutions"), &graph, first.shape());
    }
}
