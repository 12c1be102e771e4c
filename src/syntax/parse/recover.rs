//! What can be read of a text that does not follow the grammar.
//!
//! Every item is parsed on its own. Where the grammar stops, the error is reported, a placeholder of the same length
//! covers the innermost statement around the place, and the item is parsed again: all other statements of it are read as
//! they are written. Behind the head of an item nothing can be told apart, so an item whose head is wrong is broken as a
//! whole, and known by its name.
//!
//! Every round covers something, the number of errors is bounded, and so is the text that is parsed again for them.

use std::ops::Range;

use pest::Parser;
use pest::error::InputLocation;

use super::explain::explain;
use super::grammar::NetParser;
use super::{Builder, Rule, expect};
use crate::diag::{Diagnostic, FileId, Span};
use crate::syntax::RESERVED;
use crate::syntax::ast::{Ast, Broken, Item, Name};
use crate::syntax::limits::{MAX_ERRORS, MAX_NETS, MAX_REREAD};
use crate::syntax::scan::{ITEM_WORDS, Scan, word_len};

/// Parses every item on its own; no tree if there are more nets than anybody expands.
pub(super) fn recover(file: FileId, text: &str, scan: &Scan) -> (Option<Ast>, Vec<Diagnostic>) {
    let mut recovery = Recovery {
        file,
        text,
        scan,
        outline: Outline::new(text, scan),
        ast: Ast {
            file,
            edition: None,
            items: Vec::new(),
            broken: Vec::new(),
        },
        errors: Vec::new(),
        reread: 0,
    };
    let inner = || scan.items.iter().copied().filter(|&at| at > 0);
    let starts = std::iter::once(0).chain(inner());
    for (start, end) in starts.zip(inner().chain([text.len()])) {
        recovery.chunk(start..end);
    }
    let Recovery { ast, errors, .. } = recovery;
    let nets = ast.items.iter().filter(|item| match item {
        Item::Net(_) | Item::Preset(_) | Item::Train(_) | Item::Search(_) => true,
        Item::Block(_) | Item::Fn(_) | Item::Use(_) => false,
    });
    let bounded = nets.count() <= MAX_NETS;
    (bounded.then_some(ast), errors)
}

struct Recovery<'t> {
    file: FileId,
    text: &'t str,
    scan: &'t Scan,
    outline: Outline<'t>,
    ast: Ast,
    errors: Vec<Diagnostic>,
    /// Bytes that have been parsed again.
    reread: usize,
}

impl Recovery<'_> {
    /// An item and what stands between it and the next one.
    fn chunk(&mut self, chunk: Range<usize>) {
        let is_in = |range: &Range<usize>| range.start < chunk.end && chunk.start < range.end;
        if self.errors.len() >= MAX_ERRORS || self.scan.lost.iter().any(is_in) {
            return self.give_up(chunk);
        }
        let mut covered = Covered {
            shown: self.text[chunk.clone()].to_owned(),
            probe: self.text[chunk.clone()].to_owned(),
            passed: 0,
            ranges: Vec::new(),
            outline: &self.outline,
            is_item: self.scan.items.binary_search(&chunk.start).is_ok(),
            chunk: chunk.clone(),
        };
        let places = self.scan.errors.iter().filter_map(Diagnostic::span);
        for place in places.map(Span::range).filter(is_in) {
            if covered.cover(place.start).is_whole {
                return self.give_up(chunk);
            }
        }
        let mut errors = Vec::new();
        let is_read = loop {
            let Err(error) = NetParser::parse(Rule::file, &covered.probe) else {
                break true;
            };
            let (InputLocation::Pos(at) | InputLocation::Span((at, _))) = error.location;
            // Up to here the next round reads all again; blanks take little.
            self.reread += at.saturating_sub(covered.passed) + covered.passed / 16;
            let cover = covered.cover(chunk.start + at);
            if cover.is_new {
                errors.push(explain(
                    &error,
                    self.file,
                    self.text,
                    chunk.start,
                    self.scan,
                ));
            }
            let full = self.errors.len() + errors.len() >= MAX_ERRORS;
            if cover.is_whole || full || self.reread > MAX_REREAD {
                break false;
            }
        };
        let pairs = is_read.then(|| NetParser::parse(Rule::file, &covered.shown).ok());
        let built = pairs.flatten().map(|mut pairs| {
            let mut builder =
                Builder::new(self.file, &covered.shown, chunk.start, &self.scan.comments);
            builder.covered = &covered.ranges;
            builder.whole = self.text;
            let ast = builder.file(expect(&mut pairs, "file"));
            errors.append(&mut builder.errors);
            ast
        });
        for tail in covered.ranges.iter().filter(|range| range.end == chunk.end) {
            self.ast
                .broken
                .extend(broken_lines(self.file, self.text, tail.clone()));
        }
        errors.truncate(MAX_ERRORS - self.errors.len());
        self.errors.append(&mut errors);
        match built {
            Some(mut built) => {
                self.ast.items.append(&mut built.items);
                self.ast.broken.append(&mut built.broken);
            }
            None => self.give_up(chunk),
        }
    }

    /// Keeps the names alone.
    fn give_up(&mut self, chunk: Range<usize>) {
        self.ast
            .broken
            .extend(broken_lines(self.file, self.text, chunk));
    }
}

