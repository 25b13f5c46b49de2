//! Checks which module uses which: enforces the table in the crate's documentation by reading the paths in `src/`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The areas of `src/`, and the areas that each may use besides `error` and `tensor`, which all may use. A file belongs to the area with
/// the longest path that contains it.
const AREAS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("tensor", &[]),
    ("note", &[]),
    ("image", &[]),
    ("folder", &["image"]),
    ("files", &[]),
    ("labels", &[]),
    ("graph", &[]),
    ("hub", &[]),
    ("cache", &[]),
    ("structure", &["graph"]),
    ("checkpoint", &["image", "labels", "structure", "files"]),
    ("models", &["graph", "structure"]),
    ("network", &["graph", "checkpoint"]),
    ("executor", &["graph", "network", "note", "executor::reference", "executor::cpu"]),
    ("executor::cpu", &["graph", "checkpoint", "network", "executor"]),
    ("executor::reference", &["graph", "checkpoint", "network", "executor"]),
    (
        "executor::gpu",
        &["graph", "network", "executor", "executor::gpu::plan", "executor::gpu::kernels", "cache", "note"],
    ),
    ("executor::gpu::kernels", &["graph", "network"]),
    ("executor::gpu::plan", &["graph", "checkpoint", "network", "executor", "executor::gpu::kernels"]),
    (
        "check",
        &[
            "graph",
            "checkpoint",
            "network",
            "executor",
            "executor::reference",
            "executor::gpu",
            "executor::gpu::plan",
            "executor::gpu::kernels",
            "cache",
            "note",
        ],
    ),
    ("model_info", &["image", "labels", "checkpoint", "models"]),
    ("search", &["graph", "checkpoint", "network", "executor"]),
    (
        "open",
        &[
            "graph",
            "image",
            "labels",
            "hub",
            "cache",
            "structure",
            "checkpoint",
            "models",
            "network",
            "executor",
            "executor::reference",
            "executor::gpu",
            "executor::gpu::plan",
            "executor::gpu::kernels",
            "check",
            "note",
            "model_info",
            "classifier",
        ],
    ),
    ("classifier", &["image", "labels", "network", "executor", "check", "search", "note", "model_info", "explain"]),
    ("explain", &["graph", "image", "labels", "network", "executor", "model_info"]),
    ("photos", &["image", "labels", "classifier"]),
    ("blocking", &["image", "labels", "executor", "executor::gpu", "check", "search", "open", "explain", "classifier"]),
    ("stream", &["image", "executor", "classifier", "workers"]),
    ("workers", &[]),
    ("learn", &["labels"]),
    ("fit", &["graph", "checkpoint", "models", "labels", "network", "classifier", "learn"]),
    ("program", &["executor::gpu"]),
];

