//! Trains a net of two inputs on pairs of pictures: `cargo run --release --example twins`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

mod steps;

use std::error::Error;
use std::num::NonZeroUsize;
use std::path::Path;

use netc::Net;
use netc::engine::{Engine, Runner};
use netc::sema::Mode;
use netc::train::data::{BatchConfig, Batches, Part, Places, load, locate};
use netc::train::step::TARGET;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const PIXELS: usize = 28 * 28;
const BATCH: usize = 64;

/// Pictures with their classes, from which pairs are drawn.
struct Pictures {
    pixels: Vec<f32>,
    labels: Vec<u32>,
    /// The pictures of each class.
    by_class: Vec<Vec<usize>>,
}

/// Pairs of pictures, and whether both are of one class.
#[derive(Default)]
struct Pairs {
    left: Vec<f32>,
    right: Vec<f32>,
    same: Vec<u32>,
}

impl Pictures {
    fn of(part: &Part) -> Result<Pictures, Box<dyn Error>> {
        let config = BatchConfig {
            size: NonZeroUsize::new(part.len()).ok_or("there are no pictures")?,
            seed: None,
            drop_last: false,
        };
        let mut pixels = vec![0.0; part.len() * PIXELS];
        let mut labels = vec![0; part.len()];
        Batches::new(part, None, config)?.fill(&mut pixels, &mut labels);
        let mut by_class = vec![Vec::new(); 10];
        for (picture, &label) in labels.iter().enumerate() {
            by_class[label as usize].push(picture);
        }
        Ok(Pictures {
            pixels,
            labels,
            by_class,
        })
    }

    /// Draws pairs, half of them of one class.
    fn pairs(&self, count: usize, rng: &mut ChaCha8Rng) -> Pairs {
        let mut pairs = Pairs::default();
        for pair in 0..count {
            let left = rng.random_range(0..self.labels.len());
            let of_class = &self.by_class[self.labels[left] as usize];
            let right = if pair % 2 == 0 {
                of_class[rng.random_range(0..of_class.len())]
            } else {
                rng.random_range(0..self.labels.len())
            };
            let picture = |at: usize| &self.pixels[at * PIXELS..(at + 1) * PIXELS];
            pairs.left.extend(picture(left));
            pairs.right.extend(picture(right));
            pairs
                .same
                .push(u32::from(self.labels[left] == self.labels[right]));
        }
        pairs
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/twins.net");
    let places = Places {
        folder: None,
        net_file: Some(&file),
    };
    let data = load(&locate("fashion_mnist_small", &places)?, None)?;
    let (known, unseen) = (Pictures::of(&data.train)?, Pictures::of(&data.test)?);
    let mut rng = ChaCha8Rng::seed_from_u64(1);

    let net = Net::open(&file.display().to_string(), &[])?;
    let params = steps::train(&net, BATCH, |runner| {
        let pairs = known.pairs(BATCH, &mut rng);
        runner.set_input("left", &pairs.left)?;
        runner.set_input("right", &pairs.right)?;
        runner.set_labels(TARGET, &pairs.same)
    })?;

    let pairs = unseen.pairs(2000, &mut rng);
    let count = pairs.same.len();
    let model = net.model(Mode::Infer)?;
    let mut runner = Runner::new(&model.graph, count, &Engine::host(), &params)?;
    runner.set_input("left", &pairs.left)?;
    runner.set_input("right", &pairs.right)?;
    runner.run(count)?;
    let scores = runner.output("output", count)?;
    let answers = scores
        .chunks_exact(2)
        .map(|pair| u32::from(pair[1] > pair[0]));
    let right = answers
        .zip(&pairs.same)
        .filter(|(answer, same)| answer == *same);
    let share = right.count() as f64 / count as f64;
    println!("right about {:.1} % of {count} unseen pairs", 100.0 * share);
    if share < 0.8 {
        return Err("the net should be right about four of five pairs".into());
    }
    Ok(())
}
