//! Calls in expressions: functions of the file, built-in functions, and layers with their arguments.

use std::rc::Rc;

use super::Elab;
use super::args::{Callee, Formal, formals};
use super::arith::{self, FUNCTIONS};
use super::limits::MAX_CALLS;
use super::scope::{Env, Scope};
use super::train::init;
use super::value::{LayerValue, Target, Value};
use crate::diag::{Diagnostic, codes};
use crate::syntax::ast::{Call, Fn};

impl<'a> Elab<'a> {
    /// A call in an expression.
    pub(super) fn call(&mut self, env: &Env<'a>, call: &'a Call) -> Value<'a> {
        let name = call.name.text.as_str();
        if let Some((value, _)) = env.find(name) {
            return self.with_args(env, value, call);
        }
        let file = call.name.span.file;
        if let Some(function) = self.function(name, file) {
            return self.call_fn(env, function, call);
        }
        if let Some(&(_, arity)) = FUNCTIONS.iter().find(|(function, _)| *function == name) {
            return self.call_builtin(env, call, arity);
        }
        if let Some(target) = self.applicable(name, file) {
            let layer = Value::Layer(Rc::new(LayerValue { target, args: None }));
            return self.with_args(env, layer, call);
        }
        if let Some(signature) = init::find(name) {
            let args = self.eval_args(env, call.args.as_ref(), &signature.formals());
            return self.initialiser(signature, &args, call.span);
        }
        self.unknown_name(name, call.name.span, &env.visible());
        Value::Poison
    }

    /// A layer value with the arguments of a call.
    pub(super) fn with_args(
        &mut self,
        env: &Env<'a>,
        value: Value<'a>,
        call: &'a Call,
    ) -> Value<'a> {
        let Value::Layer(layer) = &value else {
            self.wrong_kind(
                &value,
                format!("`{}`", call.name.text),
                "a layer or a function to be called",
                call.name.span,
            );
            return Value::Poison;
        };
        if layer.args.is_some() {
            let message = format!("`{}` already has its arguments", call.name.text);
            self.report(Diagnostic::error(codes::EXTRA_ARGUMENT, message).primary(call.span, ""));
            return Value::Poison;
        }
        let target = layer.target;
        let args = self.eval_args(env, call.args.as_ref(), &target_formals(target));
        Value::Layer(Rc::new(LayerValue {
            target,
            args: Some(args),
        }))
    }

    fn call_builtin(&mut self, env: &Env<'a>, call: &'a Call, arity: Option<usize>) -> Value<'a> {
        let args = self.eval_args(env, call.args.as_ref(), &[]);
        let name = call.name.text.as_str();
        if let Some(named) = args.iter().find_map(|arg| arg.name) {
            let message = format!("`{name}` has no argument `{}`", named.text);
            let diagnostic =
                Diagnostic::error(codes::UNKNOWN_ARGUMENT, message).primary(named.span, "");
            self.report(diagnostic.help("its arguments are given by position"));
            return Value::Poison;
        }
        if let Some(arity) = arity.filter(|&arity| arity != args.len()) {
            let code = if args.len() < arity {
                codes::MISSING_ARGUMENT
            } else {
                codes::EXTRA_ARGUMENT
            };
            let message = format!("`{name}` takes {arity} argument, not {}", args.len());
            self.report(Diagnostic::error(code, message).primary(call.span, ""));
            return Value::Poison;
        }
        let values: Vec<Value<'a>> = args.into_iter().map(|arg| arg.value).collect();
        let result = arith::call(name, &values);
        self.settle(&values.iter().collect::<Vec<_>>(), result, call.span)
    }

    fn call_fn(&mut self, env: &Env<'a>, function: &'a Fn, call: &'a Call) -> Value<'a> {
        let formals = formals(&function.params);
        let args = self.eval_args(env, call.args.as_ref(), &formals);
        let callee = Callee {
            name: &function.name.text,
            declared: Some(function.name.span),
            span: call.span,
        };
        if self.calls >= MAX_CALLS {
            let message = format!(
                "functions and blocks are used inside of one another more than {MAX_CALLS} deep"
            );
            self.stop(
                codes::TOO_DEEP_CALLS,
                message,
                call.span,
                "a recursion must end",
            );
            return Value::Poison;
        }
        self.calls += 1;
        let inner = Scope::root();
        let value = match self.bind_params(&inner, callee, &function.params, &args) {
            Some(()) => {
                for stmt in &function.lets {
                    self.let_stmt(&inner, stmt);
                }
                self.eval(&inner, &function.value)
            }
            None => Value::Poison,
        };
        self.calls -= 1;
        value
    }
}

/// The parameters of what is applied.
pub(super) fn target_formals(target: Target<'_>) -> Vec<Formal<'_>> {
    match target {
        Target::Builtin(layer) => layer.formals(),
        Target::Block(block) => formals(&block.params),
        Target::Shared(_) | Target::Id => Vec::new(),
    }
}
