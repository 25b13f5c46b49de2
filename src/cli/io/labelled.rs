//! Images whose classes are known: a folder for each class, or a list of paths and labels.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use residua::Error;
use serde::Deserialize;

use super::{folder::FolderOptions, imagenet, inputs::Inputs, left_out::LeftOut};

/// Names of the columns that hold paths and labels, in small letters.
const PATHS: [&str; 6] = ["path", "file", "filename", "filepath", "image", "image_path"];
const LABELS: [&str; 6] = ["label", "labels", "class", "category", "target", "synset"];

/// The columns of Kaggle's tables of ImageNet.
const KAGGLE: [&str; 2] = ["ImageId", "PredictionString"];

/// Images whose classes are known.
#[derive(Debug, Default)]
pub(crate) struct Labelled {
    /// The folder or the paths as given.
    inputs: Vec<PathBuf>,
    /// The names of the classes of each image.
    pub(crate) images: BTreeMap<PathBuf, Vec<String>>,
    /// All classes, sorted, including those without an image.
    pub(crate) classes: BTreeSet<String>,
    /// Images that do not lie in the folder of a class.
    pub(crate) loose: Vec<PathBuf>,
}

/// A line of JSON.
#[derive(Deserialize)]
struct Line {
    path: PathBuf,
    label: Option<String>,
    labels: Option<Vec<String>>,
}

impl Labelled {
    /// Reads a folder with a folder for each class, or a list of paths and labels. The ending of a list's name is .csv, .tsv or .jsonl, and
    /// its paths are relative to its folder. With `several` an image of a list may have several labels, in a table with ; between them.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ConfigValue`] for a list that cannot be understood, or if there is no image.
    pub(crate) fn read(place: &Path, folders: &FolderOptions, several: bool) -> Result<Self, Error> {
        if place.is_dir() {
            return Self::folder(place, folders);
        }
        let ending = place.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let invalid =
            |value: &str, expected: &str| Error::config_value(place.display().to_string(), "list", value, expected);
        let kinds =
            "a folder with a folder for each class, or a list of paths and labels that ends in .csv, .tsv or .jsonl";
        if !["csv", "tsv", "jsonl"].contains(&ending.as_str()) {
            return Err(if place.exists() { invalid(&ending, kinds) } else { Error::io(place, &not_there()) });
        }
        let text = fs::read_to_string(place).map_err(|error| Error::io(place, &error))?;
        let text = text.trim_start_matches('\u{feff}');
        let rows =
            if ending == "jsonl" { json_lines(place, text, several)? } else { table(place, text, &ending, several)? };
        let base = Some(place.with_file_name("")).filter(|base| !base.as_os_str().is_empty()).unwrap_or(".".into());
        let mut labelled = Labelled::default();
        for (path, labels) in rows {
            let (row, path) = (path.display().to_string(), base.join(path));
            // It would stand for all images in it.
            if path.is_dir() {
                return Err(Error::config_value(place.display().to_string(), "path", row, "an image, not a folder"));
            }
            labelled.classes.extend(labels.iter().cloned());
            match labelled.images.get_mut(&path) {
                Some(before) if several => before.extend(labels),
                Some(before) if *before != labels => {
                    let (value, expected) =
                        (format!("{} and {}", before.join(";"), labels.join(";")), "one class per image");
                    return Err(Error::config_value(
                        place.display().to_string(),
                        path.display().to_string(),
                        value,
                        expected,
                    ));
                }
                Some(_) => {}
                None => {
                    labelled.inputs.push(path.clone());
                    labelled.images.insert(path, labels);
                }
            }
        }
        if labelled.images.is_empty() { Err(invalid("no lines", "a line for each image")) } else { Ok(labelled) }
    }

    fn folder(place: &Path, folders: &FolderOptions) -> Result<Self, Error> {
        let mut labelled = Labelled { inputs: vec![place.into()], ..Labelled::default() };
        folders.walk(place, &mut LeftOut::default(), &mut |path, error| {
            let below = path.strip_prefix(place).unwrap_or(&path);
            let class = below.components().next().filter(|_| below.components().count() > 1);
            match (error, class) {
                (Some(Error::ImageNone), _) if path == place => {
                    let expected = "a folder of images for each class";
                    return Err(Error::config_value(place.display().to_string(), "images", "none", expected));
                }
                (Some(error), _) if path == place => return Err(error),
                // An unreadable image is reported when its turn comes.
                (Some(_), _) => {}
                (None, Some(class)) => {
                    let name = class.as_os_str().to_string_lossy().into_owned();
                    labelled.classes.insert(name.clone());
                    labelled.images.insert(path, vec![name]);
                }
                (None, None) => labelled.loose.push(path),
            }
            Ok(())
        })?;
        labelled.classes.extend(folders.folders_in(place)?);
        Ok(labelled)
    }

