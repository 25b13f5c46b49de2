//! Sorts a folder of photos into one folder per class: `cargo run --example sort_photos -- PHOTOS SORTED [MODEL]`.
//!
//! Photos are copied, never moved. If the network is unsure, the photo goes to `unsure`; if it cannot be read, it is reported.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::{error::Error, fs, path::PathBuf};

use residua::Classifier;

/// Lowest score for filing a photo under a class.
const SURE: f32 = 0.5;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(photos), Some(sorted)) = (arguments.next(), arguments.next()) else {
        return Err("usage: sort_photos PHOTOS SORTED [MODEL]".into());
    };
    let classifier = Classifier::open(&arguments.next().unwrap_or("builtin".into()))?;
    let mut paths: Vec<PathBuf> =
        fs::read_dir(photos)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.is_file());
    paths.sort();
    for path in paths {
        let best = match classifier.infer_path(&path) {
            Ok(prediction) => prediction.top(1).remove(0),
            Err(error) => {
                eprintln!("{}: {error}", path.display());
                continue;
            }
        };
        let class = if best.score < SURE { "unsure".into() } else { best.label.replace(['/', '\\'], "-") };
        let folder = PathBuf::from(&sorted).join(&class);
        fs::create_dir_all(&folder)?;
        fs::copy(&path, folder.join(path.file_name().unwrap_or_default()))?;
        println!("{:5.1} %  {class}  {}", 100.0 * best.score, path.display());
    }
    Ok(())
}
