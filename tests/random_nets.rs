//! Seeded random networks, written as `.net` text, trained for one step: compiled code against the
//! interpreter in f64 on every tier, fused against unfused, and on 1, 2 and 5 threads, whose results
//! must be equal to the bit. A failure prints its seed and the net.

mod common;

use std::fmt::Write;
use std::sync::Arc;

use common::{Bindings, bind, distance, named, random, reference, results, targets};
use netc::diag::Files;
use netc::driver::{self, Options};
use netc::ir::{Graph, ValueKind};
use netc::program::Program;
use netc::runtime::Session;
use netc::sema::{self, Mode};
use netc::syntax;
use netc::train::optimizer::{Decays, Optimizer, Rule};
use netc::train::step::{LossKind, training_step};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Nets of one test function; there are four, so that they run side by side.
const NETS: u64 = 60;

/// A tensor's error as a part of its norm. Some twenty layers of sums over at most a few hundred
/// terms lose about 1e-6 each where nothing cancels; batch norms over few values divide by small
/// deviations and cost the rest.
const BOUND: f64 = 5e-4;

struct Writer {
    rng: ChaCha8Rng,
    text: String,
    /// Channels, height, width of the current value.
    shape: [usize; 3],
}

impl Writer {
    fn pick(&mut self, choices: &[usize]) -> usize {
        choices[self.rng.random_range(0..choices.len())]
    }

    fn chance(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    /// Places of a window along an axis, rounded down; none if it does not fit.
    fn places(
        size: usize,
        kernel: usize,
        stride: usize,
        pad: usize,
        dilation: usize,
    ) -> Option<usize> {
        let span = (kernel - 1) * dilation + 1;
        (size + pad >= span).then(|| (size + pad - span) / stride + 1)
    }

    fn activation(&mut self) -> &'static str {
        ["relu", "tanh", "sigmoid", "silu"][self.rng.random_range(0..4)]
    }

    /// A convolution to some number of channels, perhaps normalised and activated; the text and the
    /// new shape.
    fn conv(&mut self, same_size: bool) -> String {
        let [c, h, w] = self.shape;
        let groups = if c.is_multiple_of(2) && self.chance(30) {
            2
        } else {
            1
        };
        let k = groups * self.pick(&[1, 3, 5, 8, 11]);
        let (kernel, stride, dilation, pads);
        if same_size {
            kernel = self.pick(&[1, 3]);
            (stride, dilation) = (1, 1);
            pads = [kernel / 2; 4];
        } else {
            kernel = self.pick(&[1, 2, 3]);
            stride = self.pick(&[1, 1, 2, 3]);
            dilation = self.pick(&[1, 1, 2]);
            pads = [0; 4].map(|_: usize| self.pick(&[0, 0, 1, 2]));
        }
        let size = |size, pad| Self::places(size, kernel, stride, pad, dilation);
        let (Some(oh), Some(ow)) = (size(h, pads[0] + pads[2]), size(w, pads[1] + pads[3])) else {
            return self.activation().to_owned();
        };
        self.shape = [k, oh, ow];
        let [top, left, bottom, right] = pads;
        let mut text = format!(
            "conv({k}, {kernel}, stride = {stride}, pad = ({top}, {left}, {bottom}, {right}), dilation = {dilation}, groups = {groups}, bias = {})",
            self.chance(60)
        );
        if self.chance(35) {
            text.push_str(" -> bn");
        }
        if self.chance(80) {
            let _ = write!(text, " -> {}", self.activation());
        }
        text
    }

    fn pool(&mut self) -> String {
        let [c, h, w] = self.shape;
        let kernel = self.pick(&[2, 3]);
        let stride = self.pick(&[1, 2, 3]);
        let pad = self.pick(&[0, 1]);
        let places = |size| Self::places(size, kernel, stride, 2 * pad, 1);
        let (Some(oh), Some(ow)) = (places(h), places(w)) else {
            return "tanh".to_owned();
        };
        self.shape = [c, oh, ow];
        let kind = if self.chance(50) {
            "maxpool"
        } else {
            "avgpool"
        };
        format!("{kind}({kernel}, stride = {stride}, pad = {pad})")
    }

    fn layer(&mut self) {
        let before = self.shape;
        let text = match self.rng.random_range(0..10) {
            0..=3 => self.conv(false),
            4 | 5 => self.pool(),
            6 => {
                let channels = before[0];
                let act = self.activation();
                format!("add {{ conv({channels}, 3, pad = 1) -> {act}; id }}")
            }
            7 => {
                let first = self.conv(true);
                let a = self.shape[0];
                self.shape = before;
                let second = self.conv(true);
                let b = self.shape[0];
                self.shape[0] = a + b + before[0];
                format!("concat {{ {first}; {second}; id }}")
            }
            8 => format!("dropout(0.{})", self.rng.random_range(1..6)),
            _ => "bn -> relu".to_owned(),
        };
        let [c, h, w] = self.shape;
        let _ = writeln!(self.text, "    {text}  : [{c}, {h}, {w}]");
    }

