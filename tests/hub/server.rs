//! A small hub on loopback: repositories with one commit each, large files on a second server as a CDN has them, and faults.

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

/// Files from this size on lie on the second server, under their sha256.
const LARGE: usize = 10_000;

/// What happens to the next `GET` of a large file, or to the next request at all.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// The connection ends after so many bytes.
    Cut(usize),
    /// The connection stays open after so many bytes, and nothing more comes.
    Stall(usize),
    /// So many bytes, then a pause, and so on.
    Slow(usize, Duration),
    /// The whole file, whatever range was asked for.
    IgnoreRange,
    /// One bit is wrong.
    Flip,
    /// A page instead of the file.
    Html,
    /// A status, and a header.
    Status(u16, &'static str),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
    /// By the second server.
    pub(crate) cdn: bool,
}

#[derive(Default)]
struct State {
    /// By `owner/name`.
    repositories: BTreeMap<String, Repository>,
    seen: Vec<Seen>,
    /// For requests to the hub.
    refusals: VecDeque<Fault>,
    /// For `GET`s of large files.
    faults: VecDeque<Fault>,
    cdn: String,
}

#[derive(Clone, Default)]
pub(crate) struct Repository {
    pub(crate) commit: String,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// Only with this token.
    pub(crate) token: Option<String>,
}

/// The hub and its second server. They end with the process.
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

    /// The next requests to the hub meet these faults.
    pub(crate) fn refuse(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().refusals.extend(faults);
    }

    /// The next `GET`s of large files meet these faults.
    pub(crate) fn fault(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// The requests so far; they are forgotten.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }

    /// The ranges of the `GET`s of large files so far; the requests are forgotten.
    pub(crate) fn ranges(&self) -> Vec<Option<String>> {
        self.seen().into_iter().filter(|seen| seen.cdn).map(|seen| seen.range).collect()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// What `git hash-object` gives.
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
            // A client that is gone is no concern of the server.
            thread::spawn(move || drop(serve(stream, &state, cdn)));
        }
    });
    address
}

/// One request; the connection ends with the answer.
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

/// What the hub answers: a file, the way to a large one, or why not.
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

/// A file from the position on that was asked for, with a fault.
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
            // Until the client has had enough.
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
