//! Reads class names from JSON: lists, and objects from index to name or from name to index.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Largest number of classes that may have names.
const MAX_CLASSES: usize = 1 << 20;

/// An error in a list of names.
pub(crate) struct Refused {
    /// The wrong value.
    pub(crate) value: String,
    /// The values allowed in its place.
    pub(crate) expected: String,
}

fn refused(value: impl ToString, expected: impl Into<String>) -> Refused {
    Refused { value: value.to_string(), expected: expected.into() }
}

/// Names in class order from JSON: a list, an object from index to name, or one from name to index. A name is text, a number, true
/// or false, or, as in Keras's `imagenet_class_index.json`, a list that ends with the name. The index stands in for a missing
/// name.
///
/// # Errors
/// The first value that has none of these forms.
pub(crate) fn names(value: &Value) -> Result<Vec<String>, Refused> {
    match value {
        Value::Array(list) if list.len() > MAX_CLASSES => {
            Err(refused(format!("{} names", list.len()), format!("at most {MAX_CLASSES}")))
        }
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| name(index, value)).collect(),
        Value::Object(object)
            if !object.keys().all(|key| is_number(key)) && object.values().all(|v| index(v).is_some()) =>
        {
            by_index(object.iter().map(|(name, value)| (index(value).unwrap_or(usize::MAX), name, name.clone())))
        }
        Value::Object(object) => from_index(object),
        other => Err(refused(other, "a list of names, or an object from index to name or from name to index")),
    }
}

/// As [`names`], from a dictionary that Python printed, such as `{0: 'tench', 1: 'goldfish'}`, with one entry per line. `None` for
/// any other text.
pub(super) fn python_dictionary(text: &str) -> Option<Result<Vec<String>, Refused>> {
    let lines = text.strip_prefix('{')?.strip_suffix('}')?.lines().map(str::trim).filter(|line| !line.is_empty());
    let entry = |line: &str| -> Option<(String, Value)> {
        let (key, name) = line.strip_suffix(',').unwrap_or(line).split_once(':')?;
        let name = name.trim();
        let quote = name.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let name = name.strip_prefix(quote)?.strip_suffix(quote)?;
        let one = !name.replace("\\'", "").contains(quote);
        one.then(|| (key.trim().to_string(), Value::String(name.replace("\\'", "'"))))
    };
    Some(from_index(&lines.map(entry).collect::<Option<Map<_, _>>>()?))
}

fn from_index(object: &Map<String, Value>) -> Result<Vec<String>, Refused> {
    let entries = object.iter().map(|(key, value)| {
        let index = key.trim().parse().unwrap_or(usize::MAX);
        Ok((index, key, name(index, value)?))
    });
    by_index(entries.collect::<Result<Vec<_>, _>>()?.into_iter())
}

/// Names in the order of their indices; error messages quote the keys.
fn by_index<'a>(entries: impl Iterator<Item = (usize, &'a String, String)>) -> Result<Vec<String>, Refused> {
    let mut named = BTreeMap::new();
    for (index, key, name) in entries {
        if index >= MAX_CLASSES {
            return Err(refused(key, format!("class indices below {MAX_CLASSES}")));
        }
        if named.insert(index, name).is_some() {
            return Err(refused(key, format!("one name for class {index}")));
        }
    }
    let classes = named.last_key_value().map_or(0, |(last, _)| last + 1);
    Ok((0..classes).map(|index| named.remove(&index).unwrap_or_else(|| index.to_string())).collect())
}

/// The name of class `index` in `value`.
fn name(index: usize, value: &Value) -> Result<String, Refused> {
    match value {
        Value::String(name) => Ok(name.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(truth) => Ok(truth.to_string()),
        Value::Null => Ok(index.to_string()),
        Value::Array(parts) if parts.iter().all(Value::is_string) => match parts.last() {
            Some(last) => name(index, last),
            None => Ok(index.to_string()),
        },
        other => Err(refused(other, "names as text or numbers")),
    }
}

/// An index that replaces a missing name.
fn index(value: &Value) -> Option<usize> {
    match value {
        Value::Number(number) => number.as_u64().and_then(|index| index.try_into().ok()),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

/// Whether a key looks like an index.
fn is_number(key: &str) -> bool {
    key.trim().parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<String>, String> {
        names(&serde_json::from_str(json).unwrap()).map_err(|refused| refused.value)
    }

    #[test]
    fn names_are_read_in_every_form() {
        let expected = Ok(["cat".to_string(), "dog".into()].to_vec());
        for json in [
            r#"["cat", "dog"]"#,
            r#"{"1": "dog", "0": "cat"}"#,
            r#"{"cat": 0, "dog": 1}"#,
            r#"{"cat": "0", "dog": "1"}"#,
            r#"{"0": ["n02121808", "cat"], "1": ["n02084071", "dog"]}"#,
            r#"[["n02121808", "cat"], ["n02084071", "dog"]]"#,
        ] {
            assert_eq!(of(json), expected, "{json}");
        }
    }

    #[test]
    fn names_that_are_not_text_are_written_as_text() {
        assert_eq!(
            of(r#"{"0": 7, "1": 0.5, "2": true, "3": null, "5": "f"}"#).unwrap(),
            ["7", "0.5", "true", "3", "4", "f"]
        );
        assert_eq!(of(r#"{"0": 1, "1": 0}"#).unwrap(), ["1", "0"]);
        assert_eq!(of("[3, null, false]").unwrap(), ["3", "1", "false"]);
    }

    #[test]
    fn what_is_not_a_list_of_names_is_refused() {
        let cases = [
            ("7", "7"),
            (r#"[{"name": "cat"}]"#, r#"{"name":"cat"}"#),
            (r#"{"-1": "cat"}"#, "-1"),
            (r#"{"99999999999": "cat"}"#, "99999999999"),
            (r#"{"cat": "dog"}"#, "cat"),
            (r#"{"cat": 0, "dog": 0}"#, "dog"),
            (r#"{"0": "cat", "00": "dog"}"#, "00"),
            (r#"{"cat": 0, "dog": 4000000}"#, "dog"),
        ];
        for (json, value) in cases {
            assert_eq!(of(json), Err(value.into()), "{json}");
        }
    }
}
