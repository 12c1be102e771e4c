//! Bodies: statements, chains, blocks and control flow.

use super::limits::MAX_ITEMS;

use super::Elab;
use super::dropped::Pending;
use super::scope::{Env, Scope};
use super::value::{LayerValue, Value};
use crate::diag::{Diagnostic, Span, codes};
use crate::ir::ValueId;
use crate::syntax::ast::*;

/// What flows through a chain.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Flowing {
    /// Nothing yet: a net before its input.
    Nothing,
    /// A tensor.
    Tensor(ValueId),
    /// Something that an error has been reported about.
    Unknown,
}

impl Flowing {
    pub(super) fn of(value: Option<ValueId>) -> Self {
        value.map_or(Self::Unknown, Self::Tensor)
    }

    pub(super) fn tensor(self) -> Option<ValueId> {
        match self {
            Self::Tensor(value) => Some(value),
            Self::Nothing | Self::Unknown => None,
        }
    }
}

impl<'a> Elab<'a> {
    /// The statements of a body in a scope of their own.
    pub(super) fn body(&mut self, env: &Env<'a>, body: &'a Body, input: Flowing) -> Flowing {
        let env = Scope::inside(env);
        self.stmts(&env, body, input)
    }

    /// The statements of a body in the scope given.
    pub(super) fn stmts(&mut self, env: &Env<'a>, body: &'a Body, input: Flowing) -> Flowing {
        let mut current = input;
        let mut pending = Pending::default();
        for stmt in &body.stmts {
            if self.step(stmt.span()).is_none() {
                return Flowing::Unknown;
            }
            self.before(env, stmt, &mut pending, current);
            current = match stmt {
                Stmt::Flow(flow) => self.flow(env, flow, current),
                Stmt::Input(input) => self.input(env, input),
                Stmt::Output(output) => {
                    self.output(output, current);
                    current
                }
                Stmt::Let(stmt) => {
                    self.let_stmt(env, stmt);
                    current
                }
                Stmt::Shared(shared) => {
                    self.shared(env, shared);
                    current
                }
                Stmt::Broken(broken) => match self.broken(env, broken) {
                    true => Flowing::Unknown,
                    false => current,
                },
            };
        }
        self.tail = pending;
        current
    }

    /// A statement that could not be read: what it may bind is unknown; true if what flows behind it is unknown too.
    pub(super) fn broken(&mut self, env: &Env<'a>, broken: &'a Broken) -> bool {
        self.gap = true;
        for name in &broken.names {
            env.bind(&name.text, Value::Poison, name.span);
        }
        broken.more
    }

    /// A chain with its assertion and its name.
    pub(super) fn flow(&mut self, env: &Env<'a>, flow: &'a Flow, input: Flowing) -> Flowing {
        let mut current = input;
        for (at, element) in flow.chain.iter().enumerate() {
            current = self.element(env, element, current, at == 0);
        }
        if let Some(shape) = &flow.shape {
            current = self.assert_shape(env, shape, flow, current);
        }
        if let Some(name) = &flow.name {
            let value = match current {
                Flowing::Nothing => self.no_input(flow.chain_span),
                current => current.tensor(),
            };
            self.declare(env, name, Value::Tensor(value));
        }
        current
    }

    /// `: [c, h, w]`. Behind an error an assertion says how to go on.
    fn assert_shape(
        &mut self,
        env: &Env<'a>,
        shape: &'a Expr,
        flow: &'a Flow,
        current: Flowing,
    ) -> Flowing {
        let value = self.eval(env, shape);
        let Some(wanted) = self.shape_list(&value, "a shape", shape.span) else {
            return current;
        };
        let tensor = match current {
            Flowing::Tensor(tensor) => tensor,
            Flowing::Nothing => return current,
            Flowing::Unknown => return self.assumed(wanted),
        };
        let found = self.builder.graph().dims(tensor).to_vec();
        if found == wanted {
            return current;
        }
        let message = format!("the shape is {found:?}, not {wanted:?}");
        let diagnostic =
            Diagnostic::error(codes::SHAPE_ASSERTION, message).primary(shape.span, "asserted here");
        let diagnostic = diagnostic.secondary(flow.chain_span, self.shown(tensor));
        self.report(diagnostic.edit(
            format!("if that is right, write `{found:?}`"),
            shape.span,
            format!("{found:?}"),
        ));
        current
    }

