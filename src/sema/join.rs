//! Combinators: the current value goes to each branch, and what comes back is joined.

use super::Elab;
use super::build::Flowing;
use super::report::Fact;
use super::scope::{Env, Scope};
use super::value::Value;
use crate::diag::{Diagnostic, Help, Span, codes};
use crate::ir::{Type, ValueId};
use crate::ops::{Concat, Op, OpRules, Pointwise, ShapeError, Window};
use crate::syntax::ast::{Flow, Join, JoinKind, Stmt};

/// The axes that values can be joined along.
const AXES: &[&str] = &["channels", "height", "width"];

/// What a branch gave.
#[derive(Clone, Copy, Debug)]
struct Branch {
    value: Option<ValueId>,
    span: Span,
}

impl<'a> Elab<'a> {
    /// `add { … }` and its kin.
    pub(super) fn join(
        &mut self,
        env: &Env<'a>,
        join: &'a Join,
        input: ValueId,
    ) -> Option<ValueId> {
        let axis = self.join_args(env, join);
        let branches = self.branches(env, join, Flowing::Tensor(input));
        let known: Vec<ValueId> = branches.iter().filter_map(|branch| branch.value).collect();
        if known.len() < branches.len() {
            // An error has lost a branch. Unless sizes are stacked, the result has the shape of the others.
            let stacked = join.kind == JoinKind::Concat;
            return known.first().copied().filter(|_| !stacked);
        }
        let values = known;
        if values.is_empty() {
            let message = format!("`{}` has no branches", join.kind.word());
            self.report(
                Diagnostic::error(codes::EMPTY_COMBINATOR, message).primary(join.kind_span, ""),
            );
            return None;
        }
        let types: Vec<Type> = values
            .iter()
            .map(|&value| self.builder.graph().ty(value).clone())
            .collect();
        let axis = axis?;
        let wrong = misfits(join.kind, axis, &types);
        if !wrong.is_empty() {
            self.branch_error(join, axis, &branches, &wrong);
            return most_common(&types)
                .map(|at| values[at])
                .filter(|_| join.kind != JoinKind::Concat);
        }
        self.check_path(join.kind.word(), join.kind_span)?;
        self.builder.set_origin(self.names.path(join.kind.word()));
        self.joined(join, axis, &values)
    }

    /// The branches of a combinator whose input is unknown, for the errors that they hold.
    pub(super) fn join_blind(&mut self, env: &Env<'a>, join: &'a Join) {
        self.join_args(env, join);
        self.branches(env, join, Flowing::Unknown);
    }

    /// The axis that a combinator joins along, counted from 0; `None` where an error has been reported.
    fn join_args(&mut self, env: &Env<'a>, join: &'a Join) -> Option<usize> {
        let axis = super::args::Formal {
            name: "axis",
            required: false,
            positional: false,
            words: AXES,
        };
        let axis = [axis];
        let formals = if join.kind == JoinKind::Concat {
            axis.as_slice()
        } else {
            &[]
        };
        let args = self.eval_args(env, join.args.as_ref(), formals);
        let callee = super::args::Callee {
            name: join.kind.word(),
            declared: None,
            span: join.kind_span,
        };
        self.bind(callee, formals, &args)?;
        let Some(arg) = args.first() else {
            return Some(0);
        };
        let axis = match &arg.value {
            Value::Word(word) => AXES.iter().position(|axis| *axis == &**word),
            _ => None,
        };
        if axis.is_none() && !arg.value.is_poison() {
            let message = format!("`axis` of `concat` cannot be {}", arg.value);
            self.report(
                Diagnostic::error(codes::WRONG_KIND, message)
                    .primary(arg.span, "")
                    .help("it is one of `channels`, `height`, `width`"),
            );
        }
        axis
    }

    fn branches(&mut self, env: &Env<'a>, join: &'a Join, input: Flowing) -> Vec<Branch> {
        let mut branches = Vec::new();
        let Some(each) = &join.each else {
            let env = Scope::inside(env);
            for stmt in &join.body.stmts {
                match stmt {
                    Stmt::Flow(flow) => branches.push(self.branch(&env, flow, input)),
                    Stmt::Let(stmt) => self.let_stmt(&env, stmt),
                    Stmt::Shared(shared) => self.shared(&env, shared),
                    Stmt::Broken(broken) => {
                        if self.broken(&env, broken) {
                            branches.push(Branch {
                                value: None,
                                span: broken.span,
                            });
                        }
                    }
                    Stmt::Input(_) | Stmt::Output(_) => {
                        unreachable!("the parser refuses inputs and outputs in combinators")
                    }
                }
            }
            return branches;
        };
        let items = self.rounds(env, each, join.body.span);
        for (round, item) in items.into_iter().enumerate() {
            if self.step(join.kind_span).is_none() {
                break;
            }
            let inner = Scope::inside(env);
            self.destructure(&inner, &each.pattern, item);
            self.learned.enter(join.body.span, round);
            let output = self.body(&inner, &join.body, input);
            self.learned.leave();
            branches.push(Branch {
                value: output.tensor(),
                span: join.body.span,
            });
        }
        branches
    }

