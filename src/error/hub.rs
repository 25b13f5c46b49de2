//! Why the hub does not give a model.

/// Kinds of [`Error::Hub`](crate::Error::Hub).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubFailure {
    /// The model is not in the cache, and the network may not be used.
    NotCached,
    /// The hub asks for a token, or refuses the one it got (401).
    Unauthorized,
    /// The token, or none, gives no access (403, or a gated repository).
    Forbidden,
    /// There is no such repository.
    NoRepository,
    /// The repository has no such branch, tag or commit.
    NoRevision,
    /// The repository has no such file.
    NoFile,
    /// Too many requests (429).
    RateLimited {
        /// Seconds that the hub asks to wait.
        retry_after: Option<u64>,
    },
    /// No connection, or one that breaks again and again.
    Network,
    /// The answer is not a hub's: a web page, missing headers, wrong lengths.
    Response,
    /// What was fetched does not have the hash that the hub told.
    Checksum,
    /// What is in the cache is damaged.
    Corrupt,
    /// The cache cannot be read or written.
    Cache,
}

impl HubFailure {
    pub(super) fn code(self) -> &'static str {
        match self {
            HubFailure::NotCached => "hub.not_cached",
            HubFailure::Unauthorized => "hub.unauthorized",
            HubFailure::Forbidden => "hub.forbidden",
            HubFailure::NoRepository => "hub.no_repository",
            HubFailure::NoRevision => "hub.no_revision",
            HubFailure::NoFile => "hub.no_file",
            HubFailure::RateLimited { .. } => "hub.rate_limited",
            HubFailure::Network => "hub.network",
            HubFailure::Response => "hub.response",
            HubFailure::Checksum => "hub.checksum",
            HubFailure::Corrupt => "hub.corrupt",
            HubFailure::Cache => "hub.cache",
        }
    }
}
