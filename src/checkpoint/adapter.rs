//! PEFT's configuration of an adapter (LoRA), which lies beside its tensors.

use std::{fs, path::Path};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::json;

/// A part of the names of an adapter's tensors.
pub(super) const MARK: &str = ".lora_A.";

/// The fields that decide how the products of an adapter's matrices are scaled.
#[derive(Deserialize)]
struct Config {
    peft_type: String,
    r: f64,
    lora_alpha: f64,
    #[serde(default)]
    use_rslora: bool,
    #[serde(default)]
    use_dora: bool,
    #[serde(default)]
    rank_pattern: Map<String, Value>,
    #[serde(default)]
    alpha_pattern: Map<String, Value>,
}

/// Reads the scaling in `adapter_config.json` beside the file at `path`. None if there is no such file, or if it states another kind of
/// adapter than LoRA with one scaling.
pub(super) fn scaling_beside(path: &Path) -> Option<f64> {
    scaling(&fs::read_to_string(path.with_file_name("adapter_config.json")).ok()?)
}

fn scaling(text: &str) -> Option<f64> {
    let config: Config = json::parse(text).ok()?;
    let single = config.rank_pattern.is_empty() && config.alpha_pattern.is_empty() && !config.use_dora;
    let rank = if config.use_rslora { config.r.sqrt() } else { config.r };
    let scaling = config.lora_alpha / rank;
    (config.peft_type == "LORA" && single && scaling.is_finite()).then_some(scaling)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scaling_is_alpha_by_rank() {
        let of = |more: &str| scaling(&format!(r#"{{"peft_type": "LORA", "r": 4, "lora_alpha": 16{more}}}"#));
        assert_eq!(of(""), Some(4.0));
        assert_eq!(of(r#", "use_rslora": true, "alpha_pattern": {}"#), Some(8.0));
        for more in [r#", "use_dora": true"#, r#", "rank_pattern": {"fc": 8}"#, r#", "alpha_pattern": {"fc": 8}"#] {
            assert_eq!(of(more), None, "{more}");
        }
        assert_eq!(scaling(r#"{"peft_type": "LOHA", "r": 4, "lora_alpha": 16}"#), None);
        assert_eq!(scaling("{}"), None);
    }
}
