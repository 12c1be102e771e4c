//! How near element-wise chains and pools come to what the caches and the memory give.
//!
//! Each net below is compiled as any other, and its kernels are called on operands of several sizes: in the first-level
//! cache, in the second, in the third, and beyond all of them. Prints one JSON line for each tier, net and size with
//! 10⁹ bytes read and written a second, each byte of an operand and of the result counted once. Beyond the caches a plain
//! copy of memory, measured in alternation, is the bar.
//!
//! `cargo bench --bench elementwise`
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "a benchmark calls generated code and prints what it measures"
)]

use std::path::Path;
use std::time::Instant;

use netc::Net;
use netc::codegen::{Isa, Target};
use netc::driver::{self, Options, Program};
use netc::runtime::Session;
use netc::sema::Mode;

/// Samples of each size.
const SAMPLES: usize = 25;
/// Bytes that a sample moves at least.
const SAMPLE: f64 = 2.0e7;
/// Channels, so that every vector is full.
const CHANNELS: usize = 32;

/// A net of inputs `x` and, if it takes two, `r`, with what it gives for an element or a window of `x`.
struct Case {
    name: &'static str,
    body: &'static str,
    inputs: usize,
    /// Floats moved for each of `x`.
    moved: f64,
}

const CASES: [Case; 4] = [
    Case {
        name: "scale, relu, add",
        body: "x -> scale -> relu as y\n    add { y; r }",
        inputs: 2,
        moved: 3.0,
    },
    Case {
        name: "relu",
        body: "x -> relu",
        inputs: 1,
        moved: 2.0,
    },
    Case {
        name: "maxpool 2x2, stride 2",
        body: "x -> maxpool(2)",
        inputs: 1,
        moved: 1.25,
    },
    Case {
        name: "maxpool 3x3, stride 2",
        body: "x -> maxpool(3, stride = 2, pad = 1)",
        inputs: 1,
        moved: 1.25,
    },
];

fn main() {
    for target in Isa::ALL.into_iter().filter_map(Target::with_isa) {
        for case in &CASES {
            // Sides of maps whose operands together lie well within each cache.
            for (place, side) in [("L1", 8), ("L2", 28), ("L3", 112), ("memory", 896)] {
                println!("{}", measure(&target, case, place, side));
            }
        }
    }
}

fn measure(target: &Target, case: &Case, place: &str, side: usize) -> serde_json::Value {
    let map = format!("[{CHANNELS}, {side}, {side}]");
    let inputs = ["x", "r"][..case.inputs]
        .iter()
        .map(|name| format!("    input {name}: {map}\n"))
        .collect::<String>();
    let text = format!("net Case {{\n{inputs}    {}\n}}\n", case.body);
    let model = Net::parse(Path::new("case.net"), text.as_bytes(), None, &[])
        .and_then(|net| net.model(Mode::Infer))
        .unwrap_or_else(|error| panic!("{}: {error}", case.name));
    let options = Options {
        target: target.clone(),
        ..Options::new(1)
    };
    let program = driver::compile(&model.graph, &options).expect("the tier is supported");
    let elements = CHANNELS * side * side;
    check(case, program, elements);
    let program = driver::compile(&model.graph, &options).expect("the tier is supported");

    let mut run = Run::new(&program);
    let bytes = case.moved * 4.0 * elements as f64;
    let calls = (SAMPLE / bytes).ceil() as usize;
    let [mut speeds, mut copies] = [Vec::new(), Vec::new()];
    let mut copy = vec![0.5f32; 2 * elements];
    for _ in 0..SAMPLES {
        let start = Instant::now();
        for _ in 0..calls {
            run.call();
        }
        speeds.push(calls as f64 * bytes / start.elapsed().as_secs_f64() / 1e9);
        let start = Instant::now();
        let (from, to) = copy.split_at_mut(elements);
        for _ in 0..calls {
            std::hint::black_box(&mut *to).copy_from_slice(std::hint::black_box(from));
        }
        copies.push(calls as f64 * 8.0 * elements as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    let [speed, copied] = [speeds, copies].map(|mut list| {
        list.sort_by(f64::total_cmp);
        list[SAMPLES / 2]
    });
    let round = |value: f64| (value * 100.0).round() / 100.0;
    serde_json::json!({
        "isa": target.isa.name(), "chain": case.name, "in": place, "bytes": bytes,
        "gbytes": round(speed), "copy_gbytes": round(copied), "share": round(speed / copied),
    })
}

/// The first element against what it must be: a speed counts only for the right result.
fn check(case: &Case, program: Program, elements: usize) {
    let mut session = Session::new(program.into(), 1).expect("starts");
    let data: Vec<f32> = (0..elements).map(|i| (i % 23) as f32 - 11.0).collect();
    session.set_input("x", &data).expect("fits");
    if case.inputs == 2 {
        session.set_input("r", &data).expect("fits");
        for name in ["scale1.weight", "scale1.bias"] {
            session.set_param(name, &[1.0; CHANNELS]).expect("fits");
        }
    }
    session.run(1).expect("runs");
    let name = &session.program().graph.outputs[0].name.clone();
    let found = session.output(name, 1).expect("is there");
    let side = ((elements / CHANNELS) as f64).sqrt() as usize;
    let expected = match case.name {
        "scale, relu, add" => (data[0] + 1.0).max(0.0) + data[0],
        "relu" => data[0].max(0.0),
        _ => [0, 1, side, side + 1]
            .map(|i| data[i])
            .into_iter()
            .fold(f32::MIN, f32::max),
    };
    assert_eq!(found[0], expected, "{}", case.name);
}

/// A program's steps in memory of their own, without what a session does around them.
struct Run<'p> {
    program: &'p Program,
    /// The addresses of each step's buffers.
    args: Vec<Vec<*mut u8>>,
    /// What the addresses point into.
    _memory: Vec<f32>,
}

impl Run<'_> {
    fn new(program: &Program) -> Run<'_> {
        let mut memory = vec![0.5f32; program.plan.arena_bytes / 4 + 16];
        let base = memory.as_mut_ptr();
        let base = base.wrapping_add(base.align_offset(64)).cast::<u8>();
        let steps = program.plan.steps[program.plan.fixed_steps..].iter();
        let at = |&offset: &usize| base.wrapping_add(offset);
        Run {
            program,
            args: steps
                .map(|step| step.args.iter().map(at).collect())
                .collect(),
            _memory: memory,
        }
    }

    fn call(&mut self) {
        let steps = &self.program.plan.steps[self.program.plan.fixed_steps..];
        for (step, args) in steps.iter().zip(&self.args) {
            let units = step.domain.units.count(1) as i64;
            let kernel = self.program.code.kernel(step.kernel);
            // SAFETY: the memory is as large as the program's arena, and this thread alone owns it.
            unsafe { kernel.call(args.as_ptr(), 0, units, 1) };
        }
    }
}
