//! Expressions: precedence, numbers, strings, calls.

use pest::iterators::Pair;

use super::{Builder, Rule, expect, parts};
use crate::diag::{Diagnostic, Span, codes};
use crate::syntax::ast::*;
use crate::syntax::limits::{MAX_EXPR_DEPTH, MAX_INT};

/// What an operand of `not` must bind more strongly than.
const NOT_STRENGTH: u8 = 3;
/// What an operand of unary `-` must bind more strongly than.
const NEG_STRENGTH: u8 = 7;

/// A flat run of operands and operators, as the grammar hands it over.
enum Token<'i> {
    Prefix(UnaryOp, Span),
    Operand(Pair<'i, Rule>),
    Postfix(Pair<'i, Rule>),
    Infix(BinaryOp, Span),
}

type Tokens<'i> = std::iter::Peekable<std::vec::IntoIter<Token<'i>>>;

impl Builder<'_> {
    /// A value; a range is an error.
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let expr = self.items(pair);
        if let ExprKind::Range(_) = expr.kind {
            let diagnostic = Diagnostic::error(codes::STRAY_RANGE, "a range is not a value");
            self.report(diagnostic.primary(expr.span, "ranges stand only after `in`"));
            return self.placeholder(expr.span);
        }
        expr
    }

    /// What stands after `in`: a value or a range.
    pub(super) fn items(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let from = self.sum(expect(&mut parts, "expr"));
        let Some(to) = parts.next() else { return from };
        let to = self.sum(to);
        let step = parts.next().map(|step| self.sum(step));
        self.make(ExprKind::Range(Box::new(Range { from, to, step })), span)
    }

    /// What stands in for an expression that was rejected.
    pub(super) fn placeholder(&self, span: Span) -> Expr {
        Expr::new(ExprKind::Int(1), span)
    }

    /// A node, unless it would make the tree too deep.
    fn make(&mut self, kind: ExprKind, span: Span) -> Expr {
        let expr = Expr::new(kind, span);
        if expr.depth() <= MAX_EXPR_DEPTH {
            return expr;
        }
        self.tainted = true;
        // Everything around the place is too deep as well; once is enough.
        if !self
            .errors
            .iter()
            .any(|error| error.code == codes::TOO_DEEP)
        {
            let diagnostic =
                Diagnostic::error(codes::TOO_DEEP, "an expression is nested too deeply");
            let diagnostic = diagnostic.primary(span, "");
            self.report(diagnostic.help("bind parts of it to names with `let`"));
        }
        self.placeholder(span)
    }

    fn sum(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let mut tokens = Vec::new();
        for part in parts(pair) {
            if part.as_rule() == Rule::infix {
                tokens.push(Token::Infix(binary_op(part.as_str()), self.span(&part)));
                continue;
            }
            for piece in parts(part) {
                tokens.push(match piece.as_rule() {
                    Rule::prefix if piece.as_str() == "-" => {
                        Token::Prefix(UnaryOp::Neg, self.span(&piece))
                    }
                    Rule::prefix => Token::Prefix(UnaryOp::Not, self.span(&piece)),
                    Rule::postfix => Token::Postfix(piece),
                    _ => Token::Operand(piece),
                });
            }
        }
        self.climb(&mut tokens.into_iter().peekable(), 0)
    }

    /// Precedence climbing: takes operators that bind more strongly than `floor`.
    ///
    /// It recurses once for each prefix and each step up in strength, which the scanner's limit on operators bounds.
    fn climb(&mut self, tokens: &mut Tokens<'_>, floor: u8) -> Expr {
        let mut left = self.operand(tokens, floor);
        let mut compared: Option<Span> = None;
        while let Some(&Token::Infix(op, at)) = tokens.peek() {
            if op.strength() <= floor {
                break;
            }
            tokens.next();
            // `^` takes what binds as strongly to its right, everything else to its left.
            let right = self.climb(tokens, op.strength() - u8::from(op == BinaryOp::Pow));
            if let (Some(earlier), true) = (compared, op.is_comparison()) {
                let diagnostic =
                    Diagnostic::error(codes::CHAINED_COMPARISON, "comparisons cannot be chained");
                let diagnostic = diagnostic
                    .primary(at, "second comparison")
                    .secondary(earlier, "first comparison");
                let middle = crate::syntax::print::expr(middle_of(&left));
                self.report(diagnostic.edit(
                    "join two comparisons with `and`, as in `a < b and b < c`",
                    at.before(),
                    format!("and {middle} "),
                ));
            }
            compared = op.is_comparison().then_some(at);
            let span = left.span.to(right.span);
            left = self.make(ExprKind::Binary(op, Box::new(left), Box::new(right)), span);
        }
        left
    }

    fn operand(&mut self, tokens: &mut Tokens<'_>, floor: u8) -> Expr {
        match tokens.next() {
            Some(Token::Prefix(op, at)) => {
                let strength = if op == UnaryOp::Not {
                    NOT_STRENGTH
                } else {
                    NEG_STRENGTH
                };
                if op == UnaryOp::Not && floor > NOT_STRENGTH {
                    let diagnostic =
                        Diagnostic::error(codes::MISPLACED_OPERATOR, "`not` cannot stand here");
                    let inner = self.climb(tokens, strength);
                    let span = at.to(inner.span);
                    let text = format!("({})", self.slice(span));
                    let diagnostic = diagnostic.primary(at, "");
                    self.report(diagnostic.edit(format!("write `{text}`"), span, text));
                    return self.make(ExprKind::Unary(op, Box::new(inner)), span);
                }
                let inner = self.climb(tokens, strength);
                let span = at.to(inner.span);
                self.make(ExprKind::Unary(op, Box::new(inner)), span)
            }
            Some(Token::Operand(pair)) => {
                let mut expr = self.primary(pair);
                while let Some(Token::Postfix(pair)) =
                    tokens.next_if(|token| matches!(token, Token::Postfix(_)))
                {
                    expr = self.postfix(expr, pair);
                }
                expr
            }
            _ => unreachable!("the grammar puts an operand behind every operator"),
        }
    }

    fn postfix(&mut self, base: Expr, pair: Pair<'_, Rule>) -> Expr {
        let span = base.span.to(self.span(&pair));
        let part = expect(&mut parts(pair), "postfix");
        let kind = if part.as_rule() == Rule::word {
            ExprKind::Field(Box::new(base), self.word(&part))
        } else {
            ExprKind::Index(Box::new(base), Box::new(self.expr(part)))
        };
        self.make(kind, span)
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::number => return self.number(&pair),
            Rule::string => ExprKind::Str(self.string(&pair)),
            Rule::list => ExprKind::List(parts(pair).map(|item| self.expr(item)).collect()),
            Rule::paren => return self.paren(pair),
            Rule::if_expr => return self.if_expr(pair),
            _ => self.name_or_call(pair),
        };
        self.make(kind, span)
    }

    fn paren(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut commas = 0;
        let mut items = Vec::new();
        for part in parts(pair) {
            match part.as_rule() {
                Rule::comma => commas += 1,
                _ => items.push(self.expr(part)),
            }
        }
        match items.pop() {
            None => {
                let diagnostic =
                    Diagnostic::error(codes::SYNTAX, "there is nothing between these parentheses");
                self.report(diagnostic.primary(span, "expected a value"));
                self.placeholder(span)
            }
            Some(item) if commas == 0 => item,
            Some(item) => {
                items.push(item);
                self.make(ExprKind::Tuple(items), span)
            }
        }
    }

    fn if_expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let mut inner = parts(pair);
        let mut arms = Vec::new();
        while let Some(part) = inner.next() {
            if part.as_rule() == Rule::expr_body {
                let otherwise = self.expr(expect(&mut parts(part), "else"));
                return self.make(ExprKind::If(arms, Box::new(otherwise)), span);
            }
            let condition = self.expr(part);
            let value = expect(&mut inner, "if");
            arms.push((condition, self.expr(expect(&mut parts(value), "if"))));
        }
        let diagnostic = Diagnostic::error(
            codes::MISSING_ELSE,
            "an `if` that stands for a value needs an `else`",
        );
        self.report(diagnostic.primary(span, "what is the value when no condition holds?"));
        self.placeholder(span)
    }

    fn name_or_call(&mut self, pair: Pair<'_, Rule>) -> ExprKind {
        let call = self.call(pair);
        let word = call.name.text.as_str();
        match (word, &call.args) {
            ("true", None) => ExprKind::Bool(true),
            ("false", None) => ExprKind::Bool(false),
            ("in", None) => ExprKind::In,
            ("max", Some(_)) => ExprKind::Call(call),
            ("id", None) => ExprKind::Name(call.name.text),
            (_, None) => {
                self.check_reserved(&call.name);
                ExprKind::Name(call.name.text)
            }
            (_, Some(_)) => {
                self.check_reserved(&call.name);
                ExprKind::Call(call)
            }
        }
    }

    /// A word with its arguments; whether the word may stand here is for the caller to say.
    pub(super) fn call(&mut self, pair: Pair<'_, Rule>) -> Call {
        let span = self.span(&pair);
        let mut parts = parts(pair);
        let name = self.word(&expect(&mut parts, "call"));
        let args = parts.next().map(|args| self.args(args));
        Call { name, args, span }
    }

    pub(super) fn args(&mut self, pair: Pair<'_, Rule>) -> Args {
        let span = self.span(&pair);
        let mut list: Vec<Arg> = Vec::new();
        for part in parts(pair) {
            let arg = self.arg(part);
            let named = list.last().filter(|earlier| earlier.name.is_some());
            if let (None, Some(earlier)) = (&arg.name, named) {
                let message = "a positional argument stands after a named one";
                let diagnostic = Diagnostic::error(codes::ARGUMENT_ORDER, message);
                let diagnostic = diagnostic
                    .primary(arg.span, "this one")
                    .secondary(earlier.span, "the named one");
                // The named ones in a row behind the last positional one go behind this one.
                let first = list
                    .iter()
                    .find(|other| other.name.is_some())
                    .unwrap_or(earlier);
                let place = first.span.to(arg.span);
                let named = self.slice(first.span.to(earlier.span));
                let text = format!("{}, {named}", self.slice(arg.span));
                self.report(diagnostic.edit(
                    "move it in front of the named ones, or name it too",
                    place,
                    text,
                ));
            }
            list.push(arg);
        }
        Args { list, span }
    }

    fn arg(&mut self, pair: Pair<'_, Rule>) -> Arg {
        let span = self.span(&pair);
        let mut inner = parts(pair).peekable();
        let name = inner.next_if(|part| part.as_rule() == Rule::arg_name);
        let name = name.map(|name| self.word(&expect(&mut parts(name), "argument")));
        let value = self.expr(expect(&mut inner, "argument"));
        Arg { name, value, span }
    }

    /// A number with its suffix.
    pub(super) fn number(&mut self, pair: &Pair<'_, Rule>) -> Expr {
        let span = self.span(pair);
        match number(pair.as_str()) {
            Ok(kind) => Expr::new(kind, span),
            Err(problem) => {
                let message = format!("`{}` is not a number", shorten(pair.as_str()));
                let diagnostic = Diagnostic::error(codes::BAD_NUMBER, message);
                let diagnostic = diagnostic.primary(span, problem);
                // `4K` and `3m` have one meaning; other suffixes could be anything.
                let (digits, suffix) = pair.as_str().split_at(pair.as_str().len() - 1);
                let mended = match suffix {
                    "K" => Some(format!("{digits}k")),
                    "m" => Some(format!("{digits}M")),
                    _ => None,
                };
                self.report(match mended.filter(|text| number(text).is_ok()) {
                    Some(text) => diagnostic.edit(format!("write `{text}`"), span, text),
                    None => diagnostic,
                });
                self.placeholder(span)
            }
        }
    }

    /// The content of a string.
    pub(super) fn string(&mut self, pair: &Pair<'_, Rule>) -> String {
        let quoted = pair.as_str();
        let start = self.base + pair.as_span().start() + 1;
        let mut text = String::new();
        let mut chars = quoted[1..quoted.len() - 1].char_indices();
        while let Some((at, c)) = chars.next() {
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => text.push(escaped),
                Some((_, 'n')) => text.push('\n'),
                Some((_, 't')) => text.push('\t'),
                other => {
                    let width = 1 + other.map_or(0, |(_, c)| c.len_utf8());
                    let place = Span::new(self.file, start + at..start + at + width);
                    let diagnostic =
                        Diagnostic::error(codes::BAD_ESCAPE, "this escape means nothing");
                    let diagnostic =
                        diagnostic.primary(place, "known are `\\\"`, `\\\\`, `\\n` and `\\t`");
                    let text = "in a path, write `/` or `\\\\`";
                    let slash = Span {
                        end: place.start + 1,
                        ..place
                    };
                    self.report(diagnostic.edit(text, slash, "\\\\"));
                }
            }
        }
        text
    }
}

