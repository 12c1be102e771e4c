use super::*;
use crate::kernel::{
    Arg, BodyBuilder, Cmp, Count, Index, LaneType, Lanes, NestBuilder, Ptr, Reduce, Reg,
};

fn bytes(values: &[f32]) -> Vec<u8> {
    values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect()
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let word = |four: &[u8]| u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    bytes.chunks_exact(4).map(word).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    words(bytes).into_iter().map(f32::from_bits).collect()
}

fn at(buffer: usize, offset: i64) -> Pointer {
    Pointer { buffer, offset }
}

/// The four lanes that `fill` makes of the vectors `a` and `b`.
fn lanes(
    a: [f32; 4],
    b: [f32; 4],
    fill: impl FnOnce(&mut BodyBuilder, Reg, Reg) -> Reg,
) -> [u32; 4] {
    let mut builder = BodyBuilder::new("lanes", 4);
    let p = builder.ptr_arg();
    let (x, y) = (
        builder.load(p, 0, Lanes::All),
        builder.load(p, 16, Lanes::All),
    );
    let result = fill(&mut builder, x, y);
    builder.store(p, 32, result, Lanes::All);
    let mut buffers = [bytes(&[a, b, [0.0; 4]].concat())];
    body(&builder.finish(), &mut buffers, &[at(0, 0)], &[]).unwrap();
    words(&buffers[0][32..]).try_into().unwrap()
}

fn bits(values: [f32; 4]) -> [u32; 4] {
    values.map(f32::to_bits)
}

#[test]
fn minimum_and_maximum_give_the_second_operand_for_nan_and_for_equal_ones() {
    let (a, b) = ([1.0, f32::NAN, 3.0, -0.0], [2.0, 5.0, f32::NAN, 0.0]);
    assert_eq!(
        lanes(a, b, |f, x, y| f.min(x, y)),
        bits([1.0, 5.0, f32::NAN, 0.0])
    );
    assert_eq!(
        lanes(a, b, |f, x, y| f.max(x, y)),
        bits([2.0, 5.0, f32::NAN, 0.0])
    );
}

#[test]
fn fused_operations_round_once() {
    let x = 1.0 + 3.0 * f32::EPSILON;
    let product = f64::from(x) * f64::from(x);
    let fused = (product - 1.0) as f32;
    assert_ne!(x * x - 1.0, fused);
    assert_eq!(
        lanes([x; 4], [-1.0; 4], |f, x, y| f.fma(x, x, y)),
        bits([fused; 4])
    );
    assert_eq!(
        lanes([x; 4], [1.0; 4], |f, x, y| f.fma_neg(x, x, y)),
        bits([-fused; 4])
    );
}

#[test]
fn conversions_round_to_even() {
    let a = [0.5, 1.5, -2.5, 2.7];
    let round = lanes(a, a, |f, x, _| f.round(x));
    assert_eq!(round, bits([0.0, 2.0, -2.0, 3.0]));
    let ints = lanes(a, a, |f, x, _| {
        let i = f.to_int(x);
        f.to_float(i)
    });
    assert_eq!(ints, round);
    assert_eq!(lanes(a, a, |f, x, _| f.to_int(x)), [0, 2, -2i32 as u32, 3]);
}

#[test]
fn signs_are_bits() {
    let a = [1.0, -2.0, f32::from_bits(0xffc0_0000), 0.0];
    assert_eq!(
        lanes(a, a, |f, x, _| f.neg(x)),
        [0xbf80_0000, 0x4000_0000, 0x7fc0_0000, 0x8000_0000]
    );
    assert_eq!(
        lanes(a, a, |f, x, _| f.abs(x)),
        [0x3f80_0000, 0x4000_0000, 0x7fc0_0000, 0]
    );
}

