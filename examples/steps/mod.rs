//! A training loop over batches that a program makes itself.

use std::error::Error;

use netc::engine::{Engine, RunError, Runner};
use netc::model::{self, NamedParam, Net};
use netc::sema::Mode;
use netc::train::rate::Rates;

/// Trains a net as its `train` section says, a step an epoch; `fill` gives each step its inputs and targets.
///
/// # Errors
///
/// The net or its `train` section has errors, or a batch does not fit.
pub(crate) fn train(
    net: &Net,
    batch: usize,
    mut fill: impl FnMut(&mut Runner) -> Result<(), RunError>,
) -> Result<Vec<NamedParam>, Box<dyn Error>> {
    let model = net.model(Mode::Train)?;
    let graph = model::training_graph(&model)?;
    let config = model::train_config(&model)?;
    let params = net.parameters(Mode::Train, None, config.seed)?;
    let mut runner = Runner::new(&graph, batch, &Engine::host(), &params)?;
    let optimizer = config.optimizer.ok_or("the file names no optimizer")?;
    let rates = Rates {
        optimizer,
        schedule: config.schedule,
        per_epoch: 1,
        epochs: config.epochs,
        seed: config.seed,
        plateau: optimizer.lr(),
    };
    for step in 0..config.epochs {
        for (scalar, number) in rates.scalars(step) {
            runner.set_scalar(scalar, number);
        }
        runner.set_seed(rates.dropout_seed(step));
        fill(&mut runner)?;
        runner.run(batch)?;
    }
    let trained = params.into_iter().map(|(name, dims, _)| {
        let data = runner.param(&name)?;
        Ok((name, dims, data))
    });
    trained.collect()
}
