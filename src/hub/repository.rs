//! Reads, checks and writes the cache of one repository.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process, thread,
};

use super::{FILES, Hub, ModelId, PICKLED, Snapshot, WEIGHTS, checksum, client::RemoteFile, id::is_commit};
use crate::{
    Error, Result,
    error::{Cause, HubFailure},
};

/// A repository's folder in the cache.
pub(super) struct Repository<'a> {
    pub(super) id: &'a ModelId,
    pub(super) cache: &'a Path,
    /// `models--OWNER--NAME`.
    name: String,
}

/// State of a file at a commit in the cache.
#[derive(PartialEq, Eq)]
enum Entry {
    /// The file is cached.
    File(PathBuf),
    /// The repository has no such file.
    Absent,
    /// The cache knows nothing about the file.
    Unknown,
}

impl<'a> Repository<'a> {
    pub(super) fn new(hub: &'a Hub, id: &'a ModelId) -> Result<Self> {
        let unknown = "no cache folder is set for the hub (by the variables HF_HUB_CACHE, HF_HOME or HOME)";
        let cache = hub.cache.as_deref().ok_or_else(|| id.failed(HubFailure::Cache, unknown))?;
        Ok(Repository { id, cache, name: format!("models--{}", id.repository().replace('/', "--")) })
    }

    /// The commit that the revision pointed to when the hub was last asked.
    pub(super) fn commit(&self) -> Result<Option<String>> {
        if is_commit(self.id.revision()) {
            return Ok(Some(self.id.revision().into()));
        }
        let path = self.ref_path();
        match fs::read(&path) {
            Ok(bytes) => match String::from_utf8_lossy(&bytes).trim() {
                commit if is_commit(commit) => Ok(Some(commit.into())),
                _ => Err(self.corrupt(&path, "does not hold the hash of a commit")),
            },
            Err(_) if !path.is_file() => Ok(None),
            Err(error) => Err(self.failed(&path, &error)),
        }
    }

    /// The files of the revision, if all are cached. `Err` with [`HubFailure::Corrupt`] if one of them is damaged.
    pub(super) fn snapshot(&self) -> Result<Option<Snapshot>> {
        self.commit()?.map_or(Ok(None), |commit| self.snapshot_at(&commit))
    }

    /// The files of a commit, if all are cached.
    pub(super) fn snapshot_at(&self, commit: &str) -> Result<Option<Snapshot>> {
        let complete = self.missing(commit)?.is_none();
        Ok(complete.then(|| Snapshot { folder: self.folder(commit), commit: commit.into() }))
    }

