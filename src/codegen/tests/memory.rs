//! Partial accesses, tails and gathers: right in every lane, and without touching other memory. A
//! buffer ends at a page that nobody may touch, so reading or writing one element more would end the
//! process.

use super::*;
use crate::kernel::{Cmp, Count, LaneType, Lanes, Ptr};

/// Runs `fill` with a source and a destination that both hold just so many floats.
fn check_exact(
    target: &Target,
    count: usize,
    ints: &[i64],
    fill: impl Fn(&mut BodyBuilder, Ptr, Ptr),
) {
    let mut b = builder(target);
    let [source, destination] = [(); 2].map(|()| b.ptr_arg());
    for _ in ints {
        b.int_arg();
    }
    fill(&mut b, source, destination);
    let buffers = [ramp(count), blank(count)];
    check_body(b.finish(), target, &buffers, ints, Nan::Exact);
}

#[test]
fn partial_loads_and_stores() {
    for target in targets() {
        for count in 1..target.lanes {
            let lanes = Lanes::First(count as u8);
            check_exact(&target, count, &[], |b, p, q| {
                let x = b.load(p, 0, lanes);
                b.store(q, 0, x, lanes);
            });
            check_exact(&target, count, &[], |b, p, q| {
                let x = b.load_i(p, 0, lanes);
                b.store(q, 0, x, lanes);
            });
            // A load gives zero in the lanes it leaves out.
            let whole = target.lanes;
            let mut b = builder(&target);
            let [p, q] = [(); 2].map(|()| b.ptr_arg());
            let x = b.load(p, 0, lanes);
            b.store(q, 0, x, Lanes::All);
            let buffers = [ramp(count), blank(whole)];
            check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
        }
    }
}

#[test]
fn what_is_brought_near_need_not_exist() {
    for target in targets() {
        check_exact(&target, target.lanes, &[2], |b, p, q| {
            let turns = Count::Arg(crate::kernel::Int(0));
            let x = b.load(p, 0, Lanes::All);
            let far = b.ptr_copy(p, 0);
            b.repeat(turns, |b| {
                b.prefetch(far, 4096);
                b.prefetch(p, -(1 << 30));
                b.prefetch(q, i32::MAX);
                b.advance(far, 1 << 20);
            });
            b.store(q, 0, x, Lanes::All);
        });
    }
}

#[test]
fn what_goes_past_the_caches_arrives() {
    for target in targets() {
        let bytes = target.vector_bytes() as i32;
        // Whole vectors, from the beginning of one on, and a tail that is not one.
        check_exact(&target, 2 * target.lanes + 3, &[3], |b, p, q| {
            let x = b.load(p, 0, Lanes::All);
            let two = b.const_f(2.0);
            let y = b.mul(x, two);
            b.store(q, 0, y, Lanes::All);
            let z = b.load(p, bytes, Lanes::All);
            b.store(q, bytes, z, Lanes::All);
            b.tail(crate::kernel::Int(0), |b| {
                let x = b.load(p, 2 * bytes, Lanes::All);
                b.stream(q, 2 * bytes, x);
            });
        });
        check_exact(&target, 2 * target.lanes, &[], |b, p, q| {
            let x = b.load(p, 0, Lanes::All);
            b.stream(q, 0, x);
            let y = b.load(p, bytes, Lanes::All);
            b.stream(q, bytes, y);
        });
    }
}

#[test]
fn more_partial_lengths_than_mask_registers() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let bytes = b.vector_bytes();
        for (row, count) in (1..target.lanes).rev().enumerate() {
            let off = row as i32 * bytes;
            let x = b.load(p, off, Lanes::First(count as u8));
            b.store(q, off, x, Lanes::First(count as u8));
        }
        let count = (target.lanes - 1) * target.lanes;
        let buffers = [ramp(count), blank(count)];
        check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
    }
}

#[test]
fn tails_of_all_lengths() {
    for target in targets() {
        for count in 0..target.lanes {
            let n = count as i64;
            check_exact(&target, count.max(1), &[n], |b, p, q| {
                let two = b.const_f(2.0);
                let broadcast = b.broadcast(p, 0);
                b.tail(crate::kernel::Int(0), |b| {
                    let x = b.load(p, 0, Lanes::All);
                    let again = b.broadcast(p, 0);
                    let y = b.fma(x, two, broadcast);
                    let z = b.mul(y, again);
                    let zero = b.const_f(0.0);
                    let z = b.select(Cmp::Lt, x, zero, z, x);
                    let index = b.iota();
                    let index = b.to_float(index);
                    let sum = b.add(z, index);
                    b.store(q, 0, sum, Lanes::All);
                });
            });
        }
    }
}

