//! From a syntax tree to a graph.
//!
//! [`elaborate`] expands a net: it evaluates constants, binds arguments, applies blocks and layers, and appends the nodes
//! of the graph, whose shapes come from the operators' own rules. After an error it goes on with an unknown value, which
//! silences what would only follow from it, so that one run finds as many errors as possible. All errors that the author
//! of a net can make end here; a graph that comes out is valid.
//!
//! This module knows syntax and operators. It knows nothing about memory, kernels or files.

mod apply;
mod args;
mod arith;
mod attrs;
mod blocks;
mod build;
mod calls;
mod choose;
mod eval;
mod join;
mod layers;
mod limits;
mod names;
mod net;
mod norms;
mod outputs;
mod overrides;
mod report;
mod scope;
mod train;
mod value;

use std::collections::BTreeMap;

use crate::diag::{Diagnostic, Files, Span, codes};
use crate::ir::{Builder, Graph, Init, ValueId};
use crate::syntax::Ast;
use crate::syntax::ast::{Block, Body, Fn, Name};
pub use net::net_names;
pub use overrides::Override;
pub use train::augment::Augment;
pub use train::config::{
    Const, Decay, InitRule, Loss, OptimizerConfig, OutputLoss, Spec, SpecArg, TrainConfig,
};
pub use train::early_stop::{EarlyStop, Metric};
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
    /// The forward net: inputs, parameters with their paths and initial values, outputs by name.
    pub graph: Graph,
    /// The net's inputs, in order.
    pub inputs: Vec<ModelInput>,
    /// Heads that exist only in training, among the graph's outputs.
    pub aux: Vec<Aux>,
    /// The `train` section, if the file has one for this net.
    pub train: Option<TrainConfig>,
    /// Findings that the net survives.
    pub warnings: Vec<Diagnostic>,
}

/// An input of a net.
#[derive(Clone, Debug)]
pub struct ModelInput {
    /// Its name; `input` where the net gives none.
    pub name: String,
    /// The value in the graph.
    pub value: ValueId,
    /// `from image(…)`: how raw data becomes this input.
    pub source: Option<Spec>,
}

/// A head that exists only in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Aux {
    /// The output of the graph that it is.
    pub output: String,
    /// What its loss is multiplied with.
    pub weight: f64,
}

/// Expands a net of a file: the one of that name, or the only one.
///
/// # Errors
///
/// Everything that is wrong with the net, its `train` section or the overrides, with the warnings, in source order.
pub fn elaborate(
    ast: &Ast,
    files: &Files,
    net_name: Option<&str>,
    overrides: &[Override],
    mode: Mode,
) -> Result<Model, Vec<Diagnostic>> {
    let mut elab = Elab::new(files, mode);
    elab.collect(ast);
    let model = elab.net(ast, net_name, overrides);
    elab.warn_unused();
    let mut diagnostics = elab.diagnostics;
    crate::diag::sort(&mut diagnostics);
    match model {
        Some(model) if !diagnostics.iter().any(Diagnostic::is_error) => Ok(Model {
            warnings: diagnostics,
            ..model
        }),
        _ => Err(diagnostics),
    }
}

/// The expansion of a net.
struct Elab<'a> {
    files: &'a Files,
    mode: Mode,
    blocks: BTreeMap<&'a str, &'a Block>,
    fns: BTreeMap<&'a str, &'a Fn>,
    builder: Builder,
    diagnostics: Vec<Diagnostic>,
    /// The blocks that are being expanded, outermost first.
    uses: Vec<report::Use>,
    /// Blocks and functions that are being expanded.
    calls: usize,
    /// Elements, statements and expressions looked at.
    steps: usize,
    /// Whether a limit was reached; nothing more is built then.
    stopped: bool,
    names: names::Names,
    shared: Vec<SharedBody<'a>>,
    facts: BTreeMap<ValueId, report::Fact>,
    declared: BTreeMap<Span, Declared>,
    /// How weights start where the layer does not say.
    init: InitRule,
    aux: Vec<Aux>,
    /// Auxiliary heads so far, built or not.
    auxes: usize,
    /// Dropout layers so far.
    dropouts: u32,
    inputs: Vec<ModelInput>,
    input_places: BTreeMap<String, Span>,
    outputs: BTreeMap<String, Span>,
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
}

