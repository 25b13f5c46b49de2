//! The features of a folder's images, in memory and in an index file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use residua::{
    Classifier, Error, ModelInfo,
    search::{
        index::{self, Indexed},
        unit,
    },
    stream::Infer,
};

use super::{files::write_file, list::path_of, work::Work};
use crate::cli::{options::Global, outcome::Stop};

/// Images by path, with their features.
pub(crate) struct Index {
    images: BTreeMap<PathBuf, Image>,
    /// The source of the features: model, weights and preprocessing.
    source: HashMap<String, String>,
    /// Computes the features.
    infer: Infer<Vec<f32>>,
    /// Whether features are scaled to unit length.
    unit: bool,
}

/// An image, with its file's stamp when its features were computed.
struct Image {
    stamp: Stamp,
    features: Vec<f32>,
}

/// File size in bytes and time of the last change in nanoseconds. A file with the same stamp is not read again.
type Stamp = (i64, i64);

fn stamp(path: &Path) -> Stamp {
    let Ok(meta) = fs::metadata(path) else { return (-1, -1) };
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (meta.len() as i64, modified.map_or(-1, |time| time.as_nanos() as i64))
}

impl Index {
    /// An empty index for the features of `classifier` with the options of `global`.
    pub(crate) fn new(global: &Global, classifier: &Classifier) -> Self {
        let model = classifier.model();
        let source = [
            ("format", "residua index 1".into()),
            (
                "model",
                [Some(model.name.as_str()), model.revision.as_deref()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            ("weights", format!("{:016x}", classifier.fingerprint())),
            (
                "preprocess",
                format!(
                    "{:?}{}{}",
                    model.preprocess,
                    if global.no_exif { ", EXIF orientation ignored" } else { "" },
                    unusual(model)
                ),
            ),
        ];
        let source = source.map(|(key, value)| (key.into(), value)).into();
        Index { images: BTreeMap::new(), source, infer: Classifier::features, unit: true }
    }

    /// An empty index for the features that `infer` gives for the `views` of an image, not scaled.
    pub(crate) fn of_views(self, views: &str, infer: Infer<Vec<f32>>) -> Self {
        let mut source = self.source;
        source.insert("format".into(), "residua features 1".into());
        source.insert("views".into(), views.into());
        Index { images: self.images, source, infer, unit: false }
    }

    /// The features of the image at `path`, if the index has them.
    pub(crate) fn get(&self, path: &Path) -> Option<&[f32]> {
        self.images.get(path).map(|image| image.features.as_slice())
    }

    /// Paths and features, in the order of the paths.
    pub(crate) fn images(&self) -> impl Iterator<Item = (&Path, &[f32])> {
        self.images.iter().map(|(path, image)| (path.as_path(), image.features.as_slice()))
    }

    /// Brings the index up to date with the folder of `work`; returns the number of images that failed. After Ctrl-C it has its old entries
    /// and the images done by then.
    pub(crate) fn refresh(&mut self, work: &Work<'_>) -> (u64, Result<(), Stop>) {
        let known: HashMap<PathBuf, Stamp> =
            self.images.iter().map(|(path, image)| (path.clone(), image.stamp)).collect();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let note = Arc::clone(&seen);
        let unchanged = move |path: &Path| {
            let now = stamp(path);
            note.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), now);
            known.get(path) == Some(&now)
        };
        let mut failed = HashSet::new();
        let finish: fn(Vec<f32>) -> Vec<f32> = if self.unit { unit } else { |features| features };
        let ended = work.run((0, 0), unchanged, self.infer, &mut |path, result| {
            match (result, seen.lock().unwrap_or_else(PoisonError::into_inner).get(path)) {
                (Ok(features), Some(&stamp)) => {
                    self.images.insert(path.into(), Image { stamp, features: finish(features) });
                }
                (Err(_), _) => drop(failed.insert(path.to_path_buf())),
                (Ok(_), None) => unreachable!("every image was seen before it was read"),
            }
            Ok(())
        });
        if ended.is_ok() {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            self.images.retain(|path, _| seen.contains_key(path) && !failed.contains(path));
        }
        (failed.len() as u64, ended.map(drop))
    }

    /// Reads the index at `path` into this one, which is empty.
    ///
    /// # Errors
    /// [`Error::Io`], and the errors of [`index::read`].
    pub(crate) fn read(&mut self, path: &Path) -> Result<(), Error> {
        let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
        // The same model may have been opened under another name.
        let mut source = self.source.clone();
        source.remove("model");
        for Indexed { path, size, mtime, features } in index::read(&path.display().to_string(), &bytes, &source)? {
            self.images.insert(path_of(&path), Image { stamp: (size, mtime), features });
        }
        Ok(())
    }

    /// Writes the index to `path`.
    pub(crate) fn write(&self, path: &Path, columns: usize) -> Result<(), Error> {
        let indexed = |(path, image): (&PathBuf, &Image)| Indexed {
            path: path.as_os_str().as_encoded_bytes().into(),
            size: image.stamp.0,
            mtime: image.stamp.1,
            features: image.features.clone(),
        };
        let images: Vec<Indexed> = self.images.iter().map(indexed).collect();
        write_file(path, &index::write(&images, columns, &self.source)?)
    }
}

/// Unusual properties that no tensor shows: they change the features although the weights are the same.
fn unusual(model: &ModelInfo) -> String {
    model.structure.iter().filter(|p| !p.usual).map(|p| format!(", {}={}", p.key, p.value)).collect()
}