/// Programs that use the library. They use it through `residua::`, and nothing through `crate::`.
const DOORS: &[&str] = &["cli", "bin", "main"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// All Rust files at or below `path`, and `path.rs`.
fn files(path: &Path) -> Vec<PathBuf> {
    let mut files = Vec::from_iter(Some(path.with_extension("rs")).filter(|path| path.is_file()));
    let mut folders = vec![path.to_path_buf()];
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

/// The module path of a file below `src/`, such as `executor::gpu::plan`.
fn module(file: &Path) -> String {
    let path = file.strip_prefix(root()).expect("below src").with_extension("");
    let names: Vec<&str> = path.iter().map(|name| name.to_str().expect("a name")).collect();
    names.join("::").trim_end_matches("::mod").to_string()
}

/// The area of a path such as `executor::gpu::plan::Options`.
fn area(path: &str) -> Option<&'static str> {
    let below = |area: &&str| path.strip_prefix(area).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    AREAS.iter().map(|(area, _)| *area).filter(below).max_by_key(|area| area.len())
}

/// A source text without its comments and tests.
fn code(source: &str) -> String {
    let source = source.split("#[cfg(test)]").next().unwrap_or("");
    source.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

/// The paths of a use tree such as `a::{b, c::{self, D as E}}`, each with `prefix` before it, and the rest of the text.
fn tree<'a>(prefix: &str, text: &'a str, paths: &mut Vec<String>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = tree(prefix, rest, paths).trim_start();
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => return rest.strip_prefix('}').unwrap_or(rest),
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let path =
        if prefix.is_empty() || name.is_empty() { format!("{prefix}{name}") } else { format!("{prefix}::{name}") };
    match rest.strip_prefix("::") {
        Some(rest) => tree(&path, rest, paths),
        None => {
            paths.push(path.trim_end_matches("::self").to_string());
            let end = rest.find([',', '}', ';']).unwrap_or(rest.len());
            &rest[if rest.trim_start().starts_with("as ") { end } else { 0 }..]
        }
    }
}

/// The paths that a source text names through `crate::` and `super::`, resolved for a file of `module`.
fn named(module: &str, source: &str) -> BTreeSet<String> {
    let code = code(source);
    let mut paths = Vec::new();
    for after in code.split("crate::").skip(1) {
        tree("", after, &mut paths);
    }
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    for (i, _) in code.match_indices("super::").filter(|(i, _)| !code[..*i].ends_with("::")) {
        let (mut parent, mut after) = (parent, &code[i + "super::".len()..]);
        while let Some(rest) = after.strip_prefix("super::") {
            (parent, after) = (parent.rsplit_once("::").map_or("", |(parent, _)| parent), rest);
        }
        tree(parent, after, &mut paths);
    }
    paths.into_iter().collect()
}

/// The names that `lib.rs` re-exports at the root, each with the path that it stands for.
fn at_the_root() -> BTreeMap<String, String> {
    let source = code(&fs::read_to_string(root().join("lib.rs")).expect("a readable file"));
    let mut paths = Vec::new();
    for after in source.split("pub use ").skip(1) {
        tree("", after, &mut paths);
    }
    paths.into_iter().map(|path| (path.rsplit("::").next().expect("a name").to_string(), path)).collect()
}

/// The areas that `source`, a file of `module`, uses but may not use.
fn forbidden(module: &str, source: &str) -> Vec<&'static str> {
    let root = at_the_root();
    let mine = area(module).unwrap_or_else(|| panic!("{module} is in no area"));
    let (_, allowed) = AREAS.iter().find(|(area, _)| *area == mine).expect("an area");
    let open = |name: &str| name == mine || ["error", "tensor"].contains(&name) || allowed.contains(&name);
    let paths = named(module, source);
    let areas: BTreeSet<&str> =
        paths.iter().filter_map(|path| area(root.get(path).map_or(path.as_str(), |path| path.as_str()))).collect();
    areas.into_iter().filter(|area| !open(area)).collect()
}