    /// Adds the loose images of a folder whose names contain a WordNet id, like those of ImageNet's training set and of some of its
    /// validation sets (`n01440764_10026.JPEG`, `ILSVRC2012_val_00000293_n01440764.JPEG`).
    pub(crate) fn with_synsets(mut self) -> Self {
        let (named, loose): (Vec<_>, Vec<_>) =
            self.loose.into_iter().map(|path| (synset(&path), path)).partition(|(synset, _)| synset.is_some());
        self.loose = loose.into_iter().map(|(_, path)| path).collect();
        for (synset, path) in named {
            self.classes.extend(synset.clone());
            self.images.insert(path, synset.into_iter().collect());
        }
        self
    }

    /// Gives the images of a folder, loose or not, the classes in `file`, one per line.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::ConfigValue`] if the file does not have a class for each image.
    pub(crate) fn with_truth(mut self, file: &Path) -> Result<Self, Error> {
        let mut paths: Vec<PathBuf> = self.images.into_keys().chain(self.loose).collect();
        paths.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then_with(|| a.cmp(b)));
        let classes = imagenet::classes_of(file, &paths.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
        self.classes = classes.iter().cloned().collect();
        self.images = paths.into_iter().zip(classes).map(|(path, class)| (path, vec![class])).collect();
        self.loose = Vec::new();
        Ok(self)
    }

    /// The inputs of a command that runs through these images and the others.
    pub(crate) fn inputs(&self, others: Option<&Labelled>, folders: &FolderOptions) -> Inputs {
        let inputs = self.inputs.iter().chain(others.into_iter().flat_map(|others| &others.inputs));
        Inputs { recursive: true, null: false, folders: folders.clone(), inputs: inputs.cloned().collect() }
    }
}

/// The WordNet id in a file's name: n and eight digits.
fn synset(path: &Path) -> Option<String> {
    let name = path.file_stem()?.to_str()?;
    let is_synset =
        |part: &&str| part.len() == 9 && part.starts_with('n') && part[1..].bytes().all(|b| b.is_ascii_digit());
    name.split(['_', '-', '.', ' ']).find(is_synset).map(String::from)
}

fn not_there() -> std::io::Error {
    std::io::ErrorKind::NotFound.into()
}

fn json_lines(place: &Path, text: &str, several: bool) -> Result<Vec<(PathBuf, Vec<String>)>, Error> {
    let line = |(number, line): (usize, &str)| {
        let invalid = |value: String, expected: &str| {
            Error::config_value(place.display().to_string(), format!("line {}", number + 1), value, expected)
        };
        let expected = "{\"path\": ..., \"label\": ...}, or \"labels\": [...]";
        let Line { path, label, labels } = serde_json::from_str(line).map_err(|e| invalid(e.to_string(), expected))?;
        let trimmed = |label: String| label.trim().to_string();
        let (label, labels) = (label.map(trimmed), labels.map(|of| of.into_iter().map(trimmed).collect::<Vec<_>>()));
        if label.iter().chain(labels.iter().flatten()).any(String::is_empty) {
            return Err(invalid("an empty label".into(), expected));
        }
        match (label, labels) {
            (Some(label), None) => Ok((path, vec![label])),
            (None, Some(labels)) if several || labels.len() == 1 => Ok((path, labels)),
            (None, Some(labels)) => {
                Err(invalid(format!("{} labels", labels.len()), "one, or the option --multi-label"))
            }
            (None, None) => Err(invalid("no label".into(), expected)),
            (Some(_), Some(_)) => Err(invalid("both label and labels".into(), "one of them")),
        }
    };
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(line).collect()
}

