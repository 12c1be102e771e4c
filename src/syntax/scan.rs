//! A linear pass over the text before the grammar sees it.
//!
//! It finds what a grammar reports badly or slowly: unclosed and mismatched brackets, strings and comments, characters
//! that mean nothing, nesting and operator runs beyond the limits. What it lets through cannot make the parser recurse
//! deeply. It also notes where comments, brackets and top-level items stand.
//!
//! Where brackets do not fit, the rest of the item says little, but the next one says much: the pass goes on there.

use std::ops::Range;

use super::limits::{MAX_BYTES, MAX_DEPTH, MAX_NAME, MAX_OPERATORS, MAX_SCAN_ERRORS, MAX_TOKENS};
use crate::diag::{Diagnostic, FileId, Span, codes};

/// What the pass learned.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The comments in order.
    pub comments: Vec<Range<usize>>,
    /// Every bracket with its partner, in the order of the closing ones.
    pub brackets: Vec<Range<usize>>,
    /// Where words stand that start an item, outside of all brackets.
    pub items: Vec<usize>,
    /// Items, or what stands around them, whose brackets, strings or comments do not fit.
    pub lost: Vec<Range<usize>>,
    /// Whether the text is too large or too wrong to look for more.
    pub hopeless: bool,
    /// What is wrong.
    pub errors: Vec<Diagnostic>,
}

/// Words that start an item.
pub(super) const ITEM_WORDS: [&str; 8] = [
    "edition", "use", "net", "block", "fn", "preset", "train", "search",
];

/// Looks at the whole text once.
pub(super) fn scan(file: FileId, text: &str) -> Scan {
    let mut scanner = Scanner {
        file,
        text,
        bytes: text.as_bytes(),
        at: 0,
        open: Vec::new(),
        operators: 0,
        tokens: 0,
        suspect: None,
        forgotten: 0,
        out: Scan::default(),
    };
    if text.len() > MAX_BYTES {
        let len = text.len();
        scanner.too_large(format!(
            "the file has {len} bytes; at most {MAX_BYTES} are read"
        ));
        return scanner.out;
    }
    while scanner.run().is_none() && scanner.go_on() {}
    scanner.out
}

/// An opening bracket, and the operators counted around it so far.
#[derive(Clone, Copy)]
struct Open {
    at: usize,
    bracket: u8,
    operators: u32,
}

/// An item word where no item can start: a bracket in front of it was probably never closed.
#[derive(Clone)]
struct Suspect {
    /// The bracket around it.
    open: Open,
    word: Range<usize>,
    /// How many brackets are open around it.
    depth: usize,
    /// The errors and tokens in front of it.
    errors: usize,
    tokens: usize,
}

struct Scanner<'a> {
    file: FileId,
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    open: Vec<Open>,
    /// Operators since the last separator at this level.
    operators: u32,
    /// Words, numbers, strings, signs and comments so far.
    tokens: usize,
    /// The first item word at the start of a line inside of the brackets that are open.
    suspect: Option<Suspect>,
    /// Brackets that were taken for forgotten; what closes them may still come.
    forgotten: usize,
    out: Scan,
}

