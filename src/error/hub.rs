//! Reasons why a model cannot be obtained from the hub.

/// Kinds of [`Error::Hub`](crate::Error::Hub).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HubFailure {
    /// The model is not in the cache, and going online is not allowed.
    NotCached,
    /// The hub asks for a token, or refuses the one it got (401).
    Unauthorized,
    /// The token does not give access, or there is no token (403, or a gated repository).
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
    /// No connection, or it breaks repeatedly.
    Network,
    /// The answer does not come from a hub: a web page, missing headers, wrong lengths.
    Response,
    /// The downloaded file does not have the hash that the hub announced.
    Checksum,
    /// A file in the cache is damaged.
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
