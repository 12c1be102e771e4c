//! The tree as text, for `dump --stage ast` and for tests.
//!
//! One node a line, children indented by two blanks, no places: two texts that mean the same print the same.

use std::fmt::Write;

use super::ast::*;

/// The tree as text.
#[must_use]
pub fn print(ast: &Ast) -> String {
    let mut printer = Printer {
        out: String::new(),
        depth: 0,
    };
    if let Some(edition) = &ast.edition {
        printer.line(&format!("edition {}", edition.number));
    }
    ast.items.iter().for_each(|item| printer.item(item));
    printer.out
}

/// An expression on one line, fully parenthesised.
#[must_use]
pub fn expr(expr: &Expr) -> String {
    let mut out = String::new();
    write_expr(&mut out, expr);
    out
}

struct Printer {
    out: String,
    depth: usize,
}

impl Printer {
    fn line(&mut self, text: &str) {
        let indent = 2 * self.depth;
        let _ = writeln!(self.out, "{:indent$}{text}", "");
    }

    fn nested(&mut self, inner: impl FnOnce(&mut Self)) {
        self.depth += 1;
        inner(self);
        self.depth -= 1;
    }

    fn item(&mut self, item: &Item) {
        match item {
            Item::Use(item) => match &item.source {
                UseSource::File(path) => self.line(&format!("use {:?}", path.text)),
                UseSource::Module(words) => self.line(&format!("use {}", dotted(words))),
            },
            Item::Net(net) => self.pipeline("net", &net.docs, &net.name, &net.params, &net.body),
            Item::Block(block) => self.pipeline(
                "block",
                &block.docs,
                &block.name,
                &block.params,
                &block.body,
            ),
            Item::Fn(item) => {
                self.docs(&item.docs);
                self.line(&format!("fn {}", item.name.text));
                self.nested(|p| {
                    p.params(&item.params);
                    item.lets.iter().for_each(|stmt| p.binding(stmt));
                    p.line(&format!("value {}", expr(&item.value)));
                });
            }
            Item::Preset(preset) => {
                self.docs(&preset.docs);
                self.line(&format!(
                    "preset {} = {}",
                    preset.name.text,
                    call(&preset.net)
                ));
            }
            Item::Train(train) => {
                self.line(&format!("train {}", train.net.text));
                self.nested(|p| train.entries.iter().for_each(|entry| p.entry(entry)));
            }
            Item::Search(search) => {
                self.line(&format!("search {}", search.net.text));
                self.nested(|p| {
                    search
                        .entries
                        .iter()
                        .for_each(|entry| p.search_entry(entry))
                });
            }
        }
    }

    fn docs(&mut self, docs: &[String]) {
        docs.iter().for_each(|doc| self.line(&format!("/// {doc}")));
    }

    fn pipeline(
        &mut self,
        word: &str,
        docs: &[String],
        name: &Name,
        params: &[Param],
        body: &Body,
    ) {
        self.docs(docs);
        self.line(&format!("{word} {}", name.text));
        self.nested(|p| {
            p.params(params);
            p.stmts(body);
        });
    }

    fn params(&mut self, params: &[Param]) {
        for param in params {
            self.docs(&param.docs);
            match &param.default {
                Some(default) => {
                    self.line(&format!("param {} = {}", param.name.text, expr(default)))
                }
                None => self.line(&format!("param {}", param.name.text)),
            }
        }
    }

    fn entry(&mut self, entry: &Entry) {
        let target = entry
            .target
            .as_ref()
            .map(|name| format!(" for {}", name.text))
            .unwrap_or_default();
        let value = match &entry.value {
            EntryValue::List(values) => values
                .iter()
                .map(|value| format!(" {}", expr(value)))
                .collect(),
            EntryValue::Args(list) => args(list),
        };
        self.line(&format!("{}{target}{value}", entry.key.text));
    }

    fn search_entry(&mut self, entry: &SearchEntry) {
        let list = |word: &str, bindings: &[(Name, Expr)]| -> String {
            let bindings = bindings
                .iter()
                .map(|(name, value)| format!("{}{word}{}", name.text, expr(value)));
            bindings.collect::<Vec<_>>().join(", ")
        };
        match entry {
            SearchEntry::Vary(axes) => self.line(&format!("vary {}", list(" in ", axes))),
            SearchEntry::Set(assigns) => self.line(&format!("set {}", list(" = ", assigns))),
            SearchEntry::Subject(limits) => self.line(&format!("subject to {}", comma(limits))),
            SearchEntry::Goal { maximize, value } => {
                self.line(&format!(
                    "{} {}",
                    if *maximize { "maximize" } else { "minimize" },
                    expr(value)
                ));
            }
            SearchEntry::Entry(entry) => self.entry(entry),
        }
    }

    fn binding(&mut self, stmt: &Let) {
        self.line(&format!(
            "let {} = {}",
            pattern(&stmt.pattern),
            expr(&stmt.value)
        ));
    }

    fn stmts(&mut self, body: &Body) {
        for stmt in &body.stmts {
            match stmt {
                Stmt::Input(input) => {
                    let name = input
                        .name
                        .as_ref()
                        .map(|name| format!(" {}:", name.text))
                        .unwrap_or_default();
                    let source = input
                        .source
                        .as_ref()
                        .map(|source| format!(" from {}", expr(source)));
                    self.line(&format!(
                        "input{name} {}{}",
                        expr(&input.shape),
                        source.unwrap_or_default()
                    ));
                }
                Stmt::Output(output) => self.line(&format!("output {}", output.name.text)),
                Stmt::Let(stmt) => self.binding(stmt),
                Stmt::Shared(shared) => {
                    self.line(&format!("shared {}", shared.name.text));
                    self.nested(|p| p.stmts(&shared.body));
                }
                Stmt::Flow(flow) => self.flow(flow),
                Stmt::Broken(_) => self.line("broken"),
            }
        }
    }

