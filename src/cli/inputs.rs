//! The images that INPUT stands for: files, folders, stdin, lists. Nothing is collected beyond the entries of one folder.

use std::{
    collections::HashSet,
    fs::File,
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use residua::{Error, folder::Found};

use super::{
    args::Inputs,
    folder::FolderOptions,
    left_out::LeftOut,
    list::{self, Separator},
};

/// Takes an image, or an input and its error, and may stop the walk.
pub(super) type Each<'a, E> = &'a mut dyn FnMut(PathBuf, Option<Error>) -> Result<(), E>;

impl Inputs {
    /// All images in `folder`.
    pub(super) fn folder(folder: &Path, folders: &FolderOptions) -> Self {
        Inputs { recursive: true, null: false, folders: folders.clone(), inputs: vec![folder.into()] }
    }

    /// Whether the inputs can be walked twice: nothing comes from stdin.
    pub(super) fn rereadable(&self) -> bool {
        self.inputs.iter().all(|input| input.as_os_str() != "@-")
    }

    /// Calls `each` with every image that the inputs name, in order, and gives what was left out of folders. A folder without images is
    /// an input that failed.
    pub(super) fn walk<E>(&self, each: Each<'_, E>) -> Result<LeftOut, E> {
        let (mut left_out, mut seen, mut repeated) = (LeftOut::default(), HashSet::new(), 0);
        // One file or folder names nothing twice, and what is in it is not remembered.
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
        for path in paths {
            match path {
                Ok(path) => self.one(&path, left_out, each)?,
                Err(error) => return each(input.into(), Some(Error::io(input, &error))),
            }
        }
        Ok(())
    }

    fn one<E>(&self, path: &Path, left_out: &mut LeftOut, each: Each<'_, E>) -> Result<(), E> {
        if !path.is_dir() {
            return each(path.into(), None);
        }
        if !self.recursive {
            return each(path.into(), Some(Error::ImageFolder));
        }
        self.folders.choice().walk(path, &mut |found| match found {
            Found::Image(path) => each(path, None),
            Found::Failed(path, error) => each(path, Some(error)),
            Found::LeftOut { reason, is_folder } => {
                left_out.add(reason, is_folder);
                Ok(())
            }
            _ => Ok(()),
        })
    }
}

/// 64 bits for a path: a million take 16 MB.
fn hash(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}

/// A path as records have it: text, with every byte that is not as `\xff`.
pub(super) fn text_of(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    text
}

/// A path in a list of paths: text that ends with a line end, which it has nowhere else, or with `null` as the system has it, ended by NUL.
pub(super) fn line_of(path: &Path, null: bool) -> Vec<u8> {
    if null {
        [path.as_os_str().as_encoded_bytes(), b"\0"].concat()
    } else {
        format!("{}\n", text_of(path).replace('\n', "\\n")).into_bytes()
    }
}
