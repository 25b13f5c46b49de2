//! A contact sheet of mistakes: each photo with the heat map of the predicted class.

use std::path::Path;

use ::image::{
    RgbImage,
    imageops::{self, FilterType},
};
use residua::Classifier;

use super::heatmap::{BACKGROUND, Text};
use crate::cli::{io::answers::Answered, options::Global};

/// Photos on a sheet, and in a row of it.
const MOST: usize = 24;
const IN_A_ROW: usize = 4;

/// Side of a picture's square, the gap between a photo and its heat map, and the gap around both, in pixels.
const SIDE: u32 = 160;
const SEAM: u32 = 2;
const GAP: u32 = 14;

/// The first of `mistakes`, from left to right and from top to bottom.
pub(crate) fn draw(global: &Global, classifier: &Classifier, mistakes: &[&Answered]) -> RgbImage {
    let shown = &mistakes[..mistakes.len().min(MOST)];
    let text = Text::for_photo(SIDE, SIDE);
    let (width, height) = (2 * SIDE + SEAM, SIDE + 3 * text.line + GAP);
    let (columns, rows) = (shown.len().clamp(1, IN_A_ROW) as u32, shown.len().div_ceil(IN_A_ROW).max(1) as u32);
    let mut sheet = RgbImage::from_pixel(GAP + columns * (width + GAP), GAP + rows * height, BACKGROUND);
    if shown.is_empty() {
        text.write(&mut sheet, GAP, GAP, "no mistakes");
    }
    for (i, record) in shown.iter().enumerate() {
        let (x, y) = (GAP + (i % IN_A_ROW) as u32 * (width + GAP), GAP + (i / IN_A_ROW) as u32 * height);
        for (place, tile) in (0..).zip(tiles(global, classifier, record)) {
            let (dx, dy) = ((SIDE - tile.width()) / 2, (SIDE - tile.height()) / 2);
            imageops::replace(&mut sheet, &tile, (x + place * (SIDE + SEAM) + dx).into(), (y + dy).into());
        }
        let answer = record.answer();
        let name = |class: usize| classifier.model().labels.name(class);
        let lines = [
            format!("{} {:.0} %", name(answer.predicted), 100.0 * answer.score),
            format!("is {} {:.0} %", name(answer.truth), 100.0 * answer.of_truth),
            Path::new(&record.path).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ];
        for (line, words) in lines.iter().enumerate() {
            let fitting: String = words.chars().take((width / text.advance) as usize).collect();
            text.write(&mut sheet, x, y + SIDE + 4 + line as u32 * text.line, &fitting);
        }
    }
    sheet
}

/// A photo and its heat map for the predicted class, scaled to their squares. Only the photo if the network has no class maps; none if the
/// photo can no longer be read.
fn tiles(global: &Global, classifier: &Classifier, record: &Answered) -> Vec<RgbImage> {
    let Ok(decoded) = global.photo(Path::new(&record.path)) else { return Vec::new() };
    let photo = decoded.image;
    let (width, height) = (f64::from(photo.width()), f64::from(photo.height()));
    let scale = f64::from(SIDE) / width.max(height);
    let side = |extent: f64| ((extent * scale).round() as u32).clamp(1, SIDE);
    let pixels = photo.to_rgb8();
    let explained = classifier.explain(&photo, Some(record.answer().predicted)).ok();
    let evidence = explained.map(|explained| explained.overlay(&pixels));
    let sized = |image: RgbImage| imageops::resize(&image, side(width), side(height), FilterType::Triangle);
    std::iter::once(pixels).chain(evidence).map(sized).collect()
}
