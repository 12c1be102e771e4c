//! Fits a curve with one hidden layer of different widths: `cargo run --release --example approximation`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod chart;
mod steps;

use std::error::Error;
use std::path::Path;

use netc::Net;
use netc::engine::{Engine, Runner};
use netc::sema::Mode;
use netc::train::step::TARGET;

const POINTS: usize = 256;

/// The curve: two waves that do not repeat together.
fn curve(x: f64) -> f64 {
    (3.0 * x).sin() + 0.5 * (7.0 * x + 1.0).cos()
}

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join("examples/approximation.net");
    let at: Vec<f64> = (0..POINTS)
        .map(|point| 4.0 * point as f64 / (POINTS - 1) as f64 - 2.0)
        .collect();
    let x: Vec<f32> = at.iter().map(|&x| x as f32).collect();
    let y: Vec<f32> = at.iter().map(|&x| curve(x) as f32).collect();

    let wanted = at.iter().map(|&x| (x, curve(x))).collect();
    let mut lines = vec![chart::Line {
        label: "the curve".to_owned(),
        points: wanted,
        reference: true,
    }];
    for hidden in [2, 6, 32] {
        let settings = [format!("hidden={hidden}")];
        let net = Net::open(&file.display().to_string(), &settings)?;
        // Every step sees all points.
        let params = steps::train(&net, POINTS, |runner| {
            runner.set_input("input", &x)?;
            runner.set_input(TARGET, &y)
        })?;
        let model = net.model(Mode::Infer)?;
        let mut runner = Runner::new(&model.graph, POINTS, &Engine::host(), &params)?;
        runner.set_input("input", &x)?;
        runner.run(POINTS)?;
        let fit = runner.output("output", POINTS)?;
        let squares = fit.iter().zip(&y).map(|(a, b)| f64::from(a - b).powi(2));
        let error = (squares.sum::<f64>() / POINTS as f64).sqrt();
        println!("{hidden:>2} hidden units: root mean squared error {error:.4}");
        let points = at.iter().zip(&fit).map(|(&x, &y)| (x, f64::from(y)));
        lines.push(chart::Line {
            label: format!("{hidden} units, error {error:.3}"),
            points: points.collect(),
            reference: false,
        });
        if hidden == 32 && error > 0.05 {
            return Err(format!("32 units should follow the curve, but miss it by {error}").into());
        }
    }
    let picture = chart::Chart {
        title: "One hidden layer fits a curve",
        across: "x",
        up: "y",
        logarithmic: false,
        lines: &lines,
    };
    let path = root.join("target/approximation.svg");
    chart::write(&path, &picture)?;
    println!("wrote {}", path.display());
    Ok(())
}
