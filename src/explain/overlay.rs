//! Draws a class-activation map over its photo.

use ::image::{Rgb, RgbImage};

use super::Explanation;

impl Explanation {
    /// The explained `photo`, upright and in grey, with evidence for the class in colour. The part outside the network's input is
    /// dark and hatched.
    #[doc(hidden)]
    pub fn overlay(&self, photo: &RgbImage) -> RgbImage {
        let largest = self.largest();
        let spacing = spacing(photo.width(), photo.height());
        RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
            let [r, g, b] = photo.get_pixel(x, y).0.map(f32::from);
            // Luma of ITU-R BT.601.
            let grey = 0.299 * r + 0.587 * g + 0.114 * b;
            let shown = match self.at(f64::from(x) + 0.5, f64::from(y) + 0.5) {
                Some(value) if largest > 0.0 => heat(grey, value / largest),
                Some(_) => [grey; 3],
                None => [not_seen(grey, x, y, spacing); 3],
            };
            Rgb(shown.map(|value| value as u8))
        })
    }

    /// The strongest evidence for the class; 0 if there is none.
    pub fn largest(&self) -> f32 {
        self.map.iter().copied().fold(0.0, f32::max)
    }
}

/// Distance between hatching lines in pixels, for a photo of this size.
pub fn spacing(width: u32, height: u32) -> u32 {
    match width.min(height.saturating_mul(2)) {
        0..700 => 16,
        700..1200 => 24,
        side => 32 * (side / 1200).max(1),
    }
}

/// Colour of evidence over a grey pixel; `t` in 0..1 is a share of the strongest. Negative `t`, evidence against the class, has
/// no colour.
pub fn heat(grey: f32, t: f32) -> [f32; 3] {
    let t = t.clamp(0.0, 1.0);
    let opacity = 0.75 * t.sqrt();
    let colour = colour(t);
    std::array::from_fn(|c| grey * (1.0 - opacity) + colour[c] * opacity)
}

/// Inferno: its lightness grows evenly, and it looks the same to the colour-blind.
fn colour(t: f32) -> [f32; 3] {
    let colorous::Color { r, g, b } = colorous::INFERNO.eval_continuous(f64::from(t));
    [r, g, b].map(f32::from)
}

/// A grey pixel outside the network's input.
pub fn not_seen(grey: f32, x: u32, y: u32, spacing: u32) -> f32 {
    let hatch = (x + y) % spacing < spacing / 10 + 1;
    grey * 0.3 + if hatch { 40.0 } else { 0.0 }
}