#[test]
fn comparisons() {
    let (a, b) = ([1.0, 2.0, f32::NAN, 2.0], [2.0, 1.0, 1.0, 2.0]);
    let cases = [
        (Cmp::Eq, [0, 0, 0, 1]),
        (Cmp::Ne, [1, 1, 1, 0]),
        (Cmp::Lt, [1, 0, 0, 0]),
        (Cmp::Le, [1, 0, 0, 1]),
        (Cmp::Gt, [0, 1, 0, 0]),
        (Cmp::Ge, [0, 1, 0, 1]),
        (Cmp::Unordered, [0, 0, 1, 0]),
    ];
    for (cmp, expected) in cases {
        let found = lanes(a, b, |f, x, y| {
            let (one, zero) = (f.const_i(1), f.const_i(0));
            f.select(cmp, x, y, one, zero)
        });
        assert_eq!(found, expected, "{cmp}");
    }
}

#[test]
fn integers_wrap_and_compare_signed() {
    let zero = [0.0; 4];
    assert_eq!(
        lanes(zero, zero, |f, _, _| {
            let (big, i) = (f.const_i(i32::MAX), f.iota());
            f.iadd(big, i)
        }),
        [0x7fff_ffff, 0x8000_0000, 0x8000_0001, 0x8000_0002]
    );
    assert_eq!(
        lanes(zero, zero, |f, _, _| {
            let (two, i) = (f.const_i(2), f.iota());
            let less = f.isub(i, two);
            let (zero, bits) = (f.const_i(0), f.shr(less, 28));
            f.select(Cmp::Lt, less, zero, bits, i)
        }),
        [15, 15, 2, 3]
    );
    assert_eq!(
        lanes(zero, zero, |f, _, _| {
            let (odd, i) = (f.const_i(0x1_0001), f.iota());
            let (product, high) = (f.imul(odd, i), f.shl(i, 16));
            let (low, both) = (f.xor(product, high), f.or(product, i));
            f.and(low, both)
        }),
        [0, 1, 2, 3]
    );
}

#[test]
fn reductions_fold_halves() {
    // Folding in order would lose the small one: 1e8 + 1 is 1e8.
    let a = [1e8, 1.0, -1e8, 2.0];
    let sum = lanes(a, a, |f, x, _| f.reduce(Reduce::Sum, x));
    assert_eq!(sum, bits([3.0; 4]));
    let a = [1.0, 7.0, 3.0, -2.0];
    let max = lanes(a, a, |f, x, _| f.reduce(Reduce::Max, x));
    assert_eq!(max, bits([7.0; 4]));
}

#[test]
fn partial_accesses_and_gathers() {
    let mut b = BodyBuilder::new("partial", 4);
    let p = b.ptr_arg();
    let x = b.load(p, 0, Lanes::First(3));
    let y = b.gather(p, 4, 8, Lanes::First(2));
    b.store(p, 16, x, Lanes::All);
    b.store(p, 32, y, Lanes::First(3));
    let mut buffers = [bytes(&[
        1.0, 2.0, 3.0, 4.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0,
    ])];
    body(&b.finish(), &mut buffers, &[at(0, 0)], &[]).unwrap();
    assert_eq!(
        floats(&buffers[0][16..]),
        [1.0, 2.0, 3.0, 0.0, 2.0, 4.0, 0.0, 9.0]
    );
}

/// y += 2x over `n` whole vectors and a tail.
fn scaled_add() -> crate::kernel::Body {
    fn step(b: &mut BodyBuilder, x: Ptr, y: Ptr) {
        let two = b.const_f(2.0);
        let (from, to) = (b.load(x, 0, Lanes::All), b.load(y, 0, Lanes::All));
        let sum = b.fma(two, from, to);
        b.store(y, 0, sum, Lanes::All);
    }
    let mut b = BodyBuilder::new("scaled_add", 4);
    let (x, y) = (b.ptr_arg(), b.ptr_arg());
    let (whole, rest) = (b.int_arg(), b.int_arg());
    b.repeat(Count::Arg(whole), |b| {
        step(b, x, y);
        b.advance(x, 16);
        b.advance(y, 16);
    });
    b.tail(rest, |b| step(b, x, y));
    b.finish()
}

#[test]
fn loops_and_tails() {
    let code = scaled_add();
    for n in 0..11 {
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        // The buffers end where the run ends, so the tail can't touch what is behind it.
        let mut buffers = [bytes(&x), bytes(&vec![1.0; n])];
        let n = n as i64;
        body(&code, &mut buffers, &[at(0, 0), at(1, 0)], &[n / 4, n % 4]).unwrap();
        let expected: Vec<f32> = (0..n).map(|i| 1.0 + 2.0 * i as f32).collect();
        assert_eq!(floats(&buffers[1]), expected);
    }
}

