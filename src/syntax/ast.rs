//! The syntax tree: what was written, with the place of every part.
//!
//! The tree holds no decision about names, kinds or shapes. Its depth is bounded by the parser (see [`super::limits`]),
//! so that walking or dropping it by recursion cannot overflow the stack.

use crate::diag::{FileId, Span};

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ast {
    /// Where it was read from.
    pub file: FileId,
    /// `edition 1`, where it is written.
    pub edition: Option<Edition>,
    /// Everything in the file, in order.
    pub items: Vec<Item>,
}

/// `edition 1`
#[derive(Clone, Debug, PartialEq)]
pub struct Edition {
    /// The number.
    pub number: i64,
    /// The whole line.
    pub span: Span,
}

/// Something that stands at the top level.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `use std.resnet`
    Use(Use),
    /// `net LeNet5(classes = 10) { … }`
    Net(Net),
    /// `block bottleneck(width) { … }`
    Block(Block),
    /// `fn double(n) { 2 * n }`
    Fn(Fn),
    /// `preset B0 = EfficientNet()`
    Preset(Preset),
    /// `train LeNet5 { … }`
    Train(Train),
    /// `search EfficientNet { … }`
    Search(Search),
}

/// A word that names something.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `use "blocks.net"` or `use std.resnet`
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    /// What to bring in.
    pub source: UseSource,
    /// The whole item.
    pub span: Span,
}

/// What a `use` names.
#[derive(Clone, Debug, PartialEq)]
pub enum UseSource {
    /// A file, relative to the file that uses it.
    File(StringLit),
    /// A shipped module, as a path of words.
    Module(Vec<Name>),
}

/// A string with its escapes resolved.
#[derive(Clone, Debug, PartialEq)]
pub struct StringLit {
    /// The content.
    pub text: String,
    /// The place, quotes included.
    pub span: Span,
}

/// `net NAME(params) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// The `///` comments in front.
    pub docs: Vec<String>,
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its pipeline.
    pub body: Body,
    /// The whole item.
    pub span: Span,
}

/// `block NAME(params) { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// The `///` comments in front.
    pub docs: Vec<String>,
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub params: Vec<Param>,
    /// Its pipeline.
    pub body: Body,
    /// The whole item.
    pub span: Span,
}

/// `fn NAME(params) { let …; value }`
#[derive(Clone, Debug, PartialEq)]
pub struct Fn {
    /// The `///` comments in front.
    pub docs: Vec<String>,
    /// Its name.
    pub name: Name,
    /// Its parameters.
    pub params: Vec<Param>,
    /// The constants bound before the value.
    pub lets: Vec<Let>,
    /// The value.
    pub value: Expr,
    /// The whole item.
    pub span: Span,
}

/// A parameter of a net, a block or a function.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// The `///` comments in front.
    pub docs: Vec<String>,
    /// Its name.
    pub name: Name,
    /// What it is when no argument is given.
    pub default: Option<Expr>,
    /// Name and default.
    pub span: Span,
}

/// `preset NAME = NET(args)`
#[derive(Clone, Debug, PartialEq)]
pub struct Preset {
    /// The `///` comments in front.
    pub docs: Vec<String>,
    /// Its name.
    pub name: Name,
    /// The net and its arguments.
    pub net: Call,
    /// The whole item.
    pub span: Span,
}

/// `train NET { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Train {
    /// The net it trains.
    pub net: Name,
    /// Its lines.
    pub entries: Vec<Entry>,
    /// The whole item.
    pub span: Span,
}

/// `key value`, `key(args)` or `key NAME = value`
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is set.
    pub key: Name,
    /// The output or group that it is set for.
    pub target: Option<Name>,
    /// What it is set to.
    pub value: EntryValue,
    /// The whole line.
    pub span: Span,
}

/// What stands behind the key of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum EntryValue {
    /// Values, separated by commas or arrows; may be empty.
    List(Vec<Expr>),
    /// Arguments directly behind the key.
    Args(Args),
}

/// `search NET { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// The net it varies.
    pub net: Name,
    /// Its lines.
    pub entries: Vec<SearchEntry>,
    /// The whole item.
    pub span: Span,
}

/// A line of a search.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchEntry {
    /// `vary alpha in 1.0..1.5 step 0.1`: the axes of the grid.
    Vary(Vec<(Name, Expr)>),
    /// `set depth = alpha`: how the axes become arguments of the net.
    Set(Vec<(Name, Expr)>),
    /// `subject to params <= 8M`: what a point must fulfil.
    Subject(Vec<Expr>),
    /// `maximize val_accuracy`: what makes a point better.
    Goal {
        /// Whether more is better.
        maximize: bool,
        /// The measure.
        value: Expr,
    },
    /// Anything else, as in a `train` section.
    Entry(Entry),
}

/// Statements in braces.
#[derive(Clone, Debug, PartialEq)]
pub struct Body {
    /// The statements in order; in a combinator, each flow is a branch.
    pub stmts: Vec<Stmt>,
    /// The place, braces included.
    pub span: Span,
}

