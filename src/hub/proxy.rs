//! Proxies on the way to the hub, and the hosts that need none.

use std::net::IpAddr;

use ureq::{
    Proxy,
    http::{Uri, uri::Authority},
};

/// The proxy at an address such as `socks5://user:password@host:port`; `None` if the address is malformed.
pub(super) fn parse(address: &str) -> Option<Proxy> {
    let proxy = Proxy::new(address.trim()).ok()?;
    let sound = !proxy.host().is_empty() && proxy.uri().authority().is_some_and(has_sound_port);
    sound.then_some(proxy)
}

/// The proxy as messages show it: without its password.
pub(super) fn shown(proxy: &Proxy) -> String {
    format!("the {} proxy {}:{}", proxy.protocol(), proxy.host(), proxy.port())
}

/// Whether an address has no port, or a valid one.
pub(super) fn has_sound_port(authority: &Authority) -> bool {
    let text = authority.as_str();
    let place = text.rsplit_once('@').map_or(text, |(_, place)| place);
    let port = place.strip_prefix(authority.host()).and_then(|rest| rest.strip_prefix(':'));
    port.is_none_or(|port| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// Whether `uri` is reached without the proxy, by the rules that curl and Python's requests share. An entry is a host, which includes
/// its subdomains (a dot or `*.` in front changes nothing), an IP address, a network such as `10.0.0.0/8`, or `*`; a host or address
/// may be followed by a port.
pub(super) fn is_exempt(uri: &Uri, exceptions: &[String]) -> bool {
    let Some(host) = uri.host() else { return false };
    let host = bare(host).trim_end_matches('.').to_lowercase();
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("http") { 80 } else { 443 });
    exceptions.iter().any(|entry| matches(&entry.trim().to_lowercase(), &host, port))
}

fn matches(entry: &str, host: &str, port: u16) -> bool {
    let address = |text: &str| bare(text).parse::<IpAddr>().ok();
    if entry == "*" {
        return true;
    }
    // IPv6 addresses contain colons too; before a port they are in brackets.
    let (entry, wanted) = match entry.rsplit_once(':') {
        Some((name, number)) if address(entry).is_none() && !entry.contains('/') => (name, number.parse::<u16>().ok()),
        _ => (entry, Some(port)),
    };
    if wanted != Some(port) {
        return false;
    }
    if let Some(host) = address(host) {
        return address(entry).is_some_and(|entry| entry == host) || is_in_network(host, entry).unwrap_or(false);
    }
    let name = entry.trim_start_matches('*').trim_start_matches('.');
    !name.is_empty() && host.strip_suffix(name).is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// Whether an address is in a network such as `10.0.0.0/8`; `None` if the text is not a network.
fn is_in_network(address: IpAddr, network: &str) -> Option<bool> {
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(u32::from(address)) << 96, 32),
        IpAddr::V6(address) => (u128::from(address), 128),
    };
    let (base, length) = network.split_once('/')?;
    let ((base, most), (address, width)) = (bits(base.parse().ok()?), bits(address));
    let length = length.parse::<u32>().ok().filter(|length| *length <= most)?;
    Some(most == width && (base ^ address).checked_shr(128 - length).unwrap_or(0) == 0)
}

/// An IPv6 address without its brackets.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use ureq::ProxyProtocol;

    use super::*;

    #[test]
    fn proxies_of_every_protocol_keep_their_user_and_port() {
        let protocol = |address: &str| parse(address).map(|proxy| (proxy.protocol(), proxy.port()));
        assert_eq!(protocol("http://gate:3128/"), Some((ProxyProtocol::Http, 3128)));
        assert_eq!(protocol("gate:3128"), Some((ProxyProtocol::Http, 3128)));
        assert_eq!(protocol(" socks5://127.0.0.1 "), Some((ProxyProtocol::Socks5, 1080)));
        assert_eq!(protocol("SOCKS5H://[::1]:9050"), Some((ProxyProtocol::Socks5h, 9050)));
        assert_eq!(protocol("socks4://gate:1"), Some((ProxyProtocol::Socks4, 1)));
        assert_eq!(protocol("socks4a://gate:1"), Some((ProxyProtocol::Socks4A, 1)));
        let proxy = parse("socks5://me:p%40ss@gate").unwrap();
        assert_eq!((proxy.username(), proxy.password()), (Some("me"), Some("p@ss")));
        assert!(!shown(&proxy).contains("p@ss"));
    }

    #[test]
    fn an_address_that_is_not_a_proxy_is_none() {
        let wrong = [
            "",
            " ",
            ":",
            "/",
            "//",
            "*",
            "http://",
            "http:///path",
            "ftp://gate",
            "socks6://gate",
            "http://gate:99999",
        ];
        for address in
            [&wrong[..], &["gate:port", "http://a b", "http://gä", "socks5://gate:0", "http://[::1", "\u{fffd}"]]
                .concat()
        {
            assert!(parse(address).is_none(), "{address:?}");
        }
    }

    #[test]
    fn exceptions_are_hosts_with_those_below_them_addresses_and_networks() {
        let exempt = |uri: &str, entry: &str| is_exempt(&uri.parse().unwrap(), &[entry.to_string()]);
        for entry in ["inside", ".inside", "*.inside", "INSIDE", "inside:443", "a.inside", "*", " inside "] {
            assert!(exempt("https://a.Inside/x", entry), "{entry}");
        }
        for entry in ["side", "b.inside", "inside:80", "", ".", "10.0.0.0/8", "inside:x", "*.", "a.inside.more"] {
            assert!(!exempt("https://a.inside/x", entry), "{entry}");
        }
        assert!(exempt("http://localhost:8080/", "localhost") && exempt("http://localhost:8080/", "localhost:8080"));
        assert!(exempt("http://10.1.2.3/", "10.0.0.0/8") && exempt("http://10.1.2.3/", "10.1.2.3"));
        assert!(exempt("http://10.1.2.3/", "0.0.0.0/0") && !exempt("http://10.1.2.3/", "10.1.2.4/32"));
        assert!(!exempt("http://10.1.2.3/", "2.3") && !exempt("http://10.1.2.3/", "10.0.0.0/33"));
        assert!(exempt("http://[fd00::1]:80/", "fd00::/8") && exempt("http://[fd00::1]/", "[fd00::1]:80"));
        assert!(exempt("http://[fd00::1]/", "fd00::1") && !exempt("http://[fd00::1]/", "0.0.0.0/0"));
    }
}
