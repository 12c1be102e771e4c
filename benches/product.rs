//! A 1024-cube matrix product through the whole pipeline: a dense layer on a batch.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::sync::Arc;
use std::time::Instant;

use netc::codegen::{Isa, Target};
use netc::driver::{self, Options};
use netc::ir::{Builder, Init, Param, ParamRole, Shape, Type};
use netc::ops::Op;
use netc::runtime::Session;

const SIZE: usize = 1024;

fn main() {
    for isa in Isa::ALL {
        let Some(target) = Target::with_isa(isa) else {
            continue;
        };
        let mut b = Builder::new("product");
        let x = b.input("x", Type::f32(Shape::batched([SIZE])));
        let w = b.param(
            [SIZE, SIZE],
            Param {
                name: "w".into(),
                role: ParamRole::Weight,
                init: Init::Constant(0.0),
            },
        );
        let y = b.op(Op::Dense, &[x, w]);
        b.output("y", y);
        let options = Options {
            target,
            batch: SIZE,
            fuse: true,
            recompute: true,
            winograd: true,
            verify: false,
        };
        let program = Arc::new(driver::compile(&b.finish(), &options).expect("compiles"));
        for threads in [1, 2] {
            let mut session = Session::new(program.clone(), threads).expect("starts");
            let data: Vec<f32> = (0..SIZE * SIZE)
                .map(|i| (i % 17) as f32 * 0.1 - 0.8)
                .collect();
            session.set_input("x", &data).expect("fits");
            session.set_param("w", &data).expect("fits");
            let times = session.enter(|session| {
                let mut times: Vec<f64> = Vec::new();
                for _ in 0..15 {
                    let start = Instant::now();
                    session.run(SIZE).expect("runs");
                    times.push(start.elapsed().as_secs_f64());
                }
                times.sort_by(f64::total_cmp);
                times
            });
            // One element by hand, so that the speed is that of the right product.
            let expected: f64 = (0..SIZE)
                .map(|k| f64::from(data[3 * SIZE + k]) * f64::from(data[5 * SIZE + k]))
                .sum();
            let found = session.output("y", SIZE).expect("is there")[3 * SIZE + 5];
            assert!(
                (f64::from(found) - expected).abs() < 1e-2,
                "{found} is not {expected}"
            );
            let flops = 2.0 * (SIZE as f64).powi(3);
            let (median, min) = (times[times.len() / 2], times[0]);
            println!(
                "{{\"isa\": \"{isa}\", \"threads\": {threads}, \"median_ms\": {:.3}, \"min_ms\": {:.3}, \"gflops\": {:.1}, \"best_gflops\": {:.1}}}",
                median * 1e3,
                min * 1e3,
                flops / median / 1e9,
                flops / min / 1e9
            );
        }
    }
}
