//! From a syntax tree to a graph.
//!
//! [`elaborate`] expands a net: it evaluates constants, binds arguments, applies blocks and layers, and appends the nodes
//! of the graph, whose shapes come from the operators' own rules. After an error it goes on with an unknown value, which
//! silences what would only follow from it, so that one run finds as many errors as possible. All errors that the author
//! of a net can make end here; a graph that comes out is valid.
//!
//! This module knows syntax and operators. It knows nothing about memory, kernels or files.

mod activations;
mod apply;
mod args;
mod arith;
mod attrs;
mod blocks;
mod build;
mod calls;
mod choose;
mod dropped;
mod eval;
mod join;
mod layers;
mod learned;
mod limits;
mod moves;
mod names;
mod namespace;
mod net;
mod norms;
mod outputs;
mod overrides;
mod picture;
pub mod reference;
mod report;
mod resolve;
mod scope;
mod search;
mod search_points;
mod train;
mod value;

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::{Code, Diagnostic, FileId, Files, Span, codes};
use crate::ir::{Builder, Graph, ValueId};
use crate::program::Program;
use crate::syntax::ast::{Block, Body, Name};
pub use learned::{Frame, Learned, LearnedLayer, LoopRounds};
pub use net::net_names;
pub use overrides::Override;
pub use picture::{Filter, PictureInput, Resize};
pub use search::{SearchSpace, searches};
pub use search_points::try_searches;
pub use train::augment::Augment;
pub use train::clip::Clip;
pub use train::config::{TrainConfig, Written};
pub use train::data::{DataLine, DataSet, NAMES as DATA_SETS};
pub use train::early_stop::{EarlyStop, Metric};
pub use train::freeze::Freeze;
pub use train::init::{InitFile, InitRule};
pub use train::loss::{Loss, OutputLoss};
pub use train::optimizer::{Decay, OptimizerConfig, UpdateRule, WeightDecay};
pub use train::regularize::{Penalty, Regularize};
pub use train::schedule::{RateCurve, Schedule};

/// Whether the graph is for use or for training.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Dropout does nothing, batch norms use their running statistics, auxiliary heads do not exist.
    Infer,
    /// Dropout draws, batch norms use and record the statistics of the batch, auxiliary heads are outputs.
    Train,
}

/// A net, ready to be compiled.
#[derive(Clone, Debug)]
pub struct Model {
    /// The net's name, or that of the preset.
    pub name: String,
    /// The lines of its `///` comment, or of the preset's.
    pub docs: Vec<String>,
    /// Its parameters.
    pub settings: Vec<Setting>,
    /// The forward net: inputs, parameters with their paths and initial values, outputs by name.
    pub graph: Graph,
    /// The net's inputs, in order.
    pub inputs: Vec<ModelInput>,
    /// Heads that exist only in training, among the graph's outputs.
    pub aux: Vec<Aux>,
    /// How many such heads the net has that are not in the graph, because it is for use.
    pub left_out: usize,
    /// Weights files that initialisers name, which [`crate::ir::Init::File`] counts.
    pub init_files: Vec<InitFile>,
    /// The `train` section, if the file has one for this net.
    pub train: Option<TrainConfig>,
    /// Where its learned group convolutions stand in the source.
    pub learned: Learned,
    /// Its batch norms whose running statistics training moves; none in use.
    pub norms: Vec<MovingNorm>,
    /// The documented blocks that it uses, in the order of their first use.
    pub blocks: Vec<UsedBlock>,
    /// Findings that the net survives.
    pub warnings: Vec<Diagnostic>,
}

impl Model {
    /// Whether there is something to say of this net, made for use, in training: how it is trained, or what it has there in
    /// addition. All other nets have the same inputs, outputs and parameters in both.
    #[must_use]
    pub fn differs_in_training(&self) -> bool {
        self.train.is_some() || self.left_out > 0
    }
}

/// A parameter of a net with the value that it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, as messages show it.
    pub value: String,
    /// The lines of its `///` comment.
    pub docs: Vec<String>,
}

/// A batch norm whose running statistics follow those of the batches.
#[derive(Clone, Debug, PartialEq)]
pub struct MovingNorm {
    /// The path of the layer.
    pub path: String,
    /// The share of the new value.
    pub momentum: f32,
}

