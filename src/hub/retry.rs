//! Why requests fail, and when to try again.

use std::{io, thread, time::Duration};

use ureq::{
    Body, Proxy,
    http::{Response, Uri},
};

use super::{Hub, ModelId, events::Event, proxy};
use crate::{
    Error, Result,
    error::{Cause, HubFailure},
};

/// Largest number of attempts in a row that bring no byte.
const TRIES: u32 = 5;

/// The longest pause that a server may ask for and gets; a longer one is the user's decision.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A failed request.
#[derive(Debug)]
pub(super) struct Failed {
    error: Box<Error>,
    again: Again,
}

#[derive(Debug)]
enum Again {
    Never,
    Soon,
    After(Duration),
}

impl Failed {
    /// A failure that another attempt would repeat.
    pub(super) fn for_good(error: Error) -> Self {
        Failed { error: error.into(), again: Again::Never }
    }

    /// A failure that another attempt may avoid.
    pub(super) fn soon(error: Error) -> Self {
        Failed { error: error.into(), again: Again::Soon }
    }

    /// No answer came from `uri`, asked through `proxy` if there is one.
    pub(super) fn network(id: &ModelId, uri: &Uri, proxy: Option<&Proxy>, error: &ureq::Error) -> Self {
        let host = uri.authority().map_or("?", |authority| authority.as_str());
        let way = proxy.map_or_else(String::new, |proxy| format!(" through {}", proxy::shown(proxy)));
        let (reason, again) = match error {
            ureq::Error::Io(error) => (error.to_string(), broke_off(error)),
            ureq::Error::Timeout(_) => ("timed out".into(), true),
            other => (other.to_string(), false),
        };
        let mut failed = id.failed(HubFailure::Network, format!("{host}{way}: {reason}"));
        if let ureq::Error::Io(error) = error {
            failed = failed.because(Cause::io(error));
        }
        if again { Failed::soon(failed) } else { Failed::for_good(failed) }
    }

    /// The hub, or the target of a redirect, answered with an error.
    pub(super) fn refused(hub: &Hub, id: &ModelId, response: &Response<Body>) -> Self {
        let status = response.status().as_u16();
        let header = |name: &str| response.headers().get(name)?.to_str().ok();
        let page = format!("{}/{}", hub.endpoint, id.repository());
        let (failure, reason) = match (status, header("x-error-code")) {
            (_, Some("RepoNotFound")) => (
                HubFailure::NoRepository,
                "the repository does not exist or is private: check the name, or set HF_TOKEN".into(),
            ),
            (_, Some("RevisionNotFound")) => {
                (HubFailure::NoRevision, format!("the repository has no revision {}", id.revision()))
            }
            (_, Some("GatedRepo")) => (
                HubFailure::Forbidden,
                format!("the repository is gated: ask for access at {page} and set HF_TOKEN"),
            ),
            (401, _) if hub.token.is_some() => (HubFailure::Unauthorized, "the hub rejects the token (401)".into()),
            (401, _) => (
                HubFailure::Unauthorized,
                "authentication required (401): the repository does not exist or is private; check the name, or set HF_TOKEN".into(),
            ),
            (403, _) => (HubFailure::Forbidden, format!("access is forbidden (403): see {page}")),
            (404, _) => (HubFailure::NoRepository, "the hub has no such repository (404)".into()),
            (429, _) => return Failed::rate_limited(id, header("retry-after"), header("ratelimit")),
            (408 | 500..=599, _) => {
                return Failed::soon(id.failed(HubFailure::Network, format!("the hub has a server error ({status})")));
            }
            _ => (HubFailure::Response, format!("the hub answers with status {status}")),
        };
        Failed::for_good(id.failed(failure, reason))
    }

    fn rate_limited(id: &ModelId, retry_after: Option<&str>, rate_limit: Option<&str>) -> Self {
        let seconds = retry_after.and_then(|text| text.trim().parse().ok());
        // "resolvers";r=0;t=55: the count of requests restarts in 55 seconds.
        let window = || rate_limit?.split(';').find_map(|part| part.trim().strip_prefix("t=")?.parse().ok());
        let retry_after: Option<u64> = seconds.or_else(window);
        let reason = match retry_after {
            Some(seconds) => format!("too many requests (429): try again in {seconds} s"),
            None => "too many requests (429): try again later".into(),
        };
        let error = id.failed(HubFailure::RateLimited { retry_after }, reason);
        Failed {
            error: error.into(),
            again: retry_after.map_or(Again::Soon, |seconds| Again::After(Duration::from_secs(seconds))),
        }
    }
}

/// Whether there was a connection. An unknown host, a missing route and a refused connection stay so for the next second.
fn broke_off(error: &io::Error) -> bool {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof, WouldBlock,
    };
    let kinds = [BrokenPipe, ConnectionAborted, ConnectionReset, Interrupted, TimedOut, UnexpectedEof, WouldBlock];
    kinds.contains(&error.kind())
}

/// Counts failures in a row.
pub(super) struct Patience<'a> {
    hub: &'a Hub,
    failures: u32,
}

impl<'a> Patience<'a> {
    pub(super) fn new(hub: &'a Hub) -> Self {
        Patience { hub, failures: 0 }
    }

    /// Waits until the next attempt is due.
    ///
    /// # Errors
    /// The error of `failed`, if no attempt is left or none would help.
    pub(super) fn wait(&mut self, failed: Failed) -> Result<()> {
        self.failures += 1;
        let pause = match failed.again {
            Again::Soon => self.hub.pause * (1 << (self.failures - 1)),
            Again::After(pause) if pause <= LONGEST_PAUSE => pause,
            _ => return Err(*failed.error),
        };
        if self.failures == TRIES {
            return Err(*failed.error);
        }
        self.hub.watch.tell(&Event::Again { error: &failed.error, pause });
        thread::sleep(pause);
        Ok(())
    }
}