    fn flow(&mut self, flow: &Flow) {
        let shape = flow
            .shape
            .as_ref()
            .map(|shape| format!(" : {}", expr(shape)))
            .unwrap_or_default();
        let name = flow
            .name
            .as_ref()
            .map(|name| format!(" as {}", name.text))
            .unwrap_or_default();
        self.line(&format!("flow{shape}{name}"));
        self.nested(|p| flow.chain.iter().for_each(|element| p.element(element)));
    }

    fn element(&mut self, element: &Element) {
        let label = element.label.as_ref().map(label).unwrap_or_default();
        match &element.kind {
            ElementKind::Call(item) => self.line(&format!("{label}{}", call(item))),
            ElementKind::In => self.line(&format!("{label}in")),
            ElementKind::Id => self.line(&format!("{label}id")),
            ElementKind::Join(join) => {
                let list = join.args.as_ref().map(args).unwrap_or_default();
                let each = join
                    .each
                    .as_ref()
                    .map(|each| format!(" {}", head(each)))
                    .unwrap_or_default();
                self.line(&format!("{label}{}{list}{each}", join.kind.word()));
                self.nested(|p| p.stmts(&join.body));
            }
            ElementKind::If(item) => {
                for (at, (condition, body)) in item.arms.iter().enumerate() {
                    let word = if at == 0 { label.as_str() } else { "else " };
                    self.line(&format!("{word}if {}", expr(condition)));
                    self.nested(|p| p.stmts(body));
                }
                if let Some(otherwise) = &item.otherwise {
                    self.line("else");
                    self.nested(|p| p.stmts(otherwise));
                }
            }
            ElementKind::Repeat(count, body) => {
                self.line(&format!("{label}repeat {}", expr(count)));
                self.nested(|p| p.stmts(body));
            }
            ElementKind::For(each, body) => {
                self.line(&format!("{label}{}", head(each)));
                self.nested(|p| p.stmts(body));
            }
            ElementKind::Aux(list, body) => {
                self.line(&format!(
                    "{label}aux{}",
                    list.as_ref().map(args).unwrap_or_default()
                ));
                self.nested(|p| p.stmts(body));
            }
            ElementKind::Body(body) => {
                self.line(&format!("{label}body"));
                self.nested(|p| p.stmts(body));
            }
        }
    }
}

fn dotted(words: &[Name]) -> String {
    words
        .iter()
        .map(|word| word.text.as_str())
        .collect::<Vec<_>>()
        .join(".")
}

fn label(label: &Label) -> String {
    let segment = |parts: &Vec<LabelPart>| -> String {
        let part = |part: &LabelPart| match part {
            LabelPart::Text(text) => text.clone(),
            LabelPart::Expr(value) => format!("{{{}}}", expr(value)),
        };
        parts.iter().map(part).collect()
    };
    let segments: Vec<String> = label.segments.iter().map(segment).collect();
    format!("{}: ", segments.join("."))
}

fn head(head: &ForHead) -> String {
    format!("for {} in {}", pattern(&head.pattern), expr(&head.items))
}

fn pattern(item: &Pattern) -> String {
    match item {
        Pattern::Name(name) => name.text.clone(),
        Pattern::Tuple(items, _) => format!(
            "({})",
            items.iter().map(pattern).collect::<Vec<_>>().join(", ")
        ),
    }
}

fn call(call: &Call) -> String {
    format!(
        "{}{}",
        call.name.text,
        call.args.as_ref().map(args).unwrap_or_default()
    )
}

fn args(args: &Args) -> String {
    let arg = |arg: &Arg| match &arg.name {
        Some(name) => format!("{} = {}", name.text, expr(&arg.value)),
        None => expr(&arg.value),
    };
    format!(
        "({})",
        args.list.iter().map(arg).collect::<Vec<_>>().join(", ")
    )
}

fn comma(items: &[Expr]) -> String {
    items.iter().map(expr).collect::<Vec<_>>().join(", ")
}

fn write_expr(out: &mut String, item: &Expr) {
    let text = match &item.kind {
        ExprKind::Int(value) => value.to_string(),
        ExprKind::Float(value) => format!("{value:?}"),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Str(text) => format!("{text:?}"),
        ExprKind::Name(name) => name.clone(),
        ExprKind::In => "in".to_owned(),
        ExprKind::Call(item) => call(item),
        ExprKind::Field(base, name) => format!("{}.{}", expr(base), name.text),
        ExprKind::Index(base, at) => format!("{}[{}]", expr(base), expr(at)),
        ExprKind::List(items) => format!("[{}]", comma(items)),
        ExprKind::Tuple(items) if items.len() == 1 => format!("({},)", comma(items)),
        ExprKind::Tuple(items) => format!("({})", comma(items)),
        ExprKind::Unary(UnaryOp::Neg, inner) => format!("(-{})", expr(inner)),
        ExprKind::Unary(UnaryOp::Not, inner) => format!("(not {})", expr(inner)),
        ExprKind::Binary(op, a, b) => format!("({} {} {})", expr(a), op.word(), expr(b)),
        ExprKind::If(arms, otherwise) => {
            let arms = arms.iter().map(|(condition, value)| {
                format!("if {} {{ {} }} else ", expr(condition), expr(value))
            });
            format!("{}{{ {} }}", arms.collect::<String>(), expr(otherwise))
        }
        ExprKind::Range(range) => {
            let step = range
                .step
                .as_ref()
                .map(|step| format!(" step {}", expr(step)))
                .unwrap_or_default();
            format!("{}..{}{step}", expr(&range.from), expr(&range.to))
        }
    };
    out.push_str(&text);
}
