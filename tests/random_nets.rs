//! Seeded random networks, written as `.net` text, trained for one step: compiled code against the
//! interpreter in f64 on every tier, fused against unfused, and on 1, 2 and 5 threads, whose results
//! must be equal to the bit. Small nets with the joins of known architectures go the same way. A
//! failure prints its seed and the net.

mod common;

use std::fmt::Write;
use std::sync::Arc;

use common::{Bindings, bind, distance, named, random, reference, results, settle, targets};
use netc::diag::Files;
use netc::driver::{self, Options};
use netc::ir::Graph;
use netc::program::Program;
use netc::runtime::Session;
use netc::sema::{self, Mode};
use netc::syntax;
use netc::train::optimizer::{Decay, OptimizerConfig, UpdateRule, WeightDecay};
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
        const ACTIVATIONS: [&str; 14] = [
            "relu",
            "tanh",
            "sigmoid",
            "silu",
            "relu6",
            "leaky_relu(0.1)",
            "prelu",
            "elu",
            "gelu",
            "gelu(approximate = tanh)",
            "hard_swish",
            "hard_sigmoid",
            "softplus",
            "clip(-0.5, 1)",
        ];
        ACTIVATIONS[self.rng.random_range(0..ACTIVATIONS.len())]
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
        let text = match self.rng.random_range(0..18) {
            10..=17 => self.moves(),
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

    /// A layer that moves, joins, cuts or reduces, and the new shape.
    fn moves(&mut self) -> String {
        let [c, h, w] = self.shape;
        match self.rng.random_range(0..14) {
            0 => {
                let axis = ["channels", "height", "width", "space"][self.rng.random_range(0..4)];
                let kind = ["mean", "max", "sum"][self.rng.random_range(0..3)];
                format!("mul {{ id; reduce_{kind}({axis}) -> sigmoid }}")
            }
            1 => {
                let across = ["channels", "space"][self.rng.random_range(0..2)];
                let size = self.pick(&[1, 2, 3, 5]);
                format!("lrn({size}, alpha = 0.1, across = {across})")
            }
            2 if c.is_multiple_of(2) => {
                self.shape[0] = c / 2;
                "maxout(2)".to_owned()
            }
            3 if c.is_multiple_of(2) => format!("shuffle({})", c / 2),
            4 if h > 2 => {
                self.shape[1] = h - 2;
                format!("slice(height, 1, {})", h - 1)
            }
            5 if w > 2 => {
                self.shape[2] = w - 1;
                format!("slice(width, 1, {w})")
            }
            6 => {
                self.shape = [c, h + 3, w + 1];
                "pad((1, 0, 2, 1), value = 0.25)".to_owned()
            }
            7 if h < 12 => {
                self.shape[1] = 2 * h;
                "concat(axis = height) { id; tanh }".to_owned()
            }
            8 if w < 12 => {
                self.shape[2] = 2 * w;
                "concat(axis = width) { sigmoid; id }".to_owned()
            }
            9 => {
                let items = [self.pick(&[0, c - 1]), c / 2, c / 2, self.pick(&[0, c - 1])];
                self.shape[0] = 4;
                format!("index({items:?})")
            }
            10 => {
                let (axes, shape) = [
                    ("[0, 2, 1]", [c, w, h]),
                    ("[height, channels, width]", [h, c, w]),
                    ("[2, 0, 1]", [w, c, h]),
                ][self.rng.random_range(0..3)];
                self.shape = shape;
                format!("transpose({axes})")
            }
            11 => "scale -> stochastic_depth(0.3)".to_owned(),
            12 => "log_softmax".to_owned(),
            _ => {
                self.shape = [h, c, w];
                format!("reshape([{h}, {c}, {w}])")
            }
        }
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

/// Every loss, the plain cross-entropy most often.
fn loss(seed: u64) -> LossKind {
    match seed % 11 {
        0 => LossKind::CrossEntropy {
            label_smoothing: 0.2,
            class_weights: Some(vec![0.5, 2.0, 1.0]),
        },
        1 => LossKind::CrossEntropy {
            label_smoothing: 0.1,
            class_weights: None,
        },
        2 => LossKind::MeanSquared,
        3 => LossKind::MeanAbsolute,
        4 => LossKind::Huber { delta: 0.5 },
        5 => LossKind::BinaryCrossEntropy,
        _ => LossKind::CROSS_ENTROPY,
    }
}

fn step(seed: u64, text: &str) -> Graph {
    let rule = if seed.is_multiple_of(2) {
        UpdateRule::Sgd {
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
        }
    } else {
        UpdateRule::Adam {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-3,
            amsgrad: false,
        }
    };
    let optimizer = OptimizerConfig {
        lr: 0.05,
        rule,
        weight_decay: WeightDecay {
            factor: 1e-2,
            decoupled: false,
            decay: Decay::Weights,
        },
    };
    training_step(forward(text), loss(seed), &optimizer.into()).expect("fits")
}

/// Random data of sizes as in training: filters by fan-in, states small and not negative.
fn data(graph: &Graph, batch: usize, seed: u64) -> Bindings {
    let mut bindings = random(graph, batch, seed, 3);
    settle(graph, &mut bindings, 0.1);
    bindings
}

fn check(seed: u64) {
    let (text, batch, most) = Writer::net(seed);
    check_text(seed, &text, batch, most);
}

fn check_text(seed: u64, text: &str, batch: usize, most: usize) {
    let graph = step(seed, text);
    let bindings = data(&graph, batch, seed);
    let exact = reference::<f64>(&graph, &bindings);
    let single = reference::<f32>(&graph, &bindings);
    for target in targets() {
        for fuse in [true, false] {
            let options = Options {
                target: target.clone(),
                batch: most,
                fuse,
                // So that what is made again is held against what is kept, too.
                recompute: fuse,
                // Its own tests hold it to its own bounds.
                winograd: false,
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

/// Small nets with the joins of known architectures.
const KNOWN: &[&str] = &[
    // Channel and spatial attention: Woo et al. 2018, "CBAM".
    "block channels(r) {
        shared mlp { dense(in.channels / r) -> relu -> dense(in.channels) }
        mul { id; add { global_avgpool -> mlp; global_maxpool -> mlp } -> sigmoid }
    }
    block space(k) {
        mul { id; concat { reduce_mean(channels); reduce_max(channels) } -> conv(1, k, pad = same, bias = false) -> sigmoid }
    }
    net Cbam {
        input [3, 9, 8]
        conv(12, 3, pad = 1) -> relu -> channels(4) -> space(3)
        conv(20, 3, stride = 2) -> bn -> relu -> channels(5) -> space(7)
        global_avgpool -> dense(3)
    }",
    // Squeeze and excitation with a softmax as its gate: Hu et al. 2018, as a survey draws it.
    "block se { mul { id; global_avgpool -> dense(in.channels) -> softmax } }
    net Se {
        input [4, 6, 7]
        conv(16, 3, pad = 1) -> relu -> se
        add { id; conv(16, 3, pad = 1) -> bn -> se }
        relu -> global_avgpool -> dense(3)
    }",
    // Sizes of one stretch on either side, a branch may hold the larger shape.
    "net Both {
        input [5, 6, 7]
        conv(6, 3, pad = 1) as trunk
        mul { reduce_mean(width); reduce_max(height) } as outer
        trunk -> mul { reduce_sum(channels) -> tanh; id } as gated
        concat { outer; gated } -> relu -> flatten -> dense(3)
    }",
    // Shuffled groups: Zhang et al. 2018 and Ma et al. 2018.
    "block unit(groups) {
        add {
            conv(in.channels, 1, groups = groups, bias = false) -> bn -> relu -> shuffle(groups)
                -> dwconv(3, pad = 1, bias = false) -> bn -> conv(in.channels, 1, groups = groups, bias = false) -> bn
            id
        }
        relu
    }
    block split_unit {
        let half = in.channels / 2
        concat {
            slice(channels, 0, half)
            slice(channels, half, in.channels) -> conv(half, 1) -> bn -> relu -> dwconv(3, pad = 1) -> conv(half, 1) -> relu
        }
        shuffle(2)
    }
    net Shuffled {
        input [3, 8, 8]
        conv(12, 3, stride = 2, pad = 1) -> relu
        unit(3) -> unit(2)
        split_unit -> split_unit
        global_avgpool -> dense(3)
    }",
    // Branches of several depths: Szegedy et al. 2016.
    "net InceptionV3 {
        input [3, 9, 9]
        conv(10, 3) -> bn -> relu
        concat {
            conv(6, 1) -> relu
            conv(5, 1) -> relu -> concat { conv(4, (1, 3), pad = (0, 1)) -> relu; conv(4, (3, 1), pad = (1, 0)) -> relu }
            conv(5, 1) -> relu -> conv(7, 3, pad = 1) -> relu -> concat { conv(3, (1, 3), pad = (0, 1)); conv(3, (3, 1), pad = (1, 0)) }
            avgpool(3, stride = 1, pad = 1) -> conv(5, 1) -> relu
        }
        concat { conv(8, 3, stride = 2) -> relu; maxpool(3, stride = 2) }
        global_avgpool -> dense(3)
    }",
    // Every layer sees all earlier ones: Huang et al. 2017.
    "block layer(growth) {
        concat { id; bn -> relu -> conv(4 * growth, 1, bias = false) -> bn -> relu -> conv(growth, 3, pad = 1, bias = false) }
    }
    net DenseNet {
        input [3, 8, 8]
        conv(8, 3, pad = 1)
        repeat 3 { layer(5) }
        bn -> relu -> conv(9, 1) -> avgpool(2)
        repeat 2 { layer(5) }
        bn -> relu -> global_avgpool -> dense(3)
    }",
];

#[test]
fn known_joins() {
    for (index, text) in KNOWN.iter().enumerate() {
        check_text(1000 + index as u64, text, 5, 8);
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
