//! Sorts a folder of photos into one folder per class: `cargo run --example sort_photos -- PHOTOS SORTED [MODEL]`.
//!
//! Photos are copied, never moved, and keep their subfolders. If the network is unsure, the photo goes to `unsure`. A damaged photo is
//! reported, and a file that is not a photo is left out.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::{error::Error, fs, path::Path};

use residua::{
    Classifier,
    folder::{Choice, Found},
};

/// Lowest score for filing a photo under a class.
const SURE: f32 = 0.5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(photos), Some(sorted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: sort_photos PHOTOS SORTED [MODEL]".into());
    };
    let classifier = Classifier::open(&arguments.next().unwrap_or("builtin".into()))?;
    let mut paths = Vec::new();
    Choice::default().walk(Path::new(&photos), &mut |found| match found {
        Found::Image(path) => {
            paths.push(path);
            Ok(())
        }
        Found::Failed(_, error) => Err(error),
        _ => Ok(()),
    })?;
    for path in paths {
        let best = match classifier.infer_path(&path) {
            Ok(prediction) => prediction.top(1).remove(0),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                continue;
            }
        };
        let class = if best.score < SURE { "unsure".into() } else { best.label.replace(['/', '\\'], "-") };
        let copy = Path::new(&sorted).join(&class).join(path.strip_prefix(&photos)?);
        fs::create_dir_all(copy.parent().unwrap_or(&copy))?;
        fs::copy(&path, copy)?;
        println!("{:5.1} %  {class}  {}", 100.0 * best.score, path.display());
    }
    Ok(())
}
