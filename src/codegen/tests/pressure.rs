//! More values alive than there are registers.

use super::*;
use crate::kernel::{Cmp, Count, LaneType, Lanes, Op};

#[test]
fn sixty_accumulators() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let n = b.int_arg();
        let accumulators: Vec<_> = (0..60)
            .map(|i| {
                let register = b.reg(LaneType::F32);
                b.set(register, Op::float(i as f32));
                register
            })
            .collect();
        b.repeat(Count::Arg(n), |b| {
            let x = b.load(p, 0, Lanes::All);
            for (i, register) in accumulators.iter().enumerate() {
                let y = b.broadcast(p, 4 * i as i32);
                match i % 3 {
                    0 => b.fma_into(*register, x, y, *register),
                    1 => b.fma_neg_into(*register, *register, y, x),
                    _ => b.max_into(*register, *register, y),
                }
            }
            b.advance(p, 4);
        });
        for register in &accumulators {
            b.store(q, 0, *register, Lanes::All);
            b.advance(q, b.vector_bytes().into());
        }
        let buffers = [ramp(70), blank(60 * target.lanes)];
        check_body(b.finish(), &target, &buffers, &[5], Nan::Exact);
    }
}

#[test]
fn everything_spilled_at_once() {
    // Every operation with sources and destinations that live long on either side of it.
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let n = b.int_arg();
        let inputs: Vec<_> = (0..40).map(|i| b.load(p, 4 * i, Lanes::All)).collect();
        let mut results = Vec::new();
        for (i, window) in inputs.windows(4).enumerate() {
            let [x, y, z, w] = [window[0], window[1], window[2], window[3]];
            let ten = b.const_f(10.0);
            let result = match i % 12 {
                0 => b.add(x, x),
                1 => b.sub(ten, y),
                2 => b.fma(x, y, z),
                3 => b.fma_neg(x, x, x),
                4 => b.select(Cmp::Lt, x, y, z, w),
                5 => b.select(Cmp::Ge, ten, x, ten, y),
                6 => b.neg(x),
                7 => b.reduce(crate::kernel::Reduce::Sum, y),
                8 => b.fma(ten, x, ten),
                9 => {
                    let bits = b.as_int(x);
                    let more = b.shr(bits, 3);
                    let number = b.splat(n);
                    let sum = b.iadd(more, number);
                    b.to_float(sum)
                }
                10 => b.gather(p, 0, 12, Lanes::All),
                _ => b.fma(w, ten, x),
            };
            results.push(result);
        }
        b.tail(n, |b| {
            let x = b.gather(p, 4, 8, Lanes::All);
            let y = b.load(p, 0, Lanes::All);
            let z = b.select(Cmp::Gt, x, y, x, y);
            b.store(q, 0, z, Lanes::All);
        });
        for value in inputs.into_iter().chain(results) {
            b.store(q, 0, value, Lanes::All);
            b.advance(q, b.vector_bytes().into());
        }
        let buffers = [ramp(64), blank(80 * target.lanes)];
        check_body(b.finish(), &target, &buffers, &[3], Nan::Exact);
    }
}

#[test]
fn many_constants() {
    for target in targets() {
        for accumulators in [1, 8, 28] {
            let mut b = builder(&target);
            let [p, q] = [(); 2].map(|()| b.ptr_arg());
            let n = b.int_arg();
            let sums: Vec<_> = (0..accumulators)
                .map(|i| b.load(p, 4 * i, Lanes::All))
                .collect();
            for round in 0..2 {
                b.repeat(Count::Arg(n), |b| {
                    for (i, sum) in sums.iter().enumerate() {
                        for k in 0..24 {
                            let [first, second] =
                                [k + round, k + 1].map(|k| b.const_f(k as f32 / 32.0));
                            match (i + k) % 4 {
                                0 => b.fma_into(*sum, *sum, first, second),
                                1 => b.set(*sum, Op::Sub(first, *sum)),
                                2 => b.min_into(*sum, second, *sum),
                                _ => b.add_into(*sum, first, *sum),
                            }
                        }
                    }
                });
            }
            for sum in sums {
                let half = b.const_f(0.5);
                let zero = b.const_f(0.0);
                let halved = b.fma(sum, half, zero);
                b.store(q, 0, halved, Lanes::All);
                b.advance(q, b.vector_bytes().into());
            }
            let buffers = [ramp(64), blank(28 * target.lanes)];
            check_body(b.finish(), &target, &buffers, &[3], Nan::Exact);
        }
    }
}
