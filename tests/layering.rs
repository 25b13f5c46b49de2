//! Who may know whom: the table in the crate's documentation, enforced by reading the `use` lines of `src/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// Module and the modules that it may name. `error` and `tensor` are open to all.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("tensor", &[]),
    ("image", &[]),
    ("labels", &[]),
    ("graph", &[]),
    ("hub", &[]),
    ("structure", &["graph"]),
    ("checkpoint", &["image", "labels", "structure"]),
    ("models", &["graph", "structure"]),
    ("reference", &["graph", "checkpoint"]),
    ("kernels", &["graph"]),
    ("plan", &["graph", "checkpoint", "kernels"]),
    ("cache", &[]),
    ("gpu", &["graph", "plan", "kernels", "cache"]),
    ("executor", &["graph", "plan", "kernels", "reference", "gpu", "verify", "profile"]),
    ("stream", &["image", "classifier", "gpu"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files of a module: `src/<module>.rs` and everything below `src/<module>/`.
fn files(module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let single = root().join(format!("{module}.rs"));
    if single.exists() {
        files.push(single);
    }
    let mut folders = vec![root().join(module)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                files.push(path);
            }
        }
    }
    files
}

/// The top-level modules that a source text names through `crate::`, in paths and in `use crate::{a, b::c}` lists.
fn named(source: &str) -> BTreeSet<String> {
    let code: String = source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
    let mut names = BTreeSet::new();
    for after in code.split("crate::").skip(1) {
        if let Some(list) = after.strip_prefix('{') {
            let (mut depth, mut item) = (0, String::new());
            for c in list.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => item.clear(),
                    c if depth == 0 && !c.is_whitespace() => item.push(c),
                    _ => {}
                }
                let head: String = item.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                if item.len() > head.len() || matches!(c, ',' | '}') {
                    names.insert(head);
                } else if !item.is_empty() {
                    names.insert(item.clone());
                }
            }
        } else {
            names.insert(after.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    names
}

/// The modules that `source`, part of `module`, names and may not.
fn forbidden(module: &str, source: &str) -> Vec<String> {
    let modules: Vec<&str> = MAY_KNOW
        .iter()
        .map(|(name, _)| *name)
        .chain([
            "classifier",
            "builder",
            "photos",
            "blocking",
            "source",
            "verify",
            "selftest",
            "tune",
            "profile",
            "explain",
            "search",
            "cli",
        ])
        .collect();
    let allowed = MAY_KNOW.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed).unwrap_or_default();
    let open = |name: &str| name == module || ["error", "tensor"].contains(&name) || allowed.contains(&name);
    named(source).into_iter().filter(|name| modules.contains(&name.as_str()) && !open(name)).collect()
}

#[test]
fn modules_name_only_what_they_may_know() {
    for (module, _) in MAY_KNOW {
        let files = files(module);
        assert!(!files.is_empty(), "no file for {module}");
        for file in files {
            let source = fs::read_to_string(&file).expect("a readable file");
            let found = forbidden(module, &source);
            assert!(found.is_empty(), "{} names {found:?}", file.display());
        }
    }
}

/// A browser must not be blocked, nor must a caller's runtime.
#[test]
fn the_library_waits_in_one_file_and_in_the_hub() {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(root()).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if ["hub", "cli", "bin", "main"].contains(&&*module) {
            continue;
        }
        for file in files(&module) {
            let source = fs::read_to_string(&file).expect("a readable file");
            if ["block_on", "thread::sleep"].iter().any(|call| source.contains(call)) {
                waiting.push(file.strip_prefix(root()).expect("below src").to_path_buf());
            }
        }
    }
    assert_eq!(waiting, [Path::new("blocking.rs")]);
}

#[test]
fn only_gpu_names_wgpu_and_two_files_are_unsafe() {
    let all: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|e| e.unwrap().path()).collect();
    let modules = all.iter().filter_map(|path| path.file_stem()?.to_str());
    for module in modules {
        for file in files(module) {
            let source = fs::read_to_string(&file).expect("a readable file");
            assert!(module == "gpu" || !source.contains("wgpu::"), "{} names wgpu", file.display());
            let is_unsafe = source.contains("unsafe {") || source.contains("unsafe fn");
            let may_be = ["gpu/trusted.rs", "image/libjpeg.rs"].iter().any(|trusted| file.ends_with(trusted));
            assert!(!is_unsafe || may_be, "{} is unsafe", file.display());
        }
    }
}

