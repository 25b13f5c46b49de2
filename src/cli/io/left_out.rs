//! Counts, by reason, the entries left out of folders.

use std::{collections::BTreeMap, fmt};

use residua::{folder::Reason, image::Format};

/// Extensions of image formats that no build reads.
const NEVER_READ: [&str; 21] = [
    "arw", "cr2", "cr3", "dng", "eps", "exr", "jp2", "jxl", "nef", "orf", "pbm", "pef", "pgm", "ppm", "psd", "raf",
    "rw2", "srw", "svg", "svgz", "tga",
];

/// The largest number of reasons to list; the others are only counted.
const SHOWN: usize = 8;

/// The numbers of entries left out.
#[derive(Debug, Default)]
pub(crate) struct LeftOut {
    reasons: BTreeMap<Reason, u64>,
    files: u64,
    folders: u64,
    /// Inputs named more than once. They are not left out.
    pub(crate) repeated: u64,
}

impl LeftOut {
    /// Counts a file, or a folder with all of its contents.
    pub(crate) fn add(&mut self, reason: Reason, is_folder: bool) {
        *self.reasons.entry(reason).or_default() += 1;
        *(if is_folder { &mut self.folders } else { &mut self.files }) += 1;
    }

    /// Notes about the counts.
    pub(crate) fn notes(&self) -> impl Iterator<Item = String> {
        let left_out = (self.files + self.folders > 0).then(|| self.to_string());
        let repeated = match self.repeated {
            0 => None,
            1 => Some("1 repeated input is answered again".into()),
            n => Some(format!("{n} repeated inputs are answered again")),
        };
        left_out.into_iter().chain(repeated)
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |n: u64, what: &str| format!("{n} {what}{}", if n == 1 { "" } else { "s" });
        let (files, folders) = (count(self.files, "file"), count(self.folders, "folder"));
        match (self.files, self.folders) {
            (_, 0) => write!(f, "{files} left out: ")?,
            (0, _) => write!(f, "{folders} left out: ")?,
            _ => write!(f, "{files} and {folders} left out: ")?,
        }
        let mut reasons: Vec<(&Reason, u64)> = self.reasons.iter().map(|(reason, &n)| (reason, n)).collect();
        // The sort is stable: among equal counts, extensions come first, by name.
        reasons.sort_by_key(|&(_, n)| std::cmp::Reverse(n));
        let rest: u64 = reasons.iter().skip(SHOWN).map(|(_, n)| n).sum();
        let mut parts: Vec<String> =
            reasons.iter().take(SHOWN).map(|(reason, n)| format!("{n} {}", words(reason))).collect();
        if rest > 0 {
            parts.push(format!("{rest} others"));
        }
        write!(f, "{}", parts.join(", "))?;
        let is_image = |ending: &str| NEVER_READ.contains(&ending) || Format::of_extension(ending).is_some();
        let unread = |reason: &&Reason| matches!(reason, Reason::Ending(ending) if is_image(ending));
        let unread: Vec<String> = self.reasons.keys().filter(unread).map(words).collect();
        if !unread.is_empty() {
            write!(f, " (this build cannot read {} images: convert them to PNG or JPEG)", unread.join(", "))?;
        }
        Ok(())
    }
}

/// Words for a reason, to follow a number.
fn words(reason: &Reason) -> String {
    match reason {
        Reason::Ending(ending) if ending.is_empty() => "without an extension".into(),
        Reason::Ending(ending) => format!(".{}", ending.escape_debug()),
        Reason::Hidden => "hidden (--hidden includes them)".into(),
        Reason::Excluded => "excluded".into(),
        Reason::LinkToFolder => "linked to a folder".into(),
        Reason::Special => "pipes or devices".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(text: &str) -> Reason {
        Reason::Ending(text.into())
    }

    fn note(left_out: &LeftOut) -> String {
        left_out.notes().next().unwrap_or_default()
    }

    #[test]
    fn files_and_folders_are_counted_by_reason() {
        let mut left_out = LeftOut::default();
        assert_eq!(note(&left_out), "");
        left_out.add(ending("txt"), false);
        assert_eq!(note(&left_out), "1 file left out: 1 .txt");
        left_out.add(ending("pdf"), false);
        left_out.add(Reason::Hidden, true);
        left_out.add(Reason::Hidden, true);
        let text = "2 files and 2 folders left out: 2 hidden (--hidden includes them), 1 .pdf, 1 .txt";
        assert_eq!(note(&left_out), text);
    }

    #[test]
    fn images_that_are_not_read_are_told_from_what_is_no_image() {
        let mut left_out = LeftOut::default();
        for name in ["svg", "jxl", "svg", "", "a\u{1b}[2J"] {
            left_out.add(ending(name), false);
        }
        let text = note(&left_out);
        assert!(text.starts_with("5 files left out: 2 .svg, 1 without an extension, 1 .a\\u{1b}[2J, 1 .jxl"), "{text}");
        assert!(text.contains("this build cannot read .jxl, .svg images"), "{text}");
    }

    #[test]
    fn many_endings_do_not_fill_the_screen() {
        let mut left_out = LeftOut::default();
        (0..100).for_each(|i| left_out.add(ending(&format!("{i:03}")), false));
        assert!(note(&left_out).ends_with("1 .007, 92 others"), "{left_out}");
    }
}