impl Scanner<'_> {
    /// Goes through the text; `None` means that going on would only report consequences of the last error.
    fn run(&mut self) -> Option<()> {
        if self.at == 0 && self.text.starts_with('\u{FEFF}') {
            self.at = 3;
        }
        while let Some(&byte) = self.bytes.get(self.at) {
            if self.out.errors.len() >= MAX_SCAN_ERRORS {
                return None;
            }
            if !matches!(byte, b' ' | b'\t' | b'\r' | b'\n') {
                self.tokens += 1;
            }
            if self.tokens > MAX_TOKENS {
                self.too_large(format!(
                    "the file has more than {MAX_TOKENS} words and signs"
                ));
                return None;
            }
            match byte {
                b'/' if self.looking_at("//") => self.line_comment(),
                b'/' if self.looking_at("/*") => self.block_comment()?,
                b'"' => self.string()?,
                b'(' | b'[' | b'{' => self.open_bracket(byte)?,
                b')' | b']' | b'}' => self.close_bracket(byte)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => self.word()?,
                b'0'..=b'9' => self.skip_word(),
                b'-' if self.looking_at("->") => {
                    self.operators = 0;
                    self.at += 2;
                }
                b'+' | b'-' | b'*' | b'/' | b'^' => self.operator(1)?,
                _ => self.other(byte),
            }
        }
        self.finish()
    }

    /// Goes to the next item after an error that leaves no sense to the rest of this one; false where nothing is left.
    fn go_on(&mut self) -> bool {
        let next = match self.suspect.take() {
            Some(suspect) if !self.out.hopeless => {
                self.not_closed(&suspect);
                self.tokens = suspect.tokens;
                Some(suspect.word.start)
            }
            _ => self.next_item(),
        };
        let start = self.out.items.last().copied().unwrap_or(0);
        let end = next.unwrap_or(self.text.len());
        self.out.lost.push(start..end);
        self.out.hopeless |= self.out.errors.len() >= MAX_SCAN_ERRORS;
        let Some(next) = next.filter(|_| !self.out.hopeless) else {
            return false;
        };
        self.open.clear();
        self.operators = 0;
        self.at = next;
        true
    }

    /// An item starts while a bracket is open: it was never closed, and what was found behind it only follows from that.
    fn not_closed(&mut self, suspect: &Suspect) {
        let Suspect { open, word, .. } = suspect;
        let end = word.start;
        // At the end of the text, what is still open there has nothing that closes it.
        let still_open = match self.at < self.text.len() {
            true => 0,
            false => self.open.iter().filter(|open| open.at < end).count(),
        };
        self.forgotten += suspect.depth - still_open.min(suspect.depth);
        let before = |range: &Range<usize>| range.end <= end;
        self.out.comments.retain(before);
        self.out.brackets.retain(before);
        self.out.items.retain(|&item| item < end);
        self.out.errors.truncate(suspect.errors);
        let wanted = partner(open.bracket) as char;
        let text = format!("`{wanted}` should stand before this");
        self.unclosed(*open, Some((word.clone(), text)), end);
    }

    /// The next item word that starts a line, with a name behind it, outside of comments.
    fn next_item(&self) -> Option<usize> {
        let mut at = self.at;
        while at < self.text.len() {
            let rest = &self.text[at..];
            let line_start = at == 0 || self.bytes[at - 1] == b'\n';
            let word = &rest[..word_len(rest)];
            if line_start && ITEM_WORDS.contains(&word) && name_follows(&rest[word.len()..]) {
                return Some(at);
            }
            at += if rest.starts_with("/*") {
                rest.find("*/").map_or(rest.len(), |end| end + 2)
            } else if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if word.is_empty() {
                rest.chars().next().map_or(1, char::len_utf8)
            } else {
                word.len()
            };
        }
        None
    }

    fn other(&mut self, byte: u8) {
        match byte {
            b',' | b';' => self.operators = 0,
            b'\n' if self.open.last().is_none_or(|open| open.bracket == b'{') => self.operators = 0,
            b'\r' => self.carriage_return(self.at),
            b'\n' | b' ' | b'\t' | b'.' | b':' | b'=' | b'<' | b'>' => {}
            b'!' if self.looking_at("!=") => {}
            _ => return self.bad_character(),
        }
        self.at += 1;
    }

    fn looking_at(&self, token: &str) -> bool {
        self.bytes[self.at..].starts_with(token.as_bytes())
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        self.out.errors.push(diagnostic);
    }

    fn operator(&mut self, len: usize) -> Option<()> {
        let start = self.at;
        self.at += len;
        self.operators += 1;
        if self.operators <= MAX_OPERATORS {
            return Some(());
        }
        let message = format!("an expression has more than {MAX_OPERATORS} operators");
        let place = self.span(start..self.at);
        self.report(
            Diagnostic::error(codes::TOO_MANY_OPERATORS, message)
                .primary(place, "one too many")
                .help("bind parts of it to names with `let`"),
        );
        None
    }

    fn skip_word(&mut self) {
        self.at += word_len(&self.text[self.at..]);
    }

    fn word(&mut self) -> Option<()> {
        let start = self.at;
        self.skip_word();
        let word = &self.text[start..self.at];
        if word.len() > MAX_NAME {
            let message = format!("a name of {} characters is too long", word.len());
            let place = self.span(start..start + MAX_NAME);
            self.report(
                Diagnostic::error(codes::NAME_TOO_LONG, message)
                    .primary(place, format!("at most {MAX_NAME} characters are allowed")),
            );
        } else if matches!(word, "and" | "or" | "not") {
            let len = word.len();
            self.at = start;
            return self.operator(len);
        } else if ITEM_WORDS.contains(&word) {
            self.item_word(start);
        }
        Some(())
    }

    /// Item words at the start of a line tell where a forgotten bracket should have been closed.
    fn item_word(&mut self, start: usize) {
        let line_start = start == 0 || self.bytes[start - 1] == b'\n';
        match self.open.last() {
            None => self.out.items.push(start),
            Some(&open) if line_start && self.suspect.is_none() => {
                if name_follows(&self.text[self.at..]) {
                    self.suspect = Some(Suspect {
                        open,
                        word: start..self.at,
                        depth: self.open.len(),
                        errors: self.out.errors.len(),
                        tokens: self.tokens - 1,
                    });
                }
            }
            Some(_) => {}
        }
    }

    fn open_bracket(&mut self, bracket: u8) -> Option<()> {
        if self.open.len() == MAX_DEPTH {
            let place = self.span(self.at..self.at + 1);
            self.report(
                Diagnostic::error(
                    codes::TOO_DEEP,
                    format!("brackets are nested too deeply: more than {MAX_DEPTH} levels"),
                )
                .primary(place, format!("level {}", MAX_DEPTH + 1))
                .help("give inner parts a name with `block`, `fn` or `let`"),
            );
            return None;
        }
        self.open.push(Open {
            at: self.at,
            bracket,
            operators: self.operators,
        });
        self.operators = 0;
        self.at += 1;
        Some(())
    }

    fn close_bracket(&mut self, bracket: u8) -> Option<()> {
        let at = self.at;
        self.at += 1;
        let Some(&top) = self.open.last() else {
            if self.forgotten > 0 {
                self.forgotten -= 1;
                return None;
            }
            let place = self.span(at..at + 1);
            let message = format!("`{}` closes nothing", bracket as char);
            self.report(
                Diagnostic::error(codes::STRAY_BRACKET, message)
                    .primary(place, "no bracket is open here")
                    .edit("remove it, or open one in front", place, ""),
            );
            return None;
        };
        if partner(top.bracket) == bracket {
            self.open.pop();
            if self.open.is_empty() {
                self.suspect = None;
            }
            self.operators = top.operators;
            self.out.brackets.push(top.at..at);
            return Some(());
        }
        let wanted = partner(top.bracket) as char;
        if self
            .open
            .iter()
            .any(|open| partner(open.bracket) == bracket)
        {
            self.unclosed(
                top,
                Some((
                    at..at + 1,
                    format!("`{wanted}` should stand before this `{}`", bracket as char),
                )),
                self.text.len(),
            );
        } else {
            let (opener, place) = (self.span(top.at..top.at + 1), self.span(at..at + 1));
            let message = format!("`{}` closes a `{}`", bracket as char, top.bracket as char);
            let diagnostic = Diagnostic::error(codes::STRAY_BRACKET, message)
                .primary(place, format!("expected `{wanted}`"))
                .secondary(opener, "opened here");
            self.report(if self.closes_later(top.bracket, at + 1) {
                diagnostic.edit(
                    "remove it: what is open here is closed further down",
                    place,
                    "",
                )
            } else {
                diagnostic.edit(format!("write `{wanted}`"), place, wanted)
            });
        }
        None
    }

    /// Whether a bracket that is open at a place is closed before the next item; strings and comments count as code.
    fn closes_later(&self, bracket: u8, at: usize) -> bool {
        let mut depth = 1_usize;
        for line in self.text[at..].split_inclusive('\n') {
            if depth > 0 && ITEM_WORDS.contains(&&line[..word_len(line)]) {
                return false;
            }
            for byte in line.bytes() {
                depth += usize::from(byte == bracket);
                depth -= usize::from(byte == partner(bracket));
                if depth == 0 {
                    return true;
                }
            }
        }
        false
    }

    /// Reports a bracket that is still open where its item ends, or at another bracket.
    fn unclosed(&mut self, open: Open, before: Option<(Range<usize>, String)>, end: usize) {
        let place = self.span(open.at..open.at + 1);
        let message = format!("`{}` is never closed", open.bracket as char);
        let mut diagnostic =
            Diagnostic::error(codes::UNCLOSED_BRACKET, message).primary(place, "opened here");
        if let Some((range, text)) = before {
            diagnostic = diagnostic.secondary(self.span(range), text);
        }
        let closers = self.closers(open);
        let at = self.closing_place(open, end);
        let place = self.span(at..at);
        let line = self.text[..at]
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .trim_start();
        let skipped = line.chars().count().saturating_sub(24);
        let before: String = line.chars().skip(skipped).collect();
        let text = format!("put `{closers}` behind `{before}`");
        self.report(diagnostic.edit(text, place, closers));
    }

    /// What closes a bracket and all that were opened outside of it, where the text cannot go on inside of them.
    fn closers(&self, open: Open) -> String {
        let close = |open: &Open| partner(open.bracket) as char;
        if open.bracket != b'{' {
            return close(&open).to_string();
        }
        let outside = self.open.iter().take_while(|other| other.at <= open.at);
        outside
            .collect::<Vec<_>>()
            .into_iter()
            .rev()
            .map(close)
            .collect()
    }

    /// Where a bracket was probably meant to be closed: a round or square one on its own line in front of an arrow or a
    /// brace, a curly one in front of the item that cannot stand inside, or at the end of the text.
    fn closing_place(&self, open: Open, end: usize) -> usize {
        if open.bracket == b'{' {
            return self.text[..end].trim_end().len();
        }
        let line = self.text[open.at..].split('\n').next().unwrap_or_default();
        let mut depth = 0;
        let mut end = line.len();
        for (at, byte) in line.bytes().enumerate().skip(1) {
            let ends = match byte {
                b'(' | b'[' => {
                    depth += 1;
                    false
                }
                b')' | b']' => {
                    depth -= 1;
                    depth < 0
                }
                b'-' => depth == 0 && line[at..].starts_with("->"),
                b'/' => line[at..].starts_with("//") || line[at..].starts_with("/*"),
                b'{' | b'}' | b';' => true,
                _ => false,
            };
            if ends {
                end = at;
                break;
            }
        }
        open.at + line[..end].trim_end().len()
    }

    /// Reports what is still open at the end of the text.
    fn finish(&mut self) -> Option<()> {
        let Some(&top) = self.open.last() else {
            return Some(());
        };
        if self.suspect.is_none() {
            let wanted = partner(top.bracket) as char;
            let end = self.text.trim_end().len();
            let text = format!("the file ends here without `{wanted}`");
            self.unclosed(
                top,
                (end > top.at + 1).then(|| (last_char(self.text, end), text)),
                self.text.len(),
            );
        }
        None
    }

    fn string(&mut self) -> Option<()> {
        let start = self.at;
        self.at += 1;
        while let Some(&byte) = self.bytes.get(self.at) {
            match byte {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\'
                    if self
                        .bytes
                        .get(self.at + 1)
                        .is_some_and(|&next| next != b'\n') =>
                {
                    self.at += 2
                }
                b'\n' => break,
                _ => self.at += 1,
            }
        }
        let end = start
            + self.text[start..self.at.min(self.text.len())]
                .trim_end()
                .len();
        let place = self.span(start..end);
        // Brackets that close what is open around the string were hardly meant to be a part of it.
        let content = &self.text[start + 1..end];
        let content = match self.open.is_empty() {
            true => content,
            false => content.trim_end_matches([')', ']', '}', ';', ',', ' ']),
        };
        let quote = start + 1 + content.len();
        self.report(
            Diagnostic::error(codes::UNCLOSED_STRING, "a string is never closed")
                .primary(place, "`\"` is missing on this line")
                .edit("put a `\"` at its end", self.span(quote..quote), "\""),
        );
        None
    }

    fn line_comment(&mut self) {
        let start = self.at;
        let len = self.bytes[start..]
            .iter()
            .take_while(|&&byte| byte != b'\n')
            .count();
        self.at += len;
        let line = &self.text[start..self.at];
        let ends = self.at < self.bytes.len();
        let content = line.strip_suffix('\r').filter(|_| ends).unwrap_or(line);
        if let Some(at) = content.find('\r') {
            self.carriage_return(start + at);
        }
        self.out.comments.push(start..start + content.len());
    }

    fn block_comment(&mut self) -> Option<()> {
        let start = self.at;
        if let Some(len) = self.text[start + 2..].find("*/") {
            self.at = start + 2 + len + 2;
            self.out.comments.push(start..self.at);
            return Some(());
        }
        // What the rest would have declared nobody knows.
        self.out.hopeless = true;
        let place = self.span(start..start + 2);
        let line = self.text[start..].split('\n').next().unwrap_or_default();
        let end = start + line.trim_end().len();
        self.report(
            Diagnostic::error(codes::UNCLOSED_COMMENT, "a comment is never closed")
                .primary(place, "`*/` is missing")
                .edit("put a `*/` at its end", self.span(end..end), "*/"),
        );
        None
    }

    /// A carriage return that is not part of a line break would hide the rest of a line from the compiler or the reader.
    fn carriage_return(&mut self, at: usize) {
        if self.bytes.get(at + 1) == Some(&b'\n') {
            return;
        }
        let place = self.span(at..at + 1);
        self.report(
            Diagnostic::error(
                codes::BAD_CHARACTER,
                "a carriage return without a line feed",
            )
            .primary(place, "editors disagree about whether a line ends here")
            .help("save the file with LF or CRLF line ends"),
        );
    }

    fn bad_character(&mut self) {
        let start = self.at;
        let Some(first) = self.text[start..].chars().next() else {
            return;
        };
        let run =
            |c: char| c == first || (!c.is_ascii() && !first.is_ascii() && suggestion(c).is_none());
        let len: usize = self.text[start..]
            .chars()
            .take_while(|&c| run(c))
            .map(char::len_utf8)
            .sum();
        self.at += len;
        let place = self.span(start..self.at);
        let shown: String = self.text[start..self.at]
            .chars()
            .take(20)
            .flat_map(char::escape_debug)
            .collect();
        let diagnostic = Diagnostic::error(
            codes::BAD_CHARACTER,
            format!("`{shown}` has no meaning here"),
        )
        .primary(place, "");
        let diagnostic = match suggestion(first) {
            Some((words, Some(replacement))) => diagnostic.edit(words, place, replacement),
            Some((words, None)) => diagnostic.help(words),
            None if first.is_alphabetic() => {
                diagnostic.help("names are made of ASCII letters, digits and `_`")
            }
            None => diagnostic,
        };
        self.report(diagnostic);
    }

    fn too_large(&mut self, message: String) {
        self.out.hopeless = true;
        let place = self.span(0..self.text.find('\n').unwrap_or(self.text.len()).min(40));
        self.report(
            Diagnostic::error(codes::TOO_LARGE, message)
                .primary(place, "")
                .help("`repeat`, `for` and `block` say the same in fewer lines"),
        );
    }
}

