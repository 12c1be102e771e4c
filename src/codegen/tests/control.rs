//! Loops, pointers, arguments and nests.

use super::*;
use crate::kernel::{Cond, Count, Int, LaneType, Lanes, Op};

#[test]
fn loops_of_any_count() {
    for target in targets() {
        for (outer, inner) in [(0, 0), (0, 3), (1, 0), (1, 1), (2, 5), (7, 1)] {
            let mut b = builder(&target);
            let [p, q] = [(); 2].map(|()| b.ptr_arg());
            let [m, n] = [(); 2].map(|()| b.int_arg());
            let sum = b.reg(LaneType::F32);
            let last = b.reg(LaneType::F32);
            b.set(sum, Op::float(0.5));
            b.set(last, Op::float(-1.0));
            b.repeat(Count::Arg(m), |b| {
                let x = b.broadcast(p, 0);
                b.repeat(Count::Arg(n), |b| {
                    b.fma_into(sum, sum, x, x);
                    // Read after the loop, but from before it if the loop does not run.
                    b.add_into(last, x, x);
                    b.repeat(Count::Imm(3), |b| b.add_into(sum, sum, x));
                    b.repeat(Count::Imm(1), |b| b.mul_into(sum, sum, x));
                });
                b.advance(p, 4);
            });
            b.store(q, 0, sum, Lanes::All);
            b.store(q, b.vector_bytes(), last, Lanes::All);
            let buffers = [ramp(16), blank(2 * target.lanes)];
            check_body(b.finish(), &target, &buffers, &[outer, inner], Nan::Exact);
        }
    }
}

#[test]
fn a_register_set_anew_in_each_turn() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let n = b.int_arg();
        let t = b.reg(LaneType::F32);
        let kept = b.load(p, 0, Lanes::All);
        b.repeat(Count::Arg(n), |b| {
            b.set(t, Op::Broadcast { ptr: p, off: 4 });
            let u = b.mul(t, kept);
            b.set(t, Op::Add(u, t));
            b.store(q, 0, t, Lanes::All);
            b.advance(q, b.vector_bytes().into());
        });
        b.set(t, Op::Copy(kept));
        b.store(q, 0, t, Lanes::All);
        let buffers = [ramp(target.lanes), blank(5 * target.lanes)];
        check_body(b.finish(), &target, &buffers, &[4], Nan::Exact);
    }
}

#[test]
fn pointers_are_variables() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let n = b.int_arg();
        let start = b.ptr_copy(p, 0);
        let row = b.ptr_copy(p, 8);
        b.repeat(Count::Arg(n), |b| {
            let x = b.load(row, 0, Lanes::All);
            b.advance(row, 4);
            let y = b.load(row, -4, Lanes::All);
            let sum = b.add(x, y);
            b.store(q, 0, sum, Lanes::All);
            b.set_ptr(start, row, -8);
            b.advance(q, b.vector_bytes().into());
        });
        let z = b.load(start, 0, Lanes::All);
        b.store(q, 0, z, Lanes::All);
        let buffers = [ramp(target.lanes + 8), blank(4 * target.lanes)];
        check_body(b.finish(), &target, &buffers, &[3], Nan::Exact);
    }
}

#[test]
fn distances_beyond_32_bits() {
    const FAR: i64 = 5 << 32;
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        b.advance(p, FAR);
        let far = b.ptr_copy(q, -FAR);
        b.advance(p, -FAR - 4);
        let x = b.load(p, 4, Lanes::All);
        b.advance(far, FAR);
        b.store(far, 0, x, Lanes::All);
        let buffers = [ramp(target.lanes), blank(target.lanes)];
        check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
    }
}

/// Sums over many pointers, each walking by its own step through so many loops, with integers used
/// everywhere.
fn many_scalars(target: &Target, pointers: usize, depth: usize, spills: usize) {
    let mut b = builder(target);
    let ptrs: Vec<_> = (0..pointers).map(|_| b.ptr_arg()).collect();
    let out = b.ptr_arg();
    let ints: Vec<Int> = (0..depth.max(4)).map(|_| b.int_arg()).collect();
    let sum = b.reg(LaneType::F32);
    b.set(sum, Op::float(0.0));
    let live: Vec<_> = (0..spills)
        .map(|i| b.load(ptrs[0], 4 * i as i32, Lanes::All))
        .collect();
    fn nest(b: &mut BodyBuilder, counts: &[Int], work: &dyn Fn(&mut BodyBuilder)) {
        match counts.split_first() {
            None => work(b),
            Some((count, inner)) => b.repeat(Count::Arg(*count), |b| nest(b, inner, work)),
        }
    }
    nest(&mut b, &ints[..depth], &|b| {
        for (step, ptr) in (1..).zip(&ptrs) {
            let x = b.broadcast(*ptr, 4 * step);
            b.add_into(sum, sum, x);
            b.advance(*ptr, 4 * i64::from(step % 3));
        }
    });
    let mut total = sum;
    for x in live {
        total = b.add(total, x);
    }
    for int in ints {
        let x = b.splat(int);
        let x = b.to_float(x);
        total = b.add(total, x);
    }
    b.store(out, 0, total, Lanes::All);
    let counts: Vec<i64> = (0..depth.max(4)).map(|i| 1 + i as i64 % 2).collect();
    let mut buffers = vec![ramp(150); pointers];
    buffers.push(blank(target.lanes));
    check_body(b.finish(), target, &buffers, &counts, Nan::Exact);
}

