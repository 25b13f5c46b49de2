//! Settings for models from the hub: the cache, the address, and how long to wait.

use std::{collections::BTreeMap, ffi::OsString, fmt, fs, path::PathBuf, time::Duration};

use super::events::Watch;
use crate::Error;

/// The public hub.
#[doc(hidden)]
pub const DEFAULT_ENDPOINT: &str = "https://huggingface.co";

/// Source of models by name. [`Hub::from_vars`] reads the variables of Python's `huggingface_hub`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Hub {
    /// Cache folder. Required to open a model from the hub.
    pub cache: Option<PathBuf>,
    /// Address of the hub, without a slash at its end.
    pub endpoint: String,
    /// Token for authentication, sent to the endpoint only.
    pub token: Option<Token>,
    /// Use cached files only, and no network.
    pub offline: bool,
    /// Longest wait for a file's metadata.
    pub metadata_timeout: Duration,
    /// Longest wait for the next bytes of a file.
    pub download_timeout: Duration,
    /// Pause before a failed request is tried again; doubled for each failure in a row.
    pub pause: Duration,
    /// Address of a proxy: `http://`, `https://`, `socks4://`, `socks4a://`, `socks5://` or `socks5h://`. With `socks4a` and `socks5h`
    /// the proxy resolves host names.
    pub proxy: Option<String>,
    /// Hosts to reach without the proxy, including their subdomains; IP addresses; networks such as `10.0.0.0/8`; `*` for all.
    pub no_proxy: Vec<String>,
    /// PEM file of certificates to trust instead of Mozilla's.
    pub certificates: Option<PathBuf>,
    /// Receives the events of a download.
    pub watch: Watch,
    /// The environment variable that each setting came from, by the setting's name.
    variables: BTreeMap<&'static str, String>,
    /// An environment variable with an invalid value: an error when the network is used.
    pub(super) malformed: Option<Error>,
}

/// A secret for authentication. It is never shown; loggers must drop the trace level of `ureq_proto::util`, which contains it.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// A token from its text, trimmed of white space. `None` if nothing is left.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Token(text.into()))
    }

    pub(super) fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(not shown)")
    }
}

impl Default for Hub {
    fn default() -> Self {
        Hub {
            cache: None,
            endpoint: DEFAULT_ENDPOINT.into(),
            token: None,
            offline: false,
            metadata_timeout: Duration::from_secs(10),
            download_timeout: Duration::from_secs(10),
            pause: Duration::from_secs(1),
            proxy: None,
            no_proxy: Vec::new(),
            certificates: None,
            watch: Watch::default(),
            variables: BTreeMap::new(),
            malformed: None,
        }
    }
}