    fn net(seed: u64) -> (String, usize, usize) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let shape = [
            rng.random_range(1..5),
            rng.random_range(4..12),
            rng.random_range(4..12),
        ];
        let mut writer = Writer {
            rng,
            text: String::new(),
            shape,
        };
        let [c, h, w] = shape;
        let _ = writeln!(writer.text, "net Random {{\n    input [{c}, {h}, {w}]");
        for _ in 0..writer.pick(&[1, 2, 3, 4, 5]) {
            writer.layer();
        }
        // A batch norm of one value a channel would divide by nothing but eps, so batches are not
        // tiny; odd ones leave tails.
        let most = writer.pick(&[6, 7, 9, 16]);
        let batch = if writer.chance(50) {
            most
        } else {
            writer.pick(&[4, 5, 6])
        };
        let head = if writer.chance(40) {
            "global_avgpool"
        } else {
            "flatten"
        };
        let _ = writeln!(writer.text, "    {head}");
        if writer.chance(50) {
            let act = writer.activation();
            let features = writer.pick(&[3, 17, 20]);
            let _ = writeln!(writer.text, "    dense({features}) -> {act}");
        }
        writer.text.push_str("    dense(3)\n}\n");
        (writer.text, batch, most)
    }
}

fn forward(text: &str) -> Graph {
    let mut files = Files::default();
    let file = syntax::read(&mut files, "random.net", text.as_bytes()).expect("is text");
    let parsed = Program::alone(&mut files, file);
    let program = parsed
        .program
        .unwrap_or_else(|| panic!("{:?}\n{text}", parsed.diagnostics));
    sema::elaborate(&program, &files, None, &[], Mode::Train)
        .unwrap_or_else(|diagnostics| panic!("{diagnostics:?}\n{text}"))
        .graph
}

fn step(seed: u64, text: &str) -> Graph {
    let rule = if seed.is_multiple_of(2) {
        Rule::Sgd {
            momentum: 0.9,
            nesterov: false,
        }
    } else {
        Rule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-3,
        }
    };
    let optimizer = Optimizer {
        rule,
        weight_decay: 1e-2,
        decays: Decays::Weights,
    };
    training_step(forward(text), LossKind::CrossEntropy, &optimizer).expect("fits")
}

/// Random data of sizes as in training: filters by fan-in, states small and not negative.
fn data(graph: &Graph, batch: usize, seed: u64) -> Bindings {
    let mut bindings = random(graph, batch, seed, 3);
    for (id, value) in graph.values.iter() {
        let dims = &value.ty.shape.dims;
        let Some(data) = bindings.data.get_mut(&id) else {
            continue;
        };
        match &value.kind {
            ValueKind::Param(_) if dims.len() > 1 => {
                let fan_in: usize = dims[1..].iter().product();
                data.iter_mut()
                    .for_each(|x| *x *= (6.0 / fan_in as f32).sqrt());
            }
            ValueKind::State(_) => data.iter_mut().for_each(|x| *x = x.abs() * 0.1),
            _ => {}
        }
    }
    bindings
}

fn check(seed: u64) {
    let (text, batch, most) = Writer::net(seed);
    let graph = step(seed, &text);
    let bindings = data(&graph, batch, seed);
    let exact = reference::<f64>(&graph, &bindings);
    let single = reference::<f32>(&graph, &bindings);
    for target in targets() {
        for fuse in [true, false] {
            let options = Options {
                target: target.clone(),
                batch: most,
                fuse,
                verify: true,
            };
            let program = Arc::new(driver::compile(&graph, &options).expect("compiles"));
            let run = |threads| {
                let mut session = Session::new(program.clone(), threads).expect("starts");
                bind(&graph, &bindings, &mut session);
                session.run(batch).expect("runs");
                results(&graph, &session, batch)
            };
            let one = run(1);
            for (name, value) in named(&graph) {
                let exact = exact[&value].data();
                let error = distance(&one[&name], exact);
                // A maximum or a relu near its kink may fall to the other side in single precision;
                // then the interpreter in f32 is as far off, and neither is wrong.
                let ours: Vec<f32> = single[&value].data().to_vec();
                let bound = BOUND.max(20.0 * distance(&ours, exact));
                assert!(
                    error <= bound,
                    "seed {seed}, {}, fuse {fuse}, batch {batch} of {most}: {name} is off by {error:.3e}, allowed {bound:.3e}\n{text}",
                    target.isa
                );
            }
            if fuse {
                for threads in [2, 5] {
                    let many = run(threads);
                    for (name, data) in &one {
                        let same = data
                            .iter()
                            .zip(&many[name])
                            .all(|(a, b)| a.to_bits() == b.to_bits());
                        assert!(
                            same,
                            "seed {seed}, {}: {name} differs on {threads} threads\n{text}",
                            target.isa
                        );
                    }
                }
            }
        }
    }
}

fn check_all(part: u64) {
    for seed in part * NETS..(part + 1) * NETS {
        check(seed);
    }
}

#[test]
fn first_quarter() {
    check_all(0);
}

#[test]
fn second_quarter() {
    check_all(1);
}

#[test]
fn third_quarter() {
    check_all(2);
}

#[test]
fn last_quarter() {
    check_all(3);
}
