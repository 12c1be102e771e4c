//! The text as a tree of tokens: what the grammar saw, with every comment at the token that it belongs to.
//!
//! `,`, `;` and `->` are no tokens here but separators: a comment never belongs to one, so that it stays with the words
//! around it wherever the separator is put.

use std::ops::Range;

use pest::iterators::{Pair, Pairs};

use crate::syntax::parse::Rule;

/// A word, a number, a string or a bracket, with the comments around it.
#[derive(Debug, Default)]
pub(super) struct Token<'a> {
    pub(super) text: &'a str,
    /// Comments in front of it.
    pub(super) leading: Vec<Comment<'a>>,
    /// Comments behind it that end its line.
    pub(super) trailing: Vec<&'a str>,
    /// Somewhere between this token and the one before, a line ends.
    pub(super) starts_line: bool,
    /// An empty line stands right in front, behind the comments.
    pub(super) blank_before: bool,
}

/// A comment in front of a token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Comment<'a> {
    pub(super) text: &'a str,
    /// It ends its line.
    pub(super) own_line: bool,
    /// An empty line stands right in front.
    pub(super) blank_before: bool,
}

/// A part of the text.
#[derive(Debug)]
pub(super) enum Node {
    /// The token of an index.
    Token(usize),
    /// `,` or `->`.
    Separator(&'static str),
    /// What a rule of the grammar matched.
    Tree(Rule, Vec<Node>),
}

impl Node {
    /// The rule that matched, if it is no plain token.
    pub(super) fn rule(&self) -> Option<Rule> {
        match self {
            Node::Tree(rule, _) => Some(*rule),
            Node::Token(_) | Node::Separator(_) => None,
        }
    }

    /// The index of its first token.
    pub(super) fn first(&self) -> Option<usize> {
        match self {
            Node::Token(index) => Some(*index),
            Node::Separator(_) => None,
            Node::Tree(_, parts) => parts.iter().find_map(Node::first),
        }
    }

    /// The index of its last token.
    pub(super) fn last(&self) -> Option<usize> {
        match self {
            Node::Token(index) => Some(*index),
            Node::Separator(_) => None,
            Node::Tree(_, parts) => parts.iter().rev().find_map(Node::last),
        }
    }
}

/// A file: its tree, and its tokens in order; the last one is empty and holds what stands behind all others.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    pub(super) root: Node,
    pub(super) tokens: Vec<Token<'a>>,
}

/// Takes apart what the grammar found in `text`, which has no carriage returns and no byte-order mark.
pub(super) fn tree<'a>(
    text: &'a str,
    pairs: Pairs<'a, Rule>,
    comments: &[Range<usize>],
) -> Tree<'a> {
    let mut reader = Reader {
        text,
        comments,
        at: 0,
        tokens: Vec::new(),
    };
    let root = match pairs.into_iter().next() {
        Some(file) => reader.node(file),
        None => Node::Tree(Rule::file, Vec::new()),
    };
    reader.token(text.len()..text.len());
    Tree {
        root,
        tokens: reader.tokens,
    }
}

struct Reader<'a, 'c> {
    text: &'a str,
    /// The comments that are not yet at a token.
    comments: &'c [Range<usize>],
    /// The end of the last token.
    at: usize,
    tokens: Vec<Token<'a>>,
}

impl<'a> Reader<'a, '_> {
    fn node(&mut self, pair: Pair<'a, Rule>) -> Node {
        let rule = pair.as_rule();
        let span = pair.as_span();
        let inner: Vec<_> = pair
            .into_inner()
            .filter(|part| !matches!(part.as_rule(), Rule::COMMENT | Rule::EOI))
            .collect();
        let mut parts = Vec::new();
        // A rule without parts of its own is a single token, unless it is all punctuation.
        if inner.is_empty() && !is_punctuated(rule) {
            let end = span.start() + span.as_str().trim_end().len();
            parts.push(self.token(span.start()..end));
            return Node::Tree(rule, parts);
        }
        let mut at = span.start();
        for part in inner {
            self.punctuation(at..part.as_span().start(), &mut parts);
            at = part.as_span().end();
            if part.as_rule() == Rule::comma {
                parts.push(Node::Separator(","));
            } else {
                parts.push(self.node(part));
            }
        }
        self.punctuation(at..span.end(), &mut parts);
        Node::Tree(rule, parts)
    }

    /// The tokens between two parts.
    fn punctuation(&mut self, range: Range<usize>, parts: &mut Vec<Node>) {
        let mut at = range.start;
        while at < range.end {
            let comment = self
                .comments
                .binary_search_by_key(&at, |comment| comment.start);
            if let Ok(index) = comment {
                at = self.comments[index].end;
                continue;
            }
            let rest = &self.text[at..range.end];
            let len = if rest.starts_with("->") || rest.starts_with("..") {
                2
            } else {
                1
            };
            match &rest[..len] {
                " " | "\t" | "\n" | ";" => {}
                "," => parts.push(Node::Separator(",")),
                "->" => parts.push(Node::Separator("->")),
                _ => {
                    let token = self.token(at..at + len);
                    parts.push(token);
                }
            }
            at += len;
        }
    }

    /// Takes a token in, with the comments between it and the one before.
    fn token(&mut self, range: Range<usize>) -> Node {
        let count = self
            .comments
            .partition_point(|comment| comment.end <= range.start);
        let (here, rest) = self.comments.split_at(count);
        self.comments = rest;
        let text = self.text;
        // Line ends in the gap in front of each comment, and in front of the token.
        let mut at = self.at;
        let mut gaps = Vec::new();
        for place in here.iter().chain([&range]) {
            gaps.push(text[at..place.start].matches('\n').count());
            at = place.end;
        }
        self.at = range.end;
        let first_break = gaps.iter().position(|&gap| gap > 0);
        let last_break = gaps.iter().rposition(|&gap| gap > 0);
        // A comment ends its line if a line ends before the token does, at the latest.
        let ends_line =
            |index: usize| range.start == text.len() || last_break.is_some_and(|at| at > index);
        let mut token = Token {
            text: &text[range.clone()],
            starts_line: first_break.is_some(),
            blank_before: gaps.last().is_some_and(|&gap| gap > 1),
            ..Token::default()
        };
        for (index, place) in here.iter().enumerate() {
            let shown = text[place.clone()].trim_end();
            let same_line = first_break.is_none_or(|at| at > index);
            let own_line = ends_line(index);
            match self.tokens.last_mut() {
                Some(before) if same_line && own_line => before.trailing.push(shown),
                _ => token.leading.push(Comment {
                    text: shown,
                    own_line,
                    blank_before: gaps[index] > 1,
                }),
            }
        }
        self.tokens.push(token);
        Node::Token(self.tokens.len() - 1)
    }
}

/// Whether what a rule matches is made of brackets even where it has no parts.
fn is_punctuated(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        file | source | body | entries | search_body | fn_body | args | params | list | paren
    )
}