/// What became of a place that is to be covered.
struct Cover {
    /// Whether the error there is no consequence of an earlier one.
    is_new: bool,
    /// Whether the item is broken as a whole.
    is_whole: bool,
}

/// An item with placeholders in place of what could not be read.
struct Covered<'t> {
    chunk: Range<usize>,
    /// Whether it starts with the word of an item; the first one of a file may not.
    is_item: bool,
    outline: &'t Outline<'t>,
    /// The text that is parsed in the end.
    shown: String,
    /// The same without the statements that are known to be right: so many statements with errors take little time.
    probe: String,
    /// Bytes of those statements.
    passed: usize,
    /// What is covered, as places of the whole text.
    ranges: Vec<Range<usize>>,
}

impl Covered<'_> {
    /// Covers the innermost statement around a place that is not covered yet.
    fn cover(&mut self, mut at: usize) -> Cover {
        let mut is_new = true;
        while let Some(braces) = self.braces(at) {
            let level = braces.start + 1..braces.end;
            match self.outline.statement(level, at) {
                Some(statement) if !self.ranges.contains(&statement) => {
                    self.pass(at);
                    self.hide(statement, "_");
                    return Cover {
                        is_new,
                        is_whole: false,
                    };
                }
                // The placeholder does not fit either: what stands around it is at fault.
                Some(_) => is_new = false,
                None => {}
            }
            at = braces.start;
        }
        let end = self.item_end();
        let tail = self.outline.statement(self.chunk.clone(), at);
        let tail = tail.map(|tail| tail.start.max(end)..self.chunk.end);
        match tail.filter(|_| at >= end) {
            Some(tail) if !self.ranges.contains(&tail) => {
                self.hide(tail, "");
                Cover {
                    is_new,
                    is_whole: false,
                }
            }
            tail => Cover {
                is_new: is_new && tail.is_none(),
                is_whole: true,
            },
        }
    }

    /// Takes the statements in front of a place out of the probe: the grammar came as far as this place.
    fn pass(&mut self, mut at: usize) {
        self.passed = 0;
        while let Some(braces) = self.braces(at) {
            let level = braces.start + 1..braces.end;
            if let Some(statement) = self.outline.statement(level.clone(), at) {
                let blank = level.start..statement.start;
                self.passed += blank.len();
                let blank = blank.start - self.chunk.start..blank.end - self.chunk.start;
                if !self.probe[blank.clone()].trim_ascii().is_empty() {
                    self.probe
                        .replace_range(blank.clone(), &" ".repeat(blank.len()));
                }
            }
            at = braces.start;
        }
    }

    /// The innermost curly brackets of the item around a place.
    fn braces(&self, at: usize) -> Option<Range<usize>> {
        let start = self.chunk.start;
        self.outline
            .braces(at)
            .filter(|braces| braces.start >= start)
    }

    fn hide(&mut self, range: Range<usize>, placeholder: &str) {
        self.ranges
            .retain(|inner| inner.start < range.start || range.end < inner.end);
        let shown = range.start - self.chunk.start..range.end - self.chunk.start;
        let blanks = " ".repeat(shown.len() - placeholder.len());
        let cover = format!("{placeholder}{blanks}");
        self.shown.replace_range(shown.clone(), &cover);
        self.probe.replace_range(shown, &cover);
        self.ranges.push(range);
    }

    /// The end of the item, if it can be told.
    fn item_end(&self) -> usize {
        let Range { start, end } = self.chunk;
        if !self.is_item {
            return start;
        }
        let text = &self.outline.text[start..end];
        let item_end = match &text[..word_len(text)] {
            "use" | "preset" | "edition" => {
                let statement = self.outline.statement(start..end, start);
                statement.map(|statement| statement.end + 1)
            }
            _ => self
                .outline
                .first_braces(start)
                .map(|braces| braces.end + 1),
        };
        item_end.unwrap_or(end + 1)
    }
}

/// Where the brackets and statements of a text are.
struct Outline<'t> {
    text: &'t str,
    comments: &'t [Range<usize>],
    /// Every bracket with its partner, in the order of the opening ones, and the number of the one around it.
    brackets: Vec<(Range<usize>, Option<usize>)>,
}

