//! How long code generation takes, for a program as large as that of a deep network.
//!
//! Sixty kernels with 150 bodies: matrix tiles of all edge sizes with an epilogue, and element-wise
//! chains with tails. Prints one JSON line for each tier: milliseconds over all and by stage, best
//! and median of several compilations.
//!
//! `cargo bench --bench codegen`
#![allow(clippy::print_stdout, reason = "a benchmark prints what it measures")]

use std::time::{Duration, Instant};

use netc::codegen::{self, Isa, Options, Target};
use netc::kernel::tile::{self, Axis, Output, Spot, Tile};
use netc::kernel::{Arg, Body, BodyBuilder, Cond, Count, Index, Kernel, Lanes, NestBuilder, Reg};

const KERNELS: usize = 60;
const SAMPLES: usize = 30;

fn main() {
    for target in Isa::ALL.into_iter().filter_map(Target::with_isa) {
        let kernels: Vec<Kernel> = (0..KERNELS).map(|number| kernel(&target, number)).collect();
        let mut samples = Vec::new();
        for _ in 0..SAMPLES {
            let start = Instant::now();
            let code = codegen::compile(&kernels, &target, &Options { verify: false })
                .expect("the tier was found to be supported");
            let total = start.elapsed();
            let size: usize = code
                .functions()
                .iter()
                .map(|function| function.size())
                .sum();
            samples.push((total, code.times(), code.functions().len(), size));
        }
        samples.sort_by_key(|sample| sample.0);
        let (best, median) = (&samples[0], &samples[SAMPLES / 2]);
        let line = serde_json::json!({
            "isa": target.isa.name(),
            "kernels": KERNELS,
            "functions": median.2,
            "bytes": median.3,
            "best_ms": milliseconds(best.0),
            "median_ms": milliseconds(median.0),
            "nests_ms": milliseconds(median.1.nests),
            "bodies_ms": milliseconds(median.1.bodies),
            "finalize_ms": milliseconds(median.1.finalize),
        });
        println!("{line}");
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1.0e5).round() / 100.0
}

/// A convolution-like nest over a full tile and one at the edge, and in every other kernel an
/// element-wise pass.
fn kernel(target: &Target, number: usize) -> Kernel {
    let shapes = tile::candidates(target.registers);
    let (rows, vectors) = shapes[number % shapes.len().min(3)];
    let edge = 1 + number % rows;
    let mut nest = NestBuilder::new();
    let full = nest.add_body(product(target, number, rows, vectors));
    let rest = nest.add_body(product(target, number, edge, vectors.div_ceil(2)));
    let pass = number
        .is_multiple_of(2)
        .then(|| nest.add_body(elementwise(target, number)));
    let width = 8 + number as i64;
    nest.for_domain(|nest, unit| {
        let image = nest.let_(unit.clone() / 56);
        let y = nest.let_(unit % 56);
        nest.for_(0, width, rows as i64, |nest, x| {
            let place = nest.let_(((image.clone() * 56 + y.clone()) * width + x.clone()) * 256);
            let call = [Arg(0).at(place.clone()), Arg(1).at(0), Arg(2).at(place)];
            nest.if_else(
                Cond::Lt(x, Index::Const(width - rows as i64)),
                |nest| nest.call(full, call.clone(), []),
                |nest| nest.call(rest, call.clone(), []),
            );
        });
        if let Some(pass) = pass {
            let place = nest.let_((image * 56 + y) * (width * 256));
            let call = [Arg(2).at(place.clone()), Arg(0).at(place)];
            nest.call(pass, call, [Index::Const(width), Index::Const(3)]);
        }
    });
    nest.finish(format!("kernel{number}"), 3)
}

/// A tile with bias, scale and clamp.
fn product(target: &Target, number: usize, rows: usize, vectors: usize) -> Body {
    let row = |row: usize, bytes: usize| (row * bytes) as i32;
    let columns = 4 * vectors * target.lanes;
    let inner = Axis {
        count: Count::Imm(64 + number as u32),
        a_step: 4,
        b_step: columns as i64,
    };
    let outer = Axis {
        count: Count::Imm(9),
        a_step: 4096,
        b_step: 65536,
    };
    let a_rows = (0..rows).map(|m| row(m, 1024)).collect();
    let tile = Tile::new(a_rows, vectors, vec![outer, inner], 4, target.lanes);
    let output = Output {
        rows: (0..rows).map(|m| row(m, columns)).collect(),
        vector_step: 4 * target.lanes as i32,
        last: Lanes::All,
        accumulate: false,
    };
    let epilogue = |b: &mut BodyBuilder, _: &(), spot: Spot, sum: Reg| {
        let zero = b.const_f(0.0);
        let six = b.const_f(6.0);
        let bias = b.load(spot.c, spot.vector as i32 * 64, Lanes::All);
        let value = b.add(sum, bias);
        let value = b.max(value, zero);
        let value = b.min(value, six);
        b.store(spot.c, spot.off, value, spot.lanes);
    };
    tile::build(&tile, &output, target.lanes, "product", |_| (), epilogue)
}

/// A polynomial as long as that of an exponential, in a loop and in its tail.
fn elementwise(target: &Target, number: usize) -> Body {
    let mut b = BodyBuilder::new("elementwise", target.lanes);
    let [p, q] = [(); 2].map(|()| b.ptr_arg());
    let [turns, rest] = [(); 2].map(|()| b.int_arg());
    let work = |b: &mut BodyBuilder| {
        let x = b.load(p, 0, Lanes::All);
        let [low, high, log] =
            [-87.0, 88.0, std::f32::consts::LOG2_E].map(|value| b.const_f(value));
        let clamped = b.max(x, low);
        let clamped = b.min(clamped, high);
        let scaled = b.mul(clamped, log);
        let whole = b.round(scaled);
        let rest = b.sub(scaled, whole);
        let mut sum = b.const_f(0.5 + number as f32);
        for k in 0..7 {
            let coefficient = b.const_f(1.0 / (k + 2) as f32);
            sum = b.fma(sum, rest, coefficient);
        }
        let exponent = b.to_int(whole);
        let exponent = b.shl(exponent, 23);
        let bits = b.as_int(sum);
        let bits = b.iadd(bits, exponent);
        let power = b.as_float(bits);
        b.store(q, 0, power, Lanes::All);
    };
    let step = i64::from(b.vector_bytes());
    b.repeat(Count::Arg(turns), |b| {
        work(b);
        b.advance(p, step);
        b.advance(q, step);
    });
    b.tail(rest, work);
    b.finish()
}