fn table(place: &Path, text: &str, ending: &str, several: bool) -> Result<Vec<(PathBuf, Vec<String>)>, Error> {
    let delimiter = if ending == "tsv" { b'\t' } else { b',' };
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    let (mut rows, mut columns, mut kaggle) = (Vec::new(), (0, 1), false);
    for (number, row) in reader.records().enumerate() {
        let invalid = |value: String, expected: &str| {
            Error::config_value(place.display().to_string(), format!("row {}", number + 1), value, expected)
        };
        let row = row.map_err(|error| invalid(error.to_string(), "a row of a table"))?;
        let find = |names: &[&str]| row.iter().position(|cell| names.contains(&cell.trim().to_lowercase().as_str()));
        if number == 0 && row.iter().map(str::trim).eq(KAGGLE) {
            kaggle = true;
            continue;
        }
        if number == 0
            && let (Some(path), Some(label)) = (find(&PATHS), find(&LABELS))
        {
            columns = (path, label);
            continue;
        }
        let (Some(path), Some(label)) = (row.get(columns.0), row.get(columns.1)) else {
            return Err(invalid(format!("{:?}", row.iter().collect::<Vec<_>>()), "a path and a label"));
        };
        if kaggle {
            let (path, class) = imagenet::kaggle(place, path, label)?;
            rows.push((path, vec![class]));
            continue;
        }
        let label = label.trim();
        let labels: Vec<String> = if several {
            label.split(';').map(str::trim).filter(|label| !label.is_empty()).map(String::from).collect()
        } else if label.is_empty() {
            return Err(invalid(path.into(), "a path and a label"));
        } else {
            vec![label.into()]
        };
        rows.push((path.into(), labels));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str, several: bool) -> Result<Vec<(String, String)>, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let labelled = Labelled::read(&path, &FolderOptions::default(), several)?;
        let below = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().display().to_string();
        Ok(labelled.images.iter().map(|(path, labels)| (below(path), labels.join("+"))).collect())
    }

    #[test]
    fn lists_in_every_form() {
        let expected: Vec<(String, String)> =
            [("a.png", "cat"), ("b/c.png", "dog")].map(|(a, b)| (a.into(), b.into())).into();
        for (name, text) in [
            ("a.csv", "a.png,cat\nb/c.png,dog\n"),
            ("a.csv", "\u{feff}label,width,filename\r\ncat,3,a.png\r\ndog,4,b/c.png\r\n"),
            ("A.CSV", "a.png, cat\nb/c.png,dog\na.png,cat"),
            ("a.tsv", "path\tlabel\na.png\tcat\nb/c.png\tdog\n"),
            (
                "a.jsonl",
                "{\"path\": \"a.png\", \"label\": \"cat\"}\n\n{\"path\": \"b/c.png\", \"labels\": [\" dog\"], \"x\": 1}",
            ),
        ] {
            assert_eq!(read(name, text, false).unwrap(), expected, "{name} {text}");
        }
        let several = read("a.csv", "a.png,cat; dog\nb.png,\na.png,bird", true).unwrap();
        assert_eq!(several, [("a.png", "cat+dog+bird"), ("b.png", "")].map(|(a, b)| (a.to_string(), b.to_string())));
    }

    #[test]
    fn the_tables_of_kaggle_find_their_images() {
        let folder = tempfile::tempdir().unwrap();
        let list = folder.path().join("LOC_val_solution.csv");
        let images =
            ["ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000009", "ILSVRC/Data/CLS-LOC/train/n01440764/n01440764_7"];
        for image in images {
            let path = folder.path().join(format!("{image}.JPEG"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let rows =
            "ILSVRC2012_val_00000009,n01751748 111 108 494 339 n01751748 1 2 3 4 \nn01440764_7,n01440764 1 2 3 4 \n";
        fs::write(&list, format!("ImageId,PredictionString\n{rows}")).unwrap();
        let labelled = Labelled::read(&list, &FolderOptions::default(), false).unwrap();
        let below = |path: &PathBuf| path.strip_prefix(folder.path()).unwrap().with_extension("").display().to_string();
        let found: Vec<(String, &str)> =
            labelled.images.iter().map(|(path, labels)| (below(path), labels[0].as_str())).collect();
        assert_eq!(found, [(images[1].to_string(), "n01440764"), (images[0].to_string(), "n01751748")]);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for (name, text) in [
            ("a.csv", "a.png,cat\na.png,dog"),
            ("a.csv", "a.png"),
            ("a.csv", "a.png,"),
            ("a.csv", ""),
            ("a.csv", "path,label\n"),
            ("a.jsonl", "{\"path\": \"a.png\"}"),
            ("a.jsonl", "{\"path\": \"a.png\", \"label\": \"a\", \"labels\": []}"),
            ("a.jsonl", "a.png,cat"),
            ("a.jsonl", "{\"path\": \"a.png\", \"labels\": [\"a\", \"b\"]}"),
            ("a.jsonl", "{\"path\": \"a.png\", \"labels\": []}"),
            ("a.jsonl", "{\"path\": \"a.png\", \"label\": \" \"}"),
            ("a.jsonl", "{\"path\": \"\", \"label\": \"a\"}"),
            ("a.csv", ",cat"),
            ("a.csv", "../,cat"),
            ("a.txt", "a.png cat"),
            ("a.csv", "ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748 111 108 494 339 "),
        ] {
            assert_eq!(read(name, text, false).unwrap_err().code(), "config.value", "{name} {text}");
        }
    }
}