#[test]
fn more_scalars_than_general_registers() {
    for target in targets() {
        for pointers in [1, 4, 6, 8, 12, 20, 40] {
            for depth in [1, 2, 4, 6] {
                for spills in [0, 40] {
                    many_scalars(&target, pointers, depth, spills);
                }
            }
        }
    }
}

#[test]
fn callers_keep_their_registers() {
    // The nest's variables live in registers across calls of a body that needs all of them.
    for target in targets() {
        let mut b = builder(&target);
        let ptrs: Vec<_> = (0..14).map(|_| b.ptr_arg()).collect();
        b.repeat(Count::Imm(2), |b| {
            for ptr in &ptrs {
                let x = b.load(*ptr, 0, Lanes::First(1));
                let y = b.add(x, x);
                b.store(*ptr, 0, y, Lanes::First(1));
                b.advance(*ptr, 4);
            }
        });
        let mut nest = NestBuilder::new();
        let body = nest.add_body(b.finish());
        nest.for_(0, 3, 1, |nest, i| {
            nest.for_(0, 2, 1, |nest, j| {
                let a = nest.let_(i.clone() * 16 + j.clone() * 8);
                let c = nest.let_(i.clone() * 4 + 64);
                let call: Vec<_> = (0..14)
                    .map(|k| Arg(k % 2).at(a.clone() + c.clone() * i64::from(k / 2)))
                    .collect();
                nest.call(body, call, []);
            });
        });
        let kernel = nest.finish("saved", 2);
        check(
            &kernel,
            &target,
            &[ramp(300), ramp(300)],
            [0, 1, 1],
            Nan::Exact,
        );
    }
}

#[test]
fn nests_compute_indices() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let [m, n] = [(); 2].map(|()| b.int_arg());
        let x = b.load(p, 0, Lanes::First(1));
        let [m, n] = [m, n].map(|int| b.splat(int));
        let shift = b.shl(m, 8);
        let tag = b.or(shift, n);
        let tag = b.to_float(tag);
        let y = b.add(x, tag);
        b.store(q, 0, y, Lanes::First(1));

        let mut nest = NestBuilder::new();
        let body = nest.add_body(b.finish());
        nest.for_domain(|nest, unit| {
            nest.for_(Index::from(1), Index::Batch, 2, |nest, image| {
                let mixed = unit.clone() * 5 + image.clone();
                let quotient = nest.let_(mixed.clone() / 3);
                let rest = nest.let_(mixed.clone() % 4);
                let odd = nest.let_((mixed.clone() * 7) / (image.clone() + 1));
                let place = (quotient.clone() - rest.clone()).max(0).min(20);
                let rest = rest + odd % 3;
                let there = (unit.clone() * 8 + image.clone()) * 4;
                nest.if_else(
                    Cond::Lt(quotient.clone(), (Index::Hi - 1) * 2),
                    |nest| {
                        let ptrs = [Arg(0).at(place.clone() * 4), Arg(1).at(there.clone())];
                        nest.call(body, ptrs, [quotient.clone(), Index::Lo]);
                    },
                    |nest| {
                        nest.if_(Cond::Eq(rest.clone(), 2.into()), |nest| {
                            let ptrs = [Arg(0).at(8), Arg(1).at(there.clone())];
                            nest.call(body, ptrs, [Index::Hi, rest.clone()]);
                        });
                    },
                );
            });
        });
        let kernel = nest.finish("indices", 2);
        for range in [[0, 6, 8], [2, 5, 7], [3, 3, 8], [5, 6, 1], [0, 6, 0]] {
            check(&kernel, &target, &[ramp(24), blank(64)], range, Nan::Exact);
        }
    }
}
