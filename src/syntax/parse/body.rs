//! Bodies, statements and the elements of chains.

use pest::iterators::Pair;

use super::{Builder, Rule, expect, parts};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::*;

/// What kind of body a statement stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A net, where inputs may be declared.
    Net,
    /// A block or a shared body: steps that take a value and hand one on.
    Block,
    /// A combinator, where each statement is a branch.
    Branches,
}

impl Builder<'_> {
    /// Statements in braces.
    pub(super) fn body(&mut self, pair: Pair<'_, Rule>, place: Place) -> Body {
        let span = self.span(&pair);
        let stmts = parts(pair).map(|stmt| self.stmt(stmt, place)).collect();
        Body { stmts, span }
    }

    /// A statement; if something is wrong with it, what is known of it all the same.
    fn stmt(&mut self, pair: Pair<'_, Rule>, place: Place) -> Stmt {
        let span = self.span(&pair);
        let outside = std::mem::take(&mut self.tainted);
        let stmt = self.whole_stmt(pair, place);
        match std::mem::replace(&mut self.tainted, outside) {
            true => Stmt::Broken(self.broken_stmt(span)),
            false => stmt,
        }
    }

    fn whole_stmt(&mut self, pair: Pair<'_, Rule>, place: Place) -> Stmt {
        let span = self.span(&pair);
        match pair.as_rule() {
            Rule::let_stmt => Stmt::Let(self.let_stmt(pair)),
            Rule::shared_stmt => {
                let mut parts = parts(pair);
                let name = self.name(&expect(&mut parts, "shared"));
                let body = self.body(expect(&mut parts, "shared"), Place::Block);
                Stmt::Shared(Shared { name, body, span })
            }
            Rule::input_stmt => {
                match place {
                    Place::Net => {}
                    Place::Block => self.misplaced(
                        span,
                        "input",
                        "only a net has inputs; a block takes the value that reaches it",
                    ),
                    Place::Branches => self.misplaced(
                        span,
                        "input",
                        "a branch takes the value that reaches the combinator",
                    ),
                }
                Stmt::Input(self.input(pair))
            }
            Rule::output_stmt => {
                if place == Place::Branches {
                    self.misplaced(
                        span,
                        "output",
                        "name the value inside the branch, or after the combinator",
                    );
                }
                let name = self.name(&expect(&mut parts(pair), "output"));
                Stmt::Output(Output { name, span })
            }
            Rule::flow => Stmt::Flow(self.flow(pair, place)),
            rule => unreachable!("the grammar has no statement `{rule:?}`"),
        }
    }

    fn misplaced(&mut self, span: Span, what: &str, help: &str) {
        let message = format!("`{what}` cannot stand here");
        self.report(
            Diagnostic::error(codes::MISPLACED_STATEMENT, message)
                .primary(span, "")
                .help(help),
        );
    }

    pub(super) fn let_stmt(&mut self, pair: Pair<'_, Rule>) -> Let {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let pattern = self.pattern(expect(&mut parts, "let"));
        let value = self.expr(expect(&mut parts, "let"));
        Let {
            pattern,
            value,
            span,
        }
    }

    fn pattern(&mut self, pair: Pair<'_, Rule>) -> Pattern {
        let span = self.span(&pair);
        let single = !pair.as_str().starts_with('(');
        let mut inner = parts(pair);
        if single {
            return Pattern::Name(self.name(&expect(&mut inner, "pattern")));
        }
        Pattern::Tuple(inner.map(|part| self.pattern(part)).collect(), span)
    }

    fn input(&mut self, pair: Pair<'_, Rule>) -> Input {
        let span = self.span(&pair);
        let mut parts = parts(pair).peekable();
        let name = parts
            .next_if(|part| part.as_rule() == Rule::input_name)
            .map(|word| self.name(&word));
        let shape = self.expr(expect(&mut parts, "input"));
        let source = parts.next().map(|source| self.expr(source));
        Input {
            name,
            shape,
            source,
            span,
        }
    }

    /// A chain with its assertion and its name.
    pub(super) fn flow(&mut self, pair: Pair<'_, Rule>, place: Place) -> Flow {
        let span = self.span(&pair);
        let mut flow = Flow {
            chain: Vec::new(),
            shape: None,
            name: None,
            span,
            chain_span: span,
        };
        for part in parts(pair) {
            match part.as_rule() {
                Rule::element => flow.chain.push(self.element(part, place)),
                Rule::shape => flow.shape = Some(self.shape(part, flow.chain.last())),
                Rule::late_shape => {
                    let tainted = self.tainted;
                    self.late_shape(&part, &flow);
                    // What was meant is clear, so it can be gone on with.
                    self.tainted = tainted;
                    let shape = self.shape(part, None);
                    flow.shape.get_or_insert(shape);
                }
                _ => flow.name = Some(self.name(&part)),
            }
        }
        if let (Some(first), Some(last)) = (flow.chain.first(), flow.chain.last()) {
            flow.chain_span = first.span.to(last.span);
        }
        flow
    }

    /// A shape behind `as NAME`, where it would seem to be one of the name.
    fn late_shape(&mut self, pair: &Pair<'_, Rule>, flow: &Flow) {
        let late = self.span(pair);
        let message = "a shape is asserted in front of `as`, not behind the name";
        let diagnostic = Diagnostic::error(codes::SYNTAX, message).primary(late, "");
        let name = flow.name.as_ref().map(|name| name.span);
        let assertion = self.slice(late);
        if let Some(shape) = &flow.shape {
            let diagnostic = diagnostic.secondary(shape.span, "asserted here already");
            let removed = name.map_or(late, |name| Span {
                start: name.end,
                ..late
            });
            return self.report(diagnostic.edit("remove the second one", removed, ""));
        }
        let chain_end = flow.chain.last().map_or(late.start, |last| last.span.end);
        let place = Span {
            start: chain_end,
            ..late
        };
        // A comment in between would get lost.
        let commented = ["//", "/*"]
            .iter()
            .any(|sign| self.slice(place).contains(sign));
        let named = name
            .filter(|_| !commented)
            .map(|name| (place, self.slice(name)));
        self.report(match named {
            Some((place, name)) => {
                let text = format!("{assertion} as {name}");
                let help = match text.contains('\n') {
                    true => "put it in front of `as`".to_owned(),
                    false => format!("write `{text}`"),
                };
                diagnostic.edit(help, place, format!(" {text}"))
            }
            None => diagnostic.help("write `: [c, h, w] as NAME`"),
        });
    }

    /// `: [c, h, w]` behind an element.
    fn shape(&mut self, pair: Pair<'_, Rule>, last: Option<&Element>) -> Expr {
        let shape = self.expr(expect(&mut parts(pair), "shape"));
        if !matches!(shape.kind, ExprKind::List(_)) {
            let diagnostic = Diagnostic::error(
                codes::BAD_SHAPE_LIST,
                "a shape is written as a list of sizes",
            );
            let sizes = match &shape.kind {
                ExprKind::Tuple(items) => items.as_slice(),
                _ => std::slice::from_ref(&shape),
            };
            let sizes: Vec<String> = sizes.iter().map(crate::syntax::print::expr).collect();
            let list = format!("[{}]", sizes.join(", "));
            let diagnostic = diagnostic.primary(shape.span, "expected a list");
            let diagnostic = match last.and_then(|last| self.as_label(last, &shape)) {
                Some((help, place, text)) => diagnostic.edit(help, place, text),
                None => diagnostic,
            };
            // A layer is no size.
            self.report(match &shape.kind {
                ExprKind::Call(_) => diagnostic,
                _ => diagnostic.edit(format!("write `{list}`"), shape.span, list),
            });
        }
        shape
    }

    /// What was meant by a colon behind an element if not a shape: `lab : conv(3, 3)` or `conv(3, 3) : lab`.
    fn as_label(&self, last: &Element, shape: &Expr) -> Option<(&'static str, Span, String)> {
        let ElementKind::Call(call) = &last.kind else {
            return None;
        };
        if last.label.is_some() {
            return None;
        }
        let place = call.span.to(shape.span);
        let (label, layer) = match (&call.args, &shape.kind) {
            (None, ExprKind::Call(_) | ExprKind::Name(_)) => (call.span, shape.span),
            (Some(_), ExprKind::Name(_)) => (shape.span, call.span),
            _ => return None,
        };
        let text = format!("{}: {}", self.slice(label), self.slice(layer));
        let help = "a label stands in front of its layer, with no blank before the colon";
        // A comment in between would get lost.
        let commented = ["//", "/*"]
            .iter()
            .any(|start| self.slice(place).contains(start));
        (!commented).then_some((help, place, text))
    }

    fn element(&mut self, pair: Pair<'_, Rule>, place: Place) -> Element {
        let mut inner = parts(pair).peekable();
        let label = inner
            .next_if(|part| part.as_rule() == Rule::label)
            .map(|label| self.label(label));
        let pair = expect(&mut inner, "element");
        let span = self.span(&pair);
        let kind = self.element_kind(pair, place);
        Element { label, kind, span }
    }

    fn element_kind(&mut self, pair: Pair<'_, Rule>, place: Place) -> ElementKind {
        // Inside a branch the value flows as in a block: what a combinator forbids, its branches' bodies forbid too.
        let inner = if place == Place::Branches {
            Place::Block
        } else {
            place
        };
        match pair.as_rule() {
            Rule::call => self.call_element(pair),
            Rule::join => ElementKind::Join(self.join(pair)),
            Rule::if_element => ElementKind::If(self.if_element(pair, inner)),
            Rule::repeat => {
                let mut parts = parts(pair);
                let count = self.expr(expect(&mut parts, "repeat"));
                ElementKind::Repeat(count, self.body(expect(&mut parts, "repeat"), inner))
            }
            Rule::for_loop => {
                let mut parts = parts(pair);
                let head = self.for_head(expect(&mut parts, "for"));
                ElementKind::For(head, self.body(expect(&mut parts, "for"), inner))
            }
            Rule::aux => {
                if place == Place::Branches {
                    self.misplaced(
                        self.span(&pair),
                        "aux",
                        "put the auxiliary head after the combinator",
                    );
                }
                let mut parts = parts(pair).peekable();
                let args = parts
                    .next_if(|part| part.as_rule() == Rule::args)
                    .map(|args| self.args(args));
                ElementKind::Aux(args, self.body(expect(&mut parts, "aux"), Place::Block))
            }
            Rule::body => ElementKind::Body(self.body(pair, inner)),
            rule => unreachable!("the grammar has no element `{rule:?}`"),
        }
    }

    fn call_element(&mut self, pair: Pair<'_, Rule>) -> ElementKind {
        let call = self.call(pair);
        match call.name.text.as_str() {
            "in" | "id" if call.args.is_some() => {
                let message = format!("`{}` takes no arguments", call.name.text);
                self.report(Diagnostic::error(codes::SYNTAX, message).primary(call.span, ""));
                ElementKind::Id
            }
            "in" => ElementKind::In,
            "id" => ElementKind::Id,
            word @ ("add" | "concat" | "mul" | "max") => {
                let message = format!("`{word}` has no branches");
                let hint = format!("expected `{word} {{ … }}`");
                self.report(
                    Diagnostic::error(codes::EMPTY_COMBINATOR, message).primary(call.span, hint),
                );
                ElementKind::Id
            }
            "else" => {
                let message = "`else` without an `if` in front of it";
                let diagnostic = Diagnostic::error(codes::SYNTAX, message);
                self.report(diagnostic.primary(call.name.span, "").help(
                    "it stands behind the `}` of its `if`, and its own `{` on the line of the word",
                ));
                ElementKind::Id
            }
            _ => {
                self.check_reserved(&call.name);
                ElementKind::Call(call)
            }
        }
    }

    fn join(&mut self, pair: Pair<'_, Rule>) -> Join {
        let mut parts = parts(pair).peekable();
        let word = expect(&mut parts, "join");
        let kind = match word.as_str() {
            "add" => JoinKind::Add,
            "concat" => JoinKind::Concat,
            "mul" => JoinKind::Mul,
            _ => JoinKind::Max,
        };
        let kind_span = self.span(&word);
        let args = parts
            .next_if(|part| part.as_rule() == Rule::args)
            .map(|args| self.args(args));
        let each = parts
            .next_if(|part| part.as_rule() == Rule::for_head)
            .map(|head| self.for_head(head));
        // With `for`, the body is the pipeline of one branch, which each item repeats.
        let place = if each.is_some() {
            Place::Block
        } else {
            Place::Branches
        };
        let body = self.body(expect(&mut parts, "join"), place);
        let is_branch = |stmt: &Stmt| matches!(stmt, Stmt::Flow(_) | Stmt::Broken(_));
        if !body.stmts.iter().any(is_branch) {
            let message = format!("`{}` has no branches", kind.word());
            let hint = "each statement in these braces is a branch";
            self.report(
                Diagnostic::error(codes::EMPTY_COMBINATOR, message)
                    .primary(kind_span.to(body.span), hint),
            );
        }
        Join {
            kind,
            kind_span,
            args,
            each,
            body,
        }
    }

    fn for_head(&mut self, pair: Pair<'_, Rule>) -> ForHead {
        let mut parts = parts(pair);
        let pattern = self.pattern(expect(&mut parts, "for"));
        let items = self.items(expect(&mut parts, "for"));
        ForHead { pattern, items }
    }

    fn if_element(&mut self, pair: Pair<'_, Rule>, place: Place) -> IfElement {
        let mut parts = parts(pair);
        let mut arms = Vec::new();
        while let Some(part) = parts.next() {
            if part.as_rule() == Rule::body {
                return IfElement {
                    arms,
                    otherwise: Some(self.body(part, place)),
                };
            }
            let condition = self.expr(part);
            arms.push((condition, self.body(expect(&mut parts, "if"), place)));
        }
        IfElement {
            arms,
            otherwise: None,
        }
    }

    fn label(&mut self, pair: Pair<'_, Rule>) -> Label {
        let whole = self.span(&pair);
        let span = Span {
            end: whole.end - 1,
            ..whole
        };
        let mut segments: Vec<Vec<LabelPart>> = Vec::new();
        // A dot is no pair of its own; it shows as a gap between two parts.
        let mut end = None;
        for part in parts(pair) {
            let place = self.span(&part);
            let joined = end == Some(place.start);
            end = Some(place.end);
            let part = match part.as_rule() {
                Rule::label_text => LabelPart::Text(part.as_str().to_owned()),
                _ => LabelPart::Expr(self.expr(expect(&mut parts(part), "label"))),
            };
            match segments.last_mut() {
                Some(segment) if joined => segment.push(part),
                _ => segments.push(vec![part]),
            }
        }
        Label { segments, span }
    }
}
