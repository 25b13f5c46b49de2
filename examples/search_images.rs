//! Finds the photos in a folder that look most like a given one: `cargo run --example search_images -- QUERY PHOTOS [MODEL]`.
//!
//! The smaller the angle between the features of two photos, the more similar they are. For large folders, use the command `residua similar`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::{
    error::Error,
    path::{Path, PathBuf},
};

use residua::{
    Classifier,
    folder::{Choice, Found},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(query), Some(photos)) = (arguments.next(), arguments.next()) else {
        return Err("usage: search_images QUERY PHOTOS [MODEL]".into());
    };
    let classifier = Classifier::open(&arguments.next().unwrap_or("builtin".into()))?;
    let query = features(&classifier, Path::new(&query))?;
    let mut found: Vec<(f32, PathBuf)> = Vec::new();
    Choice::default().walk(Path::new(&photos), &mut |entry| match entry {
        Found::Image(path) => {
            match features(&classifier, &path) {
                Ok(features) => found.push((query.iter().zip(&features).map(|(a, b)| a * b).sum(), path)),
                Err(error) => eprintln!("{}: {error}", path.display()),
            }
            Ok(())
        }
        Found::Failed(_, error) => Err(error),
        _ => Ok(()),
    })?;
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (cosine, path) in found.iter().take(10) {
        println!("{cosine:.4}  {}", path.display());
    }
    Ok(())
}

/// Features of the photo at `path`, scaled to length one, so that their products are cosines.
fn features(classifier: &Classifier, path: &Path) -> Result<Vec<f32>, Box<dyn Error>> {
    let features = classifier.embed_path(path)?;
    let length = features.iter().map(|f| f * f).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    Ok(features.into_iter().map(|f| f / length).collect())
}
