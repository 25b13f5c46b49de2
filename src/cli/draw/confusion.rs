//! A confusion matrix as a picture: a row for each true class, a column for each predicted class.

use residua::{
    ModelInfo,
    learn::measures::Measures,
    program::svg::{CHARACTER, Svg, fill},
};

/// Characters of a name that are drawn.
const NAME: usize = 24;

/// Height of a line of text, and the distance between slanted lines.
const LINE: f64 = 12.0;
const LEANING: f64 = 16.0;

/// Colours of right and wrong predictions.
const RIGHT: usize = 0;
const WRONG: usize = 1;

pub(crate) fn svg(measures: &Measures, model: &ModelInfo) -> String {
    let classes: Vec<usize> = measures.classes.keys().copied().collect();
    let names: Vec<String> = classes.iter().map(|&class| shortened(&model.labels.name(class))).collect();
    let cell = (680.0 / classes.len() as f64).clamp(4.0, 48.0).floor();
    let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64 * CHARACTER;
    let (left, top) = (widest + 24.0, widest * 0.87 + 66.0);
    let side = cell * classes.len() as f64;
    let title = format!("{}: {} images, accuracy {:.2} %", model.name, measures.images, 100.0 * measures.accuracy());
    let below = "rows: true class; columns: predicted class; shade: share of the row";
    let words = [&*title, below].map(|text| 24.0 + CHARACTER * text.chars().count() as f64);
    // The last name slants beyond the right edge.
    let width = words.into_iter().fold(left + side + 0.5 * widest + 24.0, f64::max);
    let mut svg = Svg::new(width, top + side + 44.0);
    svg.text(12.0, 20.0, "bold", &title);
    svg.text(12.0, 36.0, "muted", below);
    let every = |room: f64| ((room / cell).ceil() as usize).max(1);
    for (i, name) in names.iter().enumerate().step_by(every(LINE)) {
        svg.anchored(left - 6.0, top + (i as f64 + 0.5) * cell + 4.0, "ink", "end", name);
    }
    for (i, name) in names.iter().enumerate().step_by(every(LEANING)) {
        svg.turned(left + (i as f64 + 0.5) * cell + 4.0, top - 6.0, "ink", name);
    }
    svg.rect([left, top, side, side], "box", "");
    for (row, &truth) in classes.iter().enumerate() {
        let support = measures.classes[&truth].support.max(1) as f64;
        for (column, &predicted) in classes.iter().enumerate() {
            let Some(&count) = measures.confusion.get(&(truth, predicted)) else { continue };
            let kind = if truth == predicted { RIGHT } else { WRONG };
            let (x, y) = (left + column as f64 * cell, top + row as f64 * cell);
            let title = format!("{} predicted as {}: {count}", model.labels.name(truth), model.labels.name(predicted));
            let gap = if cell > 12.0 { 1.0 } else { 0.0 };
            // The square root keeps a single image of a large class visible.
            let shade = 0.12 + 0.58 * (count as f64 / support).sqrt();
            svg.shade([x + gap, y + gap, cell - 2.0 * gap, cell - 2.0 * gap], &fill(kind), shade, &title);
            if count.to_string().len() as f64 * CHARACTER + 4.0 < cell {
                svg.anchored(x + cell / 2.0, y + cell / 2.0 + 4.0, "ink", "middle", &count.to_string());
            }
        }
    }
    let mut x = left;
    for (kind, name) in [(RIGHT, "right"), (WRONG, "wrong")] {
        svg.shade([x, top + side + 14.0, 10.0, 10.0], &fill(kind), 0.7, "");
        svg.text(x + 16.0, top + side + 23.0, "muted", name);
        x += 80.0;
    }
    svg.finish()
}

/// The first of the names of a class, cut off where it is long.
fn shortened(name: &str) -> String {
    let first = name.split(',').next().unwrap_or(name).trim();
    if first.chars().count() <= NAME {
        first.into()
    } else {
        first.chars().take(NAME - 1).chain(['\u{2026}']).collect()
    }
}
