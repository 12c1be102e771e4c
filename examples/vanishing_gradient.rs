//! Shows the vanishing gradient: `cargo run --release --example vanishing_gradient`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod chart;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;

use netc::engine::{Engine, Runner};
use netc::sema::Mode;
use netc::train::data::{BatchConfig, Batches};
use netc::train::source;
use netc::train::step::TARGET;
use netc::{Net, model};

/// Images that the gradient is the mean of.
const BATCH: NonZeroUsize = NonZeroUsize::new(256).expect("not zero");

/// The root mean square of the gradient of each layer's weights, the first layer first, with fresh weights.
fn gradients(preset: &str) -> Result<Vec<(f64, f64)>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("examples/vanishing_gradient.net");
    let net = Net::open(&format!("{}:{preset}", file.display()), &[])?;
    let model = net.model(Mode::Train)?;
    let graph = model::gradient_graph(&model)?;
    let params = net.parameters(Mode::Train, None, 1)?;

    let samples = source::samples(&model, None, Some(&net.path), 1)?;
    let config = BatchConfig {
        size: BATCH,
        seed: Some(1),
        drop_last: true,
    };
    let batch = BATCH.get();
    let (mut images, mut labels) = (vec![0.0; batch * 28 * 28], vec![0; batch]);
    Batches::new(&samples.dataset.train, None, config)?.fill(&mut images, &mut labels);

    let mut runner = Runner::new(&graph, batch, &Engine::host(), &params)?;
    runner.set_input("input", &images)?;
    runner.set_labels(TARGET, &labels)?;
    runner.run(batch)?;
    let weights = params.iter().filter(|(name, ..)| name.ends_with("weight"));
    let layers = weights.zip(1..).map(|((name, ..), layer)| {
        let gradient = runner.output(name, batch)?;
        let squares: f64 = gradient.iter().map(|&g| f64::from(g).powi(2)).sum();
        Ok((f64::from(layer), (squares / gradient.len() as f64).sqrt()))
    });
    layers.collect()
}

fn main() -> Result<(), Box<dyn Error>> {
    let (sigmoid, relu) = (gradients("Sigmoid")?, gradients("Relu")?);
    println!("layer   sigmoid      relu");
    for (a, b) in sigmoid.iter().zip(&relu) {
        println!("{:>5}  {:8.1e}  {:8.1e}", a.0, a.1, b.1);
    }
    // How much of the last layer's gradient arrives at the first.
    let share = |layers: &[(f64, f64)]| layers[0].1 / layers[layers.len() - 1].1;
    if share(&sigmoid) > 1e-3 || share(&relu) < 1e-2 {
        return Err("the gradient of sigmoid should vanish, and that of relu should not".into());
    }
    let lines = [("sigmoid", sigmoid), ("relu", relu)].map(|(label, points)| chart::Line {
        label: label.to_owned(),
        points,
        reference: false,
    });
    let picture = chart::Chart {
        title: "Gradients before the first step",
        across: "layer, from the input",
        up: "gradient of the weights, root mean square",
        logarithmic: true,
        lines: &lines,
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/vanishing_gradient.svg");
    chart::write(&path, &picture)?;
    println!("wrote {}", path.display());
    Ok(())
}
