//! Published models, from `weights/models.csv`: their short names, licences and figures.

const TABLE: &str = include_str!("../../weights/models.csv");

/// Lowest similarity of a name that is suggested for an unknown one: strsim's Jaro-Winkler, 1 for equal names.
const ALIKE: f64 = 0.85;

/// Largest number of names to suggest.
const OFFERED: usize = 5;

/// A published model. Uncertain cells are empty in the table.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ModelEntry {
    /// Short name: timm's, with the training recipe only if it is not the usual one.
    pub alias: Option<&'static str>,
    /// Repository on the hub.
    pub repository: &'static str,
    /// SPDX identifier in lower case, as the hub writes it.
    pub license: Option<&'static str>,
    /// Number of trained parameters.
    pub parameters: Option<u64>,
    /// Billions of multiply-accumulates for one image of 224x224.
    pub gmacs: Option<f64>,
    /// Top-1 accuracy on ImageNet's validation images, in per cent, at `top1_input`.
    pub top1: Option<f64>,
    /// Rows and columns of the input in that measurement.
    pub top1_input: Option<usize>,
    /// Who measured the accuracy.
    pub top1_source: Option<&'static str>,
}

impl ModelEntry {
    /// The published accuracy as a sentence.
    pub fn top1_sentence(&self) -> Option<String> {
        let (top1, input, source) = (self.top1?, self.top1_input?, self.top1_source?);
        Some(format!("{top1:.2} % at {input}x{input}, as {source} published"))
    }
}

/// All rows of the table.
#[doc(hidden)]
pub fn entries() -> impl Iterator<Item = ModelEntry> {
    let rows = TABLE.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.map(|line| {
        let mut cells = line.split(',').map(|cell| Some(cell).filter(|cell| !cell.is_empty()));
        let mut cell = || cells.next().flatten();
        ModelEntry {
            alias: cell(),
            repository: cell().unwrap_or_default(),
            license: cell(),
            parameters: cell().and_then(|text| text.parse().ok()),
            gmacs: cell().and_then(|text| text.parse().ok()),
            top1: cell().and_then(|text| text.parse().ok()),
            top1_input: cell().and_then(|text| text.parse().ok()),
            top1_source: cell(),
        }
    })
}

/// The row with a short name.
pub(super) fn by_name(alias: &str) -> Option<ModelEntry> {
    entries().find(|row| row.alias == Some(alias))
}

/// The row with a repository.
#[doc(hidden)]
pub fn by_repository(repository: &str) -> Option<ModelEntry> {
    entries().find(|row| row.repository == repository)
}

/// Short names similar to `name`, the most similar first.
#[doc(hidden)]
pub fn similar_names(name: &str) -> Vec<&'static str> {
    let name = name.to_lowercase().replace('-', "_");
    let name = name.split('@').next().unwrap_or_default();
    let likeness = |row: ModelEntry| {
        let alias = row.alias?;
        let begins = !name.is_empty() && alias.starts_with(name);
        Some((if begins { 1.0 } else { strsim::jaro_winkler(name, alias) }, alias))
    };
    let mut similar: Vec<(f64, &str)> = entries().filter_map(likeness).filter(|(alike, _)| *alike >= ALIKE).collect();
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    similar.into_iter().take(OFFERED).map(|(_, alias)| alias).collect()
}