    /// A value of a shape that stands in for one that an error has lost; the graph is not used after an error.
    fn assumed(&mut self, dims: Vec<usize>) -> Flowing {
        if !super::apply::fits(&dims) {
            return Flowing::Unknown;
        }
        let ty = crate::ir::Type::f32(crate::ir::Shape::batched(dims));
        Flowing::Tensor(self.builder.input("", ty))
    }

    /// Nothing flows where something must; the value is unknown.
    fn no_input(&mut self, span: Span) -> Option<ValueId> {
        let diagnostic =
            Diagnostic::error(codes::NO_INPUT, "there is no value to start from").primary(span, "");
        self.report(diagnostic.help("declare the net's input first, as in `input [3, 224, 224]`"));
        None
    }

    /// One element of a chain.
    fn element(
        &mut self,
        env: &Env<'a>,
        element: &'a Element,
        input: Flowing,
        first: bool,
    ) -> Flowing {
        if self.step(element.span).is_none() {
            return Flowing::Unknown;
        }
        let label = element
            .label
            .as_ref()
            .and_then(|label| self.label(env, label));
        self.label_without_use(env, element);
        match &element.kind {
            ElementKind::Id => input,
            ElementKind::In => {
                let value = self.entered(env, element.span);
                self.start(value, "in", element.span, first)
            }
            ElementKind::Call(call) => self.call_element(env, call, label, input, first),
            ElementKind::Aux(args, body) => {
                let args = args.as_ref();
                self.aux(env, (args, body), label, element.span, input);
                input
            }
            kind => {
                if let Some(label) = &label {
                    self.names.enter(label);
                }
                let output = self.group(env, kind, element.span, input);
                if label.is_some() {
                    self.names.leave();
                }
                output
            }
        }
    }

    /// An element with bodies of its own.
    fn group(
        &mut self,
        env: &Env<'a>,
        kind: &'a ElementKind,
        span: Span,
        input: Flowing,
    ) -> Flowing {
        match kind {
            ElementKind::Join(join) => match self.need(input, span) {
                Some(value) => Flowing::of(self.join(env, join, value)),
                None => {
                    self.join_blind(env, join);
                    Flowing::Unknown
                }
            },
            ElementKind::If(item) => self.if_element(env, item, input),
            ElementKind::Repeat(count, body) => self.repeat(env, count, body, input),
            ElementKind::For(head, body) => {
                let mut current = input;
                let items = self.rounds(env, head, body.span);
                for (round, item) in items.into_iter().enumerate() {
                    if self.step(span).is_none() {
                        return Flowing::Unknown;
                    }
                    let inner = Scope::inside(env);
                    self.destructure(&inner, &head.pattern, item);
                    self.learned.enter(body.span, round);
                    current = self.body(&inner, body, current);
                    self.learned.leave();
                }
                current
            }
            ElementKind::Body(body) => self.body(env, body, input),
            ElementKind::Call(_) | ElementKind::In | ElementKind::Id | ElementKind::Aux(..) => {
                input
            }
        }
    }

    /// The tensor that flows; its absence is an error.
    pub(super) fn need(&mut self, input: Flowing, span: Span) -> Option<ValueId> {
        match input {
            Flowing::Nothing => self.no_input(span),
            input => input.tensor(),
        }
    }

