//! The paths of a file: its own, and the targets of its symbolic links.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::models::{Named, named};

/// Largest number of links to follow, as in Linux.
const MOST: usize = 40;

/// Beginnings of generic file names, which do not name the network.
const ORDINARY: [&str; 2] = ["model.", "pytorch_model."];

/// `path`, and the paths that it leads to, one symbolic link at a time.
pub(super) fn steps(path: &Path) -> Vec<PathBuf> {
    let mut steps = vec![path.to_path_buf()];
    while steps.len() <= MOST
        && let Some(step) = steps.last()
        && let Ok(target) = fs::read_link(step)
    {
        let next = step.with_file_name("").join(target);
        steps.push(next);
    }
    steps
}

/// The same file under the real path of its folder, which may be named after the network.
pub(super) fn resolved(step: &Path) -> Option<PathBuf> {
    let folder = step.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(fs::canonicalize(folder).ok()?.join(step.file_name()?))
}

/// Whether a file has a generic name, so that the configuration in the folder belongs to it.
pub(super) fn is_ordinary(file: &Path) -> bool {
    file.file_name().is_some_and(|name| ORDINARY.iter().any(|start| name.to_string_lossy().starts_with(start)))
}

/// The network in a file's own name.
pub(super) fn own_name(file: &Path) -> Option<Named> {
    named(&file.file_name()?.to_string_lossy())
}

/// The networks that the path of the file names at one step: its own name or else its folder's, and the folder in the hub's cache.
pub(super) fn names(step: &Path) -> impl Iterator<Item = Named> {
    let folder = || step.parent().and_then(own_name);
    let in_cache = step.iter().filter_map(|part| part.to_str()?.strip_prefix("models--")).next_back().and_then(named);
    own_name(step).or_else(folder).into_iter().chain(in_cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str) -> Vec<String> {
        names(Path::new(path)).map(|named| named.name().to_string()).collect()
    }

    #[test]
    fn a_file_is_named_by_itself_or_its_folder_and_by_the_cache() {
        assert_eq!(of("nets/resnet34/resnet18.safetensors"), ["resnet18"]);
        assert_eq!(of("resnet18/nets/model.safetensors"), Vec::<String>::new());
        assert_eq!(of("nets/resnet18/model.safetensors"), ["resnet18"]);
        let cached = "hub/models--timm--resnetaa50.a1h_in1k/snapshots/0123/model.safetensors";
        assert_eq!(of(cached), ["resnetaa50"]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::create_dir(path("below")).unwrap();
        fs::write(path("blob"), "").unwrap();
        std::os::unix::fs::symlink("../blob", path("below/b")).unwrap();
        std::os::unix::fs::symlink("below/b", path("a")).unwrap();
        assert_eq!(steps(&path("a")), [path("a"), path("below/b"), path("below/../blob")]);
        std::os::unix::fs::symlink("circle", path("circle")).unwrap();
        assert_eq!(steps(&path("circle")).len(), MOST + 1);
    }
}