    fn branch(&mut self, env: &Env<'a>, flow: &'a Flow, input: Flowing) -> Branch {
        let output = self.flow(env, flow, input);
        Branch {
            value: output.tensor(),
            span: flow.chain_span,
        }
    }

    /// The joined value of branches that fit.
    fn joined(&mut self, join: &Join, axis: usize, values: &[ValueId]) -> Option<ValueId> {
        let span = join.kind_span;
        let pointwise = match join.kind {
            JoinKind::Add => Pointwise::Add,
            JoinKind::Mul => Pointwise::Mul,
            JoinKind::Max => Pointwise::Max,
            JoinKind::Concat => {
                let joined = self.join_node(Concat { axis }.into(), values, span)?;
                let sizes: Vec<String> = values
                    .iter()
                    .map(|&value| self.builder.graph().dims(value)[axis].to_string())
                    .collect();
                let total = self.builder.graph().dims(joined)[axis];
                let arithmetic = if values.len() > 1 && axis == 0 {
                    format!("{} = {total} channels", sizes.join(" + "))
                } else if values.len() > 1 {
                    format!("{} {} = {total}", AXES[axis], sizes.join(" + "))
                } else {
                    String::new()
                };
                self.facts.insert(
                    joined,
                    Fact {
                        arithmetic,
                        channels: true,
                        ..Fact::at(span)
                    },
                );
                return Some(joined);
            }
        };
        let mut total = values[0];
        for &value in &values[1..] {
            let fact = self
                .facts
                .get(&total)
                .cloned()
                .map_or(Fact::at(span), |fact| Fact { span, ..fact });
            total = self.join_node(Op::Pointwise(pointwise), &[total, value], span)?;
            self.facts.insert(total, fact);
        }
        Some(total)
    }

    fn join_node(&mut self, op: Op, values: &[ValueId], span: Span) -> Option<ValueId> {
        match self.builder.try_node(op, values) {
            Ok(outputs) => Some(outputs[0]),
            Err(error) => {
                self.shape_error(&error, "join", span, values[0], &[]);
                None
            }
        }
    }

    /// Every branch with its shape and the arithmetic that led to it.
    fn branch_error(
        &mut self,
        join: &Join,
        axis: usize,
        branches: &[Branch],
        wrong: &[Option<ShapeError>],
    ) {
        let (message, need) = misfit_text(join.kind, axis);
        let mut diagnostic =
            Diagnostic::error(codes::BRANCH_SHAPES, message).primary(join.kind_span, need);
        let mut seen: Vec<Span> = Vec::new();
        for branch in branches {
            // A loop gives several branches in one place; the note below tells them apart.
            if let Some(value) = branch.value
                && !seen.contains(&branch.span)
            {
                seen.push(branch.span);
                diagnostic = diagnostic.secondary(branch.span, self.shown(value));
            }
        }
        if seen.len() < branches.len() {
            let shapes = branches.iter().filter_map(|branch| branch.value);
            let shapes: Vec<String> = shapes
                .map(|value| format!("{:?}", self.builder.graph().dims(value)))
                .collect();
            diagnostic =
                diagnostic.note(format!("the rounds of the loop give {}", shapes.join(", ")));
        }
        diagnostic.help = self.branch_help(join.kind, branches, wrong);
        self.report(diagnostic);
    }

    /// What would make the branches fit.
    fn branch_help(
        &self,
        kind: JoinKind,
        branches: &[Branch],
        wrong: &[Option<ShapeError>],
    ) -> Vec<Help> {
        let mut helps = self.other_rounding(branches);
        if helps.is_empty() {
            let advice = wrong.iter().flatten().flat_map(ShapeError::help);
            helps = advice.map(|advice| Help::words(advice.text)).collect();
            helps.dedup();
        }
        if kind != JoinKind::Concat
            && let Some(channels) = self.channels_alone(branches)
        {
            let text =
                format!("`conv({channels}, 1)` at the end of a branch changes its channels alone");
            helps.push(match self.other_branch(branches) {
                Some(span) => Help::edit(text, span.after(), format!(" -> conv({channels}, 1)")),
                None => Help::words(text),
            });
        }
        helps
    }