#[test]
fn a_run_with_its_tail() {
    for target in targets() {
        for count in [
            0,
            1,
            target.lanes,
            2 * target.lanes + 3,
            3 * target.lanes - 1,
        ] {
            let (turns, rest) = (count / target.lanes, count % target.lanes);
            let ints = [turns as i64, rest as i64];
            check_exact(&target, count.max(1), &ints, |b, p, q| {
                let step = i64::from(b.vector_bytes());
                let work = |b: &mut BodyBuilder| {
                    let x = b.load(p, 0, Lanes::All);
                    let zero = b.const_f(0.0);
                    let y = b.max(x, zero);
                    b.store(q, 0, y, Lanes::All);
                };
                b.repeat(Count::Arg(crate::kernel::Int(0)), |b| {
                    work(b);
                    b.advance(p, step);
                    b.advance(q, step);
                });
                b.tail(crate::kernel::Int(1), work);
            });
        }
    }
}

#[test]
fn gathers() {
    for target in targets() {
        for stride in [4, 8, 12, 36, -4, -20, 0] {
            for count in 1..=target.lanes {
                let reach = (stride * (count as i32 - 1)).unsigned_abs() as usize / 4;
                let off = if stride < 0 { 4 * reach as i32 } else { 0 };
                let lanes = if count == target.lanes {
                    Lanes::All
                } else {
                    Lanes::First(count as u8)
                };
                let buffers = [ramp(reach + 1), blank(target.lanes)];
                let mut b = builder(&target);
                let [p, q] = [(); 2].map(|()| b.ptr_arg());
                let x = b.gather(p, off, stride, lanes);
                b.store(q, 0, x, Lanes::All);
                check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
                if count == target.lanes {
                    continue;
                }
                let mut b = builder(&target);
                let [p, q] = [(); 2].map(|()| b.ptr_arg());
                let n = b.int_arg();
                b.tail(n, |b| {
                    let x = b.gather(p, off, stride, Lanes::All);
                    b.store(q, 0, x, Lanes::All);
                });
                let ints = [count as i64];
                check_body(b.finish(), &target, &buffers, &ints, Nan::Exact);
            }
        }
    }
}

#[test]
fn a_stride_too_large_for_a_tail_is_an_error() {
    for target in targets()
        .iter()
        .filter(|target| target.isa != Isa::Baseline)
    {
        let mut b = builder(target);
        let p = b.ptr_arg();
        let n = b.int_arg();
        b.tail(n, |b| {
            let x = b.gather(p, 0, i32::MAX, Lanes::All);
            b.store(p, 0, x, Lanes::All);
        });
        let kernel = single(b.finish(), &[1]);
        let error = compile(&[kernel], target, &Options { verify: true }).expect_err("too far");
        let text = "the stride of 2147483647 bytes in a tail of `single.0.body` is too large to gather over";
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn accesses_keep_their_order() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let bytes = b.vector_bytes();
        let before = b.load(p, 0, Lanes::All);
        let one = b.const_f(1.0);
        let more = b.add(before, one);
        b.store(p, 0, more, Lanes::All);
        let after = b.load(p, 0, Lanes::All);
        b.store(p, 4, before, Lanes::All);
        let shifted = b.load(p, 0, Lanes::All);
        let sum = b.add(before, after);
        b.store(q, 0, sum, Lanes::All);
        b.store(q, bytes, shifted, Lanes::All);
        let buffers = [ramp(target.lanes + 1), blank(2 * target.lanes)];
        check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
    }
}

#[test]
fn integers_and_floats_share_memory() {
    for target in targets() {
        let mut b = builder(&target);
        let [p, q] = [(); 2].map(|()| b.ptr_arg());
        let x = b.broadcast_i(p, 4);
        let y = b.reg(LaneType::I32);
        let lanes = Lanes::All;
        b.set(
            y,
            crate::kernel::Op::Gather {
                ptr: p,
                off: 0,
                stride: 8,
                lanes,
            },
        );
        let z = b.xor(x, y);
        b.store(q, 0, z, Lanes::All);
        let buffers = [ramp(2 * target.lanes), blank(target.lanes)];
        check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
    }
}
