//! Draws a class-activation map over its photo, with a legend below.

use ::image::{Rgb, RgbImage, imageops::replace};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use residua::{
    Explanation,
    explain::overlay::{self, heat, not_seen},
};

pub(super) const BACKGROUND: Rgb<u8> = Rgb([24, 24, 27]);
const INK: Rgb<u8> = Rgb([240, 240, 240]);
/// Smallest width of the picture, for the legend.
const LEAST_WIDTH: u32 = 400;

/// The photo in its own size with the map over it and the legend below.
pub(crate) fn draw(photo: &RgbImage, explanation: &Explanation) -> RgbImage {
    let text = Text::for_photo(photo.width(), photo.height());
    let width = photo.width().max(LEAST_WIDTH);
    let mut canvas = RgbImage::from_pixel(width, photo.height() + 5 * text.line, BACKGROUND);
    replace(&mut canvas, &explanation.overlay(photo), 0, 0);
    let end = legend(&mut canvas, photo.height(), &text, explanation);
    let corners = [(0, 0), (photo.width() - 1, photo.height() - 1)];
    let is_seen = |(x, y): (u32, u32)| explanation.at(f64::from(x) + 0.5, f64::from(y) + 0.5).is_some();
    if !corners.into_iter().all(is_seen) {
        hatch_key(&mut canvas, end, &text);
    }
    canvas
}

/// Writes class, score and colour scale; returns where they end.
fn legend(canvas: &mut RgbImage, top: u32, text: &Text, explanation: &Explanation) -> (u32, u32) {
    let largest = explanation.largest();
    let (line, margin) = (text.line, text.line / 2);
    let class = &explanation.class;
    text.write(canvas, margin, top + line / 2, &class.label);
    let scores = format!("{:.2} %, logit {:.2}", 100.0 * class.score, explanation.logit);
    text.write(canvas, margin, top + 3 * line / 2, &scores);
    let y = top + 3 * line;
    let x = text.write(canvas, margin, y, "evidence 0 ");
    let bar = 12 * text.advance;
    for i in 0..bar {
        // Over mid grey, as if over an average photo.
        let colour = heat(128.0, i as f32 / bar as f32).map(|value| value as u8);
        (y + line / 8..y + 7 * line / 8).for_each(|y| put(canvas, x + i, y, Rgb(colour)));
    }
    let end = if largest > 0.0 { format!("{largest:.1}") } else { "no evidence".into() };
    (text.write(canvas, x + bar + text.advance, y, &end), y)
}

/// Explains the hatching, after `x` or on the next line.
fn hatch_key(canvas: &mut RgbImage, (x, y): (u32, u32), text: &Text) {
    let (line, x) = (text.line, x + 2 * text.advance);
    let (x, y) = if x + 12 * text.advance < canvas.width() { (x, y) } else { (line / 2, y + line) };
    for i in 0..2 * text.advance {
        (y + line / 8..y + 7 * line / 8).for_each(|y| {
            let value = not_seen(128.0, x + i, y, line) as u8;
            put(canvas, x + i, y, Rgb([value; 3]));
        });
    }
    text.write(canvas, x + 3 * text.advance, y, "not seen");
}

fn put(canvas: &mut RgbImage, x: u32, y: u32, colour: Rgb<u8>) {
    if let Some(pixel) = canvas.get_pixel_mut_checked(x, y) {
        *pixel = colour;
    }
}

/// A font size.
pub(super) struct Text {
    raster: RasterHeight,
    /// Screen pixels per raster pixel.
    scale: u32,
    /// Height of a line in pixels.
    pub(super) line: u32,
    /// Width of a character in pixels.
    pub(super) advance: u32,
}

impl Text {
    /// Keeps text legible when the whole picture is shown: a line is as high as the hatching is wide.
    pub(super) fn for_photo(width: u32, height: u32) -> Self {
        let line = overlay::spacing(width, height);
        let raster = match line {
            0..24 => RasterHeight::Size16,
            24..32 => RasterHeight::Size24,
            _ => RasterHeight::Size32,
        };
        let scale = line / raster.val() as u32;
        Text { raster, scale, line, advance: get_raster_width(FontWeight::Regular, raster) as u32 * scale }
    }

    /// Writes as much of `text` as fits; returns where it ends. A character that the font lacks becomes a question mark.
    pub(super) fn write(&self, canvas: &mut RgbImage, mut x: u32, y: u32, text: &str) -> u32 {
        for character in text.chars() {
            if x + self.advance > canvas.width() {
                break;
            }
            let glyph = [character, '?'].into_iter().find_map(|c| get_raster(c, FontWeight::Regular, self.raster));
            for (row, pixels) in glyph.iter().flat_map(|glyph| glyph.rows().enumerate()) {
                for (column, &intensity) in pixels.iter().enumerate() {
                    let mixed = std::array::from_fn(|c| {
                        let (ink, paper) = (u32::from(INK.0[c]), u32::from(BACKGROUND.0[c]));
                        ((ink * u32::from(intensity) + paper * (255 - u32::from(intensity))) / 255) as u8
                    });
                    for (dx, dy) in (0..self.scale).flat_map(|dx| (0..self.scale).map(move |dy| (dx, dy))) {
                        put(canvas, x + column as u32 * self.scale + dx, y + row as u32 * self.scale + dy, Rgb(mixed));
                    }
                }
            }
            x += self.advance;
        }
        x
    }
}
