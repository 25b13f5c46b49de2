//! Resolves redirects.

use ureq::http::Uri;

/// Scheme, host and port.
pub(super) fn origin(uri: &Uri) -> (Option<String>, Option<String>, Option<u16>) {
    let scheme = uri.scheme_str().map(str::to_ascii_lowercase);
    let port = uri.port_u16().or(if scheme.as_deref() == Some("http") { Some(80) } else { Some(443) });
    (scheme, uri.host().map(str::to_ascii_lowercase), port)
}

/// The target of a redirect from `base`; `None` if it is malformed or leads from https to http.
pub(super) fn join(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let next: Uri = if location.starts_with("//") {
        format!("{scheme}:{location}").parse().ok()?
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}").parse().ok()?
    } else {
        location.parse().ok()?
    };
    let safe = scheme == "http" || next.scheme_str() == Some("https");
    (next.host().is_some() && safe).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_joined_and_never_give_up_encryption() {
        let joined = |base: &str, location: &str| join(&base.parse().unwrap(), location).map(|uri| uri.to_string());
        assert_eq!(joined("https://hub/a/b?c", "/d"), Some("https://hub/d".into()));
        assert_eq!(joined("https://hub/a", "//cdn/d"), Some("https://cdn/d".into()));
        assert_eq!(joined("https://hub/a", "https://cdn/d?e"), Some("https://cdn/d?e".into()));
        assert_eq!(joined("https://hub/a", "http://hub/a"), None);
        assert_eq!(joined("http://hub:1/a", "http://hub:2/a"), Some("http://hub:2/a".into()));
        assert_eq!(joined("https://hub/a", "elsewhere"), None);
        let at = |text: &str| origin(&text.parse().unwrap());
        assert_eq!(at("https://Hub/a"), at("https://hub:443/b"));
        assert_ne!(at("http://hub/a"), at("https://hub/a"));
        assert_ne!(at("http://hub:80/a"), at("http://hub:81/a"));
    }
}
