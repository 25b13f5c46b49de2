//! Checks the guides against the program and the repository: links, commands with their options, and the length of the README.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{out, residua};

/// All Markdown files of the repository, except those that tools leave in it.
fn guides() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut guides, mut folders) = (Vec::new(), vec![root.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).unwrap();
                guides.push((path, text));
            }
        }
    }
    assert!(guides.len() > 8, "{guides:?}");
    guides
}

/// The anchors that GitHub makes of the headings of a guide.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings =
        text.lines().filter_map(|line| line.strip_prefix('#')).map(|line| line.trim_start_matches('#').trim());
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings.map(|heading| heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")).collect()
}

#[test]
fn every_link_in_a_guide_leads_somewhere() {
    let mut anchored = 0;
    for (guide, text) in guides() {
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { guide.clone() } else { guide.parent().unwrap().join(file) };
            assert!(file.exists(), "{}: {target}", guide.display());
            if !anchor.is_empty() {
                let known = anchors(&fs::read_to_string(file).unwrap());
                assert!(known.contains(anchor), "{}: {target}: {known:?}", guide.display());
                anchored += 1;
            }
        }
    }
    assert!(anchored > 0);
}

/// The words of all commands that start with `residua` in a guide: in backquotes, or indented by four, but not in fences.
fn commands(text: &str) -> Vec<Vec<String>> {
    let text = text.split("```").step_by(2).collect::<String>();
    let flat = text.replace('\n', " ");
    let quoted = flat.split('`').skip(1).step_by(2).map(String::from);
    let indented =
        text.lines().filter_map(|line| line.strip_prefix("    ")).map(|line| line.trim_start_matches("$ ").into());
    let words = |code: String| {
        let command = code.split(" #").next().unwrap().to_string();
        let start = command.split_whitespace().position(|word| word == "residua")?;
        Some(command.split_whitespace().skip(start + 1).map(String::from).collect::<Vec<_>>())
    };
    quoted.chain(indented).filter_map(words).filter(|words| !words.is_empty()).collect()
}

#[test]
fn every_option_in_a_guide_is_one_of_its_command() {
    let mut helps: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut checked = 0;
    for (guide, text) in guides().into_iter().filter(|(guide, _)| !guide.iter().any(|part| part == "runs")) {
        for words in commands(&text) {
            let Some(command) = words.first().filter(|word| word.chars().all(|c| c.is_ascii_lowercase())) else {
                continue;
            };
            let known = helps.entry(command.clone()).or_insert_with(|| {
                let help = residua(&[command, "--help-all"]);
                assert!(help.status.success(), "{}: residua {words:?}", guide.display());
                out(&help).split(|c: char| !c.is_ascii_alphanumeric() && c != '-').map(String::from).collect()
            });
            for option in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
                let name = option.split('=').next().unwrap();
                assert!(known.contains(name), "{}: residua {command} has no {name}", guide.display());
                checked += 1;
            }
        }
    }
    assert!(checked > 10, "{checked} options");
}

#[test]
fn the_readme_is_read_in_minutes() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    assert!(readme.lines().count() <= 120, "{} lines", readme.lines().count());
}