fn partner(open: u8) -> u8 {
    match open {
        b'(' => b')',
        b'[' => b']',
        _ => b'}',
    }
}

/// The letters, digits and underscores at the start of a text.
pub(super) fn word_len(text: &str) -> usize {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    text.bytes().take_while(is_part).count()
}

/// Whether what stands behind an item word on its line may be the name of the item.
fn name_follows(text: &str) -> bool {
    let rest = text.trim_start_matches([' ', '\t']);
    rest.len() < text.len()
        && rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == '"')
}

/// The last character before `end`.
fn last_char(text: &str, end: usize) -> Range<usize> {
    let width = text[..end].chars().next_back().map_or(0, char::len_utf8);
    end - width..end
}

/// What the author of a meaningless character probably wanted, and the text that says it where there is one.
fn suggestion(c: char) -> Option<(&'static str, Option<&'static str>)> {
    Some(match c {
        '&' => ("`and` joins conditions", Some("and")),
        '|' => ("`or` joins conditions", Some("or")),
        '!' => ("`not` negates a condition", Some("not ")),
        '%' => ("`n - floor(n / m) * m` is the remainder of `n / m`", None),
        '\'' => ("strings stand in double quotes", None),
        '#' => ("comments start with `//`", Some("//")),
        '\u{2018}' | '\u{2019}' => ("strings stand in double quotes", None),
        '\u{201C}' | '\u{201D}' => ("strings stand in straight double quotes", Some("\"")),
        '\u{2192}' => ("an arrow is written `->`", Some("->")),
        '\u{00D7}' | '\u{22C5}' | '\u{00B7}' => ("a product is written `*`", Some("*")),
        '\u{2013}' | '\u{2014}' | '\u{2212}' => ("a minus is written `-`", Some("-")),
        '\u{2264}' => ("`<=` compares", Some("<=")),
        '\u{2265}' => ("`>=` compares", Some(">=")),
        '\u{2260}' => ("`!=` compares", Some("!=")),
        '\u{2026}' => ("a range is written `..`", Some("..")),
        '\u{00A0}' | '\u{2003}' | '\u{3000}' | '\u{200B}' => {
            ("an invisible character that looks like a blank", Some(" "))
        }
        '\0' => (
            "the file holds zero bytes; is it UTF-16, or no text at all?",
            None,
        ),
        _ => return None,
    })
}
