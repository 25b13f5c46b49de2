//! Opens caches without a network: as Python leaves them, and damaged.

use std::os::unix::fs::symlink;

use super::*;

/// A cache with the layout of `huggingface_hub` 2.4: small files under their git hash, weights under their sha256.
struct Python {
    folder: tempfile::TempDir,
    hub: Hub,
}

impl Python {
    fn new(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = folder.path().join("models--owner--net");
        for below in ["blobs", "refs", &format!("snapshots/{COMMIT}")] {
            fs::create_dir_all(repository.join(below)).unwrap();
        }
        fs::write(repository.join("refs/main"), COMMIT).unwrap();
        for (name, bytes) in files {
            let etag = if *name == "model.safetensors" { sha256(bytes) } else { git_hash(bytes) };
            fs::write(repository.join("blobs").join(&etag), bytes).unwrap();
            let link = repository.join("snapshots").join(COMMIT).join(name);
            symlink(format!("../../blobs/{etag}"), link).unwrap();
        }
        let mut hub = Hub::default();
        (hub.cache, hub.offline) = (Some(folder.path().into()), true);
        Python { folder, hub }
    }

    fn open(&self) -> Result<Snapshot, Error> {
        self.hub.open(&id("owner/net"))
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join("models--owner--net").join(below)
    }

    /// Records, as Python does, that the repository has no such file.
    fn absent(self, name: &str) -> Self {
        let path = self.path(".no_exist").join(COMMIT).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
        self
    }
}

const TIMM: &[u8] = br#"{"architecture": "resnet18", "pretrained_cfg": {"input_size": [3, 32, 32]}}"#;
const TRANSFORMERS: &[u8] = br#"{"model_type": "resnet"}"#;

#[test]
fn what_python_fetched_is_found() {
    let timm = Python::new(&[("model.safetensors", WEIGHTS), ("config.json", TIMM)]);
    assert_weights(&timm.open().unwrap());
    assert_weights(&timm.hub.open(&id(&format!("owner/net@{COMMIT}"))).unwrap());
    let bare = Python::new(&[("model.safetensors", WEIGHTS)]).absent("config.json").absent("preprocessor_config.json");
    assert_weights(&bare.open().unwrap());
}

#[test]
fn blobs_that_python_shares_between_repositories_are_followed() {
    let python = Python::new(&[("model.safetensors", WEIGHTS), ("config.json", TIMM)]);
    let blob = python.path("blobs").join(sha256(WEIGHTS));
    let store = python.folder.path().join("blobs/ab");
    fs::create_dir_all(&store).unwrap();
    fs::rename(&blob, store.join("abcd")).unwrap();
    symlink("../../blobs/ab/abcd", &blob).unwrap();
    assert_weights(&python.open().unwrap());
}

#[test]
fn files_without_links_are_taken_as_they_are() {
    let python = Python::new(&[("model.safetensors", WEIGHTS), ("config.json", TIMM)]);
    let file = python.path("snapshots").join(COMMIT).join("model.safetensors");
    fs::remove_file(&file).unwrap();
    fs::rename(python.path("blobs").join(sha256(WEIGHTS)), &file).unwrap();
    assert_weights(&python.open().unwrap());
}

#[test]
fn row_51_what_is_not_cached_is_named() {
    let nothing = Python::new(&[]);
    let missing = |python: &Python| {
        let error = python.open().unwrap_err();
        assert_eq!(error.code(), "hub.not_cached");
        error.to_string()
    };
    assert!(missing(&nothing).contains("config.json"));
    // Without its preprocessing, a transformers model would give wrong results.
    let half = Python::new(&[("model.safetensors", WEIGHTS), ("config.json", TRANSFORMERS)]);
    assert!(missing(&half).contains("preprocessor_config.json"));
    assert_weights(&half.absent("preprocessor_config.json").open().unwrap());
    assert!(missing(&Python::new(&[("config.json", TIMM)])).contains("model.safetensors"));
    fs::remove_file(nothing.path("refs/main")).unwrap();
    assert!(missing(&nothing).contains("the model"));
}

/// Damages a cache, and expects an error offline and a repair online.
fn damaged(damage: impl Fn(&Bench)) {
    let bench = Bench::new();
    bench.open().unwrap();
    damage(&bench);
    let error = bench.offline().unwrap_err();
    assert_eq!(error.code(), "hub.corrupt");
    assert!(error.to_string().contains(bench.path("").to_str().unwrap()), "{error}");
    assert_weights(&bench.open().unwrap());
    assert_weights(&bench.offline().unwrap());
    damage(&bench);
    assert_weights(&bench.hub.pull(&id("owner/net")).unwrap());
}

#[test]
fn row_50_one_wrong_bit_is_seen_and_mended() {
    damaged(|bench| {
        let mut bytes = WEIGHTS.to_vec();
        bytes[WEIGHTS.len() / 2] ^= 1;
        fs::write(bench.blob(), bytes).unwrap();
    });
}

#[test]
fn row_50_a_shortened_file_is_seen_and_mended() {
    damaged(|bench| fs::write(bench.blob(), &WEIGHTS[..1000]).unwrap());
}

#[test]
fn row_50_a_dangling_link_is_seen_and_mended() {
    damaged(|bench| fs::remove_file(bench.blob()).unwrap());
}

#[test]
fn row_50_a_half_written_ref_is_seen_and_mended() {
    damaged(|bench| fs::write(bench.path("refs/main"), &COMMIT[..17]).unwrap());
    damaged(|bench| fs::write(bench.path("refs/main"), "").unwrap());
}
