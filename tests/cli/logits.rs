//! `residua logits`: from safetensors to safetensors.

use std::fs;

use crate::{Folder, assert_fails, err, residua};

#[test]
fn logits_reads_and_writes_safetensors() {
    let folder = Folder::new();
    let input: Vec<f32> = (0..2 * 3 * 40 * 36).map(|i| (i % 17) as f32 / 8.0 - 1.0).collect();
    let write = |name: &str, tensor: &str, shape: Vec<usize>| {
        let view =
            safetensors::tensor::TensorView::new(safetensors::Dtype::F32, shape, bytemuck::cast_slice(&input)).unwrap();
        folder.file(name, safetensors::serialize([(tensor, view)], None).unwrap())
    };
    let good = write("in.safetensors", "input", vec![2, 3, 40, 36]);
    let target = folder.path("out.safetensors");
    let run = |input: &str| residua(&["logits", "--input", input, "--output", &target]);
    let output = run(&good);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    let bytes = fs::read(&target).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.tensor("logits").unwrap().shape(), [2, 10]);
    assert_fails(&run(&write("name.safetensors", "x", vec![2, 3, 40, 36])), 2, "model.header");
    assert_fails(&run(&write("rank.safetensors", "input", vec![6, 40, 36])), 2, "config.value");
    assert_fails(&run(&folder.path("none.safetensors")), 2, "io");
}
