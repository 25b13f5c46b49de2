//! Checks that crops of PNG inputs equal Pillow's bit for bit.

use std::path::Path;

use residua::image::{CropRounding, Filter, IMAGENET_MEAN, IMAGENET_STD, Preprocess, Resize};

use crate::compare::{assert_equal, files, golden, open, pixels};

/// A recipe of the `make_golden_*.py` scripts, by its name in the file name.
pub(crate) fn named(recipe: &str) -> Preprocess {
    match recipe {
        "torchvision-256-224-bilinear" => Preprocess::torchvision(),
        "timm-0.95-224-bicubic" => Preprocess::centre_crop(224, 235, Filter::Bicubic),
        "timm-1.0-288-bicubic" => Preprocess::centre_crop(288, 288, Filter::Bicubic),
        "square-32-bilinear" => Preprocess::square(32, IMAGENET_MEAN, IMAGENET_STD),
        _ => panic!("no recipe {recipe}"),
    }
}

/// A recipe of `make_pixels.py`: `<resize>.<filter>.<W>x<H>.<rounding>`.
fn spelled(recipe: &str) -> Preprocess {
    let size = |text: &str| -> (usize, usize) {
        let (width, height) = text.split_once('x').unwrap();
        (width.parse().unwrap(), height.parse().unwrap())
    };
    let [resize, filter, crop, rounding] = recipe.split('.').collect::<Vec<_>>()[..] else { panic!("{recipe}") };
    let mut preprocess = Preprocess::torchvision();
    (preprocess.width, preprocess.height) = size(crop);
    preprocess.resize = match resize.split_once('-') {
        Some(("shorter", side)) => Resize::Shorter(side.parse().unwrap()),
        Some(("squash", sides)) => Resize::Squash { width: size(sides).0, height: size(sides).1 },
        _ => Resize::None,
    };
    preprocess.filter = if filter == "bicubic" { Filter::Bicubic } else { Filter::Bilinear };
    preprocess.rounding = if rounding == "floor" { CropRounding::Floor } else { CropRounding::HalfEven };
    preprocess
}

/// Compares every `<input>.<recipe>.png` in a folder with the crop of `<input>.png`; returns their number.
pub(crate) fn check_folder(folder: &Path, recipe: impl Fn(&str) -> Preprocess) -> usize {
    let mut checked = 0;
    for (name, path) in files(folder) {
        let Some((input, spelling)) = name.trim_end_matches(".png").split_once('.') else { continue };
        let image = open(&folder.join(input).with_extension("png"));
        let got = recipe(spelling).pixels(&image).unwrap();
        assert_equal(&name, &got, &pixels(&open(&path).to_rgb8()));
        checked += 1;
    }
    checked
}

#[test]
fn row_24_25_noise_of_extreme_sizes() {
    assert_eq!(check_folder(&golden("preprocess/png"), named), 12);
}

#[test]
fn row_32_odd_sizes_colour_types_and_roundings() {
    assert_eq!(check_folder(&golden("pixels"), spelled), 25);
}

#[test]
#[should_panic(expected = "Difference")]
fn another_filter_is_seen() {
    check_folder(&golden("pixels"), |recipe| {
        let mut preprocess = spelled(recipe);
        preprocess.filter = Filter::Bicubic;
        preprocess
    });
}

#[test]
#[should_panic(expected = "Difference")]
fn another_rounding_is_seen() {
    check_folder(&golden("pixels"), |recipe| {
        let mut preprocess = spelled(recipe);
        preprocess.rounding = CropRounding::HalfEven;
        preprocess
    });
}