impl<'t> Outline<'t> {
    fn new(text: &'t str, scan: &'t Scan) -> Self {
        let mut pairs = scan.brackets.clone();
        pairs.sort_unstable_by_key(|pair| pair.start);
        let mut brackets: Vec<(Range<usize>, Option<usize>)> = Vec::with_capacity(pairs.len());
        let mut around: Option<usize> = None;
        for pair in pairs {
            while let Some(at) = around
                && brackets[at].0.end < pair.start
            {
                around = brackets[at].1;
            }
            brackets.push((pair, around));
            around = Some(brackets.len() - 1);
        }
        Self {
            text,
            comments: &scan.comments,
            brackets,
        }
    }

    /// The innermost curly brackets around a place.
    fn braces(&self, at: usize) -> Option<Range<usize>> {
        let mut next = self.brackets.partition_point(|(pair, _)| pair.start < at);
        while next > 0 {
            let (pair, around) = &self.brackets[next - 1];
            if at <= pair.end && self.text.as_bytes()[pair.start] == b'{' {
                return Some(pair.clone());
            }
            next = around.map_or(0, |around| around + 1);
        }
        None
    }

    /// The first curly brackets from a place on that stand in no others.
    fn first_braces(&self, from: usize) -> Option<Range<usize>> {
        let first = self.brackets.partition_point(|(pair, _)| pair.start < from);
        let is_outer = |(pair, around): &&(Range<usize>, Option<usize>)| {
            around.is_none() && self.text.as_bytes()[pair.start] == b'{'
        };
        self.brackets[first..]
            .iter()
            .find(is_outer)
            .map(|(pair, _)| pair.clone())
    }

    /// The statement at a place, among those right inside of a level; between two of them, the one in front.
    fn statement(&self, level: Range<usize>, at: usize) -> Option<Range<usize>> {
        let mut found: Option<Range<usize>> = None;
        let mut current: Option<Range<usize>> = None;
        let mut goes_on = false;
        let mut next = level.start;
        while next < level.end {
            let token = self.token(next);
            let text = &self.text[token.clone()];
            next = token.end.min(level.end);
            let ends = match text {
                ";" => true,
                "\n" => !goes_on && !self.goes_on(next),
                " " | "\t" | "\r" => false,
                _ if text.starts_with('/') && self.is_comment(token.start) => false,
                _ => {
                    goes_on = matches!(text, "->" | "," | "=" | "==") || is_operator(text);
                    let start = current.take().map_or(token.start, |current| current.start);
                    current = Some(start..next);
                    false
                }
            };
            if let Some(statement) = current.take_if(|_| ends || next == level.end) {
                if found.is_some() && statement.start > at {
                    break;
                }
                let is_it = statement.end >= at;
                found = Some(statement);
                if is_it {
                    break;
                }
            }
        }
        found.or(current)
    }

    fn is_comment(&self, at: usize) -> bool {
        self.comments
            .binary_search_by_key(&at, |comment| comment.start)
            .is_ok()
    }

    /// The token at a place: what stands in brackets is one, a comment is one.
    fn token(&self, at: usize) -> Range<usize> {
        let known = match self.text.as_bytes()[at] {
            b'/' => {
                let comments = self.comments;
                let found = comments.binary_search_by_key(&at, |comment| comment.start);
                found.ok().map(|comment| comments[comment].end)
            }
            b'(' | b'[' | b'{' => {
                let found = self
                    .brackets
                    .binary_search_by_key(&at, |(pair, _)| pair.start);
                found.ok().map(|pair| self.brackets[pair].0.end + 1)
            }
            _ => None,
        };
        at..known.unwrap_or_else(|| at + token_len(&self.text[at..]))
    }

    /// Whether the code behind a line end belongs to what stands in front of it, rightly or by mistake.
    fn goes_on(&self, mut at: usize) -> bool {
        loop {
            let rest = &self.text[at..];
            match rest.chars().next() {
                None => return false,
                Some(' ' | '\t' | '\r' | '\n') => at += 1,
                Some('/') if self.is_comment(at) => at = self.token(at).end,
                // A minus may start the value of a function.
                Some('-') => return rest.starts_with("->"),
                _ => {
                    let token = &self.text[self.token(at)];
                    return is_operator(token) || token == "else";
                }
            }
        }
    }
}

