//! SOCKS proxies, with a small one on loopback.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use super::*;

/// A client's request to a proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    version: u8,
    /// An address, or a name for the proxy to look up.
    host: String,
    /// User and password, if given.
    user: Option<String>,
}

/// A proxy that connects to loopback, whatever the host.
struct Proxy {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Proxy {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let record = Arc::clone(&record);
                thread::spawn(move || drop(serve(stream, &record)));
            }
        });
        Proxy { address, asked }
    }

    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

fn bytes<const N: usize>(stream: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Text preceded by its length.
fn counted(stream: &mut TcpStream) -> io::Result<String> {
    let [length] = bytes(stream)?;
    let mut text = vec![0; length.into()];
    stream.read_exact(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// Text terminated by NUL.
fn ended(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = Vec::new();
    loop {
        match bytes(stream)? {
            [0] => return Ok(String::from_utf8_lossy(&text).into_owned()),
            [byte] => text.push(byte),
        }
    }
}

/// Serves one connection by RFC 1928 and 1929, or by SOCKS 4 and 4A.
fn serve(mut client: TcpStream, asked: &Mutex<Vec<Asked>>) -> io::Result<()> {
    let [version] = bytes(&mut client)?;
    let (host, port, user);
    if version == 5 {
        let methods = counted(&mut client)?;
        let password = methods.bytes().any(|method| method == 2);
        client.write_all(&[5, if password { 2 } else { 0 }])?;
        user = if password {
            let [_] = bytes(&mut client)?;
            let text = format!("{}:{}", counted(&mut client)?, counted(&mut client)?);
            client.write_all(&[1, 0])?;
            Some(text)
        } else {
            None
        };
        let [_, _, _, kind] = bytes(&mut client)?;
        host =
            if kind == 3 { counted(&mut client)? } else { bytes::<4>(&mut client)?.map(|n| n.to_string()).join(".") };
        port = u16::from_be_bytes(bytes(&mut client)?);
    } else {
        let [_] = bytes(&mut client)?;
        port = u16::from_be_bytes(bytes(&mut client)?);
        let address: [u8; 4] = bytes(&mut client)?;
        ended(&mut client)?;
        user = None;
        host = if address[..3] == [0; 3] { ended(&mut client)? } else { address.map(|n| n.to_string()).join(".") };
    }
    asked.lock().unwrap().push(Asked { version, host, user });
    let hub = TcpStream::connect(("127.0.0.1", port))?;
    client.write_all(if version == 5 { &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0] } else { &[0, 90, 0, 0, 0, 0, 0, 0] })?;
    let (mut from, mut to) = (client.try_clone()?, hub.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    let (mut from, mut to) = (hub, client);
    io::copy(&mut from, &mut to)?;
    to.shutdown(std::net::Shutdown::Both)
}

/// The hub under a name that only a proxy can look up.
fn by_name(bench: &Bench) -> String {
    bench.hub.endpoint.replace("127.0.0.1", "hub.invalid")
}

#[test]
fn models_come_through_a_socks_proxy_of_any_version() {
    let proxy = Proxy::start();
    for (scheme, version, named) in
        [("socks4", 4, false), ("socks4a", 4, true), ("socks5", 5, false), ("socks5h", 5, true)]
    {
        let mut bench = Bench::new();
        if named {
            bench.hub.endpoint = by_name(&bench);
        }
        bench.hub.proxy = Some(format!("{scheme}://{}", proxy.address));
        assert_weights(&bench.open().unwrap_or_else(|error| panic!("{scheme}: {error}")));
        let asked = proxy.asked();
        let host = if named { "hub.invalid" } else { "127.0.0.1" };
        assert_eq!(asked[0], Asked { version, host: host.into(), user: None }, "{scheme}");
        assert!(asked.len() > 1, "the large file came through it too: {asked:?}");
    }
}

#[test]
fn a_proxy_is_told_user_and_password_and_nobody_else_is() {
    let (proxy, mut bench) = (Proxy::start(), Bench::new());
    bench.hub.proxy = Some(format!("socks5://me:p%40ss@{}", proxy.address));
    assert_weights(&bench.open().unwrap());
    assert_eq!(proxy.asked()[0].user.as_deref(), Some("me:p@ss"));
    let mut bench = Bench::new();
    bench.hub.proxy = Some("socks5://me:p%40ss@127.0.0.1:9".into());
    let error = bench.open().unwrap_err();
    assert_eq!(error.code(), "hub.network");
    let text = error.to_string();
    assert!(text.contains("SOCKS5 proxy 127.0.0.1:9") && !text.contains("p@ss") && !text.contains("p%40ss"), "{text}");
}

#[test]
fn what_the_variables_exempt_goes_past_the_proxy() {
    let (proxy, bench) = (Proxy::start(), Bench::new());
    let through = |variables: &[(&str, &str)], endpoint: &str| {
        let all = [variables, &[("HF_ENDPOINT", endpoint)]].concat();
        let mut hub = Hub::from_vars(|name| {
            let found = all.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| value.replace("PROXY", &format!("socks5h://{}", proxy.address)).into())
        });
        hub.cache = Some(tempfile::tempdir().unwrap().path().join("hub"));
        assert_weights(&hub.open(&id("owner/net")).unwrap_or_else(|error| panic!("{variables:?}: {error}")));
        !proxy.asked().is_empty()
    };
    let (address, name) = (bench.hub.endpoint.clone(), by_name(&bench));
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        assert!(through(&[(variable, "PROXY")], &address), "{variable}");
        assert!(through(&[(variable, "PROXY"), ("NO_PROXY", "elsewhere, .invalid.more")], &name), "{variable}");
        for exempt in ["*", "127.0.0.1", "127.0.0.0/8", "elsewhere, 127.0.0.1"] {
            assert!(!through(&[(variable, "PROXY"), ("no_proxy", exempt)], &address), "{variable}, {exempt}");
            assert!(!through(&[(variable, "PROXY"), ("NO_PROXY", exempt)], &address), "{variable}, {exempt}");
        }
    }
    assert!(!through(&[("HTTPS_PROXY", "PROXY")], &address), "the hub's address is not https");
    assert!(!through(&[("http_proxy", ""), ("HTTP_PROXY", "PROXY")], &address), "an empty value means no proxy");
}