#[test]
fn every_file_is_in_an_area_and_names_only_the_areas_that_it_may_use() {
    let mut seen = BTreeSet::new();
    for file in files(&root()) {
        let module = module(&file);
        if module == "lib" || DOORS.iter().any(|door| module.split("::").next() == Some(door)) {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a readable file");
        let found = forbidden(&module, &source);
        assert!(found.is_empty(), "{} names {found:?}", file.display());
        seen.insert(area(&module));
    }
    assert_eq!(seen.len(), AREAS.len(), "an area without a file");
}

/// The library must not block a browser or a caller's runtime.
#[test]
fn the_library_waits_in_one_file_and_in_the_hub() {
    let mut waiting = Vec::new();
    for entry in fs::read_dir(root()).expect("a readable folder") {
        let path = entry.expect("a readable folder").path();
        let module = path.file_stem().expect("a name").to_string_lossy().into_owned();
        if ["hub", "cli", "bin", "main"].contains(&&*module) {
            continue;
        }
        for file in files(&root().join(&module)) {
            let source = fs::read_to_string(&file).expect("a readable file");
            if ["block_on", "thread::sleep"].iter().any(|call| source.contains(call)) {
                waiting.push(file.strip_prefix(root()).expect("below src").to_path_buf());
            }
        }
    }
    assert_eq!(waiting, [Path::new("blocking.rs")]);
}

/// Mentions of the command line in a source text, comments included: an option, or a command of `residua`.
fn of_the_command_line(source: &str) -> Option<String> {
    let option = |(at, _): (usize, &str)| {
        let (before, after) = (source[..at].chars().next_back(), source[at + 2..].chars().next());
        let free = before.is_none_or(|c| !c.is_alphanumeric() && c != '-');
        (free && after.is_some_and(|c| c.is_ascii_lowercase())).then(|| source[at..].split_whitespace().next())?
    };
    let commands = [
        "classify", "convert", "embed", "similar", "explain", "fit", "evaluate", "devices", "info", "verify",
        "profile", "pull", "doctor",
    ];
    let command =
        || commands.map(|name| format!("residua {name}")).into_iter().find(|command| source.contains(command));
    let short = || source.contains("give -r").then(|| "-r".into());
    source.match_indices("--").find_map(option).map(String::from).or_else(command).or_else(short)
}

/// Other programs that use the library have other options, or none.
#[test]
fn the_library_never_speaks_of_the_command_line() {
    for file in files(&root()) {
        if DOORS.iter().any(|door| module(&file).split("::").next() == Some(door)) {
            continue;
        }
        let source = fs::read_to_string(&file).expect("a readable file");
        let found = of_the_command_line(source.split("#[cfg(test)]").next().unwrap_or(""));
        assert!(found.is_none(), "{} speaks of {}", file.display(), found.unwrap_or_default());
    }
    assert_eq!(of_the_command_line("take `--device cpu`").as_deref(), Some("--device"));
    assert_eq!(of_the_command_line("`residua pull` it").as_deref(), Some("residua pull"));
    assert_eq!(of_the_command_line("models--timm--resnet50, a -- b, |---|"), None);
}

#[test]
fn only_gpu_names_wgpu_and_two_files_are_unsafe() {
    for file in files(&root()) {
        let source = fs::read_to_string(&file).expect("a readable file");
        let in_gpu = area(&module(&file)) == Some("executor::gpu");
        assert!(in_gpu || !source.contains("wgpu::"), "{} names wgpu", file.display());
        let is_unsafe = source.contains("unsafe {") || source.contains("unsafe fn");
        let may_be = ["gpu/trusted.rs", "image/libjpeg.rs"].iter().any(|trusted| file.ends_with(trusted));
        assert!(!is_unsafe || may_be, "{} is unsafe", file.display());
    }
}

/// The lint `unsafe_code` is denied for the whole package, so unsafe code needs an `allow`.
#[test]
fn unsafe_code_is_allowed_in_two_files_and_in_tests_of_the_system_below() {
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
                // The pattern is put together here, so that it does not match this file.
                if source.contains(concat!("allow(unsafe", "_code")) {
                    allowing.push(path.strip_prefix(package).expect("below the package").to_path_buf());
                }
            }
        }
    }
    allowing.sort();
    let allowed = [
        "src/executor/gpu/trusted.rs",
        "src/image/libjpeg.rs",
        "tests/compiled/control.rs",
        "tests/compiled/driver.rs",
        "tests/fork.rs",
    ];
    assert_eq!(allowing, allowed.map(Path::new));
    let manifest = fs::read_to_string(package.join("Cargo.toml")).expect("a readable file");
    assert!(manifest.contains("unsafe_code = \"deny\""));
}

/// All folders of `src/` at or below `folder`.
fn folders(folder: PathBuf) -> Vec<PathBuf> {
    let entries =
        fs::read_dir(&folder).expect("a readable folder").map(|entry| entry.expect("a readable folder").path());
    let below: Vec<PathBuf> = entries.filter(|path| path.is_dir()).flat_map(folders).collect();
    [folder].into_iter().chain(below).collect()
}

/// The files and folders in a folder, each with those that it names, directly or through re-exports of the folder's
/// `mod.rs`. The uses in `mod.rs` itself do not count.
fn neighbours(folder: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let read = |path: &PathBuf| fs::read_to_string(path).expect("a readable file");
    let place = module(&folder.join("mod.rs"));
    let below = |path: &str| match place.as_str() {
        "" | "mod" => Some(path.to_string()),
        place => path.strip_prefix(place)?.strip_prefix("::").map(str::to_string),
    };
    let mut owners = BTreeMap::new();
    let mut neighbours: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    for file in files(folder) {
        let name = below(&module(&file)).and_then(|path| path.split("::").next().map(str::to_string));
        match name.filter(|name| !["", "mod", "lib", "main"].contains(&name.as_str())) {
            Some(name) => neighbours.entry(name).or_default().push(file),
            None => {
                let mut paths = Vec::new();
                for list in code(&read(&file)).split("use ").skip(1) {
                    tree("", list, &mut paths);
                }
                let owned = paths.iter().filter_map(|path| Some((path.rsplit_once("::")?.1, path.split("::").next()?)));
                owners.extend(owned.map(|(name, owner)| (name.to_string(), owner.to_string())));
            }
        }
    }
    let named = |file: &PathBuf| {
        let paths = named(&module(file), &read(file)).into_iter().filter_map(|path| below(&path));
        let first = paths.map(|path| path.split("::").next().unwrap_or_default().to_string());
        first.map(|name| owners.get(&name).cloned().unwrap_or(name)).collect::<Vec<_>>()
    };
    let known: BTreeSet<String> = neighbours.keys().cloned().collect();
    let all = |(name, files): (&String, &Vec<PathBuf>)| {
        let others = files.iter().flat_map(named).filter(|other| other != name && known.contains(other));
        (name.clone(), others.collect())
    };
    neighbours.iter().map(all).collect()
}

