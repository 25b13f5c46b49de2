//! Reads lists of paths, as `find`, a text editor or PowerShell writes them.

use std::{
    io::{self, BufRead, Cursor, Read},
    path::PathBuf,
};

/// The separator of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    LineEnd,
    Nul,
}

/// Iterates over the paths in a list. A byte-order mark is not part of the first path. A list is UTF-16 if it begins with UTF-16's mark, or
/// if it is a list of lines that begins with a letter and a zero byte. A line may end with a carriage return; empty lines are left out.
/// White space around a line belongs to the path only if a file of that name exists.
pub(crate) fn paths(
    list: impl BufRead + 'static,
    separator: Separator,
) -> io::Result<impl Iterator<Item = io::Result<PathBuf>>> {
    let byte = if separator == Separator::Nul { 0 } else { b'\n' };
    let lines = without_mark(list, separator)?.split(byte);
    Ok(lines.filter_map(move |line| match line {
        Ok(line) if line.trim_ascii().is_empty() => None,
        Ok(line) if separator == Separator::Nul => Some(Ok(path_of(&line))),
        Ok(line) => Some(Ok(path_of_line(&line))),
        Err(error) => Some(Err(error)),
    }))
}

fn path_of_line(line: &[u8]) -> PathBuf {
    let path = path_of(line.strip_suffix(b"\r").unwrap_or(line));
    let trimmed = line.trim_ascii();
    if trimmed.len() == line.len() || path.exists() { path } else { path_of(trimmed) }
}

/// A list without its byte-order mark, converted from UTF-16 to UTF-8.
fn without_mark(mut list: impl BufRead + 'static, separator: Separator) -> io::Result<Box<dyn BufRead>> {
    // Every line has at least two bytes, so this does not wait for the rest of a list that is still being written.
    let mut head = Vec::new();
    list.by_ref().take(2).read_to_end(&mut head)?;
    match head[..] {
        [0xff, 0xfe] => return Ok(Box::new(Cursor::new(of_utf16(list, u16::from_le_bytes)?))),
        [0xfe, 0xff] => return Ok(Box::new(Cursor::new(of_utf16(list, u16::from_be_bytes)?))),
        // No path contains a zero byte.
        [1..=255, 0] if separator == Separator::LineEnd => {
            return Ok(Box::new(Cursor::new(of_utf16(Cursor::new(head).chain(list), u16::from_le_bytes)?)));
        }
        [0, 1..=255] if separator == Separator::LineEnd => {
            return Ok(Box::new(Cursor::new(of_utf16(Cursor::new(head).chain(list), u16::from_be_bytes)?)));
        }
        [0xef, 0xbb] => drop(list.by_ref().take(1).read_to_end(&mut head)?),
        _ => {}
    }
    if head == [0xef, 0xbb, 0xbf] {
        head.clear();
    }
    Ok(Box::new(Cursor::new(head).chain(list)))
}

fn of_utf16(mut list: impl Read, unit: fn([u8; 2]) -> u16) -> io::Result<String> {
    let mut bytes = Vec::new();
    list.read_to_end(&mut bytes)?;
    let (pairs, rest) = bytes.as_chunks();
    let units: Vec<u16> = pairs.iter().copied().map(unit).collect();
    let text = String::from_utf16(&units).ok().filter(|_| rest.is_empty());
    text.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it begins like UTF-16 but is not valid UTF-16"))
}

/// Unix file names are bytes, whatever their encoding.
#[cfg(unix)]
pub(crate) fn path_of(line: &[u8]) -> PathBuf {
    <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(line).into()
}

#[cfg(not(unix))]
pub(crate) fn path_of(line: &[u8]) -> PathBuf {
    String::from_utf8_lossy(line).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], separator: Separator) -> io::Result<Vec<String>> {
        let text = |path: io::Result<PathBuf>| path.map(|path| path.to_str().unwrap().into());
        paths(Cursor::new(bytes.to_vec()), separator)?.map(text).collect()
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn a_list_may_begin_with_a_byte_order_mark_of_any_encoding() {
        let (text, expected) = ("\u{feff}a.png\r\nsub/b ü.png\r\n\r\n𝄞.png", ["a.png", "sub/b ü.png", "𝄞.png"]);
        let lists = [text.as_bytes().to_vec(), utf16(text, u16::to_le_bytes), utf16(text, u16::to_be_bytes)];
        for list in &lists {
            assert_eq!(read(list, Separator::LineEnd).unwrap(), expected, "{list:?}");
        }
        for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
            assert_eq!(read(&utf16(&text[3..], bytes), Separator::LineEnd).unwrap(), expected, "without a mark");
        }
        assert_eq!(read(b"a\0b\0", Separator::Nul).unwrap(), ["a", "b"]);
        assert_eq!(read(&utf16("\u{feff}a\nb\0c\0", u16::to_le_bytes), Separator::Nul).unwrap(), ["a\nb", "c"]);
    }

    #[test]
    fn half_of_a_character_is_an_error() {
        let whole = utf16("\u{feff}a.png\n", u16::to_le_bytes);
        assert_eq!(read(&whole[..whole.len() - 1], Separator::LineEnd).unwrap_err().kind(), io::ErrorKind::InvalidData);
        let unpaired = [&whole[..], &[0x00, 0xd8]].concat();
        assert_eq!(read(&unpaired, Separator::LineEnd).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn short_lists_and_those_without_a_mark_are_taken_as_they_are() {
        for (list, expected) in [("", &[][..]), ("\u{feff}", &[]), ("a", &["a"]), ("a\n", &["a"]), ("\n\n b\n", &["b"])]
        {
            assert_eq!(read(list.as_bytes(), Separator::LineEnd).unwrap(), expected, "{list:?}");
        }
        assert_eq!(read(b" a \0b\r\0", Separator::Nul).unwrap(), [" a ", "b\r"]);
        assert_eq!(read(b"# a\n\"b\"\n", Separator::LineEnd).unwrap(), ["# a", "\"b\""], "no comments, no quotes");
    }

    #[test]
    fn blanks_at_the_end_of_a_line_belong_to_a_path_that_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_string();
        std::fs::write(path("blank.png "), "").unwrap();
        let list = format!("{}\t \r\n{}\r\n{}", path("none.png"), path("blank.png "), path("none.png "));
        let expected = ["none.png", "blank.png ", "none.png"].map(path);
        assert_eq!(read(list.as_bytes(), Separator::LineEnd).unwrap(), expected);
    }
}
