//! Reads the labels of ImageNet's validation set: Kaggle's table, and the numbers of the development kit.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use residua::Error;

use super::mat;

/// Folders of the images in Kaggle's tables, relative to the table.
const KAGGLE: [&str; 4] = ["", "val", "ILSVRC/Data/CLS-LOC/val", "ILSVRC/Data/CLS-LOC/train"];

/// Beginning of the names of validation images. Eight digits follow, which count from one.
const VALIDATION: &str = "ILSVRC2012_val_";

/// An image, relative to the folder of the table at `place`, and its class, from a row of `LOC_val_solution.csv` or `LOC_train_solution.csv`:
/// the name of an image without an ending, and classes with boxes, all of the same class.
///
/// # Errors
/// [`Error::ConfigValue`] if there is no such image.
pub(super) fn kaggle(place: &Path, id: &str, prediction: &str) -> Result<(PathBuf, String), Error> {
    let class = prediction.split_whitespace().next().unwrap_or_default();
    let folders = KAGGLE.iter().flat_map(|folder| [Path::new(folder).into(), Path::new(folder).join(class)]);
    let mut candidates = folders.map(|folder: PathBuf| folder.join(format!("{id}.JPEG")));
    match candidates.find(|path| place.with_file_name("").join(path).is_file()) {
        Some(path) => Ok((path, class.into())),
        None => {
            let expected =
                "the image, ending in .JPEG, beside the list, or below it in val/ or ILSVRC/Data/CLS-LOC/val/";
            Err(Error::config_value(place.display().to_string(), "ImageId", id, expected))
        }
    }
}

/// The classes of images out of a file with one a line, in the order of the images' names; the images of ImageNet's validation set have the
/// line that their names say. A line has the WordNet id of a class, its name, or its number in the development kit of ILSVRC 2012. Numbers
/// need the kit's `meta.mat` beside the file.
///
/// # Errors
/// [`Error::Io`]; [`Error::ConfigValue`] if there are not as many lines as images, or for numbers without `meta.mat`.
pub(super) fn classes_of(file: &Path, images: &[&Path]) -> Result<Vec<String>, Error> {
    let text = fs::read_to_string(file).map_err(|error| Error::io(file, &error))?;
    let invalid = |field: &str, value: String, expected: String| {
        Err(Error::config_value(file.display().to_string(), field, value, expected))
    };
    let mut lines: Vec<String> = text.trim_start_matches('\u{feff}').lines().map(|line| line.trim().into()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    if lines.iter().any(|line| line.parse::<u64>().is_ok()) {
        let kit = file.with_file_name("meta.mat");
        if !kit.is_file() {
            let expected = "WordNet ids or names; for numbers, put meta.mat of the development kit beside this file";
            return invalid("classes", "numbers".into(), expected.into());
        }
        let synsets = synsets(&kit)?;
        for (number, line) in lines.iter_mut().enumerate() {
            match line.parse().ok().and_then(|id: u64| synsets.get(&id)) {
                Some(synset) => line.clone_from(synset),
                None => return invalid(&format!("line {}", number + 1), line.clone(), "a number of meta.mat".into()),
            }
        }
    }
    let numbers: Option<Vec<usize>> = images.iter().map(|path| number_of(path)).collect();
    match numbers {
        Some(numbers) => {
            let line = |number: usize| lines.get(number.wrapping_sub(1)).cloned();
            match numbers.iter().find(|number| line(**number).is_none()) {
                None => Ok(numbers.into_iter().filter_map(line).collect()),
                Some(number) => {
                    invalid("lines", lines.len().to_string(), format!("a line {number} for the image with this number"))
                }
            }
        }
        None if lines.len() == images.len() => Ok(lines),
        None => invalid("lines", lines.len().to_string(), format!("{}, one for each image", images.len())),
    }
}

/// The number of a validation image.
fn number_of(path: &Path) -> Option<usize> {
    let digits = path.file_stem()?.to_str()?.strip_prefix(VALIDATION)?.split('_').next()?;
    digits.parse().ok().filter(|_| digits.len() == 8)
}

/// WordNet ids by their numbers in a development kit.
fn synsets(path: &Path) -> Result<HashMap<u64, String>, Error> {
    let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
    let fields = mat::structures(&bytes, "synsets", ["ILSVRC2012_ID", "WNID"]);
    let pairs =
        fields.map(|rows| rows.into_iter().filter_map(|[id, synset]| Some((id.parse().ok()?, synset))).collect());
    let is_known = |pairs: &HashMap<u64, String>| pairs.values().any(|synset| synset.starts_with('n'));
    pairs.filter(is_known).ok_or_else(|| {
        let expected =
            "a MAT-file of version 5 with the structures synsets, as the development kit of ILSVRC 2012 has it";
        Error::config_value(path.display().to_string(), "synsets", "cannot be read", expected)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The classes that `text` gives to images, with or without the kit of `tests/golden/devkit` beside it.
    fn read(text: &str, images: &[&str], with_kit: bool) -> Result<Vec<String>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/meta.mat");
        if with_kit {
            fs::copy(kit, folder.path().join("meta.mat")).unwrap();
        }
        let file = folder.path().join("ILSVRC2012_validation_ground_truth.txt");
        fs::write(&file, text).unwrap();
        classes_of(&file, &images.iter().map(Path::new).collect::<Vec<_>>())
    }

    #[test]
    fn the_kit_says_what_its_numbers_mean() {
        let some = ["val/ILSVRC2012_val_00000003.JPEG", "val/ILSVRC2012_val_00000001_n02119789.JPEG"];
        assert_eq!(read("1\n3\n2\n", &some, true).unwrap(), ["n02100735", "n02119789"]);
        assert_eq!(read("n1\nn2\n", &["a.png", "b.png"], false).unwrap(), ["n1", "n2"]);
        for (text, images, with_kit) in [
            ("1\n3\n2\n", &some[..], false),
            ("1\n4\n2\n", &some, true),
            ("1\n3\n", &some, true),
            ("n1\n", &["a.png", "b.png"], false),
            ("n1\nn2\n\nn3", &["a.png", "b.png", "c.png"], false),
        ] {
            assert_eq!(read(text, images, with_kit).unwrap_err().code(), "config.value", "{text}");
        }
    }

    #[test]
    fn a_damaged_kit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.mat");
        let whole = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/meta.mat")).unwrap();
        for length in (0..whole.len()).step_by(7) {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(synsets(&path).unwrap_err().code(), "config.value", "{length}");
        }
    }
}
