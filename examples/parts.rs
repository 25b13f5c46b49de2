//! Draws parts as a camera over a conveyor belt might see them, one folder per kind: the photos for the guide to training your own classes.
//!
//! ```text
//! cargo run --example parts -- parts/
//! ```

use std::{
    env,
    error::Error,
    f32::consts::{FRAC_PI_3, FRAC_PI_6, TAU},
    fs,
    path::Path,
};

use image::{Rgb, RgbImage};

/// Side of a photo in pixels.
const SIDE: u32 = 96;

/// Number of photos of each kind for training, and for measuring.
const TRAIN: u32 = 40;
const VAL: u32 = 20;

/// The kinds of parts.
const KINDS: [&str; 3] = ["broken washer", "nut", "washer"];

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: parts FOLDER")?;
    draw(Path::new(&folder))?;
    Ok(())
}

/// Draws all photos below `folder`.
pub(crate) fn draw(folder: &Path) -> Result<(), Box<dyn Error>> {
    for (set, first, count) in [("train", 0, TRAIN), ("val", 1000, VAL)] {
        for (kind, name) in KINDS.iter().enumerate() {
            let place = folder.join(set).join(name);
            fs::create_dir_all(&place)?;
            for i in first..first + count {
                photo(kind, i).save(place.join(format!("{i:04}.png")))?;
            }
        }
    }
    Ok(())
}

/// A pseudo-random number from 0 to 1, the same in every run.
fn chance(seed: u32) -> f32 {
    let mixed = (seed ^ (seed >> 15)).wrapping_mul(0x2c1b_3c6d);
    let mixed = (mixed ^ (mixed >> 12)).wrapping_mul(0x297a_2d39);
    (mixed ^ (mixed >> 15)) as f32 / u32::MAX as f32
}

/// One part, with a random size, place and light.
fn photo(kind: usize, number: u32) -> RgbImage {
    let any = |what: u32, from: f32, to: f32| from + (to - from) * chance(number * 64 + what * 7 + kind as u32);
    let (x, y, radius, turn) = (any(1, 40.0, 56.0), any(2, 40.0, 56.0), any(3, 22.0, 34.0), any(4, 0.0, TAU));
    let (hole, light, belt, gap) = (any(5, 0.45, 0.6), any(6, 150.0, 235.0), any(7, 40.0, 110.0), any(8, 0.12, 0.35));
    RgbImage::from_fn(SIDE, SIDE, |column, row| {
        let (dx, dy) = (column as f32 - x, row as f32 - y);
        let (distance, angle) = (dx.hypot(dy) / radius, (dy.atan2(dx) + turn).rem_euclid(TAU));
        let edge = match kind {
            // A hexagon: the distance is smallest in the middle of each side.
            1 => 0.87 / (angle.rem_euclid(FRAC_PI_3) - FRAC_PI_6).cos(),
            _ => 1.0,
        };
        let is_metal = distance < edge && distance > hole && !(kind == 0 && angle < gap);
        let shine = 30.0 * (angle * 2.0).sin();
        let grain = 24.0 * (chance(number * 9973 + row * SIDE + column) - 0.5);
        let value = if is_metal { light + shine } else { belt } + grain;
        Rgb([value, value, value + if is_metal { 12.0 } else { -6.0 }].map(|value| value.clamp(0.0, 255.0) as u8))
    })
}
