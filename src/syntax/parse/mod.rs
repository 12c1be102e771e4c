//! From pest's pairs to the tree.
//!
//! This module and `fmt` are the only ones that name grammar rules. The grammar is wider than the language in places where pest's own
//! errors would be unreadable; what it lets through wrongly is rejected here. The builder goes on after an error, so that
//! one run finds as many as possible: the statement or the item around it is broken, the rest of the tree is as written.
//! Where the grammar itself stops, `recover` finds the rest.

mod body;
mod explain;
mod expr;
mod item;
mod keyword;
mod recover;

use std::ops::Range;

use pest::Parser;
use pest::iterators::{Pair, Pairs};

use super::RESERVED;
use super::ast::{Ast, Broken, Expr, Item, Name};
use super::limits::{MAX_ERRORS, MAX_NETS};
use super::scan::Scan;
use crate::diag::{Diagnostic, FileId, Span, codes};

/// The generated parser; pest makes its rules public, so it stays inside this module.
mod grammar {
    #![allow(
        missing_docs,
        reason = "the rules are documented in the grammar file, and pest generates the enum"
    )]

    #[derive(pest_derive::Parser)]
    #[grammar = "grammar/net.pest"]
    pub(super) struct NetParser;
}

use grammar::NetParser;
pub(super) use grammar::Rule;

/// What the grammar makes of a whole text; none if it does not follow the grammar.
pub(super) fn pairs(text: &str) -> Option<Pairs<'_, Rule>> {
    NetParser::parse(Rule::file, text).ok()
}

/// The tree of a text, or else what could be read of it.
type Tree = Result<Ast, Option<Ast>>;

/// Builds the tree of a text whose size is within the limits.
pub(super) fn parse(file: FileId, text: &str, scan: &Scan) -> (Tree, Vec<Diagnostic>) {
    if !scan.errors.is_empty() {
        let (ast, errors) = recover::recover(file, text, scan);
        return (Err(ast), errors);
    }
    match NetParser::parse(Rule::file, text) {
        Ok(pairs) => {
            let mut builder = Builder::new(file, text, 0, &scan.comments);
            let ast = builder.file(expect(&mut pairs.into_iter(), "file"));
            let bounded = builder.bound_nets(&ast);
            if builder.errors.iter().any(Diagnostic::is_error) {
                (Err(bounded.then_some(ast)), builder.errors)
            } else {
                (Ok(ast), builder.errors)
            }
        }
        Err(error) => {
            let (ast, mut errors) = recover::recover(file, text, scan);
            // Items that are right by themselves may be wrong side by side, as two on a line.
            if !errors.iter().any(Diagnostic::is_error) {
                errors.push(explain::explain(&error, file, text, 0, scan));
            }
            (Err(ast), errors)
        }
    }
}

/// Builds the expressions that stand alone in the part of the text from `start`.
pub(super) fn parse_values(
    file: FileId,
    text: &str,
    start: usize,
    scan: &Scan,
) -> Result<Vec<Expr>, Vec<Diagnostic>> {
    let pairs = NetParser::parse(Rule::lone_value, &text[start..]);
    let value = pairs.map_err(|error| vec![explain::explain(&error, file, text, start, scan)])?;
    let mut builder = Builder::new(file, &text[start..], start, &scan.comments);
    let mut value = value.into_iter();
    let source = expect(&mut expect(&mut value, "value").into_inner(), "value");
    let values = parts(source).filter(|part| part.as_rule() == Rule::expr);
    let values = values.map(|part| builder.expr(part)).collect();
    if builder.errors.is_empty() {
        Ok(values)
    } else {
        Err(builder.errors)
    }
}

/// Builds the tree and collects what is wrong with it.
struct Builder<'a> {
    file: FileId,
    /// The text that is parsed, a part of the file.
    text: &'a str,
    /// Where the parsed text starts in the file.
    base: usize,
    /// The comments of the file, in order.
    comments: &'a [Range<usize>],
    /// Where placeholders cover what the grammar does not know, in any order.
    covered: &'a [Range<usize>],
    /// The text of the file, nothing covered.
    whole: &'a str,
    errors: Vec<Diagnostic>,
    /// Whether something is wrong with the innermost statement or item that is being built.
    tainted: bool,
}

impl<'a> Builder<'a> {
    fn new(file: FileId, text: &'a str, base: usize, comments: &'a [Range<usize>]) -> Self {
        Self {
            file,
            text,
            base,
            comments,
            covered: &[],
            whole: text,
            errors: Vec::new(),
            tainted: false,
        }
    }

