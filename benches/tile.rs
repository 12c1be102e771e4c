//! How near the matrix tile comes to the most that multiply-adds can do.
//!
//! For each tier this machine has, and each tile shape that its registers allow, measures the tile
//! over and over on the same operands, K = 256, next to the tier's limit: independent
//! multiply-adds on registers alone, written in the same IR and measured in alternation with the
//! tile, so that a busy machine slows both. Prints one JSON line for each; the best shape of a tier
//! among those whose operands fit the first-level cache is repeated in a line that says so. Speeds in
//! 10⁹ operations a second, two for each multiply-add.
//!
//! `cargo bench --bench tile`
#![allow(
    unsafe_code,
    clippy::print_stdout,
    reason = "a benchmark calls generated code and prints what it measures"
)]

use std::time::Instant;

use netc::codegen::{self, Code, Isa, Options, Target};
use netc::kernel::tile::{self, Axis, Output, Tile};
use netc::kernel::{Arg, Body, Count, Index, Kernel, Lanes, NestBuilder};
use netc::runtime::limit::fma_chain;

/// Terms of each sum.
const K: usize = 256;
/// Samples of each shape.
const SAMPLES: usize = 60;
/// Operations of a sample, about a millisecond's worth.
const OPERATIONS: f64 = 1.0e8;

fn main() {
    for isa in Isa::ALL {
        match Target::with_isa(isa) {
            Some(target) => measure_tier(&target),
            None => println!(
                "{}",
                serde_json::json!({ "isa": isa.name(), "skipped": true })
            ),
        }
    }
}

fn measure_tier(target: &Target) {
    let mut best: Option<serde_json::Value> = None;
    for (rows, vectors) in tile::candidates(target.registers) {
        for unroll in [1, 2, 4, 8] {
            let line = measure_shape(target, rows, vectors, unroll);
            println!("{line}");
            let share = |line: &serde_json::Value| line["share"].as_f64().unwrap_or(0.0);
            if line["in_l1"] != true {
                continue;
            }
            if best.as_ref().is_none_or(|best| share(&line) > share(best)) {
                best = Some(line);
            }
        }
    }
    if let Some(mut best) = best {
        best["best"] = true.into();
        println!("{best}");
    }
}

fn measure_shape(target: &Target, rows: usize, vectors: usize, unroll: usize) -> serde_json::Value {
    let (chain, products) = fma_chain(target);
    let chain_operations = 2.0 * products as f64;
    let product = tile_body(target, rows, vectors, unroll);
    let tile_operations = (2 * rows * vectors * target.lanes * K) as f64;
    let kernels = [repeated("chain", chain, 1), repeated("tile", product, 3)];
    let code = codegen::compile(&kernels, target, &Options { verify: false })
        .expect("the tier was found to be supported");

    let mut operands = Operands::new(rows, vectors * target.lanes);
    operands.check(&code);
    let [mut limits, mut speeds] = [Vec::new(), Vec::new()];
    for _ in 0..SAMPLES {
        limits.push(operands.speed(&code, 0, chain_operations));
        speeds.push(operands.speed(&code, 1, tile_operations));
    }
    let [limit, speed] = [&mut limits, &mut speeds].map(|list| {
        list.sort_by(f64::total_cmp);
        [list[0], list[list.len() / 2], list[list.len() - 1]]
    });
    let round = |value: f64| (value * 10.0).round() / 10.0;
    serde_json::json!({
        "isa": target.isa.name(),
        "rows": rows,
        "columns": vectors * target.lanes,
        "k": K,
        "unroll": unroll,
        "in_l1": operands.bytes() <= target.caches[0],
        "min": round(speed[0]),
        "median": round(speed[1]),
        "max": round(speed[2]),
        "limit": round(limit[1]),
        "share": (speed[1] / limit[1] * 1000.0).round() / 1000.0,
    })
}

/// The product of a packed panel of A, K by M, and one of B, K by N.
fn tile_body(target: &Target, rows: usize, vectors: usize, unroll: usize) -> Body {
    let row_bytes = |row: usize, bytes: usize| (row * bytes) as i32;
    let columns = vectors * target.lanes;
    let axis = Axis {
        count: Count::Imm(K as u32),
        a_step: 4 * rows as i64,
        b_step: 4 * columns as i64,
    };
    let a_rows = (0..rows).map(|row| row_bytes(row, 4)).collect();
    let tile = Tile::new(a_rows, vectors, vec![axis], unroll, target.lanes);
    let output = Output {
        rows: (0..rows).map(|row| row_bytes(row, 4 * columns)).collect(),
        vector_step: 4 * target.lanes as i32,
        last: Lanes::All,
        accumulate: false,
    };
    tile::build(&tile, &output, target.lanes, "tile", |_| (), tile::store)
}

/// A kernel that calls a body as often as the batch has images.
fn repeated(name: &str, body: Body, args: u16) -> Kernel {
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    nest.for_(0, Index::Batch, 1, |nest, _| {
        let addresses: Vec<_> = (0..args).map(|arg| Arg(arg).at(0)).collect();
        nest.call(body, addresses, []);
    });
    nest.finish(name, args)
}

/// A, B and C, beginning at cache lines.
struct Operands {
    rows: usize,
    columns: usize,
    memory: Vec<f32>,
}

impl Operands {
    fn new(rows: usize, columns: usize) -> Operands {
        let count = line_floats(K * rows) + line_floats(K * columns) + rows * columns;
        let memory = (0..count + 16).map(|i| (i % 17) as f32 * 0.125 - 1.0);
        Operands {
            rows,
            columns,
            memory: memory.collect(),
        }
    }

    /// The size of A, B and C.
    fn bytes(&self) -> usize {
        4 * (K * self.rows + K * self.columns + self.rows * self.columns)
    }

    /// Where A, B and C begin.
    fn starts(&self) -> [usize; 3] {
        let first = self.memory.as_ptr().align_offset(64);
        let b = first + line_floats(K * self.rows);
        [first, b, b + line_floats(K * self.columns)]
    }

    fn call(&mut self, code: &Code, kernel: usize, times: i64) {
        let starts = self.starts();
        let base = self.memory.as_mut_ptr();
        let args = starts.map(|start| base.wrapping_add(start).cast::<u8>());
        // SAFETY: both kernels stay inside the three panels, whose sizes they were built for (the
        // chain reads and writes the beginning of A only), and this thread alone owns the memory.
        unsafe { code.kernel(kernel).call(args.as_ptr(), 0, 1, times) };
    }

    /// Every sum must have been made by fused multiply-adds in order, to the bit.
    fn check(&mut self, code: &Code) {
        self.call(code, 1, 1);
        let [a, b, c] = self.starts();
        for row in 0..self.rows {
            for column in 0..self.columns {
                let sum = (0..K).fold(0.0f32, |sum, k| {
                    let a = self.memory[a + k * self.rows + row];
                    let b = self.memory[b + k * self.columns + column];
                    a.mul_add(b, sum)
                });
                let found = self.memory[c + row * self.columns + column];
                assert_eq!(sum, found, "C[{row}, {column}]");
            }
        }
    }

    /// Billions of operations a second.
    fn speed(&mut self, code: &Code, kernel: usize, operations: f64) -> f64 {
        let times = (OPERATIONS / operations).ceil();
        self.call(code, kernel, 1);
        let start = Instant::now();
        self.call(code, kernel, times as i64);
        let seconds = start.elapsed().as_secs_f64();
        times * operations / seconds / 1.0e9
    }
}

/// A number of floats rounded up to whole cache lines.
fn line_floats(count: usize) -> usize {
    count.next_multiple_of(16)
}
