//! Finds the photos in a folder that look most like a given one: `cargo run --example search_images -- QUERY PHOTOS [MODEL]`.
//!
//! The smaller the angle between their features, the more similar two photos are. The command `residua similar` does this at scale.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example prints its results")]

use std::{error::Error, fs, path::PathBuf};

use residua::Classifier;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(query), Some(photos)) = (arguments.next(), arguments.next()) else {
        return Err("usage: search_images QUERY PHOTOS [MODEL]".into());
    };
    let classifier = Classifier::open(&arguments.next().unwrap_or("builtin".into()))?;
    let query = features(&classifier, &query.into())?;
    let mut found: Vec<(f32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(photos)? {
        let path = entry?.path();
        match features(&classifier, &path) {
            Ok(features) => found.push((query.iter().zip(&features).map(|(a, b)| a * b).sum(), path)),
            Err(error) => eprintln!("{}: {error}", path.display()),
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    for (cosine, path) in found.iter().take(10) {
        println!("{cosine:.4}  {}", path.display());
    }
    Ok(())
}

/// Features of the photo at `path`, scaled to length one, so that their products are cosines.
fn features(classifier: &Classifier, path: &PathBuf) -> Result<Vec<f32>, Box<dyn Error>> {
    let features = classifier.embed_path(path)?;
    let length = features.iter().map(|f| f * f).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    Ok(features.into_iter().map(|f| f / length).collect())
}
