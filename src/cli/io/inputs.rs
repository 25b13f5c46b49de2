//! The images that INPUT stands for: files, folders, stdin, lists. At most the entries of one folder are in memory at a time.

use std::{
    collections::HashSet,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use residua::Error;

use super::{
    folder::{Each, FolderOptions},
    left_out::LeftOut,
    list::{self, Separator},
};
use crate::cli::terminal::progress::Count;

/// The choice of images.
#[derive(Debug, Clone, Args)]
pub(crate) struct Inputs {
    /// Read folders and their subfolders
    #[arg(short, long)]
    pub(crate) recursive: bool,
    #[command(flatten)]
    pub(crate) folders: FolderOptions,
    /// Lists are separated by NUL instead of newlines (find -print0)
    #[arg(short = '0', long)]
    pub(crate) null: bool,
    /// Image files, folders with -r, - for stdin, @FILE or @- for a list of paths
    #[arg(required = true, value_name = "INPUT")]
    pub(crate) inputs: Vec<PathBuf>,
}

impl Inputs {
    /// The number of images, if it is known without reading folders and lists.
    pub(crate) fn count(&self) -> Option<usize> {
        let list = |input: &PathBuf| input.to_string_lossy().starts_with('@');
        Some(self.inputs.len()).filter(|_| !self.recursive && !self.inputs.iter().any(list))
    }

    /// All images in `folder`.
    pub(crate) fn folder(folder: &Path, folders: &FolderOptions) -> Self {
        Inputs { recursive: true, null: false, folders: folders.clone(), inputs: vec![folder.into()] }
    }

    /// Counts the images by walking folders and lists once more; no image is read. None for a list on stdin.
    pub(crate) fn counter(&self) -> Option<Count> {
        let inputs = self.clone();
        let count = move |is_over: &dyn Fn() -> bool| {
            let mut images = 0_u64;
            let whole = inputs.walk(&mut |_, _| {
                images += 1;
                if is_over() { Err(()) } else { Ok(()) }
            });
            whole.ok().map(|_| images)
        };
        self.inputs.iter().all(|input| input.as_os_str() != "@-").then(|| Box::new(count) as Count)
    }

    /// Calls `each` with every image that the inputs name, in order, and returns the counts of entries left out of folders. A folder or a
    /// list without images is an input that failed.
    pub(crate) fn walk<E>(&self, each: Each<'_, E>) -> Result<LeftOut, E> {
        let (mut left_out, mut seen, mut repeated) = (LeftOut::default(), HashSet::new(), 0);
        // A single file or folder names nothing twice, so its paths need not be remembered.
        let is_list = |input: &PathBuf| input.as_os_str().as_encoded_bytes().starts_with(b"@");
        let may_repeat = self.inputs.len() > 1 || self.inputs.iter().any(is_list);
        let each: Each<'_, E> = &mut |path, error| {
            repeated += u64::from(may_repeat && !seen.insert(hash(&path)));
            each(path, error)
        };
        for input in &self.inputs {
            match input.to_str().and_then(|text| text.strip_prefix('@')) {
                Some("-") => self.list(input, Ok(io::stdin().lock()), &mut left_out, each)?,
                Some(list) => self.list(input, File::open(list).map(BufReader::new), &mut left_out, each)?,
                None => self.one(input, &mut left_out, each)?,
            }
        }
        left_out.repeated = repeated;
        Ok(left_out)
    }

    /// The paths in a list that was given as `input`.
    fn list<E>(
        &self,
        input: &Path,
        list: io::Result<impl BufRead + 'static>,
        left_out: &mut LeftOut,
        each: Each<'_, E>,
    ) -> Result<(), E> {
        let separator = if self.null { Separator::Nul } else { Separator::LineEnd };
        let paths = match list.and_then(|list| list::paths(list, separator)) {
            Ok(paths) => paths,
            Err(error) => return each(input.into(), Some(Error::io(input, &error))),
        };
        let mut empty = true;
        for path in paths {
            empty = false;
            match path {
                Ok(path) => self.one(&path, left_out, each)?,
                Err(error) => return each(input.into(), Some(Error::io(input, &error))),
            }
        }
        if empty { each(input.into(), Some(Error::ImageNone)) } else { Ok(()) }
    }

    fn one<E>(&self, path: &Path, left_out: &mut LeftOut, each: Each<'_, E>) -> Result<(), E> {
        if !path.is_dir() {
            return each(path.into(), None);
        }
        if !self.recursive {
            return each(path.into(), Some(Error::ImageFolder));
        }
        self.folders.walk(path, left_out, each)
    }
}

/// A 64-bit hash of each path: a million take 16 MB.
fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// A path as written in records: text, with each byte that is not UTF-8 as `\xff`.
pub(crate) fn text_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A path as written in a list of paths: one line of text, or with `null` the unchanged bytes, ended by NUL.
pub(crate) fn line_of(path: &Path, null: bool) -> Vec<u8> {
    if null {
        [path.as_os_str().as_encoded_bytes(), b"\0"].concat()
    } else {
        format!("{}\n", text_of(path).replace('\n', "\\n")).into_bytes()
    }
}
