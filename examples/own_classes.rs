//! Fits a model to photos in a folder for each class, as `residua fit` does, and names the class of another photo with it:
//! `cargo run --example own_classes -- TRAIN PHOTO`.
#![allow(clippy::print_stdout, reason = "an example prints its results")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use residua::{
    Classifier,
    learn::{Logistic, Rows, Truth},
};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(train), Some(photo)) = (arguments.next(), arguments.next()) else {
        return Err("usage: own_classes TRAIN PHOTO".into());
    };
    let backbone = Classifier::open("builtin")?;
    let (mut labels, mut features, mut of) = (Vec::new(), Vec::new(), Vec::new());
    for (class, folder) in entries(Path::new(&train))?.iter().enumerate() {
        labels.push(folder.file_name().unwrap_or_default().to_string_lossy().into_owned());
        for photo in entries(folder)? {
            features.extend(backbone.embed_path(photo)?);
            of.push(vec![class]);
        }
    }
    let truth = Truth { classes: labels.len(), several: false, of };
    let rows = Rows { values: &features, features: backbone.model().features, views: 1 };
    let fitted = Logistic::default().fit::<residua::Error>(rows, &truth, &mut |_| Ok(()))?;
    let classifier = backbone.with_head(&fitted.head, &labels, false)?;
    let best = &classifier.infer_path(photo)?.top(1)[0];
    println!("{} {:.0} %", best.label, 100.0 * best.score);
    Ok(())
}

/// The entries of a folder, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    paths.sort();
    Ok(paths)
}