impl Hub {
    /// Settings from environment variables, which `var` looks up (in a program, `std::env::var_os`):
    ///
    /// | setting | variables; the first that is set counts |
    /// |---|---|
    /// | cache | `HF_HUB_CACHE`, `HUGGINGFACE_HUB_CACHE`, `$HF_HOME/hub`, `$XDG_CACHE_HOME/huggingface/hub`, `~/.cache/huggingface/hub` |
    /// | token | `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, the file `token` beside the cache; with `HF_HUB_DISABLE_IMPLICIT_TOKEN` the first two only |
    /// | endpoint | `HF_ENDPOINT` |
    /// | offline | `HF_HUB_OFFLINE`, `TRANSFORMERS_OFFLINE` |
    /// | waits, in seconds | `HF_HUB_ETAG_TIMEOUT`, `HF_HUB_DOWNLOAD_TIMEOUT` |
    /// | proxy | `HTTPS_PROXY` (or `HTTP_PROXY`, for an `http:` endpoint), `ALL_PROXY`, `NO_PROXY`; the lower-case spelling of each counts first |
    /// | certificates | `SSL_CERT_FILE` |
    ///
    /// An invalid value is an error, [`Error::ConfigValue`], that names its variable; it appears when the network is used.
    pub fn from_vars(var: impl Fn(&str) -> Option<OsString>) -> Self {
        let set = |name: &str| var(name).filter(|value| !value.is_empty());
        // A value that is not Unicode becomes an invalid one, and is reported as such.
        let text = |name: &str| Some(set(name)?.to_string_lossy().into_owned());
        let home = set("HOME").or_else(|| set("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| {
            let path = PathBuf::from(set(name)?);
            match (path.strip_prefix("~"), &home) {
                (Ok(below), Some(home)) => Some(home.join(below)),
                _ => Some(path),
            }
        };
        let mut malformed = None;
        let mut seconds = |name: &str, default: Duration| {
            let Some(value) = text(name) else { return default };
            let seconds = value.trim().parse::<u32>().ok().filter(|&seconds| seconds > 0);
            seconds.map_or_else(
                || {
                    let expected = "a whole number of seconds, at least 1";
                    malformed.get_or_insert(Error::config_value("environment", name, value, expected));
                    default
                },
                |seconds| Duration::from_secs(seconds.into()),
            )
        };
        let yes = |name: &str| {
            text(name).is_some_and(|value| matches!(value.to_uppercase().as_str(), "1" | "ON" | "YES" | "TRUE"))
        };

        let caches = path("XDG_CACHE_HOME").or_else(|| Some(home.as_ref()?.join(".cache")));
        let hf_home = path("HF_HOME").or_else(|| Some(caches?.join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| Some(hf_home.as_ref()?.join("hub")));

        let stored = path("HF_TOKEN_PATH").or_else(|| Some(hf_home.as_ref()?.join("token")));
        let stored = stored.filter(|_| !yes("HF_HUB_DISABLE_IMPLICIT_TOKEN"));
        let mut variables = BTreeMap::new();
        // The first of these variables that is set; recorded as the source of `setting`.
        let mut first = |setting: &'static str, names: &[&str]| {
            let (name, value) = names.iter().find_map(|name| Some((name, text(name)?)))?;
            variables.insert(setting, name.to_string());
            Some(value)
        };
        let token = first("token", &["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"])
            .or_else(|| fs::read_to_string(stored?).ok())
            .and_then(|token| Token::new(&token));

        let defaults = Hub::default();
        let endpoint = first("endpoint", &["HF_ENDPOINT"])
            .map_or(defaults.endpoint, |text| text.trim().trim_end_matches('/').into());
        let scheme = if endpoint.starts_with("http:") { "HTTP_PROXY" } else { "HTTPS_PROXY" };
        // As in curl and Python, the lower-case name wins, and an empty value means no proxy.
        let spellings = [scheme, "ALL_PROXY", "NO_PROXY"].map(|name| {
            let small = name.to_lowercase();
            if var(&small).is_some() { small } else { name.to_string() }
        });
        let [scheme, all, exceptions] = spellings.each_ref().map(String::as_str);
        let proxy = first("proxy", &[scheme, all]);
        let no_proxy = text(exceptions).unwrap_or_default();
        let no_proxy = no_proxy.split([',', ' ']).filter(|host| !host.is_empty()).map(String::from).collect();
        let certificates = path("SSL_CERT_FILE");
        if certificates.is_some() {
            variables.insert("certificates", "SSL_CERT_FILE".into());
        }
        let offline = if set("HF_HUB_OFFLINE").is_some() { "HF_HUB_OFFLINE" } else { "TRANSFORMERS_OFFLINE" };
        Hub {
            cache,
            endpoint,
            token,
            offline: yes(offline),
            metadata_timeout: seconds("HF_HUB_ETAG_TIMEOUT", defaults.metadata_timeout),
            download_timeout: seconds("HF_HUB_DOWNLOAD_TIMEOUT", defaults.download_timeout),
            proxy,
            no_proxy,
            certificates,
            variables,
            malformed,
            ..defaults
        }
    }

    /// The error for an invalid setting, named by its environment variable.
    pub(super) fn unusable(&self, setting: &str, value: &str, expected: &str) -> Error {
        let variable = self.variables.get(setting);
        let place = if variable.is_some() { "environment" } else { "hub" };
        Error::config_value(place, variable.map_or(setting, String::as_str), value, expected)
    }
}
