//! Scans pickles without building anything, to bound in advance what building them takes.
//!
//! Source: CPython's `pickletools`, which lists the opcodes and their arguments.

/// Largest pickle to read: hundreds of times the size of the deepest supported network's with its optimizer's state.
pub(super) const MAX_PICKLE: u64 = 10_000_000;

/// Largest number of opcodes in all pickles of a checkpoint: thirty times as many as a DenseNet-201's with its optimizer's state. The
/// reader keeps an object for each, so this bounds its memory.
const MAX_OPCODES: usize = 500_000;

/// Number of opcodes that the rest of a checkpoint's pickles may have.
pub(super) struct Budget(usize);

impl Budget {
    pub(super) fn new() -> Self {
        Budget(MAX_OPCODES)
    }

    /// The length of the pickle at the start of `bytes`, and the name of the last class that it mentions.
    ///
    /// # Errors
    /// A sentence, if the pickle is cut short, has an unknown opcode, or has too many opcodes.
    pub(super) fn pickle<'a>(&mut self, bytes: &'a [u8]) -> Result<(usize, &'a str), String> {
        let (mut at, mut class) = (0, "");
        loop {
            self.0 =
                self.0.checked_sub(1).ok_or_else(|| format!("its pickles have more than {MAX_OPCODES} opcodes"))?;
            let opcode = *bytes.get(at).ok_or("its pickle has no end")?;
            let rest = &bytes[at + 1..];
            if opcode == b'.' {
                return Ok((at + 1, class));
            }
            if opcode == b'c' {
                class =
                    rest.split(|byte| *byte == b'\n').nth(1).and_then(|name| str::from_utf8(name).ok()).unwrap_or("");
            }
            let argument = argument(opcode, rest).ok_or_else(|| {
                format!("its pickle has the opcode {opcode:#04x}, which is unknown or lacks its argument")
            })?;
            at = at.checked_add(1 + argument).filter(|at| *at <= bytes.len()).ok_or("its pickle has no end")?;
        }
    }
}

/// Number of bytes of the opcode's argument, at the start of `rest`. `None` if the opcode is unknown or the argument is cut
/// short.
fn argument(opcode: u8, rest: &[u8]) -> Option<usize> {
    let lines = |count: usize| {
        let ends = rest.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(at, _)| at + 1).nth(count - 1)
    };
    let counted = |bytes: usize| {
        let length = rest
            .get(..bytes)?
            .iter()
            .rev()
            .try_fold(0_usize, |sum, byte| sum.checked_mul(256)?.checked_add(usize::from(*byte)))?;
        length.checked_add(bytes)
    };
    Some(match opcode {
        b'(' | b'0' | b'1' | b'2' | b'N' | b'R' | b'b' | b'd' | b'l' | b't' | b's' | b'a' => 0,
        b')' | b']' | b'}' | b'e' | b'u' | b'Q' | b'o' => 0,
        0x81 | 0x85..=0x89 | 0x8f..=0x94 | 0x97 | 0x98 => 0,
        b'K' | b'h' | b'q' | 0x80 | 0x82 => 1,
        b'M' | 0x83 => 2,
        b'J' | b'j' | b'r' | 0x84 => 4,
        b'G' | 0x95 => 8,
        b'I' | b'L' | b'F' | b'V' | b'S' | b'g' | b'p' | b'P' => lines(1)?,
        b'c' | b'i' => lines(2)?,
        b'U' | b'C' | 0x8a | 0x8c => counted(1)?,
        b'T' | b'X' | b'B' | 0x8b => counted(4)?,
        0x8d | 0x8e | 0x96 => counted(8)?,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scanned(bytes: &[u8]) -> Result<(usize, String), String> {
        Budget::new().pickle(bytes).map(|(length, class)| (length, class.to_string()))
    }

    #[test]
    fn a_pickle_ends_where_it_says() {
        // pickle.dumps({"a": 1}, 2), followed by other bytes.
        let dict = b"\x80\x02}q\x00X\x01\x00\x00\x00aq\x01K\x01s.rest";
        assert_eq!(scanned(dict), Ok((dict.len() - 4, String::new())));
        assert_eq!(scanned(b"cos\nsystem\n(S'true'\ntR."), Ok((23, "system".into())));
        for broken in [
            &b""[..],
            b"\x80\x02",
            b"X\xff\xff\xff\x7fa.",
            b"\xff.",
            b"cos\nsystem",
            b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        ] {
            assert!(scanned(broken).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn opcodes_are_counted() {
        let many = [&vec![b'N'; MAX_OPCODES][..], b"."].concat();
        assert_eq!(scanned(&many).unwrap_err(), "its pickles have more than 500000 opcodes");
        assert!(scanned(&many[2..]).is_ok());
    }
}
