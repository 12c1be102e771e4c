//! Names and arguments of everything that a file declares, whether or not a net comes to use it.
//!
//! The expansion of a net sees only the blocks that it uses and the arms that its conditions take. This walk sees every
//! place once, before the expansion: each name must be bound, each call must fit what it calls, and what is declared and
//! never named is worth a warning. Scopes are those of the expansion. On its way it notes what parameters are used as:
//! whoever gives an argument of another kind is told at the argument, not somewhere inside of the block.

use std::collections::{BTreeSet, HashMap};

use super::Elab;
use super::args::{Callee, formals};
use super::calls::target_formals;
use super::layers::{AttrKind, Layer};
use super::train::init;
use super::value::{EvArg, Target, Value};
use crate::diag::{Diagnostic, FileId, Span, codes};
use crate::program::{Module, Program};
use crate::syntax::ast::*;

/// What a place wants of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Want {
    Anything,
    Number,
    Bool,
    Items,
    Layer,
}

/// What the uses of a parameter want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    want: Want,
    /// The use that says so.
    place: Span,
}

/// What a name was declared as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Parameter,
    Name,
    Shared,
    /// An input, which has a name for those who feed it.
    Input,
    /// Of a `for`, which may count rounds without using the item.
    Loop,
    /// Of a statement that could not be read.
    Broken,
}

#[derive(Debug)]
struct Local<'a> {
    name: &'a Name,
    kind: Kind,
    used: bool,
}

/// The names of a body, in order; of two that are called the same the later one is found.
#[derive(Debug, Default)]
struct Locals<'a> {
    list: Vec<Local<'a>>,
    places: HashMap<&'a str, usize>,
}

struct Resolver<'e, 'a> {
    elab: &'e mut Elab<'a>,
    /// The names in sight, the innermost scope last.
    scopes: Vec<Locals<'a>>,
    /// Whether unknown names and misfitting arguments are reported here.
    strict: bool,
    /// Whether unused names are reported: in the file that was asked for.
    main: bool,
    /// The files whose blocks and functions are named.
    named: BTreeSet<FileId>,
    /// Whether the item that is looked at has a statement that could not be read.
    broken: bool,
}

impl<'a> Elab<'a> {
    /// Walks over all files; findings are those of the main file, for the others are checked on their own.
    pub(super) fn resolve(&mut self, program: &'a Program) {
        for module in program.modules() {
            let main = module.ast.file == self.main;
            let mut resolver = Resolver {
                elab: self,
                scopes: Vec::new(),
                strict: main,
                main,
                named: BTreeSet::new(),
                broken: false,
            };
            resolver.items(&module.ast);
            if main {
                let named = resolver.named;
                self.unused_uses(module, &named);
            }
        }
    }

    fn unused_uses(&mut self, module: &Module, named: &BTreeSet<FileId>) {
        for used in module
            .uses
            .iter()
            .filter(|used| !named.contains(&used.file))
        {
            let diagnostic =
                Diagnostic::warning(codes::UNUSED, "nothing that this `use` brings is used");
            self.unused
                .push(diagnostic.primary(used.span, "").help("remove it"));
        }
    }

    /// Whether an argument is of the kind that the parameter's uses want; if not, that is reported.
    pub(super) fn fits_parameter(
        &mut self,
        callee: &str,
        param: &Param,
        value: &Value<'a>,
        place: Span,
    ) -> bool {
        let Some(&wanted) = self.kinds.get(&param.name.span) else {
            return true;
        };
        let fits = match wanted.want {
            Want::Anything => true,
            Want::Number => value.number().is_some(),
            Want::Bool => matches!(value, Value::Bool(_)),
            Want::Items => value.items().is_some(),
            Want::Layer => matches!(value, Value::Layer(_) | Value::Tensor(_)),
        };
        if fits || value.is_poison() {
            return true;
        }
        let what = match wanted.want {
            Want::Anything => return true,
            Want::Number => "a number",
            Want::Bool => "a bool",
            Want::Items => "a list",
            Want::Layer => "a layer or a block",
        };
        let message = format!(
            "`{}` of `{callee}` must be {what}, not {}",
            param.name.text,
            value.kind()
        );
        let diagnostic = Diagnostic::error(codes::WRONG_KIND, message)
            .primary(place, format!("this is {value}"))
            .secondary(wanted.place, format!("used as {what} here"));
        self.report(diagnostic);
        false
    }
}

