//! JSON as Python writes it.

use std::fmt;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};

use crate::{Error, Result};

/// Numbers that Python's `json` writes but JSON does not allow.
const NO_NUMBERS: [&str; 3] = ["NaN", "-Infinity", "Infinity"];

/// Parses `text`, which may begin with a byte-order mark. [`NO_NUMBERS`] become strings: a field of numbers refuses them, and an unused
/// field may have them.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    let text = text.trim_start_matches('\u{feff}');
    serde_json::from_str(text).or_else(|error| serde_json::from_str(&quoted(text)).map_err(|_| error))
}

/// Puts quotes around [`NO_NUMBERS`] in `text`, except inside strings.
fn quoted(mut text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    while let Some(next) = text.chars().next() {
        let word = NO_NUMBERS.iter().find(|word| text.starts_with(**word)).copied();
        let length = match word {
            Some(word) => word.len(),
            None if next == '"' => string(text),
            None => next.len_utf8(),
        };
        let mark = if word.is_some() { "\"" } else { "" };
        quoted.extend([mark, &text[..length], mark]);
        text = &text[length..];
    }
    quoted
}

/// Number of bytes of the string at the start of `text`, quotes included.
fn string(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
}

/// Deserializes a number or a list of numbers.
///
/// # Errors
/// The deserializer's error, for anything else.
pub(super) fn numbers<'de, D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Option<Vec<f64>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Numbers {
        One(f64),
        Several(Vec<f64>),
    }
    let numbers = Option::deserialize(deserializer)?;
    Ok(numbers.map(|numbers| match numbers {
        Numbers::One(number) => vec![number],
        Numbers::Several(numbers) => numbers,
    }))
}

/// Parses `text`; `place` names it in errors.
pub(super) fn json<T: DeserializeOwned>(place: &str, text: &str) -> Result<T> {
    parse(text).map_err(|e| invalid(place, "JSON", "unreadable", &e).because(e))
}

/// The error for a value out of range.
pub(super) fn invalid(place: &str, field: &str, value: impl fmt::Display, expected: impl fmt::Display) -> Error {
    Error::config_value(place, field, value.to_string(), expected.to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn numbers_that_python_alone_writes_are_strings() {
        let text = r#"{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \\\" Infinity", "d\\": NaN}"#;
        let expected = json!({"a": "NaN", "b": ["-Infinity", "Infinity"], "c": "NaN \\\" Infinity", "d\\": "NaN"});
        assert_eq!(parse::<Value>(text).unwrap(), expected);
        assert!(parse::<Value>("{\"a\": nan}").is_err() && parse::<f64>("Infinity").is_err());
    }
}
