//! What the library call refuses.

use residua::{
    Classifier,
    tensor::{Shape, Tensor},
};

fn on_each_path(test: impl Fn(&Classifier)) {
    for device in ["auto", "cpu"] {
        test(&Classifier::builder().device(device).open().unwrap());
    }
}

#[test]
fn an_input_that_is_not_finite_is_refused_not_clamped_away() {
    on_each_path(|classifier| {
        for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut input = Tensor::zeros(classifier.input_shape(1));
            input.data[1234] = value;
            assert_eq!(classifier.logits(&input).map_err(|error| error.code()), Err("config.value"), "{value}");
        }
    });
}

#[test]
fn an_input_that_is_not_of_its_shape_is_an_error() {
    on_each_path(|classifier| {
        let shape = classifier.input_shape(2);
        let short = Tensor { shape, data: vec![0.0; shape.elements() - 1] };
        assert_eq!(classifier.logits(&short).map_err(|error| error.code()), Err("graph.shape"));
        for shape in [Shape { n: 0, ..shape }, Shape { c: 4, ..shape }] {
            let input = Tensor::zeros(shape);
            assert_eq!(classifier.logits(&input).map_err(|error| error.code()), Err("graph.shape"), "{shape}");
        }
    });
}
