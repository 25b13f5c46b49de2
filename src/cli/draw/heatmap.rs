//! Draws a class-activation map over the photo that it is of, with a legend below.

use ::image::{Rgb, RgbImage};
use noto_sans_mono_bitmap::{FontWeight, RasterHeight, get_raster, get_raster_width};
use residua::Explanation;

const BACKGROUND: Rgb<u8> = Rgb([24, 24, 27]);
const INK: Rgb<u8> = Rgb([240, 240, 240]);
/// Room for the legend, whatever the photo's width.
const LEAST_WIDTH: u32 = 400;

/// The photo in its own size: grey, with the heat in colour where there is evidence for the class; dark and hatched where the
/// network did not look. The legend is below it.
pub(crate) fn draw(photo: &RgbImage, explanation: &Explanation) -> RgbImage {
    let text = Text::for_photo(photo.width(), photo.height());
    let width = photo.width().max(LEAST_WIDTH);
    let mut canvas = RgbImage::from_pixel(width, photo.height() + 5 * text.line, BACKGROUND);
    let largest = explanation.map.iter().copied().fold(0.0, f32::max);
    let mut all_seen = true;
    for (x, y, pixel) in photo.enumerate_pixels() {
        let [r, g, b] = pixel.0.map(f32::from);
        // Luma of ITU-R BT.601.
        let grey = 0.299 * r + 0.587 * g + 0.114 * b;
        let shown = match explanation.at(f64::from(x) + 0.5, f64::from(y) + 0.5) {
            Some(value) if largest > 0.0 => heat(grey, value / largest),
            Some(_) => [grey; 3],
            None => {
                all_seen = false;
                [not_seen(grey, x, y, text.line); 3]
            }
        };
        canvas.put_pixel(x, y, Rgb(shown.map(|value| value as u8)));
    }
    let end = legend(&mut canvas, photo.height(), &text, explanation, largest);
    if !all_seen {
        hatch_key(&mut canvas, end, &text);
    }
    canvas
}

/// `t` 0..1 of the strongest evidence over a grey pixel. Below zero it is evidence against the class, which is not coloured.
fn heat(grey: f32, t: f32) -> [f32; 3] {
    let t = t.clamp(0.0, 1.0);
    let opacity = 0.75 * t.sqrt();
    let colour = colour(t);
    std::array::from_fn(|c| grey * (1.0 - opacity) + colour[c] * opacity)
}

/// Inferno grows evenly in lightness and reads the same for the colour-blind.
fn colour(t: f32) -> [f32; 3] {
    let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(f64::from(t));
    [r, g, b].map(f32::from)
}

fn not_seen(grey: f32, x: u32, y: u32, line: u32) -> f32 {
    let hatch = (x + y) % line < line / 10 + 1;
    grey * 0.3 + if hatch { 40.0 } else { 0.0 }
}

/// Class and score, and the colour scale. Returns where it ends.
fn legend(canvas: &mut RgbImage, top: u32, text: &Text, explanation: &Explanation, largest: f32) -> (u32, u32) {
    let (line, margin) = (text.line, text.line / 2);
    let class = &explanation.class;
    text.write(canvas, margin, top + line / 2, &class.label);
    let scores = format!("{:.2} %, logit {:.2}", 100.0 * class.score, explanation.logit);
    text.write(canvas, margin, top + 3 * line / 2, &scores);
    let y = top + 3 * line;
    let x = text.write(canvas, margin, y, "evidence 0 ");
    let bar = 12 * text.advance;
    for i in 0..bar {
        // Over mid grey, as over a photo.
        let colour = heat(128.0, i as f32 / bar as f32).map(|value| value as u8);
        (y + line / 8..y + 7 * line / 8).for_each(|y| put(canvas, x + i, y, Rgb(colour)));
    }
    let end = if largest > 0.0 { format!("{largest:.1}") } else { "no evidence for it".into() };
    (text.write(canvas, x + bar + text.advance, y, &end), y)
}

/// What the hatching means, behind `x` or on the next line.
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
struct Text {
    raster: RasterHeight,
    /// Screen pixels of a raster pixel.
    scale: u32,
    /// Height of a line in pixels.
    line: u32,
    /// Width of a character in pixels.
    advance: u32,
}

impl Text {
    /// Legible where the whole picture is looked at.
    fn for_photo(width: u32, height: u32) -> Self {
        let side = width.min(height.saturating_mul(2));
        let (raster, scale) = match side {
            0..700 => (RasterHeight::Size16, 1),
            700..1200 => (RasterHeight::Size24, 1),
            _ => (RasterHeight::Size32, (side / 1200).max(1)),
        };
        let advance = get_raster_width(FontWeight::Regular, raster) as u32 * scale;
        Text { raster, scale, line: raster.val() as u32 * scale, advance }
    }

    /// Writes as much of `text` as fits, and returns where it ends. A character that the font lacks is a question mark.
    fn write(&self, canvas: &mut RgbImage, mut x: u32, y: u32, text: &str) -> u32 {
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
