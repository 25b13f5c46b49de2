//! Real photos, which lie beside the project and not in it.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::compare::{difference, files, open, pixels};
use crate::golden::{check_folder, named};

/// The folder of the real data, or a word on stderr that the test is skipped.
fn real_data(test: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RESIDUA_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    if folder.join("golden/preprocess").is_dir() {
        return Some(folder);
    }
    // Not `eprintln!`, which the test harness swallows.
    let mut stderr = std::io::stderr();
    writeln!(stderr, "skipped {test}: no real data in {}", folder.display()).unwrap();
    None
}

#[test]
fn photos_as_png_are_bit_equal() {
    let Some(data) = real_data("photos_as_png_are_bit_equal") else { return };
    assert_eq!(check_folder(&data.join("golden/preprocess/png"), named), 36);
}

/// With the feature `libjpeg` the decoder is Pillow's and so are the crops, bit for bit. Without it, the `image` crate's decoder
/// rounds the inverse cosine transform and interpolates the colour planes in its own way. Measured over six photos and three
/// recipes: with full-resolution colour the mean difference is at most 0.021 and the largest 2, with halved colour planes (4:2:0)
/// 0.29 and 9. The bounds leave about a third on top.
#[test]
fn photos_as_jpeg_drift_within_bounds() {
    let (mean, max) = if cfg!(feature = "libjpeg") { (0.0, 0) } else { (0.4, 12) };
    let Some(data) = real_data("photos_as_jpeg_drift_within_bounds") else { return };
    let mut checked = 0;
    for (name, path) in files(&data.join("golden/preprocess")) {
        let (photo, recipe) = name.trim_end_matches(".png").split_once('.').unwrap();
        let image = open(&data.join("data/imagenet/images").join(photo).with_extension("JPEG"));
        let got = named(recipe).pixels(&image).unwrap();
        let apart = difference(&name, &got, &pixels(&open(&path).to_rgb8()));
        assert!(apart.mean <= mean && apart.max <= max, "{name}: {apart:?}");
        checked += 1;
    }
    assert_eq!(checked, 18);
}

#[test]
fn every_photo_is_whole() {
    let Some(data) = real_data("every_photo_is_whole") else { return };
    for (_, path) in files(&data.join("data/imagenet/images")) {
        open(&path);
    }
}