/// The length of the token at the start of a text, in which brackets have no partners.
fn token_len(text: &str) -> usize {
    match text.chars().next() {
        None => 0,
        Some('"') => {
            let mut escaped = false;
            let end = text.bytes().enumerate().skip(1).find(|&(_, byte)| {
                let ends = matches!(byte, b'"' if !escaped) || byte == b'\n';
                escaped = byte == b'\\' && !escaped;
                ends
            });
            end.map_or(text.len(), |(end, _)| end + 1)
        }
        Some('-') if text.starts_with("->") => 2,
        Some('=') if text.starts_with("==") || text.starts_with("=>") => 2,
        Some('/') if text.starts_with("//") => text.find('\n').unwrap_or(text.len()),
        Some('/') if text.starts_with("/*") => text.find("*/").map_or(text.len(), |end| end + 2),
        Some(first) => word_len(text).max(first.len_utf8()),
    }
}

/// The tokens of a part of a text, without blanks and comments, with their places.
fn tokens(text: &str, range: Range<usize>) -> impl Iterator<Item = (usize, &str)> {
    let mut at = range.start;
    let all = std::iter::from_fn(move || {
        let rest = &text[at..range.end];
        let token = &rest[..token_len(rest)];
        at += token.len();
        (!token.is_empty()).then_some((at - token.len(), token))
    });
    let is_comment = |token: &str| token.starts_with("//") || token.starts_with("/*");
    all.filter(move |(_, token)| !token.trim().is_empty() && !is_comment(token))
}

/// Whether a token stands between two values, or in front of one; a line that ends with it is not complete.
fn is_operator(token: &str) -> bool {
    let words = ["and", "or"];
    matches!(token, "+" | "-" | "*" | "/" | "^" | "<" | ">") || words.contains(&token)
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

fn name(file: FileId, (at, text): (usize, &str)) -> Name {
    Name {
        text: text.to_owned(),
        span: Span::new(file, at..at + text.len()),
    }
}

/// What is known of a statement with an error: the names that it may bind, and whether a value may flow out of it.
pub(super) fn broken_stmt(file: FileId, text: &str, range: Range<usize>) -> Broken {
    let head: Vec<(usize, &str)> = tokens(text, range.clone()).take(4).collect();
    let words: Vec<&str> = head.iter().map(|(_, token)| *token).collect();
    let mut names = Vec::new();
    let more = match words.as_slice() {
        ["let", "(", ..] => {
            let parts = tokens(text, range.clone()).take_while(|(_, token)| *token != "=");
            names.extend(parts.skip(1).filter(|(_, token)| is_word(token)));
            false
        }
        ["let" | "shared", word, ..] if is_word(word) => {
            names.push(head[1]);
            false
        }
        ["let" | "shared" | "output", ..] => false,
        ["input", word, ..] if is_word(word) => {
            names.push(head[1]);
            true
        }
        // Other languages bind a name without `let`, or with another word.
        [name, "=", ..] if is_word(name) => {
            names.push(head[0]);
            false
        }
        [word, name, "=", ..] if is_word(word) && is_word(name) && !RESERVED.contains(word) => {
            names.push(head[1]);
            false
        }
        _ => true,
    };
    let pairs = tokens(text, range.clone()).zip(tokens(text, range.clone()).skip(1));
    let named = pairs.filter(|((_, word), (_, name))| *word == "as" && is_word(name));
    names.extend(named.map(|(_, name)| name));
    Broken {
        names: names.into_iter().map(|found| name(file, found)).collect(),
        more,
        span: Span::new(file, range),
    }
}

/// What is known of an item with an error: its name.
pub(super) fn broken_item(file: FileId, text: &str, range: Range<usize>) -> Broken {
    let head: Vec<(usize, &str)> = tokens(text, range.clone()).take(2).collect();
    let named = head.get(1).copied().filter(|(_, token)| is_word(token));
    let (named, more) = match head.first() {
        Some((_, "net" | "block" | "fn" | "preset")) => (named, named.is_none()),
        Some((_, "use")) => (None, true),
        Some((_, word)) if ITEM_WORDS.contains(word) => (None, false),
        // A word that starts no item may be meant as one.
        Some((_, word)) if is_word(word) => (named, false),
        _ => (None, false),
    };
    Broken {
        names: named.map(|named| name(file, named)).into_iter().collect(),
        more,
        span: Span::new(file, range),
    }
}

/// The items that may be meant by the lines of a text; what is indented is one only if it starts like one.
fn broken_lines(file: FileId, text: &str, range: Range<usize>) -> Vec<Broken> {
    let mut found = Vec::new();
    let mut start = range.start;
    for line in text[range].split_inclusive('\n') {
        let place = start..start + line.len();
        start = place.end;
        let word = line.trim_start();
        let starts_item = ITEM_WORDS.contains(&&word[..word_len(word)]);
        if starts_item || word.len() == line.len() {
            let broken = broken_item(file, text, place);
            found.extend((broken.more || !broken.names.is_empty()).then_some(broken));
        }
    }
    found
}
