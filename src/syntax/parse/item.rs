//! Items: nets, blocks, functions, presets, the training half and the search.

use pest::iterators::Pair;

use super::body::Place;
use super::{Builder, Rule, expect, parts};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::*;

/// The only edition there is.
const EDITION: i64 = 1;

impl Builder<'_> {
    /// The whole file.
    pub(super) fn file(&mut self, file: Pair<'_, Rule>) -> Ast {
        let mut ast = Ast {
            file: self.file,
            edition: None,
            items: Vec::new(),
            broken: Vec::new(),
        };
        let source = expect(&mut file.into_inner(), "file");
        let mut from = self.span(&source).start;
        for pair in parts(source) {
            let span = self.span(&pair);
            let docs = self.docs(from, span.start);
            from = span.end;
            match pair.as_rule() {
                Rule::EOI => {}
                Rule::edition_item => self.edition(pair, &mut ast),
                Rule::stray => self.stray(pair),
                _ => {
                    self.tainted = false;
                    let item = self.item(pair, docs);
                    match std::mem::take(&mut self.tainted) {
                        true => ast.broken.push(self.broken_item(span)),
                        false => ast.items.push(item),
                    }
                }
            }
        }
        ast
    }

    /// The `///` comments between two places, whichever separators stand between them too.
    fn docs(&self, from: u32, to: u32) -> Vec<String> {
        let (from, to) = (from as usize, to as usize);
        let first = self
            .comments
            .partition_point(|comment| comment.start < from);
        let between = self.comments[first..]
            .iter()
            .take_while(|comment| comment.end <= to);
        between
            .filter_map(|comment| doc_text(self.slice(Span::new(self.file, comment.clone()))))
            .collect()
    }

    fn item(&mut self, pair: Pair<'_, Rule>, docs: Vec<String>) -> Item {
        match pair.as_rule() {
            Rule::use_item => Item::Use(self.use_item(pair)),
            Rule::net_item => {
                let (span, name, params, body) = self.pipeline(pair, Place::Net);
                Item::Net(Net {
                    docs,
                    name,
                    params,
                    body,
                    span,
                })
            }
            Rule::block_item => {
                let (span, name, params, body) = self.pipeline(pair, Place::Block);
                Item::Block(Block {
                    docs,
                    name,
                    params,
                    body,
                    span,
                })
            }
            Rule::fn_item => Item::Fn(self.fn_item(pair, docs)),
            Rule::preset_item => Item::Preset(self.preset(pair, docs)),
            Rule::train_item => Item::Train(self.train(pair)),
            Rule::search_item => Item::Search(self.search(pair)),
            rule => unreachable!("the grammar has no item `{rule:?}`"),
        }
    }

    fn edition(&mut self, pair: Pair<'_, Rule>, ast: &mut Ast) {
        let span = self.span(&pair);
        let number = self.number(&expect(&mut parts(pair), "edition"));
        let number = match number.kind {
            ExprKind::Int(number) => number,
            _ => 0,
        };
        if number != EDITION {
            self.report(
                Diagnostic::error(
                    codes::BAD_EDITION,
                    "this edition of the language is not known",
                )
                .primary(span, format!("only edition {EDITION} exists"))
                .edit(
                    format!("write `edition {EDITION}`"),
                    span,
                    format!("edition {EDITION}"),
                ),
            );
        } else if ast.edition.is_some() || !ast.items.is_empty() {
            self.report(
                Diagnostic::error(
                    codes::BAD_EDITION,
                    "the edition stands in front of everything else, once",
                )
                .primary(span, "not here")
                .edit("move it to the first line, or remove it", span, ""),
            );
        }
        ast.edition = Some(Edition { number, span });
    }

    fn stray(&mut self, pair: Pair<'_, Rule>) {
        let span = self.span(&pair);
        let diagnostic = Diagnostic::error(
            codes::OUTSIDE_ITEM,
            "a statement stands outside of every net and block",
        );
        self.report(
            diagnostic
                .primary(span, "")
                .help("a file holds `net`, `block`, `fn`, `preset`, `train`, `search` and `use`; layers stand in their bodies"),
        );
    }

    fn use_item(&mut self, pair: Pair<'_, Rule>) -> Use {
        let span = self.span(&pair);
        let source = expect(&mut parts(pair), "use");
        let source = match source.as_rule() {
            Rule::string => UseSource::File(StringLit {
                text: self.string(&source),
                span: self.span(&source),
            }),
            _ => UseSource::Module(parts(source).map(|word| self.word(&word)).collect()),
        };
        Use { source, span }
    }

    fn pipeline(&mut self, pair: Pair<'_, Rule>, place: Place) -> (Span, Name, Vec<Param>, Body) {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let name = self.name(&expect(&mut parts, "item"));
        let next = expect(&mut parts, "item");
        if next.as_rule() == Rule::params {
            let params = self.params(next);
            (
                span,
                name,
                params,
                self.body(expect(&mut parts, "item"), place),
            )
        } else {
            (span, name, Vec::new(), self.body(next, place))
        }
    }

    fn params(&mut self, pair: Pair<'_, Rule>) -> Vec<Param> {
        let mut params = Vec::new();
        let mut from = self.span(&pair).start;
        for pair in parts(pair) {
            let span = self.span(&pair);
            let docs = self.docs(from, span.start);
            from = span.end;
            let mut parts = parts(pair);
            let name = self.name(&expect(&mut parts, "param"));
            let default = parts.next().map(|value| self.expr(value));
            params.push(Param {
                docs,
                name,
                default,
                span,
            });
        }
        params
    }

    fn fn_item(&mut self, pair: Pair<'_, Rule>, docs: Vec<String>) -> Fn {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let name = self.name(&expect(&mut inner, "fn"));
        let next = expect(&mut inner, "fn");
        let (params, body) = match next.as_rule() {
            Rule::params => (self.params(next), expect(&mut inner, "fn")),
            _ => (Vec::new(), next),
        };
        let body_span = self.span(&body);
        let mut lets = Vec::new();
        let mut value: Option<Expr> = None;
        for stmt in parts(body) {
            if let Some(earlier) = &value {
                let diagnostic = Diagnostic::error(
                    codes::BAD_FUNCTION_BODY,
                    "something stands behind the value of a function",
                );
                let diagnostic = diagnostic
                    .primary(self.span(&stmt), "this")
                    .secondary(earlier.span, "the value");
                self.report(
                    diagnostic.help("a function is any number of `let` and then one expression"),
                );
            }
            match stmt.as_rule() {
                Rule::let_stmt => lets.push(self.let_stmt(stmt)),
                _ => value = Some(self.expr(stmt)),
            }
        }
        let value = value.unwrap_or_else(|| {
            let diagnostic = Diagnostic::error(codes::BAD_FUNCTION_BODY, "a function has no value");
            self.report(diagnostic.primary(name.span, "its body must end with an expression"));
            self.placeholder(body_span)
        });
        Fn {
            docs,
            name,
            params,
            lets,
            value,
            span,
        }
    }

    fn preset(&mut self, pair: Pair<'_, Rule>, docs: Vec<String>) -> Preset {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let name = self.name(&expect(&mut parts, "preset"));
        let value = self.expr(expect(&mut parts, "preset"));
        let net = match value.kind {
            ExprKind::Call(call) => call,
            ExprKind::Name(text) => Call {
                name: Name {
                    text,
                    span: value.span,
                },
                args: None,
                span: value.span,
            },
            _ => {
                let diagnostic =
                    Diagnostic::error(codes::SYNTAX, "a preset is a net with arguments");
                self.report(diagnostic.primary(
                    value.span,
                    "expected something like `LeNet5(classes = 100)`",
                ));
                Call {
                    name: name.clone(),
                    args: None,
                    span: value.span,
                }
            }
        };
        Preset {
            docs,
            name,
            net,
            span,
        }
    }

    fn train(&mut self, pair: Pair<'_, Rule>) -> Train {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let net = self.word(&expect(&mut inner, "train"));
        let entries = parts(expect(&mut inner, "train"))
            .map(|entry| self.entry(entry))
            .collect();
        Train { net, entries, span }
    }

    fn entry(&mut self, pair: Pair<'_, Rule>) -> Entry {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let key = self.word(&expect(&mut inner, "entry"));
        let mut target = None;
        let value = match inner.next() {
            None => EntryValue::List(Vec::new()),
            Some(args) if args.as_rule() == Rule::args => EntryValue::Args(self.args(args)),
            Some(values) => {
                let mut list = Vec::new();
                for part in parts(values) {
                    match part.as_rule() {
                        Rule::entry_name => {
                            target = parts(part).next().map(|word| self.word(&word))
                        }
                        _ => list.push(self.expr(part)),
                    }
                }
                EntryValue::List(list)
            }
        };
        Entry {
            key,
            target,
            value,
            span,
        }
    }

    fn search(&mut self, pair: Pair<'_, Rule>) -> Search {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let net = self.word(&expect(&mut inner, "search"));
        let entries = parts(expect(&mut inner, "search"))
            .map(|entry| self.search_entry(entry))
            .collect();
        Search { net, entries, span }
    }

    fn search_entry(&mut self, pair: Pair<'_, Rule>) -> SearchEntry {
        match pair.as_rule() {
            Rule::vary => {
                SearchEntry::Vary(parts(pair).map(|axis| self.binding(axis, true)).collect())
            }
            Rule::set => SearchEntry::Set(
                parts(pair)
                    .map(|assign| self.binding(assign, false))
                    .collect(),
            ),
            Rule::subject => {
                SearchEntry::Subject(parts(pair).map(|limit| self.expr(limit)).collect())
            }
            Rule::goal => {
                let mut parts = parts(pair);
                let maximize = expect(&mut parts, "goal").as_str() == "maximize";
                SearchEntry::Goal {
                    maximize,
                    value: self.expr(expect(&mut parts, "goal")),
                }
            }
            _ => SearchEntry::Entry(self.entry(pair)),
        }
    }

    fn binding(&mut self, pair: Pair<'_, Rule>, items: bool) -> (Name, Expr) {
        let mut parts = parts(pair);
        let name = self.name(&expect(&mut parts, "binding"));
        let value = expect(&mut parts, "binding");
        (
            name,
            if items {
                self.items(value)
            } else {
                self.expr(value)
            },
        )
    }
}

/// The text of a `///` comment; other comments document nothing.
fn doc_text(comment: &str) -> Option<String> {
    let text = comment.strip_prefix("///")?.trim_end();
    Some(text.strip_prefix(' ').unwrap_or(text).to_owned())
}