    /// Pools that would fit another branch if they rounded the other way.
    fn other_rounding(&self, branches: &[Branch]) -> Vec<Help> {
        let values: Vec<ValueId> = branches.iter().filter_map(|branch| branch.value).collect();
        let size = |value: &ValueId| {
            self.builder
                .graph()
                .dims(*value)
                .get(1..)
                .map(<[usize]>::to_vec)
        };
        let mut helps = Vec::new();
        for (at, value) in values.iter().enumerate() {
            let Some(pool) = self.facts.get(value).and_then(|fact| fact.pool) else {
                continue;
            };
            let other = Window {
                ceil: !pool.window.ceil,
                ..pool.window
            };
            let Ok(gives) = other.pool_output(pool.input) else {
                continue;
            };
            let fits = |(index, branch): (usize, &ValueId)| {
                index != at && size(branch).as_deref() == Some(gives.as_slice())
            };
            if size(value).as_deref() != Some(gives.as_slice())
                && values.iter().enumerate().any(fits)
            {
                // An edit must mend the whole combinator.
                let mends = values
                    .iter()
                    .enumerate()
                    .all(|(index, branch)| index == at || fits((index, branch)));
                let source = self.files.slice(pool.span);
                let gives = if gives[0] == gives[1] {
                    gives[0].to_string()
                } else {
                    format!("{} x {}", gives[0], gives[1])
                };
                let edited = match source.strip_suffix(')') {
                    Some(start) if other.ceil && !source.contains("ceil") => {
                        Some(format!("{start}, ceil = true)"))
                    }
                    _ if source.contains(", ceil = true") => {
                        Some(source.replacen(", ceil = true", "", 1))
                    }
                    _ => None,
                };
                let text = match &edited {
                    Some(edited) if other.ceil => {
                        format!("`{edited}` gives {gives}; so does an input of even size")
                    }
                    _ if other.ceil => format!("`{source}` with `ceil = true` gives {gives}"),
                    _ => format!("`{source}` without `ceil` gives {gives}"),
                };
                helps.push(match edited.filter(|_| mends) {
                    Some(edited) => Help::edit(text, pool.span, edited),
                    None => Help::words(text),
                });
            }
        }
        helps
    }

    /// The only branch that has other channels than the first one.
    fn other_branch(&self, branches: &[Branch]) -> Option<Span> {
        let dims = |branch: &Branch| {
            branch
                .value
                .map(|value| self.builder.graph().dims(value).to_vec())
        };
        let first = dims(branches.first()?)?;
        let mut others = branches
            .iter()
            .filter(|branch| dims(branch).as_ref() != Some(&first));
        let other = others.next()?;
        others.next().is_none().then_some(other.span)
    }

    /// The channels of the first branch, if branches differ in nothing else.
    fn channels_alone(&self, branches: &[Branch]) -> Option<usize> {
        let dims = branches
            .iter()
            .filter_map(|branch| branch.value)
            .map(|value| self.builder.graph().dims(value));
        let dims: Vec<&[usize]> = dims.collect();
        let first = dims.first().filter(|dims| dims.len() == 3)?;
        let alike = dims.iter().all(|dims| dims.get(1..) == first.get(1..));
        alike.then_some(first[0])
    }
}

/// Behind branches that differ, the shape that more than half of them have is taken for what was meant.
fn most_common(types: &[Type]) -> Option<usize> {
    let alike = |ty: &Type| types.iter().filter(|other| *other == ty).count();
    types.iter().position(|ty| 2 * alike(ty) > types.len())
}

/// What is wrong, and what the combinator needs.
fn misfit_text(kind: JoinKind, axis: usize) -> (String, &'static str) {
    let word = kind.word();
    match kind {
        JoinKind::Add | JoinKind::Max => (
            format!("the branches of `{word}` have different shapes"),
            "needs one shape",
        ),
        JoinKind::Concat => (
            format!("the branches of `{word}` cannot be stacked"),
            match axis {
                0 => "needs one height and one width",
                1 => "needs one number of channels and one width",
                _ => "needs one number of channels and one height",
            },
        ),
        JoinKind::Mul => (
            format!("the branches of `{word}` do not fit"),
            "stretches sizes of 1, and vectors over maps",
        ),
    }
}

/// For each branch that does not fit the first, what the operator's rule says about it, if it does.
///
/// Joins are written, never guessed: `add` and `max` want equal shapes although their operators could stretch.
fn misfits(kind: JoinKind, axis: usize, types: &[Type]) -> Vec<Option<ShapeError>> {
    let Some((first, others)) = types.split_first() else {
        return Vec::new();
    };
    let stacked = |ty: &Type| Concat { axis }.infer(&[first.clone(), ty.clone()]).err();
    match kind {
        JoinKind::Add | JoinKind::Max => others
            .iter()
            .filter(|ty| *ty != first)
            .map(stacked)
            .collect(),
        JoinKind::Concat => others.iter().filter_map(stacked).map(Some).collect(),
        JoinKind::Mul => {
            // Each product may widen the value, as the operators will be chained.
            let mut widest = first.clone();
            let mut wrong = Vec::new();
            for ty in others {
                match Op::Pointwise(Pointwise::Mul).infer(&[widest.clone(), ty.clone()]) {
                    Ok(made) => widest = made[0].clone(),
                    Err(error) => wrong.push(Some(error)),
                }
            }
            wrong
        }
    }
}
