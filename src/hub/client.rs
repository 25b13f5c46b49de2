//! Requests to the hub: a file's metadata, and its bytes from any position on.

use std::{fs, io::Read};

use ureq::{
    Agent, Body, Proxy,
    http::{Method, Request, Response, Uri, header},
    tls::{PemItem, RootCerts, TlsConfig, parse_pem},
};

use super::{
    Hub, ModelId, Token,
    id::is_commit,
    proxy::{self, has_sound_port, is_exempt},
    redirect::{join, origin},
    retry::{Failed, Patience},
};
use crate::{Error, Result, error::HubFailure};

/// Largest number of redirects to follow for one request.
const REDIRECTS: usize = 10;

/// Sends requests about one repository to the hub.
pub(super) struct Client<'a> {
    hub: &'a Hub,
    id: &'a ModelId,
    /// Connects without a proxy.
    direct: Agent,
    /// Connects through the proxy, if one is set.
    proxied: Option<(Proxy, Agent)>,
}

/// A file on the hub.
#[derive(Debug)]
pub(super) struct RemoteFile {
    pub(super) name: &'static str,
    /// The commit that the revision points to.
    pub(super) commit: String,
    /// Hash of the contents: sha256 for large files, the git blob hash for small ones.
    pub(super) etag: String,
    pub(super) size: Option<u64>,
}

/// The hub's answer about a file.
pub(super) enum Found {
    File(RemoteFile),
    /// The repository has no such file at this commit.
    Nothing {
        commit: Option<String>,
    },
}

impl<'a> Client<'a> {
    pub(super) fn new(hub: &'a Hub, id: &'a ModelId) -> Result<Self> {
        if let Some(error) = &hub.malformed {
            return Err(error.clone());
        }
        let visible = |token: &Token| token.secret().bytes().all(|byte| byte.is_ascii_graphic());
        if !hub.token.as_ref().is_none_or(visible) {
            return Err(hub.unusable("token", "(not shown)", "visible ASCII characters"));
        }
        // An address may hold a password.
        let unusable =
            || hub.unusable("proxy", "(not shown)", "an address such as http://host:port or socks5h://host:port");
        let proxy = hub.proxy.as_deref().map(|address| proxy::parse(address).ok_or_else(unusable)).transpose()?;
        let certificates = certificates(hub)?;
        let agent = |proxy: Option<Proxy>| -> Agent {
            let config = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .proxy(proxy)
                .tls_config(TlsConfig::builder().root_certs(certificates.clone()).build())
                .timeout_connect(Some(hub.metadata_timeout))
                .timeout_per_write(Some(hub.metadata_timeout))
                .user_agent(concat!("residua/", env!("CARGO_PKG_VERSION")));
            config.build().into()
        };
        let proxied = proxy.map(|proxy| (proxy.clone(), agent(Some(proxy))));
        Ok(Client { hub, id, direct: agent(None), proxied })
    }

    /// Asks for a file of a branch, tag or commit.
    pub(super) fn find(&self, revision: &str, name: &'static str) -> Result<Found> {
        let mut patience = Patience::new(self.hub);
        loop {
            match self.try_find(revision, name) {
                Ok(found) => return Ok(found),
                Err(failed) => patience.wait(failed)?,
            }
        }
    }

