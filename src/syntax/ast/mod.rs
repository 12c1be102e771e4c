//! The syntax tree: what was written, with the place of every part.
//!
//! The tree holds no decision about names, kinds or shapes. Its depth is bounded by the parser (see `syntax/limits.rs`),
//! so that walking or dropping it by recursion cannot overflow the stack.

mod expr;

pub use expr::*;

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
    /// What could not be read; a file without errors has none.
    pub broken: Vec<Broken>,
}

/// Something of which no more is known than what it may declare: its errors have been reported.
#[derive(Clone, Debug, PartialEq)]
pub struct Broken {
    /// The names that it may declare.
    pub names: Vec<Name>,
    /// Whether more may be missing: an item whose name cannot be read or what a `use` brings, a value that flows.
    pub more: bool,
    /// Its place.
    pub span: Span,
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
    /// `use std.conv`
    Use(Use),
    /// `net LeNet5(classes = 10) { … }`
    Net(Net),
    /// `block bottleneck(width) { … }`
    Block(Block),
    /// `fn double(n) { 2 * n }`
    Fn(Fn),
    /// `preset Small = Net(width = 8)`
    Preset(Preset),
    /// `train LeNet5 { … }`
    Train(Train),
    /// `search Net { … }`
    Search(Search),
}

impl Item {
    /// Its place, without the comment that documents it.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Item::Use(item) => item.span,
            Item::Net(item) => item.span,
            Item::Block(item) => item.span,
            Item::Fn(item) => item.span,
            Item::Preset(item) => item.span,
            Item::Train(item) => item.span,
            Item::Search(item) => item.span,
        }
    }
}

/// A word that names something.
#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Its place.
    pub span: Span,
}

/// `use "blocks.net"` or `use std.conv`
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
    /// A statement with an error, in a file that is only read to find more of them.
    Broken(Broken),
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
            Stmt::Broken(s) => s.span,
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
