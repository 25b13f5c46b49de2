//! Checks the table of the census, in which `tests/census/census.py` records every residual network of timm and torchvision. `tests/nightly
//! census` compares all of them with PyTorch; `tests/networks.rs` compares a sample.

use std::{fs, path::Path};

use residua::models::Architecture;

#[test]
fn the_census_agrees_with_the_named_networks() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/census/networks.csv");
    let table = fs::read_to_string(path).unwrap();
    let rows: Vec<Vec<&str>> = table.lines().skip(1).map(|line| line.split(',').collect()).collect();
    let timm: Vec<(&str, &str)> = rows.iter().filter(|row| row[0] == "timm").map(|row| (row[1], row[2])).collect();
    for (name, result) in &timm {
        match *result {
            // It yields features, not classes: `embed` supports it.
            "right" | "refused model.no_classifier" => {}
            refused => {
                assert!(refused.starts_with("refused "), "{name}: {refused}");
                assert_eq!(Architecture::by_name(name), None, "{name} is refused with all its tensors");
            }
        }
    }
    for name in Architecture::names().into_iter().filter(|name| !name.starts_with("cifar_")) {
        let known = timm.iter().find(|(row, _)| *row == name);
        assert!(known.is_none_or(|(_, result)| *result == "right" || name.ends_with("_clip")), "{name}: {known:?}");
    }
}
