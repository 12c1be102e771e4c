use super::*;
use crate::kernel::{
    Arg, Body, BodyBuilder, BodyId, Cmp, Cond, Count, Index, Int, Item, LaneType, Lanes,
    NestBuilder, Op, Ptr, Reduce, Reg, Stmt, Var,
};

/// The fault of a body of four lanes that `fill` makes; the maker itself would refuse to finish it.
fn fault(fill: impl FnOnce(&mut BodyBuilder)) -> String {
    let mut b = BodyBuilder::new("faulty", 4);
    fill(&mut b);
    match body(&b.finish_unchecked()) {
        Ok(()) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn check(fill: impl FnOnce(&mut BodyBuilder), expected: &str) {
    assert_eq!(fault(fill), expected);
}

#[test]
fn heads() {
    let empty = BodyBuilder::new("faulty", 6).finish_unchecked();
    assert_eq!(
        body(&empty).unwrap_err().to_string(),
        "body faulty: head: 6 lanes are no power of two"
    );
    let empty = BodyBuilder::new("faulty", 4).finish_unchecked();
    let short = Body {
        ptr_args: 1,
        ..empty
    };
    assert_eq!(
        body(&short).unwrap_err().to_string(),
        "body faulty: head: 1 pointer arguments among 0 pointers"
    );
}

#[test]
fn what_does_not_exist() {
    check(
        |b| {
            b.neg(Reg(7));
        },
        "body faulty: at 0 `v0 = neg v7`: there is no register v7",
    );
    check(
        |b| {
            b.load(Ptr(1), 4, Lanes::All);
        },
        "body faulty: at 0 `v0 = load p1 + 4`: there is no pointer p1",
    );
    check(
        |b| {
            b.splat(Int(0));
        },
        "body faulty: at 0 `v0: i32 = splat i0`: there is no integer argument i0",
    );
    check(
        |b| b.set_ptr(Ptr(1), Ptr(0), 0),
        "body faulty: at 0 `p1 = p0`: there is no pointer p0",
    );
}

#[test]
fn types() {
    check(
        |b| {
            let (x, i) = (b.const_f(1.0), b.iota());
            b.add(x, i);
        },
        "body faulty: at 2 `v2 = add v0, v1`: v1 holds i32, not f32",
    );
    check(
        |b| {
            let x = b.const_f(1.0);
            let i = b.reg(LaneType::I32);
            b.set(i, Op::Neg(x));
        },
        "body faulty: at 1 `v1: i32 = neg v0`: v1 holds i32, not f32",
    );
    check(
        |b| {
            let (x, i) = (b.const_f(1.0), b.iota());
            b.select(Cmp::Lt, x, i, x, x);
        },
        "body faulty: at 2 `v2 = select v0 < v1 ? v0 : v0`: v1 holds i32, not f32",
    );
    check(
        |b| {
            let (x, i) = (b.const_f(1.0), b.iota());
            b.select(Cmp::Lt, i, i, i, x);
        },
        "body faulty: at 2 `v2: i32 = select v1 < v1 ? v1 : v0`: v0 holds f32, not i32",
    );
    check(
        |b| {
            let i = b.iota();
            b.select(Cmp::Unordered, i, i, i, i);
        },
        "body faulty: at 1 `v1: i32 = select v0 unordered v0 ? v0 : v0`: unordered compares floats only",
    );
}

#[test]
fn numbers_out_of_range() {
    check(
        |b| {
            let i = b.iota();
            b.shl(i, 32);
        },
        "body faulty: at 1 `v1: i32 = shl v0, 32`: a shift by 32 bits",
    );
    for lanes in [0, 4] {
        let text = format!(
            "body faulty: at 0 `v0 = load p0, first {lanes}`: a partial access of {lanes} lanes"
        );
        check(
            |b| {
                let p = b.ptr_arg();
                b.load(p, 0, Lanes::First(lanes));
            },
            &text,
        );
    }
    check(
        |b| {
            b.repeat(Count::Imm(0), |b| {
                b.iota();
            });
        },
        "body faulty: at 0 `loop 0`: a loop that never runs",
    );
}

#[test]
fn registers_are_set_before_they_are_read() {
    check(
        |b| {
            let x = b.reg(LaneType::F32);
            b.neg(x);
        },
        "body faulty: at 0 `v1 = neg v0`: v0 may be read before it is set",
    );
    check(
        |b| {
            let n = b.int_arg();
            let x = b.reg(LaneType::F32);
            b.repeat(Count::Arg(n), |b| b.set(x, Op::float(1.0)));
            b.neg(x);
        },
        "body faulty: at 1 `v1 = neg v0`: v0 may be read before it is set",
    );
    check(
        |b| {
            let x = b.reg(LaneType::F32);
            b.repeat(Count::Imm(1), |b| b.set(x, Op::float(1.0)));
            b.neg(x);
        },
        "none",
    );
    check(
        |b| {
            let y = b.reg(LaneType::F32);
            b.repeat(Count::Imm(2), |b| {
                b.neg(y);
                b.set(y, Op::float(1.0));
            });
        },
        "body faulty: at 0.0 `v1 = neg v0`: v0 may be read before it is set",
    );
}

#[test]
fn pointers_are_set_before_they_are_used() {
    check(
        |b| {
            let (p, n) = (b.ptr_arg(), b.int_arg());
            let mut copy = p;
            b.repeat(Count::Arg(n), |b| copy = b.ptr_copy(p, 4));
            b.load(copy, 0, Lanes::All);
        },
        "body faulty: at 1 `v0 = load p1`: p1 may be used before it is set",
    );
    check(
        |b| {
            let (p, q) = (b.ptr_arg(), b.ptr_arg());
            b.set_ptr(p, q, -4);
        },
        "body faulty: at 0 `p0 = p1 - 4`: p0 is an argument and is set",
    );
}

#[test]
fn tails_hold_straight_lane_wise_code() {
    fn in_tail(fill: impl FnOnce(&mut BodyBuilder, Ptr)) -> String {
        fault(|b| {
            let (p, n) = (b.ptr_arg(), b.int_arg());
            b.tail(n, |b| fill(b, p));
        })
    }
    let cases = [
        (
            in_tail(|b, _| b.repeat(Count::Imm(2), |b| _ = b.iota())),
            "at 0.0 `loop 2`: a loop in a tail",
        ),
        (
            in_tail(|b, _| b.tail(Int(0), |b| _ = b.iota())),
            "at 0.0 `tail i0`: a tail in a tail",
        ),
        (
            in_tail(|b, p| b.advance(p, -16)),
            "at 0.0 `p0 -= 16`: a change of a pointer in a tail",
        ),
        (
            in_tail(|b, p| _ = b.gather(p, 0, 8, Lanes::First(2))),
            "at 0.0 `v0 = gather p0, by 8, first 2`: a partial access in a tail",
        ),
        (
            in_tail(|b, p| {
                let x = b.load(p, 0, Lanes::All);
                b.reduce(Reduce::Sum, x);
            }),
            "at 0.1 `v1 = reduce_sum v0`: a reduction in a tail",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, format!("body faulty: {expected}"));
    }
}

#[test]
fn tails_read_from_outside_only_what_is_the_same_in_every_lane() {
    check(
        |b| {
            let (p, n) = (b.ptr_arg(), b.int_arg());
            let x = b.load(p, 0, Lanes::All);
            b.tail(n, |b| b.store(p, 0, x, Lanes::All));
        },
        "body faulty: at 1.0 `store v0, p0`: v0 is read in a tail, but may differ between lanes and is set outside it",
    );
    check(
        |b| {
            let (p, n) = (b.ptr_arg(), b.int_arg());
            let (x, y) = (b.broadcast(p, 0), b.load(p, 0, Lanes::All));
            let (y, two) = (b.reduce(Reduce::Max, y), b.const_f(2.0));
            let xy = b.fma(x, y, two);
            b.tail(n, |b| {
                let z = b.load(p, 0, Lanes::All);
                let z = b.add(z, xy);
                b.store(p, 0, z, Lanes::All);
            });
        },
        "none",
    );
    // The register starts the same in every lane, but a loop mixes in what differs.
    check(
        |b| {
            let (p, n) = (b.ptr_arg(), b.int_arg());
            let sum = b.reg(LaneType::F32);
            b.set(sum, Op::float(0.0));
            b.repeat(Count::Imm(2), |b| {
                b.tail(n, |b| b.store(p, 0, sum, Lanes::All));
                let copy = b.copy(sum);
                let x = b.load(p, 0, Lanes::All);
                b.add_into(sum, copy, x);
            });
        },
        "body faulty: at 1.0.0 `store v0, p0`: v0 is read in a tail, but may differ between lanes and is set outside it",
    );
}

#[test]
fn what_a_tail_sets_ends_with_it() {
    check(
        |b| {
            let n = b.int_arg();
            let x = b.reg(LaneType::F32);
            b.set(x, Op::float(1.0));
            b.tail(n, |b| b.set(x, Op::float(2.0)));
            b.neg(x);
        },
        "body faulty: at 2 `v1 = neg v0`: v0 may be read before it is set",
    );
    // Only the second turn reads what the first turn's tail has unset.
    check(
        |b| {
            let n = b.int_arg();
            let x = b.reg(LaneType::F32);
            b.set(x, Op::float(1.0));
            b.repeat(Count::Imm(2), |b| {
                b.neg(x);
                b.tail(n, |b| b.set(x, Op::float(2.0)));
            });
        },
        "body faulty: at 1.0 `v1 = neg v0`: v0 may be read before it is set",
    );
}

#[test]
fn a_maker_refuses_faulty_bodies() {
    let made = std::panic::catch_unwind(|| {
        let mut b = BodyBuilder::new("faulty", 4);
        b.neg(Reg(3));
        b.finish()
    });
    assert_eq!(made.is_err(), cfg!(debug_assertions));
}

/// The fault of a kernel with two buffers and one body of one pointer and one integer.
fn kernel_fault(fill: impl FnOnce(&mut NestBuilder, BodyId)) -> String {
    let mut copy = BodyBuilder::new("copy", 4);
    copy.ptr_arg();
    copy.int_arg();
    let mut b = NestBuilder::new();
    let id = b.add_body(copy.finish());
    fill(&mut b, id);
    match kernel(&b.finish_unchecked("faulty", 2)) {
        Ok(()) => "none".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn kernels() {
    let cases = [
        (
            kernel_fault(|b, id| b.call(id, [Arg(0).at(0), Arg(1).at(0)], [])),
            "at 0 `call b0(a0[0], a1[0])`: b0 takes 1 pointers, not 2",
        ),
        (
            kernel_fault(|b, id| b.call(id, [Arg(0).at(0)], [])),
            "at 0 `call b0(a0[0])`: b0 takes 1 integers, not 0",
        ),
        (
            kernel_fault(|b, id| b.call(id, [Arg(2).at(0)], [Index::Batch])),
            "at 0 `call b0(a2[0]; batch)`: there is no buffer a2",
        ),
        (
            kernel_fault(|b, _| b.call(BodyId(3), [], [])),
            "at 0 `call b3()`: there is no body b3",
        ),
        (
            kernel_fault(|b, id| {
                b.for_(0, 4, 0, |b, i| b.call(id, [Arg(0).at(i)], [Index::Lo]));
            }),
            "at 0 `for %0 in 0..4 step 0`: a step of 0",
        ),
        (
            kernel_fault(|b, id| {
                b.for_domain(|b, i| b.call(id, [Arg(0).at(i.clone() % 0)], [i]));
            }),
            "at 0.0 `call b0(a0[%0 mod 0]; %0)`: a division by 0",
        ),
        (
            kernel_fault(|b, id| {
                let mut inner = Index::Lo;
                b.if_(Cond::Lt(Index::Lo, 3.into()), |b| {
                    inner = b.let_(Index::Lo * 2);
                });
                b.call(id, [Arg(0).at(inner)], [Index::Hi]);
            }),
            "at 1 `call b0(a0[%0]; hi)`: %0 is read where it is not set",
        ),
        (
            kernel_fault(|b, _| _ = b.let_(Index::Lo + Index::Var(Var(9)))),
            "at 0 `let %0 = lo + %9`: there is no variable %9",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, format!("kernel faulty: {expected}"));
    }
}

#[test]
fn a_variable_is_set_by_one_statement() {
    let mut b = NestBuilder::new();
    b.let_(Index::Lo * 2);
    let mut twice = b.finish_unchecked("faulty", 0);
    twice.stmts.push(Stmt::Let {
        var: Var(0),
        value: 1.into(),
    });
    assert_eq!(
        kernel(&twice).unwrap_err().to_string(),
        "kernel faulty: at 1 `let %0 = 1`: %0 is set by two statements"
    );
}

#[test]
fn kernels_have_sound_bodies_of_one_lane_count() {
    let mut b = NestBuilder::new();
    b.add_body(BodyBuilder::new("narrow", 4).finish());
    b.add_body(BodyBuilder::new("wide", 8).finish());
    let mut mixed = b.finish_unchecked("faulty", 0);
    assert_eq!(
        kernel(&mixed).unwrap_err().to_string(),
        "kernel faulty: head: body b1 has 8 lanes, those before it 4"
    );
    mixed.bodies[1].items.push(Item::Set {
        dst: Reg(0),
        op: Op::Iota,
    });
    assert_eq!(
        kernel(&mixed).unwrap_err().to_string(),
        "kernel faulty: head: body wide: at 0 `v0 = iota`: there is no register v0"
    );
}
