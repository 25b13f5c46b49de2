//! Models by name: with a small hub on loopback, and with caches in Python's layout.

mod command;
mod fetching;
mod names;
mod offline;
mod refusals;
mod server;
mod socks;
mod variables;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use residua::{
    Error,
    error::HubFailure,
    hub::{Hub, ModelId, Snapshot, Token},
};
use server::{Repository, Server, git_hash, sha256};

/// Weights that open without other files: the builtin network, whose file contains its configuration.
const WEIGHTS: &[u8] = include_bytes!("../../weights/builtin.safetensors");

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";
const LATER: &str = "89abcdef0123456789abcdef0123456789abcdef";

/// A hub with one repository, and an empty cache.
struct Bench {
    server: Arc<Server>,
    folder: tempfile::TempDir,
    hub: Hub,
}

impl Bench {
    fn new() -> Self {
        let bench = Bench::with(&[("model.safetensors", WEIGHTS)]);
        bench.server.seen();
        bench
    }

    /// A hub whose `owner/net` has these files.
    fn with(files: &[(&str, &[u8])]) -> Self {
        let server = Server::start();
        let folder = tempfile::tempdir().unwrap();
        let mut hub = Hub::default();
        hub.cache = Some(folder.path().join("hub"));
        hub.endpoint = server.endpoint.clone();
        hub.pause = Duration::from_millis(1);
        let bench = Bench { server: Arc::new(server), folder, hub };
        bench.put(COMMIT, files);
        bench
    }

    fn put(&self, commit: &str, files: &[(&str, &[u8])]) {
        let files = files.iter().map(|(name, bytes)| (name.to_string(), bytes.to_vec())).collect();
        self.server.put("owner/net", Repository { commit: commit.into(), files, token: None });
    }

    fn open(&self) -> Result<Snapshot, Error> {
        self.hub.open(&id("owner/net"))
    }

    fn offline(&self) -> Result<Snapshot, Error> {
        let mut hub = self.hub.clone();
        hub.offline = true;
        hub.open(&id("owner/net"))
    }

    /// A path in the repository's cache folder.
    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("hub/models--owner--net").join(below)
    }

    /// The path of the weights in `blobs/`.
    fn blob(&self) -> PathBuf {
        self.path("blobs").join(sha256(WEIGHTS))
    }

    /// The file that a killed download leaves.
    fn partial(&self) -> PathBuf {
        self.blob().with_extension("incomplete")
    }

    /// Writes the bytes that an earlier run left.
    fn leave(&self, bytes: &[u8]) {
        fs::create_dir_all(self.path("blobs")).unwrap();
        fs::write(self.partial(), bytes).unwrap();
    }
}

fn id(text: &str) -> ModelId {
    ModelId::parse(text).unwrap()
}

fn failure(result: Result<Snapshot, Error>) -> HubFailure {
    match result {
        Err(Error::Hub { failure, .. }) => failure,
        other => panic!("not a failure of the hub: {other:?}"),
    }
}

fn assert_weights(snapshot: &Snapshot) {
    assert!(fs::read(snapshot.folder.join("model.safetensors")).unwrap() == WEIGHTS, "the bytes differ");
}
