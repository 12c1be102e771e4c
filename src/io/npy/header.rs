//! A look through the header of a `.npy` file before a library interprets it.

use std::io::Read;

use super::super::Guess;
use super::{NpyProblem, read_failed};

/// The longest header that is read. That of an array of numbers has about 128 bytes, and NumPy
/// itself refuses more than 10,000 by default.
pub(super) const MAX_BYTES: u64 = 10_000;

/// Brackets deeper than this are refused: the dictionary and the shape's tuple make two.
const MAX_DEPTH: usize = 4;

const MAGIC: &[u8] = b"\x93NUMPY";

/// Checks magic, header length and header text against the length of the file; returns where the
/// values start.
///
/// The values are not looked at, and neither is the grammar of the text. What is promised of the
/// text is that it is short and flat, and that the product of all sizes in it does not overflow.
pub(super) fn check(file: &mut dyn Read, file_length: u64) -> Result<u64, NpyProblem> {
    let mut start = Vec::new();
    (&mut *file)
        .take(16)
        .read_to_end(&mut start)
        .map_err(read_failed)?;
    let not_npy = || NpyProblem::NotNpy {
        found: file_length,
        guess: Guess::from_start(&start),
    };
    if !start.starts_with(MAGIC) {
        return Err(not_npy());
    }
    // From version 2 on, the length has four bytes and not two.
    let (claimed, text_start) = match start[MAGIC.len()..] {
        [1, _, a, b, ..] => (u64::from(u16::from_le_bytes([a, b])), 10),
        [2 | 3, _, a, b, c, d, ..] => (u64::from(u32::from_le_bytes([a, b, c, d])), 12),
        _ => return Err(not_npy()),
    };
    let found = file_length.saturating_sub(text_start);
    if claimed > found {
        return Err(NpyProblem::HeaderBeyondFile { claimed, found });
    }
    if claimed > MAX_BYTES {
        return Err(NpyProblem::HeaderTooLarge { claimed });
    }
    let mut text = start.split_off(text_start as usize);
    let missing = claimed.saturating_sub(text.len() as u64);
    file.take(missing)
        .read_to_end(&mut text)
        .map_err(read_failed)?;
    text.truncate(claimed as usize);
    check_text(&text)?;
    Ok(text_start + claimed)
}

/// Goes over the text outside of its strings. The only numbers there are the sizes of the shape, so
/// their product can be bounded without knowing which key they belong to.
fn check_text(text: &[u8]) -> Result<(), NpyProblem> {
    let refuse = |detail: String| Err(NpyProblem::HeaderContent { detail });
    let mut depth = 0_usize;
    let mut product = 1_u64;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        at += 1;
        match byte {
            b'\'' | b'"' => match text[at..].iter().position(|&b| b == byte || b == b'\\') {
                Some(length) if text[at + length] == byte => at += length + 1,
                _ => return refuse("a string is not closed or holds a backslash".to_owned()),
            },
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return refuse(format!("brackets are nested more than {MAX_DEPTH} deep"));
                }
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b' ' | b'\n' | b',' | b':' => {}
            _ => {
                let in_word = |&&b: &&u8| b.is_ascii_alphanumeric() || b == b'_';
                let length = 1 + text[at..].iter().take_while(in_word).count();
                let word = &text[at - 1..at - 1 + length];
                at += length - 1;
                if word == b"True" || word == b"False" {
                    continue;
                }
                if !word.iter().all(u8::is_ascii_digit) {
                    return refuse(format!("found `{}`", word.escape_ascii()));
                }
                // A size of zero must not hide that the product of the others overflows.
                let size = str::from_utf8(word)
                    .ok()
                    .and_then(|word| word.parse::<u64>().ok());
                product = size
                    .and_then(|size| product.checked_mul(size.max(1)))
                    .ok_or(NpyProblem::TooLarge)?;
            }
        }
    }
    Ok(())
}