impl<'a> Resolver<'_, 'a> {
    fn items(&mut self, ast: &'a Ast) {
        for item in &ast.items {
            match item {
                Item::Net(net) => self.net(ast, net),
                Item::Block(block) => {
                    self.scope(|this| {
                        this.params(&block.params);
                        this.stmts(&block.body);
                    });
                    self.forget_kinds(&block.params);
                }
                Item::Fn(function) => {
                    self.scope(|this| {
                        this.params(&function.params);
                        for stmt in &function.lets {
                            this.expr(&stmt.value, Want::Anything);
                            this.pattern(&stmt.pattern, Kind::Name);
                        }
                        this.expr(&function.value, Want::Anything);
                    });
                }
                Item::Preset(preset) => self.args(preset.net.args.as_ref(), None),
                Item::Search(search) => self.search(search),
                Item::Use(_) | Item::Train(_) => {}
            }
        }
    }

    /// A net, with the sections that name its parameters.
    fn net(&mut self, ast: &'a Ast, net: &'a Net) {
        let preset = |name: &Name| {
            ast.items.iter().any(|item| {
                matches!(item, Item::Preset(preset)
                    if preset.name.text == name.text && preset.net.name.text == net.name.text)
            })
        };
        self.scope(|this| {
            this.params(&net.params);
            for item in &ast.items {
                match item {
                    Item::Train(train) if train.net.text == net.name.text || preset(&train.net) => {
                        train.entries.iter().for_each(|entry| this.entry(entry));
                    }
                    _ => {}
                }
            }
            this.stmts(&net.body);
        });
        self.forget_kinds(&net.params);
    }

    /// Beside a statement that could not be read, other uses may say something wrong of what parameters are.
    fn forget_kinds(&mut self, params: &[Param]) {
        if std::mem::take(&mut self.broken) {
            for param in params {
                self.elab.kinds.remove(&param.name.span);
            }
        }
    }

    /// A line whose words only its readers know: names are looked up, and what is not found is a word.
    fn entry(&mut self, entry: &'a Entry) {
        self.loosely(|this| match &entry.value {
            EntryValue::List(values) => {
                values.iter().for_each(|value| this.choice(value));
            }
            EntryValue::Args(args) => this.args(Some(args), None),
        });
    }

    /// A choice among those of a line, as `norm(1)`: its name is the line's own, whatever else has it.
    fn choice(&mut self, expr: &'a Expr) {
        match &expr.kind {
            ExprKind::Call(call)
                if self
                    .elab
                    .function(&call.name.text, call.name.span.file)
                    .is_none() =>
            {
                self.args(call.args.as_ref(), None);
            }
            _ => self.expr(expr, Want::Anything),
        }
    }

    /// What a search varies may be a block that nothing else names; the search itself is checked elsewhere.
    fn search(&mut self, search: &'a Search) {
        for entry in &search.entries {
            match entry {
                SearchEntry::Vary(axes) => {
                    self.loosely(|this| {
                        axes.iter()
                            .for_each(|(_, items)| this.expr(items, Want::Anything));
                    });
                }
                SearchEntry::Set(targets) => {
                    self.loosely(|this| {
                        targets
                            .iter()
                            .for_each(|(_, value)| this.expr(value, Want::Anything));
                    });
                }
                SearchEntry::Entry(entry) => self.entry(entry),
                SearchEntry::Subject(_) | SearchEntry::Goal { .. } => {}
            }
        }
    }

    // ---- Scopes ----------------------------------------------------------------------------------------------------

    fn scope(&mut self, inside: impl FnOnce(&mut Self)) {
        self.scopes.push(Locals::default());
        inside(self);
        for local in self.scopes.pop().unwrap_or_default().list {
            self.warn_unused(&local);
        }
    }

    fn loosely(&mut self, inside: impl FnOnce(&mut Self)) {
        let strict = std::mem::replace(&mut self.strict, false);
        inside(self);
        self.strict = strict;
    }

    fn warn_unused(&mut self, local: &Local<'a>) {
        let what = match local.kind {
            Kind::Parameter => "parameter",
            Kind::Name => "name",
            Kind::Shared => "shared body",
            Kind::Input | Kind::Loop | Kind::Broken => return,
        };
        let name = &local.name.text;
        if local.used || !self.main || name.starts_with('_') {
            return;
        }
        let message = format!("the {what} `{name}` is never used");
        let diagnostic = Diagnostic::warning(codes::UNUSED, message).primary(local.name.span, "");
        self.elab
            .unused
            .push(diagnostic.help(format!("remove it, or call it `_{name}`")));
    }

    fn declare(&mut self, name: &'a Name, kind: Kind) {
        let Some(scope) = self.scopes.last_mut() else {
            return;
        };
        let earlier = scope.places.insert(&name.text, scope.list.len());
        let earlier = earlier.map(|at| scope.list[at].name.span);
        scope.list.push(Local {
            name,
            kind,
            used: false,
        });
        if let Some(earlier) = earlier.filter(|_| self.main && kind != Kind::Broken) {
            self.elab.duplicate(&name.text, name.span, earlier);
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern, kind: Kind) {
        match pattern {
            Pattern::Name(name) => self.declare(name, kind),
            Pattern::Tuple(parts, _) => parts.iter().for_each(|part| self.pattern(part, kind)),
        }
    }

    /// Finds a name in the scopes and notes what the place wants of it.
    fn local(&mut self, name: &str, place: Span, want: Want) -> bool {
        let mut scopes = self.scopes.iter_mut().rev();
        let found = scopes.find_map(|scope| {
            let &at = scope.places.get(name)?;
            Some(&mut scope.list[at])
        });
        let Some(local) = found else {
            return false;
        };
        local.used = true;
        if local.kind == Kind::Parameter && want != Want::Anything {
            let declared = local.name.span;
            self.elab
                .kinds
                .entry(declared)
                .or_insert(Wanted { want, place });
        }
        true
    }

    fn is_local(&self, name: &str) -> bool {
        self.scopes
            .iter()
            .any(|scope| scope.places.contains_key(name))
    }

    fn visible(&self) -> Vec<&'a str> {
        let locals = self.scopes.iter().flat_map(|scope| &scope.list);
        locals.map(|local| local.name.text.as_str()).collect()
    }

    /// Notes which file a block or function comes from.
    fn note_origin(&mut self, name: &str, place: Span) {
        if let Some(origin) = self.elab.origin(name, place.file) {
            self.named.insert(origin.file);
        }
    }

    fn params(&mut self, params: &'a [Param]) {
        for param in params {
            if let Some(default) = &param.default {
                self.expr(default, Want::Anything);
            }
            self.declare(&param.name, Kind::Parameter);
        }
    }

    // ---- Statements ------------------------------------------------------------------------------------------------

    fn body(&mut self, body: &'a Body) {
        self.scope(|this| this.stmts(body));
    }

    fn stmts(&mut self, body: &'a Body) {
        for stmt in &body.stmts {
            match stmt {
                Stmt::Input(input) => {
                    self.sizes(&input.shape);
                    if let Some(source) = &input.source {
                        self.loosely(|this| this.expr(source, Want::Anything));
                    }
                    if let Some(name) = &input.name {
                        self.declare(name, Kind::Input);
                    }
                }
                Stmt::Output(_) => {}
                Stmt::Let(stmt) => {
                    self.expr(&stmt.value, Want::Anything);
                    self.pattern(&stmt.pattern, Kind::Name);
                }
                Stmt::Shared(shared) => {
                    self.declare(&shared.name, Kind::Shared);
                    self.body(&shared.body);
                }
                Stmt::Flow(flow) => self.flow(flow),
                Stmt::Broken(broken) => {
                    self.broken = true;
                    let names = broken.names.iter();
                    names.for_each(|name| self.declare(name, Kind::Broken));
                }
            }
        }
    }

    /// `[c, h, w]`
    fn sizes(&mut self, shape: &'a Expr) {
        match &shape.kind {
            ExprKind::List(sizes) => sizes.iter().for_each(|size| self.expr(size, Want::Number)),
            _ => self.expr(shape, Want::Items),
        }
    }

    fn flow(&mut self, flow: &'a Flow) {
        for element in &flow.chain {
            if let Some(label) = &element.label {
                for part in label.segments.iter().flatten() {
                    if let LabelPart::Expr(expr) = part {
                        self.expr(expr, Want::Anything);
                    }
                }
            }
            self.element(&element.kind);
        }
        if let Some(shape) = &flow.shape {
            self.sizes(shape);
        }
        if let Some(name) = &flow.name {
            self.declare(name, Kind::Name);
        }
    }

    fn element(&mut self, element: &'a ElementKind) {
        match element {
            ElementKind::Call(call) => self.step(call),
            ElementKind::In | ElementKind::Id => {}
            ElementKind::Join(join) => {
                // The axis is a word; there is nothing to look up.
                self.loosely(|this| this.args(join.args.as_ref(), None));
                match &join.each {
                    None => self.body(&join.body),
                    Some(head) => self.each(head, &join.body),
                }
            }
            ElementKind::If(item) => {
                for (condition, body) in &item.arms {
                    self.expr(condition, Want::Bool);
                    self.body(body);
                }
                if let Some(body) = &item.otherwise {
                    self.body(body);
                }
            }
            ElementKind::Repeat(count, body) => {
                self.expr(count, Want::Number);
                self.body(body);
            }
            ElementKind::For(head, body) => self.each(head, body),
            ElementKind::Aux(args, body) => {
                self.args(args.as_ref(), None);
                self.body(body);
            }
            ElementKind::Body(body) => self.body(body),
        }
    }

    fn each(&mut self, head: &'a ForHead, body: &'a Body) {
        self.expr(&head.items, Want::Items);
        self.scope(|this| {
            this.pattern(&head.pattern, Kind::Loop);
            this.body(body);
        });
    }

    /// A name in a chain.
    fn step(&mut self, call: &'a Call) {
        let (name, place) = (call.name.text.as_str(), call.name.span);
        if self.local(name, place, Want::Layer) {
            return self.args(call.args.as_ref(), None);
        }
        self.note_origin(name, place);
        match self.elab.applicable(name, place.file) {
            Some(target) => self.apply(call, target),
            None => {
                if self.strict {
                    self.elab.unknown_layer(&call.name, &self.visible());
                }
                self.args(call.args.as_ref(), None);
            }
        }
    }

    /// A layer or a block with its arguments; a layer value may get them later.
    fn apply(&mut self, call: &'a Call, target: Target<'a>) {
        if let Target::Builtin(layer) = target {
            let wants = attributes(layer);
            self.args(call.args.as_ref(), Some(&wants));
        } else {
            self.args(call.args.as_ref(), None);
        }
        let (name, declared) = match target {
            Target::Builtin(layer) => (layer.name, None),
            Target::Block(block) => (block.name.text.as_str(), Some(block.name.span)),
            Target::Shared(_) | Target::Id => return,
        };
        let callee = Callee {
            name,
            declared,
            span: call.span,
        };
        self.check_args(callee, &target_formals(target), call);
    }

    /// Whether the arguments of a call have places, whatever their values are.
    fn check_args(
        &mut self,
        callee: Callee<'_>,
        formals: &[super::args::Formal<'_>],
        call: &'a Call,
    ) {
        if !self.strict {
            return;
        }
        let list = call.args.as_ref().map(|args| args.list.as_slice());
        let args: Vec<EvArg<'a>> = list
            .unwrap_or_default()
            .iter()
            .map(|arg| EvArg {
                name: arg.name.as_ref(),
                value: Value::Poison,
                span: arg.span,
                value_span: arg.value.span,
            })
            .collect();
        self.elab.bind(callee, formals, &args);
    }

    // ---- Expressions -----------------------------------------------------------------------------------------------

    fn args(&mut self, args: Option<&'a Args>, attributes: Option<&[Attribute]>) {
        let list = args.map(|args| args.list.as_slice()).unwrap_or_default();
        for (at, arg) in list.iter().enumerate() {
            let attribute = attributes.and_then(|attributes| match &arg.name {
                Some(name) => attributes.iter().find(|known| known.name == name.text),
                None => attributes.get(at),
            });
            match (&arg.value.kind, attribute) {
                (ExprKind::Name(word), Some(attribute))
                    if attribute.words.contains(&word.as_str()) => {}
                (ExprKind::Name(word), Some(attribute))
                    if self.strict
                        && attribute.words.len() > 1
                        && !self.is_local(word)
                        && !self.elab.is_global(word, arg.value.span) =>
                {
                    let Attribute { name, words, .. } = attribute;
                    self.elab.wrong_word(name, words, word, arg.value.span);
                }
                (_, Some(attribute)) => self.expr(&arg.value, attribute.want),
                (_, None) => self.expr(&arg.value, Want::Anything),
            }
        }
    }

    fn expr(&mut self, expr: &'a Expr, want: Want) {
        match &expr.kind {
            ExprKind::Int(_)
            | ExprKind::Float(_)
            | ExprKind::Bool(_)
            | ExprKind::Str(_)
            | ExprKind::In => {}
            ExprKind::Name(name) => self.name(name, expr.span, want),
            ExprKind::Call(call) => self.call(call),
            ExprKind::Field(base, _) => self.expr(base, Want::Anything),
            ExprKind::Index(base, index) => {
                self.expr(base, Want::Items);
                self.expr(index, Want::Number);
            }
            ExprKind::List(items) | ExprKind::Tuple(items) => {
                items
                    .iter()
                    .for_each(|item| self.expr(item, Want::Anything));
            }
            ExprKind::Unary(UnaryOp::Neg, inner) => self.expr(inner, Want::Number),
            ExprKind::Unary(UnaryOp::Not, inner) => self.expr(inner, Want::Bool),
            ExprKind::Binary(op, a, b) => {
                let want = match op {
                    BinaryOp::And | BinaryOp::Or => Want::Bool,
                    BinaryOp::Eq | BinaryOp::Ne => Want::Anything,
                    _ => Want::Number,
                };
                self.expr(a, want);
                self.expr(b, want);
            }
            ExprKind::If(arms, otherwise) => {
                for (condition, value) in arms {
                    self.expr(condition, Want::Bool);
                    self.expr(value, want);
                }
                self.expr(otherwise, want);
            }
            ExprKind::Range(range) => {
                self.expr(&range.from, Want::Number);
                self.expr(&range.to, Want::Number);
                if let Some(step) = &range.step {
                    self.expr(step, Want::Number);
                }
            }
        }
    }

    fn name(&mut self, name: &'a str, place: Span, want: Want) {
        if self.local(name, place, want) {
            return;
        }
        self.note_origin(name, place);
        if self.strict {
            self.elab.global(name, place, &self.visible());
        }
    }

    fn call(&mut self, call: &'a Call) {
        let (name, place) = (call.name.text.as_str(), call.name.span);
        if self.local(name, place, Want::Layer) {
            return self.args(call.args.as_ref(), None);
        }
        self.note_origin(name, place);
        if let Some(function) = self.elab.function(name, place.file) {
            self.args(call.args.as_ref(), None);
            let callee = Callee {
                name,
                declared: Some(function.name.span),
                span: call.span,
            };
            return self.check_args(callee, &formals(&function.params), call);
        }
        let builtin = super::arith::FUNCTIONS
            .iter()
            .any(|(function, _)| *function == name);
        if builtin {
            return self.args(call.args.as_ref(), None);
        }
        if let Some(signature) = init::find(name)
            && self.elab.applicable(name, place.file).is_none()
        {
            return self.args(call.args.as_ref(), Some(&attributes(signature)));
        }
        match self.elab.applicable(name, place.file) {
            Some(target) => self.apply(call, target),
            None => {
                if self.strict {
                    self.elab.unknown_name(name, place, &self.visible());
                }
                self.args(call.args.as_ref(), None);
            }
        }
    }
}

/// An attribute of a built-in layer, as far as names go.
#[derive(Clone, Copy, Debug)]
struct Attribute {
    name: &'static str,
    words: &'static [&'static str],
    want: Want,
}

/// The attributes of a layer, or of what is written like one.
fn attributes(layer: &'static Layer) -> Vec<Attribute> {
    let wants = layer.attrs.iter().map(|attr| match attr.kind {
        AttrKind::Int(..) | AttrKind::Float => Want::Number,
        AttrKind::Bool => Want::Bool,
        AttrKind::Sizes | AttrKind::Places(_) | AttrKind::Axes => Want::Items,
        AttrKind::Size
        | AttrKind::Pad
        | AttrKind::Numbers
        | AttrKind::PerChannel
        | AttrKind::SizeOr(_)
        | AttrKind::Word(_)
        | AttrKind::Init
        | AttrKind::Any => Want::Anything,
    });
    let formals = layer.formals();
    let words = formals.iter().map(|formal| (formal.name, formal.words));
    words
        .zip(wants)
        .map(|((name, words), want)| Attribute { name, words, want })
        .collect()
}
