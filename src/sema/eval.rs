//! Expressions: everything that is known when the net is built.

use std::rc::Rc;

use super::Elab;
use super::arith::{self, Refusal};
use super::limits::MAX_ITEMS;
use super::report::suggest;
use super::scope::Env;
use super::value::{Value, whole};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::syntax::ast::{BinaryOp, Expr, ExprKind, Let, Name, Pattern, Range};

impl<'a> Elab<'a> {
    /// The value of an expression; [`Value::Poison`] where an error has been reported.
    pub(super) fn eval(&mut self, env: &Env<'a>, expr: &'a Expr) -> Value<'a> {
        if self.step(expr.span).is_none() {
            return Value::Poison;
        }
        match &expr.kind {
            ExprKind::Int(value) => Value::Int(*value),
            ExprKind::Float(value) => Value::Float(*value, None),
            ExprKind::Bool(value) => Value::Bool(*value),
            ExprKind::Str(text) => Value::Str(text.as_str().into()),
            ExprKind::Name(name) => self.name(env, name, expr.span),
            ExprKind::In => self.entered(env, expr.span),
            ExprKind::Call(call) => self.call(env, call),
            ExprKind::Field(base, field) => self.field(env, base, field),
            ExprKind::Index(base, index) => self.index(env, base, index, expr.span),
            ExprKind::List(items) => match self.eval_all(env, items, expr.span) {
                Some(items) => Value::List(items),
                None => Value::Poison,
            },
            ExprKind::Tuple(items) => match self.eval_all(env, items, expr.span) {
                Some(items) => Value::Tuple(items),
                None => Value::Poison,
            },
            ExprKind::Unary(op, inner) => {
                let inner = self.eval(env, inner);
                self.settle(&[&inner], arith::unary(*op, &inner), expr.span)
            }
            ExprKind::Binary(op, a, b) => self.binary(env, *op, a, b, expr.span),
            ExprKind::If(arms, otherwise) => {
                for (condition, value) in arms {
                    match self.condition(env, condition) {
                        Some(true) => return self.eval(env, value),
                        Some(false) => {}
                        None => return Value::Poison,
                    }
                }
                self.eval(env, otherwise)
            }
            ExprKind::Range(range) => Value::List(self.range(env, range, expr.span).into()),
        }
    }

    /// The items of a list. Lists in lists share their memory, but whoever looks through them sees every item: a list
    /// that doubles with each line must end.
    fn eval_all(
        &mut self,
        env: &Env<'a>,
        items: &'a [Expr],
        span: Span,
    ) -> Option<Rc<[Value<'a>]>> {
        let items: Rc<[Value<'a>]> = items.iter().map(|item| self.eval(env, item)).collect();
        let nested = items.iter().any(|item| item.items().is_some());
        if nested {
            let mut room = MAX_ITEMS;
            let fits = items.iter().all(|item| item.takes(&mut room));
            self.steps += MAX_ITEMS - room;
            if !fits {
                let message = format!("a list has more than {MAX_ITEMS} items in all its lists");
                self.stop(
                    codes::TOO_LARGE_NET,
                    message,
                    span,
                    "check how the lists grow",
                );
                return None;
            }
        }
        Some(items)
    }

    /// A truth value; `None` where an error has been reported.
    pub(super) fn condition(&mut self, env: &Env<'a>, expr: &'a Expr) -> Option<bool> {
        match self.eval(env, expr) {
            Value::Bool(value) => Some(value),
            other => {
                self.wrong_kind(&other, "a condition", "a bool", expr.span);
                None
            }
        }
    }

    /// Reports a value of the wrong kind, unless an error has been reported about it already.
    pub(super) fn wrong_kind(
        &mut self,
        value: &Value<'a>,
        what: impl std::fmt::Display,
        wanted: &str,
        span: Span,
    ) {
        if !value.is_poison() {
            let message = format!("{what} must be {wanted}, not {}", value.kind());
            self.report(
                Diagnostic::error(codes::WRONG_KIND, message)
                    .primary(span, format!("this is {value}")),
            );
        }
    }

    /// The result of an operation, or the report of why there is none.
    pub(super) fn settle(
        &mut self,
        operands: &[&Value<'a>],
        result: Result<Value<'a>, Refusal>,
        span: Span,
    ) -> Value<'a> {
        if operands.iter().any(|operand| operand.is_poison()) {
            return Value::Poison;
        }
        let diagnostic = match result {
            Ok(value) => return value,
            Err(Refusal::Kind(message)) => Diagnostic::error(codes::WRONG_KIND, message),
            Err(Refusal::Value(message)) => Diagnostic::error(codes::NO_VALUE, message),
        };
        self.report(diagnostic.primary(span, ""));
        Value::Poison
    }

    fn binary(
        &mut self,
        env: &Env<'a>,
        op: BinaryOp,
        a: &'a Expr,
        b: &'a Expr,
        span: Span,
    ) -> Value<'a> {
        if matches!(op, BinaryOp::And | BinaryOp::Or) {
            return match self.condition(env, a) {
                Some(value) if value == (op == BinaryOp::Or) => Value::Bool(value),
                Some(_) => self.condition(env, b).map_or(Value::Poison, Value::Bool),
                None => Value::Poison,
            };
        }
        let (a, b) = (self.eval(env, a), self.eval(env, b));
        self.settle(&[&a, &b], arith::binary(op, &a, &b, span), span)
    }

    /// A name, looked up in the body, then among blocks and functions, then among the built-in layers.
    fn name(&mut self, env: &Env<'a>, name: &'a str, span: Span) -> Value<'a> {
        match env.find(name) {
            Some((value, _)) => value,
            None => self.global(name, span, &env.visible()),
        }
    }

    /// `in`: the value that entered the current block.
    pub(super) fn entered(&mut self, env: &Env<'a>, span: Span) -> Value<'a> {
        match env.input() {
            Some(input) => Value::Tensor(input),
            None => {
                let diagnostic = Diagnostic::error(codes::NO_INPUT, "there is no `in` here");
                self.report(diagnostic.primary(span, "`in` is the value that enters a block"));
                Value::Poison
            }
        }
    }

    fn field(&mut self, env: &Env<'a>, base: &'a Expr, field: &'a Name) -> Value<'a> {
        const FIELDS: [&str; 4] = ["channels", "height", "width", "shape"];
        let value = match self.eval(env, base) {
            Value::Tensor(Some(value)) => value,
            other => {
                self.wrong_kind(
                    &other,
                    format!("what `.{}` is taken of", field.text),
                    "a tensor",
                    base.span,
                );
                return Value::Poison;
            }
        };
        let dims = self.builder.graph().dims(value).to_vec();
        let size = |size: usize| Value::Int(i64::try_from(size).unwrap_or(i64::MAX));
        let at = match field.text.as_str() {
            "shape" => return Value::List(dims.into_iter().map(size).collect()),
            "channels" => 0,
            "height" => 1,
            "width" => 2,
            other => {
                let message = format!("a tensor has no `{other}`");
                let diagnostic =
                    Diagnostic::error(codes::UNKNOWN_NAME, message).primary(field.span, "");
                self.report(match suggest(other, FIELDS) {
                    Some(near) => {
                        diagnostic.edit(format!("did you mean `{near}`?"), field.span, near)
                    }
                    None => diagnostic.help("it has `channels`, `height`, `width` and `shape`"),
                });
                return Value::Poison;
            }
        };
        let Some(&found) = dims.get(at) else {
            let message = format!("a tensor of shape {dims:?} has no `{}`", field.text);
            self.report(
                Diagnostic::error(codes::BAD_INDEX, message).primary(base.span.to(field.span), ""),
            );
            return Value::Poison;
        };
        size(found)
    }

    fn index(&mut self, env: &Env<'a>, base: &'a Expr, index: &'a Expr, span: Span) -> Value<'a> {
        let list = self.eval(env, base);
        let at = self.eval(env, index);
        let Some(items) = list.items() else {
            self.wrong_kind(&list, "what is indexed", "a list or a tuple", base.span);
            return Value::Poison;
        };
        let Some(position) = at.whole() else {
            self.wrong_kind(&at, "an index", "an int", index.span);
            return Value::Poison;
        };
        match usize::try_from(position)
            .ok()
            .and_then(|position| items.get(position))
        {
            Some(item) => item.clone(),
            None => {
                let message = format!(
                    "there is no item {position} among {}; the first is item 0",
                    items.len()
                );
                self.report(Diagnostic::error(codes::BAD_INDEX, message).primary(span, ""));
                Value::Poison
            }
        }
    }

    /// The items of a range, counted by index so that its end is not lost to rounding.
    fn range(&mut self, env: &Env<'a>, range: &'a Range, span: Span) -> Vec<Value<'a>> {
        let step = range
            .step
            .as_ref()
            .map(|step| (self.eval(env, step), step.span));
        let (step, step_span) = step.unwrap_or((Value::Int(1), span));
        let parts = [
            (self.eval(env, &range.from), range.from.span),
            (self.eval(env, &range.to), range.to.span),
            (step, step_span),
        ];
        let mut numbers = [0.0; 3];
        for (number, (value, at)) in numbers.iter_mut().zip(&parts) {
            let Some(found) = value.number() else {
                self.wrong_kind(value, "a part of a range", "a number", *at);
                return Vec::new();
            };
            *number = found;
        }
        let [from, to, step] = numbers;
        let wrong_way = (to - from) * step < 0.0 && range.step.is_some();
        let count = arith::range_len(from, to, step).filter(|_| !wrong_way);
        let Some(count) = count else {
            let message = if step == 0.0 {
                "a range cannot step by 0"
            } else {
                "this range steps away from its end"
            };
            self.report(Diagnostic::error(codes::NO_VALUE, message).primary(step_span, ""));
            return Vec::new();
        };
        if count > MAX_ITEMS as f64 {
            let message = format!("a range of {count} items is too long; {MAX_ITEMS} are the most");
            self.stop(codes::TOO_LARGE_NET, message, span, "check its ends");
            return Vec::new();
        }
        let exact = parts
            .iter()
            .all(|(value, _)| matches!(value, Value::Int(_)));
        let item = |at: usize| {
            let value = from + at as f64 * step;
            match whole(value).filter(|_| exact) {
                Some(value) => Value::Int(value),
                None => Value::Float(value, None),
            }
        };
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and MAX_ITEMS"
        )]
        let count = count as usize;
        self.steps += count;
        (0..count).map(item).collect()
    }

    /// The items after `in`.
    pub(super) fn items(&mut self, env: &Env<'a>, expr: &'a Expr) -> Option<Vec<Value<'a>>> {
        let value = self.eval(env, expr);
        if let Some(items) = value.items() {
            return Some(items.to_vec());
        }
        self.wrong_kind(
            &value,
            "what stands after `in`",
            "a list or a range",
            expr.span,
        );
        None
    }

    /// `let PATTERN = value`
    pub(super) fn let_stmt(&mut self, env: &Env<'a>, stmt: &'a Let) {
        let value = self.eval(env, &stmt.value);
        self.destructure(env, &stmt.pattern, value);
    }

    /// Binds the names of a pattern to the parts of a value.
    pub(super) fn destructure(&mut self, env: &Env<'a>, pattern: &'a Pattern, value: Value<'a>) {
        match pattern {
            Pattern::Name(name) => self.declare(env, name, value),
            Pattern::Tuple(parts, span) => {
                let items: Vec<Value<'a>> = match value.items() {
                    Some(items) if items.len() == parts.len() => items.to_vec(),
                    _ => {
                        if !value.is_poison() {
                            let message =
                                format!("{} names cannot be taken from {value}", parts.len());
                            let diagnostic = Diagnostic::error(codes::PATTERN, message);
                            let found = match value.items() {
                                Some(items) => format!("the value has {} parts", items.len()),
                                None => format!("the value is {}", value.kind()),
                            };
                            self.report(diagnostic.primary(*span, found));
                        }
                        vec![Value::Poison; parts.len()]
                    }
                };
                for (part, item) in parts.iter().zip(items) {
                    self.destructure(env, part, item);
                }
            }
        }
    }

    /// A tensor that a name stands for, for messages and for chains that start from it.
    pub(super) fn tensor_of(&self, value: &Value<'a>) -> Option<Option<ValueId>> {
        match value {
            Value::Tensor(tensor) => Some(*tensor),
            _ => None,
        }
    }
}
