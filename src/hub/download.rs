//! Downloads one file into the cache: resumed, checked, and visible to others only once it is complete.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
};

use super::{
    Hub, checksum,
    client::{Client, RemoteFile},
    events::Event,
    lock::Lock,
    repository::Repository,
    retry::{Failed, Patience},
};
use crate::{Error, Result, error::HubFailure};

/// Bytes between two progress reports.
const CHUNK: usize = 1 << 18;

/// Downloads `file` into the cache, unless it is already there.
pub(super) fn to_cache(hub: &Hub, client: &Client<'_>, repository: &Repository<'_>, file: &RemoteFile) -> Result<()> {
    if repository.holds(file) {
        return Ok(());
    }
    let (blob, lock) = (repository.blob(&file.etag), repository.lock(&file.etag));
    let _lock = Lock::wait(&lock, &hub.watch).map_err(|error| repository.failed(&lock, &error))?;
    if !checksum::matches(&blob, &file.etag).unwrap_or(false) {
        Download { hub, client, repository, file }.run(&blob)?;
    }
    repository.link(file)
}

struct Download<'a> {
    hub: &'a Hub,
    client: &'a Client<'a>,
    repository: &'a Repository<'a>,
    file: &'a RemoteFile,
}

impl Download<'_> {
    fn run(&self, blob: &Path) -> Result<()> {
        let partial = blob.with_file_name(format!("{}.incomplete", self.file.etag));
        let disk = |error: io::Error| self.repository.failed(&partial, &error);
        loop {
            let left = self.complete(&partial)?;
            if checksum::matches(&partial, &self.file.etag).map_err(disk)? {
                return fs::rename(&partial, blob).map_err(disk);
            }
            fs::remove_file(&partial).map_err(disk)?;
            // The bytes of an earlier run may be wrong: try once more, from the start.
            if left == 0 {
                let reason = format!("{} does not have the hash that the hub sent, {}", self.file.name, self.file.etag);
                return Err(self.repository.id.failed(HubFailure::Checksum, format!("{reason}; it was deleted")));
            }
        }
    }

    /// Fetches the bytes that `partial` lacks; returns how many it had.
    fn complete(&self, partial: &Path) -> Result<u64> {
        let disk = |error: io::Error| self.repository.failed(partial, &error);
        partial.parent().map_or(Ok(()), fs::create_dir_all).map_err(disk)?;
        let mut out = OpenOptions::new().create(true).write(true).truncate(false).open(partial).map_err(disk)?;
        let mut done = out.seek(SeekFrom::End(0)).map_err(disk)?;
        if self.file.size.is_none_or(|size| done > size) {
            done = restart(&mut out).map_err(disk)?;
        }
        let left = done;
        let mut patience = Patience::new(self.hub);
        self.tell(done);
        while self.file.size != Some(done) {
            let before = done;
            match self.part(&mut out, &mut done, partial) {
                Ok(()) if self.file.size.is_none() => break,
                Ok(()) => {}
                Err(failed) => {
                    if done > before {
                        patience = Patience::new(self.hub);
                    }
                    patience.wait(failed).map_err(|error| self.kept(error, done))?;
                }
            }
        }
        out.sync_all().map_err(disk)?;
        Ok(left)
    }

    /// Appends the bytes of one request.
    fn part(&self, out: &mut File, done: &mut u64, partial: &Path) -> std::result::Result<(), Failed> {
        let disk = |error: io::Error| Failed::for_good(self.repository.failed(partial, &error));
        let (start, mut body) = self.client.get(self.file, *done)?;
        if start != *done {
            *done = restart(out).map_err(disk)?;
        }
        let mut chunk = vec![0; CHUNK];
        loop {
            let read = match body.read(&mut chunk) {
                Ok(0) if self.file.size.is_some_and(|size| *done < size) => {
                    return Err(self.client.cut_off("the connection ended too early"));
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(self.client.cut_off(&error.to_string())),
            };
            out.write_all(&chunk[..read]).map_err(disk)?;
            *done += read as u64;
            if self.file.size.is_some_and(|size| *done > size) {
                return Err(Failed::for_good(self.client.strange("more bytes than the hub announced")));
            }
            self.tell(*done);
        }
    }

    fn tell(&self, done: u64) {
        let RemoteFile { name, size, .. } = *self.file;
        self.hub.watch.tell(&Event::Progress { model: self.repository.id.repository(), file: name, done, size });
    }

    /// Adds to a network error how many bytes the next run can reuse.
    fn kept(&self, error: Error, done: u64) -> Error {
        match error {
            Error::Hub { model, failure, reason, source } if done > 0 => {
                let of = self.file.size.map_or(String::new(), |size| format!(" of {size}"));
                let reason = format!("{reason}; {done}{of} bytes are kept; the next run resumes there");
                Error::Hub { model, failure, reason, source }
            }
            other => other,
        }
    }
}

/// Empties a file.
fn restart(file: &mut File) -> io::Result<u64> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))
}
