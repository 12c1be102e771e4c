//! Each operation on interesting values.

use super::*;
use crate::kernel::{Cmp, LaneType, Lanes, Reduce, Reg};

/// Floats that operations may treat in some special way, signalling NaNs apart: those are quieted or
/// not as an instruction likes.
const FLOATS: [f32; 24] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -2.5,
    3.999_999_8,
    f32::NAN,
    -f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    f32::EPSILON,
    1.0e-40,
    -1.0e-42,
    8_388_607.5,
    16_777_216.0,
    1.0e9,
    -1.0e9,
    core::f32::consts::PI,
];

const INTS: [i32; 12] = [
    0,
    1,
    -1,
    2,
    7,
    -100,
    i32::MAX,
    i32::MIN,
    0x0080_0000,
    0x7F80_0000,
    0x1234_5678,
    -0x1234_5678,
];

/// Checks what `fill` makes of three vectors of a type, in many combinations of values.
fn check_op(lane: LaneType, nan: Nan, fill: impl Fn(&mut BodyBuilder, [Reg; 3]) -> Reg) {
    let values: Vec<u32> = match lane {
        LaneType::F32 => FLOATS.map(f32::to_bits).to_vec(),
        LaneType::I32 => INTS.map(i32::cast_unsigned).to_vec(),
    };
    // Steps without a common divisor, so that all pairs of values meet.
    let count = values.len() * values.len();
    let column = |step: usize, start: usize| {
        to_bytes((0..count).map(|i| values[(i * step / values.len() + i * start) % values.len()]))
    };
    let inputs = [column(1, 0), column(0, 1), column(2, 5)];
    for target in targets() {
        let mut b = builder(&target);
        let pointers = [(); 4].map(|()| b.ptr_arg());
        let turns = b.int_arg();
        b.repeat(crate::kernel::Count::Arg(turns), |b| {
            let sources = [0, 1, 2].map(|k| match lane {
                LaneType::F32 => b.load(pointers[k], 0, Lanes::All),
                LaneType::I32 => b.load_i(pointers[k], 0, Lanes::All),
            });
            let result = fill(b, sources);
            b.store(pointers[3], 0, result, Lanes::All);
            for pointer in pointers {
                b.advance(pointer, i64::from(b.vector_bytes()));
            }
        });
        let turns = (count / target.lanes) as i64;
        let mut buffers = inputs.to_vec();
        buffers.push(blank(count));
        check_body(b.finish(), &target, &buffers, &[turns], nan);
    }
}

fn check_floats(nan: Nan, fill: impl Fn(&mut BodyBuilder, [Reg; 3]) -> Reg) {
    check_op(LaneType::F32, nan, fill);
}

fn check_ints(fill: impl Fn(&mut BodyBuilder, [Reg; 3]) -> Reg) {
    check_op(LaneType::I32, Nan::Exact, fill);
}

#[test]
fn arithmetic() {
    check_floats(Nan::Any, |b, [x, y, _]| b.add(x, y));
    check_floats(Nan::Any, |b, [x, y, _]| b.sub(x, y));
    check_floats(Nan::Any, |b, [x, y, _]| b.mul(x, y));
    check_floats(Nan::Any, |b, [x, y, _]| b.div(x, y));
    check_floats(Nan::Any, |b, [x, y, z]| b.fma(x, y, z));
    check_floats(Nan::Any, |b, [x, y, z]| b.fma_neg(x, y, z));
    check_floats(Nan::Any, |b, [x, _, _]| b.sqrt(x));
    check_floats(Nan::Any, |b, [x, _, _]| b.round(x));
}

#[test]
fn minimum_and_maximum_to_the_bit() {
    check_floats(Nan::Exact, |b, [x, y, _]| b.min(x, y));
    check_floats(Nan::Exact, |b, [x, y, _]| b.max(x, y));
    check_floats(Nan::Exact, |b, [x, _, _]| {
        let zero = b.const_f(0.0);
        b.max(x, zero)
    });
    check_floats(Nan::Exact, |b, [x, _, _]| {
        let zero = b.const_f(0.0);
        b.max(zero, x)
    });
}

#[test]
fn signs_and_copies_to_the_bit() {
    check_floats(Nan::Exact, |b, [x, _, _]| b.neg(x));
    check_floats(Nan::Exact, |b, [x, _, _]| b.abs(x));
    check_floats(Nan::Exact, |b, [x, _, _]| b.copy(x));
    check_floats(Nan::Exact, |b, [x, _, _]| b.as_int(x));
    check_ints(|b, [x, _, _]| b.as_float(x));
    check_ints(|b, [x, _, _]| b.copy(x));
}

