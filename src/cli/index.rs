//! The features of a folder's images, in memory and as a safetensors file.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::UNIX_EPOCH,
};

use residua::{Classifier, Error};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::{Stop, inputs::path_of, options::Global, pipeline::Work, progress::Progress, write_file};

/// Images by path, each with its features.
pub(super) struct Index {
    rows: BTreeMap<PathBuf, Row>,
    /// What the features come from: model, weights and preprocessing.
    source: HashMap<String, String>,
}

/// An image as it was when its features were computed.
struct Row {
    stamp: Stamp,
    /// Of unit length.
    features: Vec<f32>,
}

/// Size in bytes and time of the last change in nanoseconds: a file with the same stamp is not read again.
type Stamp = (i64, i64);

fn stamp(path: &Path) -> Stamp {
    let Ok(meta) = fs::metadata(path) else { return (-1, -1) };
    let modified = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    (meta.len() as i64, modified.map_or(-1, |time| time.as_nanos() as i64))
}

impl Index {
    /// An index without images for the features that `classifier` gives with the options of `global`.
    pub(super) fn new(global: &Global, classifier: &Classifier) -> Self {
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
                format!("{:?}{}", model.preprocess, if global.no_exif { ", EXIF orientation ignored" } else { "" }),
            ),
        ];
        Index { rows: BTreeMap::new(), source: source.map(|(key, value)| (key.into(), value)).into() }
    }

    /// Paths and features, in the order of the paths.
    pub(super) fn images(&self) -> impl Iterator<Item = (&Path, &[f32])> {
        self.rows.iter().map(|(path, row)| (path.as_path(), row.features.as_slice()))
    }

    /// Brings the index to what the folder of `work` holds now; gives the number of images that failed. On Ctrl-C it holds what was
    /// done by then, beside what it held before.
    pub(super) fn refresh(&mut self, work: &Work<'_>) -> (u64, Result<(), Stop>) {
        let known: HashMap<PathBuf, Stamp> = self.rows.iter().map(|(path, row)| (path.clone(), row.stamp)).collect();
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let note = Arc::clone(&seen);
        let unchanged = move |path: &Path| {
            let now = stamp(path);
            note.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_path_buf(), now);
            known.get(path) == Some(&now)
        };
        let progress = Progress::start(work.global, work.inputs, 0);
        let mut failed = HashSet::new();
        let ended = work.run(unchanged, Classifier::features, &mut |batch| {
            progress.add(batch.len());
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            for (path, features) in batch {
                match (features, seen.get(&path)) {
                    (Ok(features), Some(&stamp)) => {
                        self.rows.insert(path, Row { stamp, features: unit(features) });
                    }
                    (Err(error), _) => {
                        progress.beside(|| work.global.complain_of(&path, &error));
                        failed.insert(path);
                    }
                    (Ok(_), None) => unreachable!("every image was seen before it was read"),
                }
            }
            Ok(())
        });
        if ended.is_ok() {
            let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            self.rows.retain(|path, _| seen.contains_key(path) && !failed.contains(path));
        }
        (failed.len() as u64, ended)
    }

    /// Reads the index at `path` into this one, which has none yet.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::ModelHeader`] if it is no index, [`Error::ConfigValue`] if it is one of other features.
    pub(super) fn read(&mut self, path: &Path) -> Result<(), Error> {
        let place = path.display().to_string();
        let invalid =
            |reason: String| Error::ModelHeader { model: place.clone(), reason: format!("no index: {reason}") };
        let bytes = fs::read(path).map_err(|error| Error::io(path, &error))?;
        let header = |error: safetensors::SafeTensorError| invalid(error.to_string());
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(header)?;
        for key in ["format", "weights", "preprocess"] {
            let (expected, found) = (&self.source[key], metadata.metadata().as_ref().and_then(|all| all.get(key)));
            if found != Some(expected) {
                return Err(Error::ConfigValue {
                    place,
                    field: key.into(),
                    value: found.cloned().unwrap_or_else(|| "missing".into()),
                    expected: format!(
                        "{expected} of the model {}: give the index's own model, or another file",
                        self.source["model"]
                    ),
                });
            }
        }
        let file = SafeTensors::deserialize(&bytes).map_err(header)?;
        let tensor = |name: &str| file.tensor(name).map_err(header);
        let (paths, sizes, mtimes) = (tensor("paths")?, tensor("sizes")?, tensor("mtimes")?);
        let embeddings = tensor("embeddings")?;
        let images: Vec<&[u8]> = paths.data().split_inclusive(|&byte| byte == 0).collect();
        let columns = match *embeddings.shape() {
            [rows, columns] if rows == images.len() && columns > 0 && embeddings.dtype() == Dtype::F32 => columns,
            ref other => return Err(invalid(format!("{} paths for embeddings {other:?}", images.len()))),
        };
        let numbers = |view: &TensorView<'_>| bytemuck::pod_collect_to_vec::<u8, i64>(view.data());
        let (sizes, mtimes) = (numbers(&sizes), numbers(&mtimes));
        if sizes.len() != images.len() || mtimes.len() != images.len() {
            return Err(invalid(format!("{} paths, {} sizes, {} times", images.len(), sizes.len(), mtimes.len())));
        }
        let rows = embeddings.data().chunks_exact(4 * columns).zip(sizes.into_iter().zip(mtimes));
        for (path, (features, stamp)) in images.into_iter().zip(rows) {
            let features = bytemuck::pod_collect_to_vec(features);
            self.rows.insert(path_of(path.strip_suffix(&[0]).unwrap_or(path)), Row { stamp, features });
        }
        Ok(())
    }

    /// Writes the index to `path`.
    pub(super) fn write(&self, path: &Path, columns: usize) -> Result<(), Error> {
        let rows = self.rows.len();
        let paths: Vec<u8> =
            self.rows.keys().flat_map(|path| path.as_os_str().as_encoded_bytes().iter().copied().chain([0])).collect();
        let numbers =
            |of: fn(&Row) -> i64| -> Vec<u8> { self.rows.values().flat_map(|row| of(row).to_le_bytes()).collect() };
        let embeddings: Vec<u8> =
            self.rows.values().flat_map(|row| &row.features).flat_map(|value| value.to_le_bytes()).collect();
        let tensors = [
            ("embeddings", Dtype::F32, vec![rows, columns], embeddings),
            ("mtimes", Dtype::I64, vec![rows], numbers(|row| row.stamp.1)),
            ("paths", Dtype::U8, vec![paths.len()], paths),
            ("sizes", Dtype::I64, vec![rows], numbers(|row| row.stamp.0)),
        ];
        let failed = |error: safetensors::SafeTensorError| Error::Io { path: path.into(), reason: error.to_string() };
        let views: Result<Vec<_>, _> = tensors
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((*name, TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        let bytes = safetensors::serialize(views.map_err(failed)?, Some(self.source.clone())).map_err(failed)?;
        write_file(path, &bytes)
    }
}

/// The vector of length one in the same direction; zero stays zero and is like nothing.
pub(super) fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|value| *value = (f64::from(*value) / length) as f32);
    }
    vector
}
