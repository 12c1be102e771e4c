//! Expressions and calls.

use super::Name;
use crate::diag::Span;

/// `NAME(args)`, or `NAME` alone
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// What is called.
    pub name: Name,
    /// The arguments, where there are parentheses.
    pub args: Option<Args>,
    /// Name and arguments.
    pub span: Span,
}

/// Arguments in parentheses.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// The arguments: positional ones first.
    pub list: Vec<Arg>,
    /// The place, parentheses included.
    pub span: Span,
}

/// One argument.
#[derive(Clone, Debug, PartialEq)]
pub struct Arg {
    /// `name =`, for a named one.
    pub name: Option<Name>,
    /// The value.
    pub value: Expr,
    /// Name and value.
    pub span: Span,
}

/// A value that is known when the net is built.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Its place; parentheses around it do not count.
    pub span: Span,
    /// Nodes on the longest way down, itself included.
    depth: u16,
}

impl Expr {
    /// A node over its children.
    #[must_use]
    pub fn new(kind: ExprKind, span: Span) -> Self {
        let mut deepest = 0;
        kind.for_each_child(&mut |child| deepest = child.depth.max(deepest));
        Self {
            kind,
            span,
            depth: deepest.saturating_add(1),
        }
    }

    /// Nodes on the longest way down, itself included.
    #[must_use]
    pub fn depth(&self) -> u16 {
        self.depth
    }
}

/// What an expression can be.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `12`, `8M`
    Int(i64),
    /// `0.05`
    Float(f64),
    /// `true`
    Bool(bool),
    /// `"photos"`
    Str(String),
    /// `n`, `sigmoid`: only names tell what it is.
    Name(String),
    /// `in`
    In,
    /// `max(a, b)`, `leaky_relu(0.1)`
    Call(Call),
    /// `in.channels`
    Field(Box<Expr>, Name),
    /// `in.shape[0]`
    Index(Box<Expr>, Box<Expr>),
    /// `[1, 28, 28]`
    List(Vec<Expr>),
    /// `(1, 2)`
    Tuple(Vec<Expr>),
    /// `-x`, `not x`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `if c { a } else { b }`
    If(Vec<(Expr, Expr)>, Box<Expr>),
    /// `a..b step s`; only where items are counted
    Range(Box<Range>),
}

impl ExprKind {
    /// Calls `visit` with every direct child, in source order.
    pub fn for_each_child<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match self {
            Self::Int(_)
            | Self::Float(_)
            | Self::Bool(_)
            | Self::Str(_)
            | Self::Name(_)
            | Self::In => {}
            Self::Call(call) => call
                .args
                .iter()
                .flat_map(|args| &args.list)
                .for_each(|arg| visit(&arg.value)),
            Self::Field(base, _) | Self::Unary(_, base) => visit(base),
            Self::Index(a, b) | Self::Binary(_, a, b) => {
                visit(a);
                visit(b);
            }
            Self::List(items) | Self::Tuple(items) => items.iter().for_each(visit),
            Self::If(arms, otherwise) => {
                for (condition, value) in arms {
                    visit(condition);
                    visit(value);
                }
                visit(otherwise);
            }
            Self::Range(range) => {
                visit(&range.from);
                visit(&range.to);
                range.step.iter().for_each(visit);
            }
        }
    }
}

/// `from..to step step`
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// The first item.
    pub from: Expr,
    /// The last item, included.
    pub to: Expr,
    /// The distance of items; 1 where it is not written.
    pub step: Option<Expr>,
}

/// An operator with one operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

impl UnaryOp {
    /// What is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            UnaryOp::Neg => "-",
            UnaryOp::Not => "not",
        }
    }
}

/// An operator with two operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `^`
    Pow,
}

impl BinaryOp {
    /// All operators.
    pub const ALL: [Self; 13] = {
        use BinaryOp::*;
        [Or, And, Eq, Ne, Lt, Le, Gt, Ge, Add, Sub, Mul, Div, Pow]
    };

    /// What is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::Pow => "^",
        }
    }

    /// How strongly it binds; `not` stands between `and` and the comparisons, unary `-` between `*` and `^`.
    pub(in crate::syntax) fn strength(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            _ if self.is_comparison() => 4,
            BinaryOp::Add | BinaryOp::Sub => 5,
            BinaryOp::Mul | BinaryOp::Div => 6,
            _ => 8,
        }
    }

    /// Whether it compares.
    #[must_use]
    pub fn is_comparison(self) -> bool {
        use BinaryOp::*;
        matches!(self, Eq | Ne | Lt | Le | Gt | Ge)
    }
}