#[test]
fn conversions() {
    check_ints(|b, [x, _, _]| b.to_float(x));
    // Values beyond 31 bits are unspecified: they are made zero first.
    check_floats(Nan::Exact, |b, [x, _, _]| {
        let limit = b.const_f(2_147_483_520.0);
        let zero = b.const_f(0.0);
        let size = b.abs(x);
        let x = b.select(Cmp::Le, size, limit, x, zero);
        b.to_int(x)
    });
}

#[test]
fn integers() {
    check_ints(|b, [x, y, _]| b.iadd(x, y));
    check_ints(|b, [x, y, _]| b.isub(x, y));
    check_ints(|b, [x, y, _]| b.imul(x, y));
    check_ints(|b, [x, y, _]| b.and(x, y));
    check_ints(|b, [x, y, _]| b.or(x, y));
    check_ints(|b, [x, y, _]| b.xor(x, y));
    for bits in [0, 1, 23, 31] {
        check_ints(|b, [x, _, _]| b.shl(x, bits));
        check_ints(|b, [x, _, _]| b.shr(x, bits));
    }
}

#[test]
fn selections() {
    let comparisons = [Cmp::Eq, Cmp::Ne, Cmp::Lt, Cmp::Le, Cmp::Gt, Cmp::Ge];
    for cmp in comparisons.into_iter().chain([Cmp::Unordered]) {
        check_floats(Nan::Exact, |b, [x, y, z]| b.select(cmp, x, y, z, y));
        check_floats(Nan::Exact, |b, [x, y, z]| {
            let [two, one] = [2.0, 1.0].map(|value| b.const_f(value));
            let a = b.select(cmp, x, y, two, z);
            b.select(cmp, one, x, a, one)
        });
        check_floats(Nan::Exact, |b, [x, y, _]| {
            let [two, one] = [2, 1].map(|value| b.const_i(value));
            b.select(cmp, x, y, two, one)
        });
    }
    for cmp in comparisons {
        check_ints(|b, [x, y, z]| b.select(cmp, x, y, z, y));
        check_ints(|b, [x, y, _]| {
            let seven = b.const_i(7);
            b.select(cmp, x, seven, seven, y)
        });
        check_ints(|b, [x, y, _]| {
            let [half, one] = [0.5, 1.0].map(|value| b.const_f(value));
            b.select(cmp, x, y, half, one)
        });
    }
}

#[test]
fn constants_on_either_side() {
    check_floats(Nan::Any, |b, [x, y, z]| {
        let three = b.const_f(3.0);
        let a = b.sub(three, x);
        let c = b.sub(y, three);
        let d = b.div(three, z);
        let e = b.fma(three, a, c);
        let f = b.fma(d, e, three);
        let g = b.fma(d, three, f);
        let h = b.fma_neg(three, three, g);
        b.mul(three, h)
    });
}

#[test]
fn reductions() {
    for reduce in [Reduce::Sum, Reduce::Max] {
        let nan = if reduce == Reduce::Sum {
            Nan::Any
        } else {
            Nan::Exact
        };
        check_floats(nan, |b, [x, y, z]| {
            let r = b.reduce(reduce, x);
            let s = b.reduce(reduce, y);
            let minimum = b.min(r, s);
            b.select(Cmp::Lt, y, z, minimum, r)
        });
        // Rounding shows the order of additions.
        for target in targets() {
            let mut b = builder(&target);
            let [p, q] = [(); 2].map(|()| b.ptr_arg());
            let x = b.load(p, 0, Lanes::All);
            let r = b.reduce(reduce, x);
            b.store(q, 0, r, Lanes::All);
            let values = (0..target.lanes).map(|i| (1.1f32).powi(3 * i as i32) * 0.7);
            let buffers = [floats(values), blank(target.lanes)];
            check_body(b.finish(), &target, &buffers, &[], Nan::Exact);
        }
    }
}

#[test]
fn numbers_of_lanes_and_arguments() {
    for target in targets() {
        let mut b = builder(&target);
        let p = b.ptr_arg();
        let n = b.int_arg();
        let iota = b.iota();
        let splat = b.splat(n);
        let product = b.imul(iota, splat);
        b.store(p, 0, product, Lanes::All);
        let difference = b.isub(iota, splat);
        b.store(p, b.vector_bytes(), difference, Lanes::All);
        let buffers = [blank(2 * target.lanes)];
        let high = 5 + (9 << 32);
        check_body(b.finish(), &target, &buffers, &[high], Nan::Exact);
    }
}