    /// What the rounds of a loop over a body are about.
    pub(super) fn rounds(
        &mut self,
        env: &Env<'a>,
        head: &'a ForHead,
        body: Span,
    ) -> Vec<Value<'a>> {
        let items = self.items(env, &head.items).unwrap_or_default();
        let texts = items.iter().map(Value::to_string).collect();
        self.learned.note_loop(body, texts);
        items
    }

    fn if_element(&mut self, env: &Env<'a>, item: &'a IfElement, input: Flowing) -> Flowing {
        for (condition, body) in &item.arms {
            match self.condition(env, condition) {
                Some(true) => return self.body(env, body, input),
                Some(false) => {}
                None => return Flowing::Unknown,
            }
        }
        item.otherwise
            .as_ref()
            .map_or(input, |body| self.body(env, body, input))
    }

    fn repeat(
        &mut self,
        env: &Env<'a>,
        count: &'a Expr,
        body: &'a Body,
        input: Flowing,
    ) -> Flowing {
        let value = self.eval(env, count);
        let bounds = super::attrs::Bounds {
            min: 0,
            max: MAX_ITEMS as i64,
        };
        let Some(rounds) = self.whole(&value, "the number of rounds", bounds, count.span) else {
            return Flowing::Unknown;
        };
        let mut current = input;
        let rounds = usize::try_from(rounds).unwrap_or(0);
        self.learned
            .note_loop(body.span, vec![String::new(); rounds]);
        for round in 0..rounds {
            if self.step(count.span).is_none() {
                return Flowing::Unknown;
            }
            self.learned.enter(body.span, round);
            current = self.body(env, body, current);
            self.learned.leave();
        }
        current
    }

    /// A named tensor at the start of a chain.
    fn start(&mut self, value: Value<'a>, name: &str, span: Span, first: bool) -> Flowing {
        if !first {
            let message = format!("`{name}` is a value and can only start a chain");
            let diagnostic = Diagnostic::error(codes::VALUE_IN_CHAIN, message)
                .primary(span, "what flows here would be lost");
            let text = format!(
                "to join the two, write `add {{ id; {name} }}` or `concat {{ id; {name} }}`"
            );
            self.report(diagnostic.edit(text, span, format!("concat {{ id; {name} }}")));
            return Flowing::Unknown;
        }
        self.tensor_of(&value).map_or(Flowing::Unknown, Flowing::of)
    }

    /// A name in a chain: a value, a layer, a block or a shared body.
    fn call_element(
        &mut self,
        env: &Env<'a>,
        call: &'a Call,
        label: Option<String>,
        input: Flowing,
        first: bool,
    ) -> Flowing {
        let name = call.name.text.as_str();
        let bound = env.find(name);
        let value = match bound {
            Some((value, _)) => value,
            None => match self.applicable(name, call.name.span.file) {
                Some(target) => Value::Layer(LayerValue { target, args: None }.into()),
                None => return self.guessed(env, call, label, input),
            },
        };
        if let (Value::Tensor(_), None) = (&value, &call.args) {
            return self.start(value, name, call.span, first);
        }
        let value = if call.args.is_some() {
            self.with_args(env, value, call)
        } else {
            value
        };
        let Value::Layer(layer) = value else {
            self.wrong_kind(
                &value,
                format!("`{name}` in a chain"),
                "a layer or a block",
                call.span,
            );
            return Flowing::Unknown;
        };
        self.apply(&layer, call.span, label, input)
    }

    /// Goes on behind a name that is not known as if what was probably meant stood there: so mistakes behind it are
    /// found in the same run. If that does not go well, nothing is known of the value.
    fn guessed(
        &mut self,
        env: &Env<'a>,
        call: &'a Call,
        label: Option<String>,
        input: Flowing,
    ) -> Flowing {
        let meant = self.unknown_layer(&call.name, &env.visible());
        let found = self.diagnostics.len();
        let Some(target) = meant else {
            // The arguments may hold errors of their own.
            self.eval_args(env, call.args.as_ref(), &[]);
            return Flowing::Unknown;
        };
        let layer = Value::Layer(LayerValue { target, args: None }.into());
        let layer = match call.args {
            Some(_) => self.with_args(env, layer, call),
            None => layer,
        };
        let output = match layer {
            Value::Layer(layer) if self.diagnostics.len() == found => {
                self.apply(&layer, call.span, label, input)
            }
            _ => Flowing::Unknown,
        };
        if self.diagnostics.len() == found {
            return output;
        }
        self.diagnostics.truncate(found);
        Flowing::Unknown
    }

    /// The text of a label, its expressions filled in.
    fn label(&mut self, env: &Env<'a>, label: &'a Label) -> Option<String> {
        let mut segments = Vec::with_capacity(label.segments.len());
        for parts in &label.segments {
            let mut text = String::new();
            for part in parts {
                match part {
                    LabelPart::Text(part) => text.push_str(part),
                    LabelPart::Expr(expr) => {
                        let value = self.eval(env, expr);
                        match (value.whole(), &value) {
                            (Some(number), _) => text.push_str(&number.to_string()),
                            (None, Value::Word(word) | Value::Str(word)) => text.push_str(word),
                            _ => {
                                self.wrong_kind(
                                    &value,
                                    "a part of a label",
                                    "a whole number or a word",
                                    expr.span,
                                );
                                return None;
                            }
                        }
                    }
                }
            }
            segments.push(text);
        }
        let text = segments.join(".");
        self.check_path(&text, label.span)?;
        self.take_label(&text, label.span).map(|()| text)
    }
}
