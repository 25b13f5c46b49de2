//! Opens models by name: from the cache shared with Python's `huggingface_hub`, or downloaded into it.
//!
//! A repository has the same layout in the cache as in Python:
//!
//! ```text
//! models--OWNER--NAME/
//!   blobs/ETAG                     contents; the name is their sha256 (large files) or their git hash (small ones)
//!   snapshots/COMMIT/FILE          links into blobs/
//!   refs/REVISION                  the commit that a branch or tag pointed to when the hub was last asked
//!   .no_exist/COMMIT/FILE          empty: the repository has no such file
//! .locks/models--OWNER--NAME/ETAG.lock
//! ```
//!
//! Cached files are used without asking the hub, once their hashes are checked; [`Hub::pull`] asks for the newest commit.
//!
//! ```no_run
//! # fn main() -> residua::Result<()> {
//! let hub = residua::hub::Hub::from_vars(|name| std::env::var_os(name));
//! let classifier = residua::Classifier::builder().model("resnet50").hub(hub).open()?;
//! # Ok(())
//! # }
//! ```
//!
//! This module does not read the environment: [`Hub::from_vars`] interprets the variables that a program hands in.

mod checksum;
mod client;
mod download;
mod entries;
mod events;
mod id;
mod lock;
mod proxy;
mod redirect;
mod repository;
mod retry;
mod settings;

use std::path::PathBuf;

use client::{Client, Found};
pub use entries::{ModelEntry, by_repository, entries, similar_names};
pub use events::{Event, Watch};
pub use id::ModelId;
use repository::Repository;
pub use settings::{DEFAULT_ENDPOINT, Hub, Token};

use crate::{Error, Result, error::HubFailure};

/// The weights.
const WEIGHTS: &str = "model.safetensors";

/// The weights of a repository without [`WEIGHTS`], if pickles are read.
const PICKLED: &str = "pytorch_model.bin";

/// Files to fetch from a repository, the largest last. The repository may lack any of them but the weights.
const FILES: [&str; 3] = ["config.json", "preprocessor_config.json", WEIGHTS];

/// A model's files at one commit, in the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Folder with `model.safetensors`, or else `pytorch_model.bin`, and, if the repository has them, `config.json` and
    /// `preprocessor_config.json`.
    pub folder: PathBuf,
    /// Commit hash, 40 hexadecimal digits.
    pub commit: String,
}

impl Hub {
    /// Opens the model from the cache; fetches missing and damaged files, unless [`Hub::offline`] is set.
    ///
    /// # Errors
    /// [`Error::Hub`]; [`Error::ModelFormat`] if the repository has weights, but not in one file that this build reads.
    #[doc(hidden)]
    pub fn open(&self, id: &ModelId) -> Result<Snapshot> {
        let repository = Repository::new(self, id)?;
        match repository.snapshot() {
            Ok(Some(snapshot)) => Ok(snapshot),
            Ok(None) if self.offline => Err(not_cached(&repository)),
            Err(error) if self.offline || !is_corrupt(&error) => Err(error),
            // Missing files come from the cached commit, so that all files belong together.
            _ => self.fetch(&repository, repository.commit().ok().flatten().as_deref()),
        }
    }

    /// Opens the newest commit of the revision and fetches files that are not in the cache. Offline, the same as [`Hub::open`].
    ///
    /// # Errors
    /// As [`Hub::open`].
    pub fn pull(&self, id: &ModelId) -> Result<Snapshot> {
        if self.offline { self.open(id) } else { self.fetch(&Repository::new(self, id)?, None) }
    }

    fn fetch(&self, repository: &Repository<'_>, commit: Option<&str>) -> Result<Snapshot> {
        let client = Client::new(self, repository.id)?;
        let mut revision = commit.unwrap_or(repository.id.revision()).to_string();
        for name in FILES {
            match client.find(&revision, name)? {
                Found::File(file) => {
                    repository.set_ref(&file.commit)?;
                    download::to_cache(self, &client, repository, &file)?;
                    revision = file.commit;
                }
                Found::Nothing { commit } => {
                    if let Some(commit) = commit {
                        repository.set_ref(&commit)?;
                        repository.set_absent(&commit, name)?;
                        revision = commit;
                    }
                    if name == WEIGHTS {
                        let Found::File(file) = client.find(&revision, PICKLED)? else {
                            return Err(no_weights(&client, repository.id, &revision)?);
                        };
                        if !cfg!(feature = "pth") {
                            return Err(not_read(repository.id));
                        }
                        repository.set_ref(&file.commit)?;
                        download::to_cache(self, &client, repository, &file)?;
                        revision = file.commit;
                    }
                }
            }
        }
        repository.snapshot_at(&revision)?.ok_or_else(|| not_cached(repository))
    }
}

fn is_corrupt(error: &Error) -> bool {
    matches!(error, Error::Hub { failure: HubFailure::Corrupt, .. })
}

fn not_cached(repository: &Repository<'_>) -> Error {
    let Repository { id, cache, .. } = repository;
    let commit = repository.commit().ok().flatten();
    if commit.as_ref().is_some_and(|commit| repository.has_no_weights(commit)) {
        return id.failed(HubFailure::NoFile, format!("the repository has no {WEIGHTS}"));
    }
    let missing = commit.and_then(|commit| repository.missing(&commit).ok().flatten()).unwrap_or("the model");
    let reason = format!("{missing} is not in the cache {}, and going online is not allowed", cache.display());
    id.failed(HubFailure::NotCached, reason)
}

/// Why a repository without weights in one file cannot be used, judged by the files that it has instead.
fn no_weights(client: &Client<'_>, id: &ModelId, revision: &str) -> Result<Error> {
    if !matches!(client.find(revision, "model.safetensors.index.json")?, Found::File(_)) {
        return Ok(id.failed(HubFailure::NoFile, format!("the repository has no {WEIGHTS}")));
    }
    let found = "weights in several files (model.safetensors.index.json)";
    let hint = "residua reads a checkpoint from one file: save it again with a larger max_shard_size";
    Ok(Error::ModelFormat { model: id.to_string(), found, hint })
}

/// The error for a repository with weights that this build does not read.
fn not_read(id: &ModelId) -> Error {
    let (found, hint) =
        ("a pickle (pytorch_model.bin)", "builds with the feature pth read it, and run none of its code");
    Error::ModelFormat { model: id.to_string(), found, hint }
}
