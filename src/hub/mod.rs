//! Models by name: found in the cache that Python's `huggingface_hub` shares, fetched where they are not.
//!
//! A repository lies in the cache as Python lays it out:
//!
//! ```text
//! models--OWNER--NAME/
//!   blobs/ETAG                     contents; the name is their sha256 (large files) or their git hash (small ones)
//!   snapshots/COMMIT/FILE          links into blobs/
//!   refs/REVISION                  the commit that a branch or tag pointed to when it was last asked for
//!   .no_exist/COMMIT/FILE          empty: the repository has no such file
//! .locks/models--OWNER--NAME/ETAG.lock
//! ```
//!
//! What is in the cache is used without asking the hub, after its hashes were compared; [`Hub::pull`] asks for what is newest.
//!
//! ```no_run
//! # fn main() -> residua::Result<()> {
//! let hub = residua::hub::Hub::from_vars(|name| std::env::var_os(name));
//! let classifier = residua::Classifier::builder().model("resnet50").hub(hub).open()?;
//! # Ok(())
//! # }
//! ```
//!
//! Nothing is read from the environment here: [`Hub::from_vars`] interprets the variables that a program hands in.

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

/// The weights of a repository without those, where pickles are read.
const PICKLED: &str = "pytorch_model.bin";

/// What is fetched of a repository, the largest last; any but the weights may be missing there.
const FILES: [&str; 3] = ["config.json", "preprocessor_config.json", WEIGHTS];

/// A model's files at one commit, on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Holds `model.safetensors`, or `pytorch_model.bin` in its place, and, where the repository has them, `config.json` and `preprocessor_config.json`.
    pub folder: PathBuf,
    /// Hash of the commit, 40 hexadecimal digits.
    pub commit: String,
}

impl Hub {
    /// The model out of the cache; what is not there or damaged is fetched, unless [`Hub::offline`].
    ///
    /// # Errors
    /// [`Error::Hub`]; [`Error::ModelFormat`] for a repository that has weights, but none in one file that is read.
    #[doc(hidden)]
    pub fn open(&self, id: &ModelId) -> Result<Snapshot> {
        let repository = Repository::new(self, id)?;
        match repository.snapshot() {
            Ok(Some(snapshot)) => Ok(snapshot),
            Ok(None) if self.offline => Err(not_cached(&repository)),
            Err(error) if self.offline || !is_corrupt(&error) => Err(error),
            // What is cached of a commit is completed at that commit, so that the files belong together.
            _ => self.fetch(&repository, repository.commit().ok().flatten().as_deref()),
        }
    }

    /// The newest commit of the revision, fetched as far as it is not in the cache. Offline, as [`Hub::open`].
    ///
    /// # Errors
    /// Those of [`Hub::open`].
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
    let reason = format!("{missing} is not in the cache {}, and the network may not be used", cache.display());
    id.failed(HubFailure::NotCached, reason)
}

/// Why a repository without weights in one file is of no use: by what it has instead.
fn no_weights(client: &Client<'_>, id: &ModelId, revision: &str) -> Result<Error> {
    if !matches!(client.find(revision, "model.safetensors.index.json")?, Found::File(_)) {
        return Ok(id.failed(HubFailure::NoFile, format!("the repository has no {WEIGHTS}")));
    }
    let found = "weights in several files (model.safetensors.index.json)";
    let hint = "a checkpoint is one file here: save it again with a larger max_shard_size";
    Ok(Error::ModelFormat { model: id.to_string(), found, hint })
}

/// The error for a repository with weights that this build does not read.
fn not_read(id: &ModelId) -> Error {
    let (found, hint) =
        ("a pickle (pytorch_model.bin)", "builds with the feature pth read it, and run none of its code");
    Error::ModelFormat { model: id.to_string(), found, hint }
}
