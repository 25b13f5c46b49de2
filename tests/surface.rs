//! Counts the public items that the library's documentation shows. `tests/check` makes rustdoc's list of them:
//!
//! ```text
//! RUSTC_BOOTSTRAP=1 cargo rustdoc --lib -- -Z unstable-options --document-hidden-items --output-format json
//! RESIDUA_RUSTDOC=target/doc/residua.json cargo test --test surface -- --ignored
//! ```

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
};

use serde_json::Value;

/// Modules, types, traits, functions, methods and constants that a program may use.
const MOST: usize = 175;

/// The items of rustdoc's list that a reader can reach: each with its kind and path, by its id.
struct Reached<'a> {
    index: &'a Value,
    items: BTreeMap<String, String>,
}

impl<'a> Reached<'a> {
    /// An item that is not hidden, its kind, and rustdoc's entry for it.
    fn item(&self, id: &Value) -> Option<(&'a Value, &'a str, &'a Value)> {
        let item = self.index.get(id.to_string())?;
        let (kind, inner) = item["inner"].as_object()?.iter().next()?;
        (!item["attrs"].to_string().contains("doc(hidden)")).then_some((item, kind, inner))
    }

    /// Adds the items of a list, which lie in `path`.
    fn each(&mut self, ids: &'a Value, path: &str) {
        for id in ids.as_array().into_iter().flatten() {
            let Some((item, kind, inner)) = self.item(id) else { continue };
            let (id, name) = if kind == "use" { (&inner["id"], &inner["name"]) } else { (id, &item["name"]) };
            self.add(id, &format!("{path}::{}", name.as_str().unwrap_or_default()));
        }
    }

    /// Adds an item and those in it.
    fn add(&mut self, id: &'a Value, path: &str) {
        let Some((_, kind, inner)) = self.item(id) else { return };
        if self.items.insert(id.to_string(), format!("{kind} {path}")).is_some() {
            return;
        }
        if matches!(kind, "module" | "trait") {
            self.each(&inner["items"], path);
        }
        for block in inner["impls"].as_array().into_iter().flatten() {
            if let Some((_, "impl", block)) = self.item(block)
                && block["trait"].is_null()
            {
                self.each(&block["items"], path);
            }
        }
    }
}

#[test]
#[ignore = "reads rustdoc's list of items: tests/check makes it and names it in RESIDUA_RUSTDOC"]
fn the_documented_surface_stays_small() {
    let path = env::var_os("RESIDUA_RUSTDOC").expect("RESIDUA_RUSTDOC names rustdoc's list of items");
    let list: Value = serde_json::from_slice(&fs::read(path).expect("a readable list")).expect("JSON");
    let mut reached = Reached { index: &list["index"], items: BTreeMap::new() };
    reached.add(&list["root"], "residua");
    let items: BTreeSet<&String> = reached.items.values().collect();
    assert!(items.len() <= MOST, "{} public items, more than {MOST}: {items:#?}", items.len());
    let has = |item: &str| items.iter().any(|other| *other == item);
    assert!(has("struct residua::Classifier") && has("function residua::Classifier::infer"), "{items:#?}");
}