/// What a name was declared as.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Parameter,
    Name,
    Shared,
    /// Of a `for`, which may count rounds without using the item.
    Loop,
}

/// A name that was declared, and whether it was used.
#[derive(Clone, Debug)]
struct Declared {
    name: String,
    kind: Kind,
    used: bool,
}

impl<'a> Elab<'a> {
    fn new(files: &'a Files, mode: Mode) -> Self {
        Self {
            files,
            mode,
            blocks: BTreeMap::new(),
            fns: BTreeMap::new(),
            builder: Builder::new(""),
            diagnostics: Vec::new(),
            uses: Vec::new(),
            calls: 0,
            steps: 0,
            stopped: false,
            names: names::Names::default(),
            shared: Vec::new(),
            facts: BTreeMap::new(),
            declared: BTreeMap::new(),
            init: InitRule::FanIn,
            aux: Vec::new(),
            auxes: 0,
            dropouts: 0,
            inputs: Vec::new(),
            input_places: BTreeMap::new(),
            outputs: BTreeMap::new(),
            updates: BTreeMap::new(),
        }
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
    fn declare(
        &mut self,
        env: &scope::Env<'a>,
        name: &'a Name,
        value: value::Value<'a>,
        kind: Kind,
    ) {
        self.declared.entry(name.span).or_insert_with(|| Declared {
            name: name.text.clone(),
            kind,
            used: false,
        });
        if let Some(earlier) = env.bind(&name.text, value, name.span) {
            self.duplicate(&name.text, name.span, earlier);
        }
    }

    fn duplicate(&mut self, name: &str, span: Span, earlier: Span) {
        let diagnostic =
            Diagnostic::error(codes::DUPLICATE_NAME, format!("`{name}` is declared twice"));
        self.report(
            diagnostic
                .primary(span, "second time")
                .secondary(earlier, "first time"),
        );
    }

    fn mark_used(&mut self, declared: Span) {
        if let Some(declared) = self.declared.get_mut(&declared) {
            declared.used = true;
        }
    }

    /// Warns about what was declared in expanded code and never used.
    fn warn_unused(&mut self) {
        // After an error much is unused that was meant to be.
        if self.diagnostics.iter().any(Diagnostic::is_error) {
            return;
        }
        let unused = self
            .declared
            .iter()
            .filter(|(_, d)| !d.used && d.kind != Kind::Loop && !d.name.starts_with('_'));
        let unused: Vec<(Span, Declared)> = unused
            .map(|(span, declared)| (*span, declared.clone()))
            .collect();
        for (span, Declared { name, kind, .. }) in unused {
            let what = match kind {
                Kind::Parameter => "parameter",
                Kind::Name | Kind::Loop => "name",
                Kind::Shared => "shared body",
            };
            let diagnostic =
                Diagnostic::warning(codes::UNUSED, format!("the {what} `{name}` is never used"));
            self.report(
                diagnostic
                    .primary(span, "")
                    .help(format!("remove it, or call it `_{name}`")),
            );
        }
    }
}

impl InitRule {
    fn from_word(word: &str) -> Option<Self> {
        Some(match word {
            "fan_in" => Self::FanIn,
            "he" => Self::He,
            "xavier" => Self::Xavier,
            "zeros" => Self::Zeros,
            _ => return None,
        })
    }

    fn weights(self, fan_in: usize, fan_out: usize) -> Init {
        match self {
            Self::FanIn => Init::FanInUniform { fan_in },
            Self::He => Init::HeNormal { fan_in },
            Self::Xavier => Init::XavierUniform { fan_in, fan_out },
            Self::Zeros => Init::Constant(0.0),
        }
    }

    fn biases(self, fan_in: usize) -> Init {
        match self {
            Self::FanIn => Init::FanInUniform { fan_in },
            Self::He | Self::Xavier | Self::Zeros => Init::Constant(0.0),
        }
    }
}
