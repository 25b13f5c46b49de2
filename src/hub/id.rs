//! Names of models on the hub.

use std::fmt;

use super::entries::by_name;
use crate::{Error, error::HubFailure};

/// The branch to use if no revision is named.
const MAIN: &str = "main";

/// Longest repository name that the hub allows.
const LONGEST: usize = 96;

/// A repository and a revision of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelId {
    repository: String,
    revision: Option<String>,
}

impl ModelId {
    /// Parses `owner/name`, or an alias from [`entries`](super::entries()), either with an optional `@revision` (a branch, a tag or
    /// a commit). `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, revision) = match text.split_once('@') {
            Some((name, revision)) => (name, Some(revision)),
            None => (text, None),
        };
        let repository = match by_name(name) {
            Some(known) => known.repository.to_string(),
            None if is_repository(name) => name.to_string(),
            None => return None,
        };
        let revision = match revision {
            Some(revision) if is_revision(revision) => Some(revision.to_string()),
            Some(_) => return None,
            None => None,
        };
        Some(ModelId { repository, revision })
    }

    /// `owner/name`.
    #[doc(hidden)]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The branch, tag or commit; `main` if none was named.
    #[doc(hidden)]
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or(MAIN)
    }

    pub(super) fn failed(&self, failure: HubFailure, reason: impl Into<String>) -> Error {
        Error::Hub { model: self.to_string(), failure, reason: reason.into(), source: None }
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        self.revision.as_ref().map_or(Ok(()), |revision| write!(f, "@{revision}"))
    }
}

/// The hub's rule for names, which also keeps a name from being a path in the cache.
fn is_repository(text: &str) -> bool {
    let part = |part: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        !part.is_empty() && part.chars().all(allowed) && !part.starts_with(['-', '.']) && !part.ends_with(['-', '.'])
    };
    let owner_and_name = text.split_once('/').is_some_and(|(owner, name)| part(owner) && part(name));
    let file = [".git", ".safetensors", ".bin", ".pth", ".onnx", ".gguf"].iter().any(|end| text.ends_with(end));
    owner_and_name && !file && text.len() <= LONGEST && !text.contains("--") && !text.contains("..")
}

/// Nearly git's rule for names of branches and tags; a name that passes stays inside `refs/`.
fn is_revision(text: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '+');
    let parts = text.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && !part.ends_with('.'));
    text.chars().all(allowed) && parts && !text.contains("..") && text.len() <= 255
}

/// Whether a revision is a commit hash, which always means the same files.
pub(super) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