/// A block with a `///` comment, or with one at a parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedBlock {
    /// Its name.
    pub name: String,
    /// Its head as it is written, as `fire(squeeze, expand)`.
    pub call: String,
    /// The lines of its comment.
    pub docs: Vec<String>,
    /// The parameters that have a comment, with its lines.
    pub params: Vec<(String, Vec<String>)>,
}

/// An input of a net.
#[derive(Clone, Debug)]
pub struct ModelInput {
    /// Its name; `input` where the net gives none.
    pub name: String,
    /// The value in the graph.
    pub value: ValueId,
    /// `from image(…)`: how a picture becomes this input.
    pub source: Option<PictureInput>,
}

/// A head that exists only in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Aux {
    /// The output of the graph that it is.
    pub output: String,
    /// What its loss is multiplied with.
    pub weight: f64,
}

/// Expands a net of a program's main file: the one of that name, or the only one.
///
/// # Errors
///
/// Everything that is wrong with the net, its `train` section or the overrides, with the warnings, in source order.
pub fn elaborate(
    program: &Program,
    files: &Files,
    net_name: Option<&str>,
    overrides: &[Override],
    mode: Mode,
) -> Result<Model, Vec<Diagnostic>> {
    let ast = program.main();
    let mut elab = Elab::new(ast.file, files, mode);
    elab.collect(program);
    elab.resolve(program);
    let model = elab.net(ast, net_name, overrides);
    let diagnostics = elab.findings();
    match model {
        Some(model) if !diagnostics.iter().any(Diagnostic::is_error) => Ok(Model {
            warnings: diagnostics,
            ..model
        }),
        _ => Err(diagnostics),
    }
}

/// What can be said of a file without expanding a net: whether all names are known and all calls fit.
#[must_use]
pub fn check_names(program: &Program, files: &Files) -> Vec<Diagnostic> {
    let mut elab = Elab::new(program.main().file, files, Mode::Train);
    elab.collect(program);
    elab.resolve(program);
    elab.findings()
}

/// What else is wrong with a program that could not be read completely: with the net or preset of a name, or with all of
/// them. Nothing is said that may only follow from what is missing, and no warnings.
#[must_use]
pub fn check_recovered(
    program: &Program,
    files: &Files,
    net_name: Option<&str>,
    overrides: &[Override],
) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = check_names(program, files);
    let names = net_names(program.main()).into_iter();
    for name in names.filter(|name| net_name.is_none_or(|wanted| wanted == *name)) {
        // In training there are heads and rules that there are not in use, and the other way round.
        for mode in [Mode::Train, Mode::Infer] {
            let result = elaborate(program, files, Some(name), overrides, mode);
            found.extend(result.err().unwrap_or_default());
        }
        // Each net repeats what is wrong with the file.
        let mut seen = BTreeSet::new();
        found.retain(|d| d.is_error() && seen.insert((d.code, d.span(), d.message.clone())));
        if found.len() >= limits::MAX_ERRORS {
            break;
        }
    }
    found.extend(searches(program, files).1);
    found.extend(try_searches(program, files));
    found.retain(Diagnostic::is_error);
    found.truncate(limits::MAX_ERRORS);
    found
}

/// The expansion of a net.
struct Elab<'a> {
    files: &'a Files,
    mode: Mode,
    /// The file that was asked for.
    main: FileId,
    namespaces: BTreeMap<FileId, namespace::Namespace<'a>>,
    /// What the uses of a parameter want, by the place of its declaration.
    kinds: BTreeMap<Span, resolve::Wanted>,
    /// What is declared and never used; worth telling where there is no error.
    unused: Vec<Diagnostic>,
    builder: Builder,
    diagnostics: Vec<Diagnostic>,
    /// The code and place of each finding.
    found: BTreeSet<(Code, Option<Span>)>,
    /// How many of the findings are errors.
    errors: usize,
    /// The blocks that are being expanded, outermost first.
    uses: Vec<report::Use>,
    /// Blocks and functions that are being expanded.
    calls: usize,
    /// Elements, statements and expressions looked at.
    steps: usize,
    /// Whether a limit was reached; nothing more is built then.
    stopped: bool,
    /// Whether something that could not be read was met: what is missed elsewhere may stand there.
    gap: bool,
    names: names::Names,
    shared: Vec<SharedBody<'a>>,
    facts: BTreeMap<ValueId, report::Fact>,
    /// How weights start where the layer does not say.
    init: InitRule,
    /// Weights files that initialisers name.
    init_files: Vec<InitFile>,
    /// Parameters that training leaves as they are.
    freeze: Freeze,
    aux: Vec<Aux>,
    /// Auxiliary heads so far, built or not.
    auxes: usize,
    learned: Learned,
    norms: Vec<MovingNorm>,
    /// The blocks that have been used, in the order of their first use, and the places of their names.
    used_blocks: Vec<&'a Block>,
    blocks_seen: BTreeSet<Span>,
    /// Dropout layers so far.
    dropouts: u32,
    inputs: Vec<ModelInput>,
    input_places: BTreeMap<String, Span>,
    outputs: BTreeMap<String, Span>,
    /// Arguments of the net that a point of a search gives it.
    point: Vec<(&'a Name, value::Value<'a>)>,
    /// Values that nothing further down can reach, and the statements that the last body ends with.
    dropped: Vec<dropped::Dropped>,
    tail: dropped::Pending,
    /// The newest value of each running statistic.
    updates: BTreeMap<ValueId, ValueId>,
}