    /// The first required file of a commit that the cache knows nothing about.
    pub(super) fn missing(&self, commit: &str) -> Result<Option<&'static str>> {
        let mut preprocessing_known = false;
        for name in FILES {
            match self.entry(commit, name)? {
                Entry::File(path) if name == "config.json" => preprocessing_known = has_pretrained_cfg(&path),
                // A configuration in timm's form needs no second file, and Python's timm does not ask for one.
                Entry::Unknown if name == "preprocessor_config.json" && preprocessing_known => {}
                Entry::Unknown | Entry::Absent if name == WEIGHTS && self.has_pickle(commit)? => {}
                Entry::Unknown => return Ok(Some(name)),
                Entry::Absent if name == WEIGHTS => return Ok(Some(name)),
                Entry::File(_) | Entry::Absent => {}
            }
        }
        Ok(None)
    }

    /// Whether the cache knows that the commit has no `model.safetensors`.
    pub(super) fn has_no_weights(&self, commit: &str) -> bool {
        matches!(self.entry(commit, WEIGHTS), Ok(Entry::Absent))
    }

    /// Whether the commit has weights as a pickle, and this build reads those.
    fn has_pickle(&self, commit: &str) -> Result<bool> {
        Ok(cfg!(feature = "pth") && matches!(self.entry(commit, PICKLED)?, Entry::File(_)))
    }

    /// Looks a file up. Compares a file that is a link into `blobs/` with the hash in its name.
    fn entry(&self, commit: &str, name: &str) -> Result<Entry> {
        let path = self.folder(commit).join(name);
        if let Ok(target) = fs::read_link(&path) {
            if !path.exists() {
                return Err(self.corrupt(&path, "is a broken link"));
            }
            let etag = target.file_name().unwrap_or_default().to_string_lossy();
            if !checksum::matches(&path, &etag).map_err(|error| self.failed(&path, &error))? {
                return Err(self.corrupt(&path, "does not have the hash that it was stored under"));
            }
            Ok(Entry::File(path))
        } else if path.is_file() {
            Ok(Entry::File(path))
        } else if self.absent_path(commit, name).is_file() {
            Ok(Entry::Absent)
        } else {
            Ok(Entry::Unknown)
        }
    }

    /// Whether the cache has exactly this file at a commit, undamaged.
    pub(super) fn holds(&self, file: &RemoteFile) -> bool {
        let path = self.folder(&file.commit).join(file.name);
        path.is_file() && checksum::matches(&path, &file.etag).unwrap_or(false)
    }

    /// Records the commit that the revision points to.
    pub(super) fn set_ref(&self, commit: &str) -> Result<()> {
        if self.id.revision() == commit || self.commit().is_ok_and(|known| known.as_deref() == Some(commit)) {
            return Ok(());
        }
        let path = self.ref_path();
        let mut name = path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.{:?}.tmp", process::id(), thread::current().id()));
        let part = path.with_file_name(name);
        let written =
            create_parent(&path).and_then(|()| fs::write(&part, commit)).and_then(|()| fs::rename(&part, &path));
        written.map_err(|error| self.failed(&path, &error))
    }

    /// Records that a commit has no such file.
    pub(super) fn set_absent(&self, commit: &str, name: &str) -> Result<()> {
        let path = self.absent_path(commit, name);
        create_parent(&path).and_then(|()| fs::write(&path, "")).map_err(|error| self.failed(&path, &error))
    }

    /// Links a file in `blobs/` into the snapshot of a commit.
    pub(super) fn link(&self, file: &RemoteFile) -> Result<()> {
        let (blob, path) = (self.blob(&file.etag), self.folder(&file.commit).join(file.name));
        let link = || {
            let target = Path::new("../../blobs").join(&file.etag);
            if fs::read_link(&path).is_ok_and(|there| there == target) {
                return Ok(());
            }
            create_parent(&path)?;
            if fs::symlink_metadata(&path).is_ok() {
                fs::remove_file(&path)?;
            }
            // Without support for links, the file itself moves into the snapshot, as in Python.
            symlink(&target, &path).or_else(|_| fs::rename(&blob, &path))
        };
        link().map_err(|error| self.failed(&path, &error))
    }

    /// The path of contents with a hash.
    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.cache.join(&self.name).join("blobs").join(etag)
    }

    /// The path of a blob's lock.
    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.cache.join(".locks").join(&self.name).join(format!("{etag}.lock"))
    }

    fn folder(&self, commit: &str) -> PathBuf {
        self.cache.join(&self.name).join("snapshots").join(commit)
    }

    fn ref_path(&self) -> PathBuf {
        self.cache.join(&self.name).join("refs").join(self.id.revision())
    }

    fn absent_path(&self, commit: &str, name: &str) -> PathBuf {
        self.cache.join(&self.name).join(".no_exist").join(commit).join(name)
    }

    /// The error for a cache file that could not be read or written.
    pub(super) fn failed(&self, path: &Path, error: &io::Error) -> Error {
        let hint = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull => {
                "; set HF_HUB_CACHE to another cache folder"
            }
            _ => "",
        };
        self.id.failed(HubFailure::Cache, format!("{}: {error}{hint}", path.display())).because(Cause::io(error))
    }

    fn corrupt(&self, path: &Path, what: &str) -> Error {
        self.id.failed(HubFailure::Corrupt, format!("{} {what}", path.display()))
    }
}

fn create_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn has_pretrained_cfg(config: &Path) -> bool {
    let text = fs::read_to_string(config).unwrap_or_default();
    text.contains("\"pretrained_cfg\"")
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target, link)
}