#[test]
fn strayed_accesses_are_named() {
    let code = scaled_add();
    let run = |ptrs: [Pointer; 2], ints: [i64; 2]| {
        let mut buffers = [bytes(&[0.0; 8]), bytes(&[0.0; 6])];
        let error = body(&code, &mut buffers, &ptrs, &ints).unwrap_err();
        error.to_string()
    };
    let cases = [
        (
            run([at(0, 0), at(1, 0)], [2, 0]),
            "at 1.1 `v2 = load p1`: access to four bytes at 24 of buffer 1, which has 24",
        ),
        (
            run([at(0, -4), at(1, 0)], [0, 3]),
            "at 2.0 `v4 = load p0`: access to four bytes at -4 of buffer 0, which has 32",
        ),
        (
            run([at(0, 2), at(1, 0)], [1, 0]),
            "at 1.0 `v1 = load p0`: access to four bytes at 2 of buffer 0, not a multiple of four",
        ),
        (
            run([at(2, 0), at(1, 0)], [1, 0]),
            "at 1.0 `v1 = load p0`: there is no buffer 2",
        ),
        (
            run([at(0, 0), at(1, 0)], [-1, 0]),
            "at 1 `loop i0`: a loop of -1 turns",
        ),
        (
            run([at(0, 0), at(1, 0)], [0, 4]),
            "at 2 `tail i1`: a tail of 4 out of 4 lanes",
        ),
    ];
    for (found, expected) in cases {
        assert_eq!(found, format!("scaled_add: {expected}"));
    }
}

#[test]
fn addresses_do_not_wrap() {
    let mut b = BodyBuilder::new("far", 4);
    let p = b.ptr_arg();
    b.advance(p, i64::MAX);
    let error = body(&b.finish(), &mut [], &[at(0, 4)], &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "far: at 0 `p0 += 9223372036854775807`: an index or offset beyond 64 bits"
    );
}

#[test]
fn unsound_code_and_wrong_arguments_do_not_run() {
    let code = scaled_add();
    let error = body(&code, &mut [], &[], &[0, 0]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "scaled_add: head: 2 pointers are needed, not 0"
    );
    let mut b = BodyBuilder::new("unset", 4);
    let x = b.reg(LaneType::F32);
    b.neg(x);
    let error = body(&b.finish_unchecked(), &mut [], &[], &[]).unwrap_err();
    assert!(matches!(error, EvalError::Body(_)), "{error}");
}

#[test]
fn kernels_walk_their_domain() {
    // Rows of five floats, one row a unit; odd units are left alone.
    let mut b = NestBuilder::new();
    let scaled_add = b.add_body(scaled_add());
    b.for_domain(|b, row| {
        let start = b.let_(row.clone() * 20);
        let even = crate::kernel::Cond::Eq(row % 2, 0.into());
        b.if_(even, |b| {
            b.for_(0, Index::Batch, 1, |b, image| {
                let offset = start.clone() + image * 60;
                let ptrs = [Arg(0).at(offset.clone()), Arg(1).at(offset)];
                b.call(scaled_add, ptrs, [1.into(), 1.into()]);
            });
        });
    });
    let code = b.finish("rows", 2);
    let x: Vec<f32> = (0..30).map(|i| i as f32).collect();
    let mut buffers = [bytes(&x), bytes(&[1.0; 30])];
    kernel(&code, &mut buffers, 1..3, 2).unwrap();
    let expected = (0..30).map(|i| match i / 5 % 3 {
        2 => 1.0 + 2.0 * i as f32,
        _ => 1.0,
    });
    assert_eq!(floats(&buffers[1]), expected.collect::<Vec<f32>>());

    let error = kernel(&code, &mut buffers, -1..1, 2).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rows: at 0.1 `if %0 mod 2 == 0`: -1 divided by 2"
    );
    let error = kernel(&code, &mut buffers[..1], 0..1, 1).unwrap_err();
    assert_eq!(error.to_string(), "rows: head: 2 buffers are needed, not 1");
}