/// The lint `unsafe_code` is denied for the whole package, so unsafe code needs an `allow`.
#[test]
fn unsafe_code_is_allowed_in_two_files_and_one_test() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders: Vec<PathBuf> = ["src", "tests", "examples", "benches"].map(|name| package.join(name)).into();
    let mut allowing = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a readable folder") {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let source = fs::read_to_string(&path).expect("a readable file");
                // Put together, or this file would be found.
                if source.contains(concat!("allow(unsafe", "_code")) {
                    allowing.push(path.strip_prefix(package).expect("below the package").to_path_buf());
                }
            }
        }
    }
    allowing.sort();
    assert_eq!(allowing, ["src/gpu/trusted.rs", "src/image/libjpeg.rs", "tests/fork.rs"].map(Path::new));
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a readable file");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// The identifiers of a source text, without comments and tests.
fn identifiers(source: &str) -> BTreeSet<String> {
    let code = source.split("#[cfg(test)]").next().unwrap_or("");
    let code: Vec<&str> = code.lines().map(|line| line.split("//").next().unwrap_or("")).collect();
    let code = code.join("\n");
    let words = code.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    words.map(str::to_string).collect()
}

/// The files of a folder, without `mod.rs`, each with those that its `use super::` lines name, by themselves or by what `mod.rs` takes
/// from them.
fn neighbours(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let files = files(folder);
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a readable file");
    let stem = |path: &PathBuf| path.file_stem().expect("a name").to_string_lossy().into_owned();
    let stems: BTreeSet<String> = files.iter().map(stem).filter(|stem| stem != "mod").collect();
    let root = files.iter().find(|path| stem(path) == "mod").map(read).expect("a mod.rs");
    // What `mod.rs` takes from which file.
    let mut owners: BTreeMap<String, String> = stems.iter().map(|stem| (stem.clone(), stem.clone())).collect();
    for line in root.split(';').filter_map(|line| line.split("use ").nth(1)) {
        let mut names = identifiers(line);
        let owner = line.split("::").next().unwrap_or("").trim().to_string();
        names.remove(&owner);
        owners.extend(names.into_iter().filter(|_| stems.contains(&owner)).map(|name| (name, owner.clone())));
    }
    let named = |path: &PathBuf| {
        let source = read(path);
        let lists = source.split("use super::").skip(1).filter_map(|list| list.split(';').next());
        let names = lists.flat_map(identifiers).filter_map(|name| owners.get(&name).cloned());
        let stem = stem(path);
        (stem.clone(), names.filter(|name| *name != stem).collect())
    };
    files.iter().filter(|path| stem(path) != "mod").map(named).collect()
}

/// Files that name each other in a circle, if there are any: what is left when those that name nobody are taken away again and again.
fn circle(mut files: BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    while let Some(free) = files.iter().find(|(_, named)| named.is_empty()).map(|(file, _)| file.clone()) {
        files.remove(&free);
        for named in files.values_mut() {
            named.remove(&free);
        }
    }
    files
}

#[test]
fn files_of_kernels_plan_and_tune_name_each_other_in_no_circle() {
    for folder in ["kernels", "plan", "tune"] {
        let files = neighbours(folder);
        assert!(files.len() > 1 || folder == "tune");
        let left = circle(files);
        assert!(left.is_empty(), "{folder}: {left:?}");
    }
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>();
    let round = BTreeMap::from([("a".into(), names(&["b"])), ("b".into(), names(&["a"])), ("c".into(), names(&["a"]))]);
    assert_eq!(circle(round).len(), 3);
}

/// A new kernel needs its file, its line in the list, and at most a rule; `plan/pixels.rs` is the step in front of all others.
#[test]
fn kernels_are_named_in_the_list_and_in_the_rules_alone() {
    let list = fs::read_to_string(root().join("kernels/mod.rs")).expect("a readable file");
    let name = |line: &str| line.trim().strip_prefix('&')?.strip_suffix("::KERNEL,").map(str::to_string);
    let list: Vec<String> = list.lines().filter_map(name).collect();
    for path in ["plan", "tune", "verify", "gpu"].iter().flat_map(|module| files(module)) {
        let source = fs::read_to_string(&path).expect("a readable file");
        let code = source.split("#[cfg(test)]").next().unwrap_or("");
        // What follows the kernel's module: its id.
        let names = |kernel: &&String| ["::ID", "::id("].iter().any(|id| code.contains(&format!("{kernel}{id}")));
        let found: Vec<&String> = list.iter().filter(names).collect();
        let may = ["plan/rules.rs", "plan/pixels.rs"].iter().any(|file| path.ends_with(file));
        assert!(may || found.is_empty(), "{} names {found:?}", path.display());
    }
    assert!(list.len() > 15, "{list:?}");
}

#[test]
fn a_forbidden_name_is_found() {
    assert_eq!(forbidden("graph", "use crate::plan::Plan;"), ["plan"]);
    assert_eq!(forbidden("graph", "use crate::{Error, Result, gpu::{Device, pick}, tensor::Shape};"), ["gpu"]);
    assert_eq!(forbidden("plan", "use crate::{kernels::{Caps, fours}, graph::Graph};"), Vec::<String>::new());
    assert_eq!(forbidden("reference", "fn f() { crate::kernels::fours(3); }"), ["kernels"]);
    assert_eq!(forbidden("graph", "// use crate::plan::Plan;"), Vec::<String>::new());
}
