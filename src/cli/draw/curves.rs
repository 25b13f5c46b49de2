//! The ROC curve and the precision-recall curve of a class.

use std::fmt::Write;

use residua::{
    learn::measures::{Cut, areas},
    program::svg::{Svg, series},
};

/// Side of a diagram in pixels.
const SIDE: f64 = 300.0;

/// Top of the diagrams, below the name of the class, their own names and the labels of the vertical axes.
const TOP: f64 = 72.0;

/// Points closer than so many pixels are drawn as one.
const NEAR: f64 = 0.4;

pub(crate) fn svg(cuts: &[Cut], class: &str) -> String {
    let (roc, average) = areas(cuts);
    let (of_class, others) = cuts.last().map_or((0.0, 0.0), |last| (last.right as f64, last.wrong as f64));
    let mut svg = Svg::new(2.0 * SIDE + 200.0, SIDE + TOP + 64.0);
    svg.text(12.0, 20.0, "bold", class);
    let falls = |cut: &Cut| (cut.wrong as f64 / others.max(1.0), cut.right as f64 / of_class.max(1.0));
    let roc_points = std::iter::once((0.0, 0.0)).chain(cuts.iter().map(falls));
    diagram(&mut svg, 60.0, &format!("ROC, area {roc:.4}"), ["false positive rate", "true positive rate"], roc_points);
    svg.path(&format!("M60 {:.1}L{:.1} {TOP}", TOP + SIDE, 60.0 + SIDE), "line dashed");
    let precise = |cut: &Cut| {
        let (right, wrong) = (cut.right as f64, cut.wrong as f64);
        (right / of_class.max(1.0), right / (right + wrong))
    };
    let name = format!("precision and recall, average precision {average:.4}");
    diagram(&mut svg, SIDE + 160.0, &name, ["recall", "precision"], cuts.iter().map(precise));
    svg.finish()
}

/// Draws a curve in a square from zero to one, whose left edge is at `x`.
fn diagram(svg: &mut Svg, x: f64, name: &str, axes: [&str; 2], points: impl Iterator<Item = (f64, f64)>) {
    let top = TOP;
    svg.text(x, top - 26.0, "ink", name);
    svg.text(x, top - 8.0, "muted", axes[1]);
    svg.rect([x, top, SIDE, SIDE], "box", "");
    for tick in 0..=4 {
        let share = f64::from(tick) / 4.0;
        let (along, up) = (x + share * SIDE, top + (1.0 - share) * SIDE);
        svg.path(&format!("M{along:.1} {top:.1}v{SIDE}M{x:.1} {up:.1}h{SIDE}"), "faint");
        svg.anchored(along, top + SIDE + 16.0, "muted", "middle", &share.to_string());
        svg.anchored(x - 6.0, up + 4.0, "muted", "end", &share.to_string());
    }
    svg.anchored(x + SIDE / 2.0, top + SIDE + 34.0, "muted", "middle", axes[0]);
    let (mut path, mut last) = (String::new(), None::<(f64, f64)>);
    for (along, up) in points {
        let (px, py) = (x + along * SIDE, top + (1.0 - up) * SIDE);
        if last.is_some_and(|(lx, ly)| (lx - px).abs() < NEAR && (ly - py).abs() < NEAR) {
            continue;
        }
        let _ = write!(path, "{}{px:.1} {py:.1}", if last.is_some() { "L" } else { "M" });
        last = Some((px, py));
    }
    svg.path(&path, &series(0));
}
