//! Keywords that are misspelled, or written as in another language.
//!
//! A word that is no keyword is read as a layer, so the grammar stops behind it, at something that no layer is followed
//! by. What follows tells which keywords could have been meant; of these, the nearest in spelling is.

use std::ops::Range;

use super::Rule;
use super::explain::{token_at, word_like};
use crate::diag::suggest;
use crate::syntax::RESERVED;
use crate::syntax::scan::{ITEM_WORDS, Scan};

/// A word that stands where a keyword was meant.
pub(super) struct Misspelled {
    pub place: Range<usize>,
    pub meant: &'static str,
}

/// What other languages call a keyword.
const ALSO: [(&str, &[&str]); 7] = [
    ("net", &["network", "model"]),
    ("fn", &["func", "function", "def"]),
    ("use", &["import", "include", "using"]),
    ("let", &["const", "var", "val", "auto", "set", "def"]),
    ("repeat", &["loop", "times"]),
    ("for", &["foreach"]),
    ("else if", &["elif", "elsif", "elseif"]),
];

/// The keyword that was meant near the place where the grammar stopped; `open` is the innermost bracket around it.
pub(super) fn misspelled(
    text: &str,
    at: usize,
    open: Option<usize>,
    tried: &[Rule],
    scan: &Scan,
) -> Option<Misspelled> {
    let code = Code { text, scan };
    let found = code.inner(at, tried);
    found.or_else(|| code.head(at, open))
}

struct Code<'a> {
    text: &'a str,
    scan: &'a Scan,
}

/// The tokens that follow a word in its line.
struct Next<'a> {
    first: &'a str,
    /// The one behind it; a bracket counts with all that stands in it.
    second: &'a str,
    /// Whether curly brackets follow in the line.
    braces: bool,
}

impl<'a> Code<'a> {
    /// A word between the parts of a statement.
    fn inner(&self, at: usize, tried: &[Rule]) -> Option<Misspelled> {
        let word = token_at(self.text, at);
        if !word_like(word) || RESERVED.contains(&word) {
            return None;
        }
        let next = self.next(at + word.len());
        let place = at..at + word.len();
        let found = |meant| Some(Misspelled { place, meant });
        if self.text[..at].trim_end().ends_with('}') {
            return nearest(word, &otherwise(&next)).and_then(found);
        }
        let has = |rule| tried.contains(&rule);
        if has(Rule::kw_in) && starts_value(next.first) {
            return found("in");
        }
        if has(Rule::kw_to) && starts_value(next.first) {
            return found("to");
        }
        let ends = matches!(next.second, "" | "\n" | ";" | "}");
        let candidates = [
            (has(Rule::kw_step) && starts_value(next.first), "step"),
            (has(Rule::kw_from) && word_like(next.first), "from"),
            (has(Rule::kw_as) && is_word(next.first) && ends, "as"),
        ];
        nearest(word, &allowed(candidates)).and_then(found)
    }

    /// The word that starts the element around a place.
    fn head(&self, at: usize, open: Option<usize>) -> Option<Misspelled> {
        let (start, is_first) = self.element(at);
        let word = token_at(self.text, start);
        if !is_word(word) || RESERVED.contains(&word) {
            return None;
        }
        let next = self.next(start + word.len());
        if word == "subject" && suggest(next.first, ["to"]).is_some() {
            let start = self.skip(start + word.len());
            return Some(Misspelled {
                place: start..start + next.first.len(),
                meant: "to",
            });
        }
        let braces = open.is_some_and(|open| self.text.as_bytes()[open] == b'{');
        let candidates = match open {
            None if is_first => items(&next),
            Some(open) if braces => match self.item(open) {
                "train" => Vec::new(),
                "search" => lines(&next),
                "fn" => statements(&next, is_first, true),
                _ if is_first && self.text[..start].trim_end().ends_with('}') => {
                    let mut all = statements(&next, is_first, false);
                    all.extend(otherwise(&next));
                    all
                }
                _ => statements(&next, is_first, false),
            },
            _ => return None,
        };
        let place = start..start + word.len();
        nearest(word, &candidates).map(|meant| Misspelled { place, meant })
    }