/// A statement of a body.
#[derive(Clone, Debug, PartialEq)]
pub enum Stmt {
    /// `input [1, 28, 28]`
    Input(Input),
    /// `output logits`
    Output(Output),
    /// `let n = 4`
    Let(Let),
    /// `shared mlp { … }`
    Shared(Shared),
    /// `conv(6, 5) -> relu : [6, 24, 24] as c1`
    Flow(Flow),
}

impl Stmt {
    /// The whole statement.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Stmt::Input(s) => s.span,
            Stmt::Output(s) => s.span,
            Stmt::Let(s) => s.span,
            Stmt::Shared(s) => s.span,
            Stmt::Flow(s) => s.span,
        }
    }
}

/// `input NAME: [c, h, w] from image(…)`
#[derive(Clone, Debug, PartialEq)]
pub struct Input {
    /// Its name, where there are several.
    pub name: Option<Name>,
    /// Its shape without the batch axis.
    pub shape: Expr,
    /// What turns raw data into the input.
    pub source: Option<Expr>,
    /// The whole statement.
    pub span: Span,
}

/// `output NAME`
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// What the current value is called outside.
    pub name: Name,
    /// The whole statement.
    pub span: Span,
}

/// `let PATTERN = value`
#[derive(Clone, Debug, PartialEq)]
pub struct Let {
    /// The names it binds.
    pub pattern: Pattern,
    /// What they are bound to.
    pub value: Expr,
    /// The whole statement.
    pub span: Span,
}

/// `shared NAME { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Shared {
    /// How its uses call it.
    pub name: Name,
    /// The body whose weights every use shares.
    pub body: Body,
    /// The whole statement.
    pub span: Span,
}

/// A name, or a tuple of patterns.
#[derive(Clone, Debug, PartialEq)]
pub enum Pattern {
    /// `n`
    Name(Name),
    /// `(n, (w, h))`
    Tuple(Vec<Pattern>, Span),
}

impl Pattern {
    /// The whole pattern.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Pattern::Name(name) => name.span,
            Pattern::Tuple(_, span) => *span,
        }
    }
}

/// A chain, with what may stand behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// The elements between the arrows; never empty.
    pub chain: Vec<Element>,
    /// `: [c, h, w]`: the shape it must have.
    pub shape: Option<Expr>,
    /// `as NAME`: what its value is called from here on.
    pub name: Option<Name>,
    /// The whole statement.
    pub span: Span,
    /// The chain alone.
    pub chain_span: Span,
}

/// One step of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Element {
    /// `label:` in front.
    pub label: Option<Label>,
    /// The step itself.
    pub kind: ElementKind,
    /// The step without its label.
    pub span: Span,
}

/// `layer{s}.{i}:`
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// The segments between the dots.
    pub segments: Vec<Vec<LabelPart>>,
    /// The label without its colon.
    pub span: Span,
}

/// A part of a label's segment.
#[derive(Clone, Debug, PartialEq)]
pub enum LabelPart {
    /// Letters and digits as they stand.
    Text(String),
    /// `{expr}`
    Expr(Expr),
}

/// What a step of a chain can be.
#[derive(Clone, Debug, PartialEq)]
pub enum ElementKind {
    /// A layer, a block, a shared body or a named value: only names tell.
    Call(Call),
    /// `in`: the value that entered the current block.
    In,
    /// `id`: the current value, unchanged.
    Id,
    /// `add { … }` and its kin.
    Join(Join),
    /// `if c { … } else if d { … } else { … }`
    If(IfElement),
    /// `repeat n { … }`
    Repeat(Expr, Body),
    /// `for x in xs { … }`
    For(ForHead, Body),
    /// `aux(weight = 0.3) { … }`
    Aux(Option<Args>, Body),
    /// `{ … }`
    Body(Body),
}

/// How branches are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JoinKind {
    /// Element-wise sum.
    Add,
    /// Stacking along an axis.
    Concat,
    /// Element-wise product that stretches axes of size 1.
    Mul,
    /// Element-wise maximum.
    Max,
}

impl JoinKind {
    /// The word that is written.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            JoinKind::Add => "add",
            JoinKind::Concat => "concat",
            JoinKind::Mul => "mul",
            JoinKind::Max => "max",
        }
    }
}

/// `concat(axis = height) for k in [1, 3] { … }`
#[derive(Clone, Debug, PartialEq)]
pub struct Join {
    /// How the branches are joined.
    pub kind: JoinKind,
    /// The word alone.
    pub kind_span: Span,
    /// Its attributes.
    pub args: Option<Args>,
    /// `for k in …`: one branch for each item.
    pub each: Option<ForHead>,
    /// The branches.
    pub body: Body,
}

/// `for PATTERN in value`
#[derive(Clone, Debug, PartialEq)]
pub struct ForHead {
    /// The names bound in each round.
    pub pattern: Pattern,
    /// A list, or a range.
    pub items: Expr,
}

/// `if` where a layer may stand.
#[derive(Clone, Debug, PartialEq)]
pub struct IfElement {
    /// Conditions with the bodies they choose, in order.
    pub arms: Vec<(Expr, Body)>,
    /// What happens when no condition holds; `id` where it is missing.
    pub otherwise: Option<Body>,
}

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
    pub(super) fn strength(self) -> u8 {
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
