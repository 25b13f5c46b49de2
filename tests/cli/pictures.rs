//! SVG pictures: everything required is there, and no text is outside or on top of another.

use std::{fs, process::Command};

use crate::{Folder, err, on_cpu};

/// Place, anchor and content of every text in a picture.
fn texts(svg: &str) -> Vec<(f64, f64, String, String)> {
    let attribute = |element: &str, name: &str| {
        let value = element.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap();
        value.to_string()
    };
    let elements = svg.split("<text ").skip(1).map(|rest| rest.split("</text>").next().unwrap());
    // Rotated text has another extent.
    let elements = elements.filter(|element| !element.contains("transform="));
    let text = |element: &str| {
        let number = |name| attribute(element, name).parse().unwrap();
        let text = element.split('>').nth(1).unwrap().replace("&gt;", ">");
        (number("x"), number("y"), attribute(element, "text-anchor"), text)
    };
    elements.map(text).collect()
}

/// Checks that no text is outside the picture or overlaps another.
pub(crate) fn check_places(name: &str, svg: &str) {
    assert!(svg.contains("prefers-color-scheme:dark"));
    let size: Vec<f64> = svg.split('"').nth(3).unwrap().split(' ').map(|n| n.parse().unwrap()).collect();
    let texts = texts(svg);
    // A character of a monospaced font of 11 pixels is 0.6 times as wide.
    let extent = |(x, y, anchor, text): &(f64, f64, String, String)| {
        let width = text.chars().count() as f64 * 6.6;
        let left = match anchor.as_str() {
            "end" => x - width,
            "middle" => x - width / 2.0,
            _ => *x,
        };
        (left, left + width, *y)
    };
    let extents: Vec<_> = texts.iter().map(extent).collect();
    for (i, a) in extents.iter().enumerate() {
        assert!(a.0 >= 0.0 && a.1 <= size[2] && a.2 <= size[3], "{name}: {:?} is outside", texts[i]);
        let over = |b: &(f64, f64, f64)| a.0 < b.1 && b.0 < a.1 && (a.2 - b.2).abs() < 11.0;
        if let Some(other) = extents[..i].iter().position(over) {
            panic!("{name}: {:?} overlaps {:?}", texts[i], texts[other]);
        }
    }
}

#[test]
fn a_plot_shows_every_model_and_its_limit() {
    let folder = Folder::new();
    let picture = folder.path("plot.svg");
    let models = "cifar_resnet20a,cifar_resnet20b,cifar_resnet32a,builtin";
    let arguments = ["-m", models, "--batch", "1,2", "--min-time", "0", "--device", "cpu"];
    let plotted = ["--plot", picture.as_str(), "--peak", "100"];
    let output = Command::new(env!("CARGO_BIN_EXE_residua-bench")).args(arguments).args(plotted).output().unwrap();
    assert!(output.status.success(), "{}", err(&output));
    let svg = fs::read_to_string(&picture).unwrap();
    check_places("plot", &svg);
    for model in models.split(',') {
        let lines = texts(&svg).iter().filter(|(.., text)| text.starts_with(&format!("{model} "))).count();
        assert_eq!(lines, 2, "{model}: {svg}");
    }
    let nothing = ["-m", "no-such-model", "--batch", "1", "--plot", picture.as_str(), "--peak", "0"];
    assert_eq!(Command::new(env!("CARGO_BIN_EXE_residua-bench")).args(nothing).status().unwrap().code(), Some(2));
}

#[test]
fn a_graph_shows_every_layer_in_its_place() {
    let folder = Folder::new();
    for architecture in ["cifar_resnet20a", "resnet18", "resnet50", "densenet121"] {
        let model = folder.checkpoint(&format!("{architecture}.safetensors"), architecture, |_, _, _| true);
        let picture = folder.path("graph.svg");
        let output = on_cpu(&["info", "-q", &model, "--graph", &picture]);
        assert!(output.status.success(), "{}", err(&output));
        fs::remove_file(&model).unwrap();
        let svg = fs::read_to_string(&picture).unwrap();
        let texts = texts(&svg);
        let graph = residua::models::Architecture::by_name(architecture).unwrap().graph();
        for node in graph.nodes().iter().filter(|node| matches!(node.op.name(), "conv2d" | "linear" | "concat")) {
            assert!(texts.iter().any(|(.., text)| *text == node.name), "{architecture} lacks {}", node.name);
        }
        check_places(architecture, &svg);
    }
}