/// Files that use each other in a circle, if any: those that are left after repeatedly removing files that use none of the others.
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
fn files_and_folders_of_a_folder_use_each_other_in_no_circle() {
    for folder in folders(root()) {
        let left = circle(neighbours(&folder));
        assert!(left.is_empty(), "{}: {left:#?}", folder.display());
    }
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<BTreeSet<String>>();
    let round = BTreeMap::from([("a".into(), names(&["b"])), ("b".into(), names(&["a"])), ("c".into(), names(&["a"]))]);
    assert_eq!(circle(round).len(), 3);
    let image = neighbours(&root().join("image"));
    assert!(image["decode"].is_superset(&names(&["png", "tiff", "format"])), "{image:?}");
}

/// A program reaches only its own files through `crate::`, and no file belongs to two programs.
#[test]
fn doors_name_the_library_by_its_name_and_share_no_files() {
    for door in DOORS {
        for file in files(&root().join(door)) {
            let source = fs::read_to_string(&file).expect("a readable file");
            assert!(!source.contains("#[path"), "{} takes a file from elsewhere", file.display());
            let own = |path: &String| path.starts_with("cli") || path.starts_with("bin") || *door == "bin";
            let foreign: Vec<String> = named(&module(&file), &source).into_iter().filter(|path| !own(path)).collect();
            assert!(foreign.is_empty(), "{} names {foreign:?}", file.display());
        }
    }
}

/// A new kernel needs only its file, its line in the list, and at most a rule. Two other files name kernels: `plan/pixels.rs`, for the
/// first step, and the self-test, which tries three.
#[test]
fn kernels_are_named_in_the_list_and_in_the_rules_alone() {
    let list = fs::read_to_string(root().join("executor/gpu/kernels/mod.rs")).expect("a readable file");
    let name = |line: &str| line.trim().strip_prefix('&')?.strip_suffix("::KERNEL,").map(str::to_string);
    let list: Vec<String> = list.lines().filter_map(name).collect();
    for path in ["executor/gpu", "check"].iter().flat_map(|folder| files(&root().join(folder))) {
        let source = fs::read_to_string(&path).expect("a readable file");
        let code = code(&source);
        // The part after the kernel's module: its id.
        let names = |kernel: &&String| ["::ID", "::id("].iter().any(|id| code.contains(&format!("{kernel}{id}")));
        let found: Vec<&String> = list.iter().filter(names).collect();
        let may = path.components().any(|part| part.as_os_str() == "kernels")
            || ["plan/rules.rs", "plan/pixels.rs", "check/selftest.rs"].iter().any(|file| path.ends_with(file));
        assert!(may || found.is_empty(), "{} names {found:?}", path.display());
    }
    assert!(list.len() > 15, "{list:?}");
}

#[test]
fn a_forbidden_name_is_found() {
    let none = Vec::<&str>::new();
    assert_eq!(forbidden("graph::op", "use crate::executor::gpu::plan::Plan;"), ["executor::gpu::plan"]);
    assert_eq!(
        forbidden("graph", "use crate::{Error, Result, executor::gpu::{Device, pick}, tensor::Shape};"),
        ["executor::gpu"]
    );
    assert_eq!(
        forbidden("executor::gpu::plan::x", "use crate::{executor::gpu::kernels::{Caps, fours}, graph::Graph};"),
        none
    );
    assert_eq!(
        forbidden("executor::reference::x", "fn f() { crate::executor::gpu::kernels::fours(3); }"),
        ["executor::gpu::kernels"]
    );
    assert_eq!(forbidden("executor::gpu::kernels::x", "use super::super::Device;"), ["executor::gpu"]);
    assert_eq!(forbidden("executor::gpu::kernels::x", "use super::{Caps, value::View as V};"), none);
    assert_eq!(forbidden("graph", "use crate::{tensor::{self, Shape as S}, Classifier};"), ["classifier"]);
    assert_eq!(forbidden("graph", "// use crate::executor::gpu::plan::Plan;"), none);
}
