//! The pipeline from a graph to a program, stage by stage. Between stages, in debug builds or where
//! asked for, the verifiers run.

use std::time::{Duration, Instant};

use crate::codegen::{self, Code, CodegenError, Target};
use crate::ir::{Graph, verify};
use crate::passes::fuse::{self, Groups};
use crate::passes::{Remark, cse, dce, fold, layout, norm, recompute, simplify, winograd};
use crate::plan::{self, Plan, parts};

/// What to compile for, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The machine.
    pub target: Target,
    /// The largest batch that the program will run.
    pub batch: usize,
    /// Whether element-wise nodes are fused into others.
    pub fuse: bool,
    /// Whether cheap values are made again in place of being kept for long.
    pub recompute: bool,
    /// Whether convolutions may be done by the method of Winograd.
    pub winograd: bool,
    /// Whether the verifiers run after each stage.
    pub verify: bool,
}

impl Options {
    /// This machine's best tier, everything fused; verifiers in debug builds.
    pub fn new(batch: usize) -> Options {
        Options {
            target: Target::host(),
            batch,
            fuse: true,
            recompute: true,
            winograd: true,
            verify: cfg!(debug_assertions),
        }
    }
}

/// Time spent in a stage.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timing {
    /// The stage.
    pub stage: &'static str,
    /// How long it took.
    pub time: Duration,
}

/// A graph with layouts and groups: all decisions made, nothing lowered.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The graph with layouts.
    pub graph: Graph,
    /// The groups that become kernels.
    pub groups: Groups,
    /// What passes did, and what they did not and why.
    pub remarks: Vec<Remark>,
    /// Time by stage.
    pub timings: Vec<Timing>,
}

/// A compiled program.
#[derive(Debug)]
pub struct Program {
    /// The largest batch. It may go through in parts of at most as many images as the plan is for.
    pub images: usize,
    /// The graph with layouts.
    pub graph: Graph,
    /// The groups that became kernels.
    pub groups: Groups,
    /// What runs, in which order, where everything lies.
    pub plan: Plan,
    /// The machine code.
    pub code: Code,
    /// What passes did, and what they did not and why.
    pub remarks: Vec<Remark>,
    /// Time by stage.
    pub timings: Vec<Timing>,
    /// The machine that it was compiled for.
    pub target: Target,
}

/// Runs a stage and notes its time.
fn timed<T>(timings: &mut Vec<Timing>, stage: &'static str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    timings.push(Timing {
        stage,
        time: start.elapsed(),
    });
    result
}

/// Runs the passes.
///
/// # Panics
///
/// With `verify`, a pass has broken an invariant of the graph.
pub fn prepare(graph: &Graph, options: &Options) -> Prepared {
    let mut timings = Vec::new();
    let mut remarks = Vec::new();
    let mut made: Option<Graph> = None;
    // A pass that leaves all as it is makes no graph.
    type Pass<'p> = (
        &'static str,
        &'p dyn Fn(&Graph) -> (Option<Graph>, Vec<Remark>),
    );
    let target = &options.target;
    let passes: [Pass<'_>; 9] = [
        // What gradients leave behind goes first: later passes then see only what will run.
        ("dce", &dce::run),
        ("fold", &fold::run),
        ("simplify", &simplify::run),
        ("norm", &norm::run),
        ("cse", &cse::run),
        ("dce", &dce::run),
        ("winograd", &|graph| match options.winograd {
            true => winograd::run(graph, target, options.batch),
            false => (None, Vec::new()),
        }),
        ("recompute", &|graph| match options.recompute {
            true => recompute::run(graph),
            false => (None, Vec::new()),
        }),
        ("layout", &|graph| layout::run(graph, target, options.batch)),
    ];
    for (name, pass) in passes {
        let before = made.as_ref().unwrap_or(graph);
        let (next, said) = timed(&mut timings, name, || pass(before));
        remarks.extend(said);
        let Some(next) = next else {
            continue;
        };
        if options.verify
            && let Err(error) = verify::verify(&next)
        {
            panic!("{name} broke the graph: {error}");
        }
        made = Some(next);
    }
    let graph = made.unwrap_or_else(|| graph.clone());
    let groups = timed(&mut timings, "fuse", || {
        fuse::run(&graph, fuse::Options { fuse: options.fuse })
    });
    remarks.extend(groups.remarks.iter().cloned());
    Prepared {
        graph,
        groups,
        remarks,
        timings,
    }
}

/// Runs the passes for as many images as are to go through at a time.
fn prepare_in_parts(graph: &Graph, options: &Options) -> (Prepared, usize) {
    let whole = prepare(graph, options);
    let part = parts::images(&whole.graph, &whole.groups, &options.target, options.batch);
    if part == options.batch {
        return (whole, part);
    }
    let of_part = Options {
        batch: part,
        ..options.clone()
    };
    let mut prepared = prepare(graph, &of_part);
    prepared.timings.splice(0..0, whole.timings);
    (prepared, part)
}

/// Compiles a graph.
///
/// # Errors
///
/// Machine code could not be made, or the system forbids executing it.
///
/// # Panics
///
/// With `verify`, a stage has broken an invariant.
pub fn compile(graph: &Graph, options: &Options) -> Result<Program, CodegenError> {
    let (
        Prepared {
            graph,
            groups,
            remarks,
            mut timings,
        },
        part,
    ) = prepare_in_parts(graph, options);
    let plan = timed(&mut timings, "plan", || {
        plan::make(&graph, &groups, &options.target, part)
    });
    if options.verify {
        for kernel in &plan.kernels {
            if let Err(error) = crate::kernel::verify::kernel(kernel) {
                panic!("lowering made a wrong kernel: {error}");
            }
        }
    }
    let code = timed(&mut timings, "code", || {
        let how = codegen::Options {
            verify: options.verify,
        };
        codegen::compile(&plan.kernels, &options.target, &how)
    })?;
    let target = options.target.clone();
    Ok(Program {
        images: options.batch,
        graph,
        groups,
        plan,
        code,
        remarks,
        timings,
        target,
    })
}
