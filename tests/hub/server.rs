//! A small hub on loopback: repositories with one commit each, large files on a second server like a CDN, and injected faults.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Files of at least this size are on the second server, under their sha256.
const LARGE: usize = 10_000;

/// A fault in the next `GET` of a large file, or in the next request to the hub.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection closes after this many bytes.
    Cut(usize),
    /// The connection stays open after this many bytes, but no more arrive.
    Stall(usize),
    /// Sends this many bytes at a time, with pauses.
    Slow(usize, Duration),
    /// The whole file, whatever range is requested.
    IgnoreRange,
    /// One wrong bit.
    Flip,
    /// A web page instead of the file.
    Html,
    /// A status with a header.
    Status(u16, &'static str),
}

/// A received request.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// Whether the second server received it.
    pub(crate) cdn: bool,
}

#[derive(Default)]
struct State {
    /// Keyed by `owner/name`.
    repositories: BTreeMap<String, Repository>,
    seen: Vec<Seen>,
    /// Faults for requests to the hub.
    refusals: VecDeque<Fault>,
    /// Faults for `GET`s of large files.
    faults: VecDeque<Fault>,
    cdn: String,
}

#[derive(Clone, Default)]
pub(crate) struct Repository {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Required token, if any.
    pub(crate) token: Option<String>,
}

/// The hub and its second server, which run until the process ends.
pub(crate) struct Server {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let endpoint = listen(&state, false);
        let cdn = listen(&state, true);
        state.lock().unwrap().cdn = cdn;
        Server { endpoint, state }
    }

    pub(crate) fn put(&self, name: &str, repository: Repository) {
        self.state.lock().unwrap().repositories.insert(name.into(), repository);
    }

    /// Injects faults into the next requests to the hub.
    pub(crate) fn refuse(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().refusals.extend(faults);
    }

    /// Injects faults into the next `GET`s of large files.
    pub(crate) fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// Takes the list of requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// Takes the list of requests so far; returns the ranges of the `GET`s of large files.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.seen().into_iter().filter(|seen| seen.cdn).map(|seen| seen.range).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The hash of `git hash-object`.
pub(crate) fn git_hash(bytes: &[u8]) -> String {
    hex(&Sha1::new_with_prefix(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn listen(state: &Arc<Mutex<State>>, cdn: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let state = Arc::clone(&state);
            // Ignore clients that disconnect.
            thread::spawn(move || drop(serve(stream, &state, cdn)));
        }
    });
    address
}

/// Answers one request and closes the connection.
fn serve(mut stream: TcpStream, state: &Mutex<State>, cdn: bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_string());
    }
    let mut words = first.split(' ').map(String::from);
    let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(()) };
    let range = headers.get("range").cloned();
    let authorization = headers.get("authorization").cloned();
    let seen = Seen { method, path, range, authorization, cdn };
    let mut state = state.lock().unwrap();
    state.seen.push(seen.clone());
    if cdn {
        let files = state.repositories.values().flat_map(|repository| repository.files.values());
        let file = files.into_iter().find(|file| seen.path.starts_with(&format!("/blobs/{}?", sha256(file)))).cloned();
        let fault = state.faults.pop_front();
        drop(state);
        return send_file(&mut stream, &seen, &file.unwrap_or_default(), fault);
    }
    if let Some(fault) = state.refusals.pop_front() {
        drop(state);
        return send_file(&mut stream, &seen, b"{}", Some(fault));
    }
    let (status, headers, body) = answer(&state, &seen);
    drop(state);
    let body = if seen.method == "HEAD" { Vec::new() } else { body };
    send(&mut stream, status, &headers, &body)
}

/// The hub's answer: a file, a redirect to a large file, or an error.
fn answer(state: &State, seen: &Seen) -> (u16, String, Vec<u8>) {
    let parts: Vec<&str> = seen.path.trim_start_matches('/').splitn(5, '/').collect();
    let [owner, name, "resolve", revision, file] = parts[..] else { return (404, String::new(), Vec::new()) };
    let refuse = |status, code: &str| (status, format!("X-Error-Code: {code}\r\n"), Vec::new());
    let Some(repository) = state.repositories.get(&format!("{owner}/{name}")) else {
        return refuse(404, "RepoNotFound");
    };
    let bearer = repository.token.as_ref().map(|token| format!("Bearer {token}"));
    if bearer.is_some() && bearer != seen.authorization {
        return (401, String::new(), Vec::new());
    }
    if revision != "main" && revision != "refs%2Fpr%2F1" && revision != repository.commit {
        return refuse(404, "RevisionNotFound");
    }
    let commit = format!("X-Repo-Commit: {}\r\n", repository.commit);
    match repository.files.get(file) {
        None => (404, format!("X-Error-Code: EntryNotFound\r\n{commit}"), Vec::new()),
        Some(bytes) if bytes.len() < LARGE => {
            let etag = git_hash(bytes);
            let length =
                if seen.method == "HEAD" { format!("Content-Length: {}\r\n", bytes.len()) } else { String::new() };
            (200, format!("{commit}ETag: \"{etag}\"\r\n{length}"), bytes.clone())
        }
        Some(bytes) => {
            let (hash, size) = (sha256(bytes), bytes.len());
            let location = format!("Location: {}/blobs/{hash}?Signature=secret\r\n", state.cdn);
            (
                302,
                format!("{commit}{location}X-Linked-Etag: \"{hash}\"\r\nX-Linked-Size: {size}\r\nETag: \"0\"\r\n"),
                Vec::new(),
            )
        }
    }
}

/// Sends a file from the requested position on, with a fault.
fn send_file(stream: &mut TcpStream, seen: &Seen, file: &[u8], fault: Option<Fault>) -> std::io::Result<()> {
    let mut file = file.to_vec();
    let mut start = 0;
    if let Some(range) = &seen.range {
        start = range.trim_start_matches("bytes=").trim_end_matches('-').parse().unwrap();
    }
    match &fault {
        Some(Fault::IgnoreRange) => start = 0,
        Some(Fault::Flip) => *file.last_mut().unwrap() ^= 1,
        Some(Fault::Html) => return send(stream, 200, "Content-Type: text/html\r\n", b"<html>Please sign in</html>"),
        Some(Fault::Status(status, header)) => return send(stream, *status, &format!("{header}\r\n"), b""),
        _ => {}
    }
    let length = file.len();
    let part = &file[start..];
    let head = if start > 0 {
        format!("HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {start}-{}/{length}\r\n", length - 1)
    } else {
        "HTTP/1.1 200 OK\r\n".into()
    };
    write!(stream, "{head}Content-Length: {}\r\nConnection: close\r\n\r\n", part.len())?;
    match fault {
        Some(Fault::Cut(bytes)) => stream.write_all(&part[..bytes.min(part.len())]),
        Some(Fault::Stall(bytes)) => {
            stream.write_all(&part[..bytes])?;
            // Wait until the client gives up.
            stream.read_exact(&mut [0])
        }
        Some(Fault::Slow(bytes, pause)) => part.chunks(bytes).try_for_each(|chunk| {
            thread::sleep(pause);
            stream.write_all(chunk)
        }),
        _ => stream.write_all(part),
    }
}

fn send(stream: &mut TcpStream, status: u16, headers: &str, body: &[u8]) -> std::io::Result<()> {
    let length =
        if headers.contains("Content-Length") { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    write!(stream, "HTTP/1.1 {status} Status\r\n{headers}{length}Connection: close\r\n\r\n")?;
    stream.write_all(body)
}
