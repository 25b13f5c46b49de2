//! A contact sheet of mistakes: each photo with the evidence for what was said of it.

use std::path::Path;

use ::image::{
    RgbImage,
    imageops::{self, FilterType},
};
use residua::Classifier;

use super::heatmap::{BACKGROUND, Text};
use crate::cli::{io::answers::Record, options::Global};

/// Photos on a sheet, and in a row of it.
const MOST: usize = 24;
const IN_A_ROW: usize = 6;

/// Side of a photo's place, and of the room around it, in pixels.
const SIDE: u32 = 224;
const GAP: u32 = 12;

/// The first of `mistakes`, from left to right and from top to bottom.
pub(crate) fn draw(global: &Global, classifier: &Classifier, mistakes: &[&Record]) -> RgbImage {
    let shown = &mistakes[..mistakes.len().min(MOST)];
    let text = Text::for_photo(SIDE, SIDE);
    let height = SIDE + 3 * text.line + GAP;
    let (columns, rows) = (shown.len().clamp(1, IN_A_ROW) as u32, shown.len().div_ceil(IN_A_ROW).max(1) as u32);
    let size = (GAP + columns * (SIDE + GAP), GAP + rows * height);
    let mut sheet = RgbImage::from_pixel(size.0, size.1, BACKGROUND);
    if shown.is_empty() {
        text.write(&mut sheet, GAP, GAP, "no mistakes");
    }
    for (i, record) in shown.iter().enumerate() {
        let (x, y) = (GAP + (i % IN_A_ROW) as u32 * (SIDE + GAP), GAP + (i / IN_A_ROW) as u32 * height);
        if let Some(tile) = tile(global, classifier, record) {
            let (dx, dy) = ((SIDE - tile.width()) / 2, (SIDE - tile.height()) / 2);
            imageops::replace(&mut sheet, &tile, (x + dx).into(), (y + dy).into());
        }
        let answer = record.answer();
        let name = |class: usize| classifier.model().labels.name(class);
        let lines = [
            format!("{} {:.0} %", name(answer.said), 100.0 * answer.score),
            format!("is {} {:.0} %", name(answer.truth), 100.0 * answer.of_truth),
            Path::new(&record.path).file_name().unwrap_or_default().to_string_lossy().into_owned(),
        ];
        for (line, words) in lines.iter().enumerate() {
            let fitting: String = words.chars().take((SIDE / text.advance) as usize).collect();
            text.write(&mut sheet, x, y + SIDE + 4 + line as u32 * text.line, &fitting);
        }
    }
    sheet
}

/// A photo with the evidence for the class that was said, as large as its place. Without class maps it is the photo alone, and nothing
/// if it cannot be read any more.
fn tile(global: &Global, classifier: &Classifier, record: &Record) -> Option<RgbImage> {
    let photo = global.photo(Path::new(&record.path)).ok()?.image;
    let (width, height) = (f64::from(photo.width()), f64::from(photo.height()));
    let scale = f64::from(SIDE) / width.max(height);
    let side = |extent: f64| ((extent * scale).round() as u32).clamp(1, SIDE);
    let explained = classifier.explain(&photo, Some(record.answer().said)).ok();
    let drawn = explained.map_or_else(|| photo.to_rgb8(), |explained| explained.overlay(&photo.to_rgb8()));
    Some(imageops::resize(&drawn, side(width), side(height), FilterType::Triangle))
}