    /// The word of the item around a place.
    fn item(&self, at: usize) -> &'a str {
        let items = &self.scan.items;
        let before = items[..items.partition_point(|&item| item <= at)].last();
        before.map_or("", |&item| token_at(self.text, item))
    }

    /// Where the element around a place starts, and whether nothing stands in front of it in its statement.
    fn element(&self, at: usize) -> (usize, bool) {
        let bytes = self.text.as_bytes();
        let mut start = at;
        let mut is_first = true;
        while start > 0 {
            let (comments, brackets) = (&self.scan.comments, &self.scan.brackets);
            start = match bytes[start - 1] {
                b'\n' | b';' | b'{' | b'(' | b'[' => break,
                b'>' if self.text[..start].ends_with("->") => {
                    is_first = false;
                    break;
                }
                b'}' | b')' | b']' => {
                    match brackets.binary_search_by_key(&(start - 1), |pair| pair.end) {
                        Ok(pair) => brackets[pair].start,
                        Err(_) => break,
                    }
                }
                b'/' => match comments.binary_search_by_key(&start, |comment| comment.end) {
                    Ok(comment) => comments[comment].start,
                    Err(_) => start - 1,
                },
                _ => start - 1,
            };
        }
        let start = self.skip(start);
        (start.min(at), is_first)
    }

    /// The next place that is no blank and no comment; the end of a line is none.
    fn skip(&self, mut at: usize) -> usize {
        loop {
            let rest = &self.text[at..];
            at += rest.len() - rest.trim_start_matches([' ', '\t', '\r']).len();
            let comments = &self.scan.comments;
            match comments.binary_search_by_key(&at, |comment| comment.start) {
                Ok(comment) => at = comments[comment].end,
                Err(_) => return at,
            }
        }
    }

    fn next(&self, from: usize) -> Next<'a> {
        let start = self.skip(from);
        let first = token_at(self.text, start);
        let group = self.scan.brackets.iter().find(|pair| pair.start == start);
        let end = group.map_or(start + first.len(), |pair| pair.end + 1);
        let line = self.text[from..].lines().next().unwrap_or_default();
        Next {
            first,
            second: token_at(self.text, self.skip(end)),
            braces: line.contains('{'),
        }
    }
}

/// The words that may start an item that goes on like this.
fn items(next: &Next<'_>) -> Vec<&'static str> {
    let named = is_word(next.first);
    allowed([
        (named && matches!(next.second, "{" | "("), "net"),
        (named && matches!(next.second, "{" | "("), "block"),
        (named && matches!(next.second, "{" | "("), "fn"),
        (named && next.second == "{", "train"),
        (named && next.second == "{", "search"),
        (named && next.second == "=", "preset"),
        (
            next.first.starts_with('"') || named && matches!(next.second, "." | "" | "\n"),
            "use",
        ),
        (
            next.first.starts_with(|c: char| c.is_ascii_digit()),
            "edition",
        ),
    ])
}

/// The words that may start a statement or an element that goes on like this.
fn statements(next: &Next<'_>, is_first: bool, in_fn: bool) -> Vec<&'static str> {
    let named = is_word(next.first);
    let ends = matches!(next.second, "" | "\n" | ";" | "}");
    let body = next.first == "{" || next.first == "(" && next.second == "{";
    let counted = next.braces && next.first != "{" && starts_value(next.first);
    let each = (named || next.first == "(") && next.second == "in";
    let first = is_first && !in_fn;
    let binds = (named || next.first == "(") && next.second == "=";
    let joins = !in_fn && (body || next.first == "for");
    let has_name = named && next.second == ":";
    allowed([
        (is_first && binds, "let"),
        (first && named && next.second == "{", "shared"),
        (first && named && ends, "output"),
        (first && (next.first == "[" || has_name), "input"),
        (counted, "if"),
        (!in_fn && counted, "repeat"),
        (!in_fn && each, "for"),
        (!in_fn && body, "aux"),
        (joins, "add"),
        (joins, "concat"),
        (joins, "mul"),
        (joins, "max"),
    ])
}

/// The words that may go on behind the brackets of an `if`.
fn otherwise(next: &Next<'_>) -> Vec<&'static str> {
    let is_else = next.first == "{" || next.first == "if";
    allowed([(is_else, "else"), (!is_else && next.braces, "else if")])
}

/// The words that may start a line of a `search` section that goes on like this.
fn lines(next: &Next<'_>) -> Vec<&'static str> {
    let named = is_word(next.first);
    allowed([
        (named && next.second == "in", "vary"),
        (named && next.second == "=", "set"),
        (next.first == "to", "subject"),
    ])
}

fn allowed<const N: usize>(candidates: [(bool, &'static str); N]) -> Vec<&'static str> {
    let fits = candidates.into_iter().filter(|(fits, _)| *fits);
    fits.map(|(_, word)| word).collect()
}

/// The candidate that a word is a misspelling or a translation of.
fn nearest(word: &str, candidates: &[&'static str]) -> Option<&'static str> {
    let lower = word.to_ascii_lowercase();
    let also = ALSO
        .iter()
        .find(|(keyword, others)| candidates.contains(keyword) && others.contains(&lower.as_str()));
    also.map(|(keyword, _)| *keyword)
        .or_else(|| suggest(word, candidates.iter().copied()))
}

/// Whether a token is a word that can be a name.
fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !ITEM_WORDS.contains(&token)
}

fn starts_value(token: &str) -> bool {
    word_like(token) || matches!(token, "(" | "[" | "-")
}
