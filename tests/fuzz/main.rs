//! Replays inputs that the fuzzers of `fuzz/` kept, and inputs that once caused a failure: none may panic or take long.

mod generated;
mod targets;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Longest time for one input.
const MOST: Duration = Duration::from_secs(2);

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn no_input_of_the_corpus_panics_or_takes_long() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
    let folders = files(&corpus);
    assert_eq!(folders.len(), targets::TARGETS.len(), "a folder for each target: {folders:?}");
    for folder in folders {
        let target = folder.file_name().unwrap().to_str().unwrap();
        let inputs = files(&folder);
        assert!(inputs.len() >= 10, "{target} has {} inputs", inputs.len());
        for input in inputs {
            let began = Instant::now();
            let bytes = fs::read(&input).unwrap();
            let outcome = std::panic::catch_unwind(|| targets::run(target, &bytes));
            assert!(outcome.is_ok(), "{}", input.display());
            assert!(began.elapsed() < MOST, "{}: {:?}", input.display(), began.elapsed());
        }
    }
}

/// Targets must be able to fail: a target that accepts everything finds nothing.
#[test]
fn what_breaks_a_promise_is_seen() {
    let whole = [0_u8; 400];
    let generated = generated::Generated::read(&whole).unwrap();
    assert!(generated.is_whole());
    targets::run("network", &whole);
    assert!(std::panic::catch_unwind(|| targets::run("no such target", b"")).is_err());
}
