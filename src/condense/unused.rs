//! Takes out of a text what nothing reads any more: parameters with the arguments for them, names, `use` lines.

use super::edits::Edits;
use crate::diag::{Files, Span};
use crate::syntax::Ast;
use crate::syntax::ast::{
    Args, Block, Body, Call, Element, ElementKind, EntryValue, Expr, ExprKind, Item, Param,
    Pattern, Stmt,
};

/// The text without what is at these places; none if nothing there can be taken out.
pub(super) fn without(files: &Files, ast: &Ast, unused: &[Span]) -> Option<String> {
    let mut edits = Edits::new(files);
    let is_unused = |place: Span| unused.contains(&place);
    for item in &ast.items {
        match item {
            Item::Use(item) if is_unused(item.span) => edits.replace(item.span, ""),
            Item::Net(net) => {
                let at = |param: &Param| is_unused(param.name.span);
                if let Some(at) = net.params.iter().position(at) {
                    remove_param(&mut edits, &net.params, at, net.name.span, net.body.span);
                }
                lets(&net.body, &is_unused, &mut edits);
            }
            Item::Block(block) => {
                let at = |param: &Param| is_unused(param.name.span);
                if let Some(at) = block.params.iter().position(at) {
                    remove_from_block(&mut edits, ast, block, at);
                }
                lets(&block.body, &is_unused, &mut edits);
            }
            _ => {}
        }
    }
    if edits.is_empty() {
        return None;
    }
    let end = u32::try_from(files.text(ast.file).len()).ok()?;
    Some(edits.text(Span::new(ast.file, 0..end as usize)))
}

fn remove_from_block(edits: &mut Edits<'_>, ast: &Ast, block: &Block, at: usize) {
    let name = block.params[at].name.text.as_str();
    let mut calls: Vec<&Call> = Vec::new();
    each_call(ast, &mut |call| calls.push(call));
    let calls = calls
        .into_iter()
        .filter(|call| call.name.text == block.name.text);
    let given: Vec<&Args> = calls.filter_map(|call| call.args.as_ref()).collect();
    let positional = |args: &&Args| args.list.get(at).is_some_and(|arg| arg.name.is_none());
    // An argument that is given by its place cannot go without moving others.
    if given.iter().any(positional) {
        return;
    }
    for args in given {
        let of = |arg: &crate::syntax::ast::Arg| {
            arg.name.as_ref().is_some_and(|known| known.text == name)
        };
        match (args.list.iter().position(of), args.list.len()) {
            (Some(_), 1) => edits.replace(args.span, ""),
            (Some(at), _) => {
                let before = at.checked_sub(1).map(|before| args.list[before].span);
                edits.remove_item(args.list[at].span, before);
            }
            (None, _) => {}
        }
    }
    remove_param(edits, &block.params, at, block.name.span, block.body.span);
}

fn remove_param(edits: &mut Edits<'_>, params: &[Param], at: usize, name: Span, body: Span) {
    if params.len() == 1 {
        let place = Span {
            start: name.end,
            end: body.start,
            ..name
        };
        edits.replace(place, " ");
        return;
    }
    let before = at.checked_sub(1).map(|before| params[before].span);
    edits.remove_item(params[at].span, before);
}

/// Takes out `let NAME = …` of a body and those inside of it.
fn lets(body: &Body, is_unused: &dyn Fn(Span) -> bool, edits: &mut Edits<'_>) {
    for stmt in &body.stmts {
        match stmt {
            Stmt::Let(item) => {
                if let Pattern::Name(name) = &item.pattern
                    && is_unused(name.span)
                {
                    edits.replace(edits.with_comments(item.span), "");
                }
            }
            Stmt::Shared(shared) => lets(&shared.body, is_unused, edits),
            Stmt::Flow(flow) => {
                for element in &flow.chain {
                    for body in bodies(element) {
                        lets(body, is_unused, edits);
                    }
                }
            }
            Stmt::Input(_) | Stmt::Output(_) | Stmt::Broken(_) => {}
        }
    }
}

/// The bodies right inside of an element.
fn bodies(element: &Element) -> Vec<&Body> {
    match &element.kind {
        ElementKind::Join(join) => vec![&join.body],
        ElementKind::If(item) => {
            let arms = item.arms.iter().map(|(_, body)| body);
            arms.chain(&item.otherwise).collect()
        }
        ElementKind::Repeat(_, body)
        | ElementKind::For(_, body)
        | ElementKind::Aux(_, body)
        | ElementKind::Body(body) => vec![body],
        ElementKind::Call(_) | ElementKind::In | ElementKind::Id => Vec::new(),
    }
}

/// Visits every call of a file.
fn each_call<'a>(ast: &'a Ast, visit: &mut dyn FnMut(&'a Call)) {
    for item in &ast.items {
        match item {
            Item::Net(net) => in_body(&net.body, visit),
            Item::Block(block) => {
                let defaults = block.params.iter().flat_map(|param| &param.default);
                defaults.for_each(|default| in_expr(default, visit));
                in_body(&block.body, visit);
            }
            Item::Train(train) => {
                for entry in &train.entries {
                    if let EntryValue::List(values) = &entry.value {
                        values.iter().for_each(|value| in_expr(value, visit));
                    }
                }
            }
            Item::Use(_) | Item::Fn(_) | Item::Preset(_) | Item::Search(_) => {}
        }
    }
}

fn in_body<'a>(body: &'a Body, visit: &mut dyn FnMut(&'a Call)) {
    for stmt in &body.stmts {
        match stmt {
            Stmt::Let(item) => in_expr(&item.value, visit),
            Stmt::Shared(shared) => in_body(&shared.body, visit),
            Stmt::Flow(flow) => {
                for element in &flow.chain {
                    if let ElementKind::Call(call) = &element.kind {
                        in_call(call, visit);
                    }
                    for body in bodies(element) {
                        in_body(body, visit);
                    }
                }
            }
            Stmt::Input(_) | Stmt::Output(_) | Stmt::Broken(_) => {}
        }
    }
}

fn in_call<'a>(call: &'a Call, visit: &mut dyn FnMut(&'a Call)) {
    visit(call);
    let args = call.args.iter().flat_map(|args| &args.list);
    args.for_each(|arg| in_expr(&arg.value, visit));
}

fn in_expr<'a>(expr: &'a Expr, visit: &mut dyn FnMut(&'a Call)) {
    match &expr.kind {
        ExprKind::Call(call) => in_call(call, visit),
        kind => kind.for_each_child(&mut |child| in_expr(child, visit)),
    }
}
