//! Real photos, which are not part of the repository. `tests/check` runs these tests if the photos are present.

use std::path::{Path, PathBuf};

use crate::compare::{difference, files, open, pixels};
use crate::golden::{check_folder, named};

/// The folder of the real photos: `RESIDUA_REAL_DATA`, else `../shared`.
fn real_data() -> PathBuf {
    let folder = std::env::var_os("RESIDUA_REAL_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from);
    assert!(folder.join("golden/preprocess").is_dir(), "no real data in {}; set RESIDUA_REAL_DATA", folder.display());
    folder
}

#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn photos_as_png_are_bit_equal() {
    let data = real_data();
    assert_eq!(check_folder(&data.join("golden/preprocess/png"), named), 36);
}

/// With the feature `libjpeg` the decoder is Pillow's, so the crops are equal bit for bit. Without it, the `image` crate's decoder
/// rounds the inverse cosine transform and interpolates the colour planes in its own way. Measured over six photos and three
/// recipes: with full-resolution colour the mean difference is at most 0.021 and the largest 2; with halved colour planes (4:2:0),
/// 0.29 and 9. The bounds are about a third larger.
#[test]
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn photos_as_jpeg_drift_within_bounds() {
    let (mean, max) = if cfg!(feature = "libjpeg") { (0.0, 0) } else { (0.4, 12) };
    let data = real_data();
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
#[ignore = "needs the data of RESIDUA_REAL_DATA"]
fn every_photo_is_whole() {
    let data = real_data();
    for (_, path) in files(&data.join("data/imagenet/images")) {
        open(&path);
    }
}