    fn try_find(&self, revision: &str, name: &'static str) -> Result<Found, Failed> {
        let response = self.request(&Method::HEAD, revision, name, 0)?;
        let text = |name: &str| Some(response.headers().get(name)?.to_str().ok()?.trim().to_string());
        let commit = text("x-repo-commit").filter(|commit| is_commit(commit));
        let status = response.status();
        if status == 404 && (text("x-error-code").as_deref() == Some("EntryNotFound") || commit.is_some()) {
            return Ok(Found::Nothing { commit });
        }
        if !status.is_success() && !status.is_redirection() {
            return Err(Failed::refused(self.hub, self.id, &response));
        }
        let Some(commit) = commit else {
            let kind = response.body().mime_type().unwrap_or("no content type");
            return Err(Failed::for_good(self.strange(&format!(
                "an answer without X-Repo-Commit ({status}, {kind}) does not come from a hub: a proxy or a sign-in page may be in between"
            ))));
        };
        let etag = text("x-linked-etag").or_else(|| text("etag")).unwrap_or_default();
        let etag = etag.trim_start_matches("W/").trim_matches('"').to_string();
        // The ETag becomes the name of a file.
        if etag.is_empty() || !etag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(Failed::for_good(self.strange(&format!("{name} has no usable ETag"))));
        }
        let own_length = || text("content-length").filter(|_| status.is_success());
        let size = text("x-linked-size").or_else(own_length).and_then(|size| size.parse().ok());
        Ok(Found::File(RemoteFile { name, commit, etag, size }))
    }

    /// The bytes of a file from `from` on, and where they start: at `from`, or at 0 if the server ignores ranges.
    pub(super) fn get(&self, file: &RemoteFile, from: u64) -> Result<(u64, impl Read + use<>), Failed> {
        let response = self.request(&Method::GET, &file.commit, file.name, from)?;
        let strange = |what: &str| Failed::for_good(self.strange(&format!("{}: {what}", file.name)));
        let start = match response.status().as_u16() {
            200 => 0,
            206 => {
                let range = response.headers().get(header::CONTENT_RANGE).and_then(|range| range.to_str().ok());
                let start = range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse().ok());
                start
                    .filter(|&start: &u64| start == from)
                    .ok_or_else(|| strange("the server sends other bytes than requested"))?
            }
            _ => return Err(Failed::refused(self.hub, self.id, &response)),
        };
        if response.body().mime_type() == Some("text/html") {
            return Err(strange("the server sends a web page: a proxy or a sign-in page may be in between"));
        }
        let length = response.body().content_length().map(|length| start + length);
        if let (Some(length), Some(size)) = (length, file.size)
            && length != size
        {
            return Err(strange(&format!("the server announced {size} bytes but sends {length}")));
        }
        Ok((start, response.into_body().into_reader()))
    }

    /// Sends one request and follows its redirects; a `HEAD` stops at the first answer of a hub. The token is sent to the endpoint
    /// only: the first redirect to another origin drops it.
    fn request(&self, method: &Method, revision: &str, name: &str, from: u64) -> Result<Response<Body>, Failed> {
        let revision = revision.replace('/', "%2F").replace('+', "%2B");
        let address = format!("{}/{}/resolve/{revision}/{name}", self.hub.endpoint, self.id.repository());
        let sound = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.authority().is_some_and(has_sound_port)
        };
        let mut uri: Uri = address.parse().ok().filter(sound).ok_or_else(|| {
            Failed::for_good(self.hub.unusable("endpoint", &self.hub.endpoint, "an address such as https://host"))
        })?;
        let home = origin(&uri);
        let mut at_home = true;
        for _ in 0..=REDIRECTS {
            let mut request = Request::builder().method(method).uri(&uri).header(header::ACCEPT_ENCODING, "identity");
            if from > 0 {
                request = request.header(header::RANGE, format!("bytes={from}-"));
            }
            if let Some(token) = self.hub.token.as_ref().filter(|_| at_home) {
                request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret()));
            }
            let request = request.body(()).map_err(|error| Failed::for_good(self.strange(&error.to_string())))?;
            let wait = if method == Method::HEAD { self.hub.metadata_timeout } else { self.hub.download_timeout };
            let (proxy, agent) = match &self.proxied {
                Some((proxy, agent)) if !is_exempt(&uri, &self.hub.no_proxy) => (Some(proxy), agent),
                _ => (None, &self.direct),
            };
            let request = agent.configure_request(request).timeout_per_read(Some(wait)).build();
            let response = agent.run(request).map_err(|error| Failed::network(self.id, &uri, proxy, &error))?;
            let answered = method == Method::HEAD && response.headers().contains_key("x-repo-commit");
            if !response.status().is_redirection() || answered {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let next = location.and_then(|location| join(&uri, location));
            uri = next.ok_or_else(|| Failed::for_good(self.strange("a redirect has no valid target")))?;
            at_home &= origin(&uri) == home;
        }
        Err(Failed::for_good(self.strange(&format!("more than {REDIRECTS} redirects"))))
    }

    /// The error for a connection that ended in the middle of a file.
    pub(super) fn cut_off(&self, what: &str) -> Failed {
        Failed::soon(self.id.failed(HubFailure::Network, what))
    }

    /// The error for an answer that a hub would not give.
    pub(super) fn strange(&self, what: &str) -> Error {
        self.id.failed(HubFailure::Response, what)
    }
}

fn certificates(hub: &Hub) -> Result<RootCerts> {
    let Some(path) = &hub.certificates else { return Ok(RootCerts::WebPki) };
    let unusable = |problem: &str| {
        hub.unusable("certificates", &format!("{} ({problem})", path.display()), "a file of certificates in PEM form")
    };
    let pem = fs::read(path).map_err(|error| unusable(&error.to_string()))?;
    let trusted = parse_pem(&pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(certificate),
        _ => None,
    });
    let trusted: Vec<_> = trusted.collect();
    if trusted.is_empty() {
        return Err(unusable("it contains no certificate"));
    }
    Ok(RootCerts::from(trusted))
}
