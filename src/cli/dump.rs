//! `netc dump`: what a stage of the compiler makes of a net.

use super::common::{Common, count};
use super::error::CliError;
use super::output::Out;
use crate::codegen::{self, Target};
use crate::driver::{self, Options, Prepared};
use crate::ir::Graph;
use crate::ir::print::WithLayouts;
use crate::kernel::Kernel;
use crate::model::{self, Net};
use crate::passes::print;
use crate::plan;
use crate::sema::Mode;
use crate::syntax;
use crate::train::describe::Described;

/// What `dump` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The net
    file: String,
    /// What to show
    #[arg(long, value_enum, required_unless_present = "explain")]
    stage: Option<Stage>,
    /// Say of each layer what it became, how its results lie, and what each pass did or left alone, and why
    #[arg(long, conflicts_with = "stage")]
    explain: bool,
    /// Show the training step where the stage is of use and training alike
    #[arg(long)]
    train: bool,
    /// The largest batch [default: 1, or the file's in training]
    #[arg(long, value_name = "N", value_parser = count)]
    batch: Option<usize>,
    /// Show only kernels whose name contains this
    #[arg(long, value_name = "TEXT")]
    kernel: Option<String>,
}

/// A stage of the compiler.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
enum Stage {
    /// The syntax tree.
    Ast,
    /// The net as a graph.
    Graph,
    /// The `train` section with every default, and what becomes of each parameter.
    Train,
    /// The training step as a graph: forward, loss, gradients, updates.
    Grad,
    /// The graph after all passes, with layouts and groups.
    Fused,
    /// What runs, in which order, and where everything lies.
    Plan,
    /// The kernels as vector code.
    Kernel,
    /// What Cranelift is given.
    Clif,
    /// Machine code.
    Asm,
}

pub(super) fn run(args: &Args, common: &Common, out: &mut Out) -> Result<(), CliError> {
    let net = common.net(&args.file)?;
    match args.stage {
        Some(Stage::Ast) => return out.text(&syntax::print::print(net.program.main())),
        Some(Stage::Train) => {
            let model = common.model(&net, Mode::Train)?;
            let section = model::train_config(&model)?;
            return out.text(
                &Described {
                    section,
                    graph: &model.graph,
                    norms: &model.norms,
                }
                .to_string(),
            );
        }
        Some(Stage::Grad) => return out.line(training(&net, common)?),
        Some(Stage::Graph) => {
            let mode = if args.train { Mode::Train } else { Mode::Infer };
            let model = common.model(&net, mode)?;
            out.line(&model.graph)?;
            for input in &model.inputs {
                if let Some(picture) = &input.source {
                    out.line(format_args!("{} from {picture}", input.name))?;
                }
            }
            return Ok(());
        }
        Some(Stage::Fused | Stage::Plan | Stage::Kernel | Stage::Clif | Stage::Asm) | None => {}
    }
    let (graph, batch) = if args.train {
        let config = net.model(Mode::Train)?.train;
        (
            training(&net, common)?,
            config.map_or(1, |train| train.batch),
        )
    } else {
        (common.model(&net, Mode::Infer)?.graph, 1)
    };
    // Code for other machines can be looked at, too.
    let target = match common.isa {
        Some(isa) => {
            let other = Target::of(isa, Target::SMALL_CACHES);
            Target::with_isa(isa).unwrap_or(other)
        }
        None => Target::host(),
    };
    let options = Options {
        target,
        winograd: !common.no_winograd,
        ..Options::new(args.batch.unwrap_or(batch))
    };
    lowered(&graph, &options, args, out)
}

fn training(net: &Net, common: &Common) -> Result<Graph, CliError> {
    let model = common.model(net, Mode::Train)?;
    Ok(model::training_graph(&model)?)
}

fn lowered(graph: &Graph, options: &Options, args: &Args, out: &mut Out) -> Result<(), CliError> {
    let Prepared {
        graph,
        groups,
        remarks,
        ..
    } = driver::prepare(graph, options);
    if args.explain {
        return out.text(&print::explained(&graph, &groups, &remarks));
    }
    if args.stage == Some(Stage::Fused) {
        out.line(WithLayouts(&graph))?;
        out.text(&print::groups(&graph, &groups))?;
        for remark in &remarks {
            out.line(format_args!("note: {remark}"))?;
        }
        return Ok(());
    }
    let plan = plan::make(&graph, &groups, &options.target, options.batch);
    if args.stage == Some(Stage::Plan) {
        return out.text(&plan::print::plan(&graph, &plan));
    }
    let wanted = |kernel: &&Kernel| {
        let pattern = args.kernel.as_deref().unwrap_or_default();
        kernel.name.contains(pattern)
    };
    for (index, kernel) in plan.kernels.iter().filter(wanted).enumerate() {
        let text = match args.stage {
            Some(Stage::Clif) => codegen::clif(kernel, &options.target)?,
            Some(Stage::Asm) => codegen::asm(kernel, &options.target)?,
            _ => kernel.to_string(),
        };
        let gap = if index > 0 { "\n" } else { "" };
        out.line(format_args!("{gap}{}", text.trim_end()))?;
    }
    Ok(())
}
