//! Trains and uses a net from Rust: `cargo run --release --example embed`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::path::Path;

use netc::Net;
use netc::engine::{Engine, Runner};
use netc::sema::Mode;
use netc::train::fit::{Event, FitConfig, FitError, Flow, Trainer};
use netc::train::source;

/// The net: text of the program's own, or `Net::open("some.net", &[])`.
const TEXT: &str = "
net Xor(hidden = 8) {
    input [2]
    dense(hidden) -> tanh
    dense(1) -> sigmoid
}

train Xor {
    data xor
    loss mse
    optimizer adam(lr = 0.05)
    batch 4
    epochs 300
    seed 1
}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = ["hidden=12".to_owned()];
    let net = Net::parse(Path::new("xor"), TEXT.as_bytes(), None, &settings)?;
    let (train, infer) = (net.model(Mode::Train)?, net.model(Mode::Infer)?);

    // Fresh weights; a file would come in place of `None`.
    let params = net.parameters(Mode::Train, None, 1)?;
    for (name, shape, _) in &params {
        println!("{name} {shape:?}");
    }

    let samples = source::samples(&train, None, None, 1)?;
    let config = FitConfig {
        engine: Engine::host(),
        seed: 1,
        batch: 4,
        epochs: 300,
        scalings: Vec::new(),
        watch_gradients: false,
    };
    let mut trainer = Trainer::new(&train, &infer, &params, config)?;
    trainer.fit(&samples.dataset, None, |event| -> Result<Flow, FitError> {
        if let Event::Epoch(epoch, _) = event
            && epoch.epoch.is_multiple_of(100)
        {
            println!("epoch {}: loss {:.5}", epoch.epoch, epoch.train.loss);
        }
        Ok(Flow::Continue)
    })?;

    // The trained net, for batches of up to four.
    let mut runner = Runner::new(&infer.graph, 4, &Engine::host(), &trainer.params()?)?;
    runner.set_input("input", &[0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0])?;
    runner.run(4)?;
    println!("{:.3?}", runner.output("output", 4)?);
    Ok(())
}
