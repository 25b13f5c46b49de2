//! Compares the table of codes in the documentation of `residua::error` with the codes that exist.

use std::{collections::BTreeSet, fs, path::Path};

use crate::sources;

/// The codes in the first column of the table.
fn documented() -> Vec<String> {
    let source = include_str!("../../src/error.rs");
    let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
    rows.map(|row| row.split('`').next().unwrap().to_string()).collect()
}

/// The sources of `code()`.
const CODE: &str = concat!(include_str!("../../src/error.rs"), include_str!("../../src/error/hub.rs"));

/// The codes that `code()` returns.
fn given() -> BTreeSet<String> {
    let arms = CODE.lines().filter_map(|line| line.trim().split_once(" => \""));
    arms.filter_map(|(_, code)| code.strip_suffix("\",")).map(String::from).collect()
}

#[test]
fn the_table_names_every_code_once() {
    let (documented, given) = (documented(), given());
    assert!(given.len() > 30, "{given:?}");
    assert_eq!(documented.len(), given.len());
    assert_eq!(documented.into_iter().collect::<BTreeSet<_>>(), given);
}

/// Only broken drivers cause these.
const UNTESTED: [&str; 1] = ["gpu.shader"];

/// A code that no test expects may be a code that nothing returns.
#[test]
fn every_code_is_asked_for_by_a_test() {
    let in_src = |path: &Path| path.starts_with(Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut tests = String::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        tests += if in_src(&path) { text.rsplit_once("#[cfg(test)]").map_or("", |(_, tests)| tests) } else { &text };
    }
    let variant = |code: &str| {
        let arm = CODE.lines().find(|line| line.contains(&format!("=> \"{code}\","))).unwrap();
        arm.trim().split([' ', '{']).next().unwrap().to_string()
    };
    let unasked: Vec<String> = given()
        .into_iter()
        .filter(|code| !UNTESTED.contains(&code.as_str()))
        .filter(|code| !tests.contains(&format!("\"{code}\"")) && !tests.contains(&variant(code)))
        .collect();
    assert!(unasked.is_empty(), "no test asks for {unasked:?}");
}