/// The operand of a comparison that a second comparison has taken for its own.
fn middle_of(left: &Expr) -> &Expr {
    match &left.kind {
        ExprKind::Binary(op, _, right) if op.is_comparison() => right,
        _ => left,
    }
}

fn binary_op(word: &str) -> BinaryOp {
    let op = BinaryOp::ALL.into_iter().find(|op| op.word() == word);
    op.unwrap_or_else(|| unreachable!("the grammar has no operator `{word}`"))
}

fn shorten(text: &str) -> String {
    if text.len() <= 30 {
        text.to_owned()
    } else {
        format!("{}…", &text[..30])
    }
}

/// Reads digits, fraction, exponent and suffix; the grammar lets any word characters follow.
fn number(text: &str) -> Result<ExprKind, String> {
    let exponent = |rest: &str| {
        let digits = rest.strip_prefix(['e', 'E'])?;
        let digits = digits.strip_prefix(['+', '-']).unwrap_or(digits);
        digits
            .starts_with(|c: char| c.is_ascii_digit())
            .then_some(())
    };
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(text);
    let whole = len;
    if text[len..].starts_with('.') {
        len += 1 + digits(&text[len + 1..]);
    }
    if exponent(&text[len..]).is_some() {
        len += 2;
        len += digits(&text[len..]);
    }
    let factor = match &text[len..] {
        "" => 1,
        "k" => 1_000,
        "M" => 1_000_000,
        "K" => return Err("write `k` for a thousand".to_owned()),
        "m" => return Err("write `M` for a million".to_owned()),
        suffix => {
            return Err(format!(
                "`{}` cannot follow a number; `k` and `M` can",
                shorten(suffix)
            ));
        }
    };
    let too_large = || "too large".to_owned();
    if len == whole {
        let value = text[..len]
            .parse::<i64>()
            .ok()
            .and_then(|value| value.checked_mul(factor));
        return value
            .filter(|&value| value <= MAX_INT)
            .map(ExprKind::Int)
            .ok_or_else(too_large);
    }
    let value: f64 = text[..len]
        .parse()
        .map_err(|_| "cannot be read".to_owned())?;
    let value = value * factor as f64;
    if value.is_finite() {
        Ok(ExprKind::Float(value))
    } else {
        Err(too_large())
    }
}