/// A body whose uses share their weights.
#[derive(Clone, Debug)]
struct SharedBody<'a> {
    name: &'a str,
    body: &'a Body,
    env: scope::Env<'a>,
    path: String,
    /// The way to its declaration.
    frames: Vec<Frame>,
}

impl<'a> Elab<'a> {
    fn new(main: FileId, files: &'a Files, mode: Mode) -> Self {
        Self {
            files,
            mode,
            main,
            namespaces: BTreeMap::new(),
            kinds: BTreeMap::new(),
            unused: Vec::new(),
            builder: Builder::new(""),
            diagnostics: Vec::new(),
            found: BTreeSet::new(),
            errors: 0,
            uses: Vec::new(),
            calls: 0,
            steps: 0,
            stopped: false,
            gap: false,
            names: names::Names::default(),
            shared: Vec::new(),
            facts: BTreeMap::new(),
            init: InitRule::FanIn,
            init_files: Vec::new(),
            freeze: Freeze::default(),
            aux: Vec::new(),
            auxes: 0,
            learned: Learned::default(),
            norms: Vec::new(),
            used_blocks: Vec::new(),
            blocks_seen: BTreeSet::new(),
            dropouts: 0,
            inputs: Vec::new(),
            input_places: BTreeMap::new(),
            outputs: BTreeMap::new(),
            point: Vec::new(),
            dropped: Vec::new(),
            tail: dropped::Pending::default(),
            updates: BTreeMap::new(),
        }
    }

    /// Everything that was found, in source order.
    fn findings(mut self) -> Vec<Diagnostic> {
        // After an error much is unused that was meant to be.
        if self.errors == 0 {
            self.unused.truncate(limits::MAX_ERRORS);
            self.diagnostics.append(&mut self.unused);
        }
        crate::diag::sort(&mut self.diagnostics);
        self.diagnostics
    }

    /// Counts a step of the expansion; `None` if it must end.
    fn step(&mut self, span: Span) -> Option<()> {
        self.steps += 1;
        if self.steps > limits::MAX_STEPS {
            let message = format!(
                "the net takes more than {} steps to expand",
                limits::MAX_STEPS
            );
            self.stop(
                codes::TOO_LARGE_NET,
                message,
                span,
                "check `repeat`, `for` and recursive functions",
            );
        }
        (!self.stopped).then_some(())
    }

    /// Binds a name in a scope; twice in one scope is an error.
    fn declare(&mut self, env: &scope::Env<'a>, name: &'a Name, value: value::Value<'a>) {
        if let Some(earlier) = env.bind(&name.text, value, name.span) {
            self.duplicate(&name.text, name.span, earlier);
        }
    }

    fn duplicate(&mut self, name: &str, span: Span, earlier: Span) {
        let diagnostic =
            Diagnostic::error(codes::DUPLICATE_NAME, format!("`{name}` is declared twice"));
        let diagnostic = diagnostic
            .primary(span, "second time")
            .secondary(earlier, "first time");
        // A whole statement is shown where its word is no name of its own.
        self.report(if self.files.slice(span) == name {
            let other = format!("{name}_2");
            diagnostic.edit(format!("call it something else, as `{other}`"), span, other)
        } else {
            diagnostic.edit("remove one of the two", span, "")
        });
    }
}