    /// The place of a pair, without the blanks and comments that pest may have skipped at its end.
    fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let span = pair.as_span();
        let start = self.base + span.start();
        let mut end = start + span.as_str().trim_end().len();
        // A rule that ends with an optional part keeps what was skipped in front of that part.
        while let Some(comment) = self
            .comments
            .get(..self.comments.partition_point(|c| c.start < end))
            .and_then(<[_]>::last)
        {
            if comment.end < end || comment.start < start {
                break;
            }
            end = start + span.as_str()[..comment.start - start].trim_end().len();
        }
        // A placeholder may be shorter than the character that it covers.
        if !self.covered.is_empty() {
            end = self.whole.ceil_char_boundary(end);
        }
        Span::new(self.file, start..end)
    }

    /// The text under a span.
    fn slice(&self, span: Span) -> &'a str {
        let range = span.range();
        self.text
            .get(range.start - self.base..range.end - self.base)
            .unwrap_or_default()
    }

    /// Takes a finding in; a file that is no net at all has more than anybody reads.
    fn report(&mut self, diagnostic: Diagnostic) {
        self.tainted |= diagnostic.is_error();
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(diagnostic);
        }
    }

    /// A word as it stands, reserved or not.
    fn word(&mut self, pair: &Pair<'_, Rule>) -> Name {
        let span = self.span(pair);
        let start = span.start as usize;
        self.tainted |= self.covered.iter().any(|range| range.start == start);
        Name {
            text: pair.as_str().to_owned(),
            span,
        }
    }

    /// What is known of a statement with an error.
    fn broken_stmt(&self, span: Span) -> Broken {
        let start = span.start as usize;
        let covered = self.covered.iter().find(|range| range.start == start);
        recover::broken_stmt(
            self.file,
            self.whole,
            covered.cloned().unwrap_or(span.range()),
        )
    }

    /// What is known of an item with an error.
    fn broken_item(&self, span: Span) -> Broken {
        recover::broken_item(self.file, self.whole, span.range())
    }

    /// A word that names something new.
    fn name(&mut self, pair: &Pair<'_, Rule>) -> Name {
        let name = self.word(pair);
        self.check_reserved(&name);
        name
    }

    /// Refuses a file of more nets than anybody expands.
    fn bound_nets(&mut self, ast: &Ast) -> bool {
        let mut names = ast.items.iter().filter_map(|item| match item {
            Item::Net(net) => Some(&net.name),
            Item::Preset(preset) => Some(&preset.name),
            Item::Train(train) => Some(&train.net),
            Item::Search(search) => Some(&search.net),
            Item::Block(_) | Item::Fn(_) | Item::Use(_) => None,
        });
        let excess = names.nth(MAX_NETS);
        if let Some(name) = excess {
            let message =
                format!("a file has at most {MAX_NETS} nets, presets and sections of them");
            self.report(
                Diagnostic::error(codes::TOO_LARGE, message)
                    .primary(name.span, "one too many")
                    .help("move some into a file of their own"),
            );
        }
        excess.is_none()
    }

    fn check_reserved(&mut self, name: &Name) {
        if RESERVED.contains(&name.text.as_str()) {
            let message = format!("`{}` is a reserved word", name.text);
            self.report(
                Diagnostic::error(codes::RESERVED_WORD, message)
                    .primary(name.span, "a name is expected here")
                    .edit(
                        format!("choose another name, as `{}_`", name.text),
                        name.span,
                        format!("{}_", name.text),
                    ),
            );
        }
    }
}

/// The parts of a pair that carry meaning: no comments, no keywords.
fn parts(pair: Pair<'_, Rule>) -> impl Iterator<Item = Pair<'_, Rule>> {
    pair.into_inner()
        .filter(|part| part.as_rule() != Rule::COMMENT && !is_keyword(part.as_rule()))
}

/// Takes the next part, which the grammar guarantees.
fn expect<'i>(parts: &mut impl Iterator<Item = Pair<'i, Rule>>, rule: &str) -> Pair<'i, Rule> {
    parts
        .next()
        .unwrap_or_else(|| unreachable!("the grammar requires one more part in `{rule}`"))
}

fn is_keyword(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        kw_edition
            | kw_use
            | kw_net
            | kw_block
            | kw_fn
            | kw_preset
            | kw_train
            | kw_search
            | kw_let
            | kw_input
            | kw_output
            | kw_shared
            | kw_from
            | kw_as
            | kw_if
            | kw_else
            | kw_repeat
            | kw_for
            | kw_in
            | kw_aux
            | kw_step
            | kw_vary
            | kw_set
            | kw_subject
            | kw_to
    )
}
