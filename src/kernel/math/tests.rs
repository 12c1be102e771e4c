use super::*;
use crate::kernel::body::{Body, Count, Lanes};
use crate::kernel::eval::{self, Pointer};

/// Only every so many floats are tried, a prime number so that all patterns of low bits occur; more
/// can be tried by hand by making it smaller.
const STRIDE: usize = 4093;

/// The floats at which something changes, besides those of the sweep.
const EDGES: [f32; 30] = [
    0.0,
    1e-45,
    1.17e-38,
    f32::MIN_POSITIVE,
    1e-30,
    1e-10,
    5.96e-8,
    1e-4,
    0.25,
    0.5,
    std::f32::consts::LN_2,
    0.707_106_77,
    0.707_106_9,
    1.0,
    1.000_000_1,
    1.386_294_4,
    std::f32::consts::SQRT_2,
    2.0,
    8.99,
    9.02,
    17.4,
    20.0,
    44.0,
    87.3,
    88.72,
    88.722_84,
    89.0,
    104.1,
    1e30,
    f32::MAX,
];

type Function = fn(&mut BodyBuilder, Reg) -> Reg;

/// A function's name, and arguments with their exact results.
type Ends = (&'static str, Function, &'static [(f32, f32)]);

/// y[i] = f(x[i]) over `i0` vectors.
fn mapped(name: &str, f: Function) -> Body {
    let mut b = BodyBuilder::new(name, 16);
    let (x, y, n) = (b.ptr_arg(), b.ptr_arg(), b.int_arg());
    b.repeat(Count::Arg(n), |b| {
        let value = b.load(x, 0, Lanes::All);
        let value = f(b, value);
        b.store(y, 0, value, Lanes::All);
        b.advance(x, 64);
        b.advance(y, 64);
    });
    b.finish()
}

fn apply(name: &str, f: Function, x: &[f32]) -> Vec<f32> {
    let bytes: Vec<u8> = x.iter().flat_map(|x| x.to_le_bytes()).collect();
    let padded = x.len().next_multiple_of(16);
    let mut buffers = [bytes, vec![0; padded * 4]];
    buffers[0].resize(padded * 4, 0);
    let ptrs = [0, 1].map(|buffer| Pointer { buffer, offset: 0 });
    eval::body(&mapped(name, f), &mut buffers, &ptrs, &[padded as i64 / 16]).unwrap();
    let float = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    buffers[1]
        .chunks_exact(4)
        .take(x.len())
        .map(float)
        .collect()
}

/// The distance of a result from the true value in units of the last place.
fn ulps(found: f32, exact: f64) -> f64 {
    let rounded = exact as f32;
    if found == rounded || found.is_nan() && rounded.is_nan() {
        return 0.0;
    }
    // Beyond the largest float, count on as if the range had no end.
    let magnitude = rounded.abs().min(f32::MAX).to_bits();
    let exponent = (magnitude >> 23).max(1) as i32 - 127;
    let unit = f64::from(2.0_f32).powi(exponent - 23);
    if found.is_infinite() {
        let beyond = f64::from(2.0_f32).powi(128).copysign(found.into());
        return (beyond - exact).abs() / unit;
    }
    (f64::from(found) - exact).abs() / unit
}

fn check(name: &str, f: Function, exact: fn(f64) -> f64, bound: f64) {
    let bits = (0..=u32::MAX).step_by(STRIDE);
    let edges = EDGES.into_iter().flat_map(|edge| [edge, -edge]);
    let specials = [f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -f32::NAN];
    let x: Vec<f32> = bits
        .map(f32::from_bits)
        .chain(edges)
        .chain(specials)
        .collect();
    let y = apply(name, f, &x);
    let (mut worst, mut at) = (0.0, 0.0);
    for (&x, &y) in x.iter().zip(&y) {
        let error = ulps(y, exact(x.into()));
        // The comparison is false for NaN, which is a failure too.
        assert!(error <= bound, "{name}({x:?}) is {y:?}, {error} ULP off");
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    // A bound far from the truth tells users less than it could.
    println!("{name}: {worst} ULP at {at:?}");
    assert!(worst >= bound * 0.5, "{name} is within {worst} ULP already");
}

#[test]
fn exp_within_its_bound() {
    check("exp", exp, f64::exp, 1.7);
}

#[test]
fn expm1_within_its_bound() {
    check("expm1", expm1, f64::exp_m1, 1.7);
}

#[test]
fn log_within_its_bound() {
    check("log", log, f64::ln, 1.0);
}

#[test]
fn tanh_within_its_bound() {
    check("tanh", tanh, f64::tanh, 2.8);
}

#[test]
fn sigmoid_within_its_bound() {
    check("sigmoid", sigmoid, |x| 1.0 / (1.0 + (-x).exp()), 3.4);
}

#[test]
fn softplus_within_its_bound() {
    // Although `f64::max` drops NaN, the second term keeps it.
    let exact = |x: f64| x.max(0.0) + (-x.abs()).exp().ln_1p();
    check("softplus", softplus, exact, 3.2);
}

fn normal(x: f64) -> f64 {
    0.5 * libm::erfc(-x / std::f64::consts::SQRT_2)
}

#[test]
fn gelu_within_its_bound() {
    let exact = |x: f64| if x < -40.0 { 0.0 } else { x * normal(x) };
    check("gelu", gelu, exact, 8.0);
}

#[test]
fn gelu_slope_within_its_bound() {
    let exact = |x: f64| {
        let density = (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        normal(x) + x * density
    };
    let x: Vec<f32> = (-1500..=1500).map(|i| i as f32 * 0.01).collect();
    let (mut worst, mut at) = (0.0, 0.0);
    for (&x, y) in x.iter().zip(apply("gelu_slope", gelu_slope, &x)) {
        let error = (f64::from(y) - exact(x.into())).abs();
        assert!(error <= 2e-7, "gelu_slope({x:?}) is {y:?}, {error:e} off");
        if error > worst {
            (worst, at) = (error, x);
        }
    }
    println!("gelu_slope: {worst:e} at {at:?}");
    assert!(worst >= 1e-7, "gelu_slope is within {worst:e} already");
}

#[test]
fn values_at_the_ends() {
    const INF: f32 = f32::INFINITY;
    let cases: [Ends; 8] = [
        (
            "gelu",
            gelu,
            &[
                (0.0, 0.0),
                (-INF, 0.0),
                (-1000.0, 0.0),
                (-100.0, 0.0),
                (100.0, 100.0),
                (INF, INF),
            ],
        ),
        (
            "gelu_slope",
            gelu_slope,
            &[
                (0.0, 0.5),
                (-INF, -0.0),
                (-1000.0, -0.0),
                (1000.0, 1.0),
                (INF, 1.0),
            ],
        ),
        (
            "exp",
            exp,
            &[
                (0.0, 1.0),
                (-0.0, 1.0),
                (-INF, 0.0),
                (-200.0, 0.0),
                (200.0, INF),
                (INF, INF),
            ],
        ),
        (
            "expm1",
            expm1,
            &[
                (0.0, 0.0),
                (-INF, -1.0),
                (-100.0, -1.0),
                (100.0, INF),
                (INF, INF),
            ],
        ),
        (
            "log",
            log,
            &[(1.0, 0.0), (0.0, -INF), (-0.0, -INF), (INF, INF)],
        ),
        (
            "tanh",
            tanh,
            &[
                (0.0, 0.0),
                (-0.0, -0.0),
                (10.0, 1.0),
                (-10.0, -1.0),
                (INF, 1.0),
                (-INF, -1.0),
            ],
        ),
        (
            "sigmoid",
            sigmoid,
            &[
                (0.0, 0.5),
                (-1000.0, 0.0),
                (1000.0, 1.0),
                (-INF, 0.0),
                (INF, 1.0),
            ],
        ),
        (
            "softplus",
            softplus,
            &[(-INF, 0.0), (-1000.0, 0.0), (1000.0, 1000.0), (INF, INF)],
        ),
    ];
    for (name, f, pairs) in cases {
        let x: Vec<f32> = pairs.iter().map(|pair| pair.0).collect();
        for ((x, expected), y) in pairs.iter().zip(apply(name, f, &x)) {
            assert_eq!(y.to_bits(), expected.to_bits(), "{name}({x:?}) is {y:?}");
        }
        assert!(apply(name, f, &[f32::NAN])[0].is_nan(), "{name}(NaN)");
    }
    for x in [-1e-45, -1.0, -INF] {
        assert!(apply("log", log, &[x])[0].is_nan(), "log({x:?})");
    }
}

#[test]
fn tanh_and_sigmoid_stay_in_their_range() {
    let x: Vec<f32> = (0..200_000).map(|i| i as f32 * 1.3e-4 - 13.0).collect();
    assert!(apply("tanh", tanh, &x).iter().all(|y| y.abs() <= 1.0));
    assert!(
        apply("sigmoid", sigmoid, &x)
            .iter()
            .all(|y| (0.0..=1.0).contains(y))
    );
}

/// The numbers of counters 0, 1, 2, … as the vector code computes them.
fn uniforms(vectors: usize, key: u32) -> Vec<f32> {
    let mut b = BodyBuilder::new("uniform", 16);
    let (out, first, n) = (b.ptr_arg(), b.int_arg(), b.int_arg());
    let (lane, first) = (b.iota(), b.splat(first));
    let counter = b.iadd(lane, first);
    let (key, lanes) = (b.const_i(key as i32), b.const_i(16));
    b.repeat(Count::Arg(n), |b| {
        let value = uniform(b, counter, key);
        b.store(out, 0, value, Lanes::All);
        b.advance(out, 64);
        b.set(counter, crate::kernel::Op::IAdd(counter, lanes));
    });
    let mut buffers = [vec![0; vectors * 64]];
    let out = Pointer {
        buffer: 0,
        offset: 0,
    };
    eval::body(&b.finish(), &mut buffers, &[out], &[0, vectors as i64]).unwrap();
    let float = |four: &[u8]| f32::from_le_bytes([four[0], four[1], four[2], four[3]]);
    buffers[0].chunks_exact(4).map(float).collect()
}

#[test]
fn random_numbers_are_those_of_the_reference() {
    for key in [0, 1, 0xdead_beef, u32::MAX] {
        for (counter, value) in uniforms(64, key).into_iter().enumerate() {
            assert_eq!(value, uniform_reference(counter as u32, key));
        }
    }
}

#[test]
fn random_numbers_are_uniform() {
    // Keys that differ in one bit, and counters one after the other: the way they are used.
    const N: usize = 1 << 16;
    for key in [0, 1, 2, 0x8000_0000] {
        let values: Vec<f64> = (0..N as u32)
            .map(|i| uniform_reference(i, key).into())
            .collect();
        assert!(values.iter().all(|value| (0.0..1.0).contains(value)));
        // Four standard deviations of the mean, of the variance and of a bin's count.
        let mean = values.iter().sum::<f64>() / N as f64;
        assert!(
            (mean - 0.5).abs() < 4.0 * (1.0 / 12.0 / N as f64).sqrt(),
            "{key}: {mean}"
        );
        let variance = values.iter().map(|x| (x - 0.5) * (x - 0.5)).sum::<f64>() / N as f64;
        let spread = (1.0 / 180.0 / N as f64).sqrt();
        assert!(
            (variance - 1.0 / 12.0).abs() < 4.0 * spread,
            "{key}: {variance}"
        );
        let mut bins = [0; 64];
        for value in &values {
            bins[(value * 64.0) as usize] += 1;
        }
        let expected = (N / 64) as f64;
        for bin in bins {
            assert!(
                (f64::from(bin) - expected).abs() < 4.0 * expected.sqrt(),
                "{key}: {bins:?}"
            );
        }
        // Neighbours are not alike.
        let product = |pair: &[f64]| (pair[0] - 0.5) * (pair[1] - 0.5);
        let correlation = values.windows(2).map(product).sum::<f64>() * 12.0 / N as f64;
        assert!(
            correlation.abs() < 4.0 / (N as f64).sqrt(),
            "{key}: {correlation}"
        );
    }
}

#[test]
fn every_bit_of_counter_and_key_changes_half_of_the_bits() {
    const N: u32 = 4096;
    let bits = |counter, key| (uniform_reference(counter, key) * 16_777_216.0) as u32;
    for flipped in (0..32).map(|bit| 1_u32 << bit) {
        let mut changed = [[0_u32; 24]; 2];
        for i in 0..N {
            let (counter, key) = (i, i.wrapping_mul(0x0101_6b2d));
            let now = bits(counter, key);
            let others = [bits(counter ^ flipped, key), bits(counter, key ^ flipped)];
            for (changed, other) in changed.iter_mut().zip(others) {
                for (bit, count) in changed.iter_mut().enumerate() {
                    *count += (now ^ other) >> bit & 1;
                }
            }
        }
        // Five standard deviations of a fair coin, as there are 1536 of them.
        let deviation = 5.0 * (f64::from(N) / 4.0).sqrt();
        for count in changed.into_iter().flatten() {
            let off = (f64::from(count) - f64::from(N) / 2.0).abs();
            assert!(off < deviation, "bit {flipped:#x}: {changed:?}");
        }
    }
}

#[test]
fn code() {
    let functions: [(&str, Function); 8] = [
        ("exp", exp),
        ("expm1", expm1),
        ("log", log),
        ("tanh", tanh),
        ("sigmoid", sigmoid),
        ("softplus", softplus),
        ("gelu", gelu),
        ("gelu_slope", gelu_slope),
    ];
    let bodies = functions.map(|(name, f)| mapped(name, f).to_string());
    insta::assert_snapshot!(bodies.join("\n"));
}

#[test]
fn code_of_random_numbers() {
    let mut b = BodyBuilder::new("uniform", 16);
    let (out, first, key) = (b.ptr_arg(), b.int_arg(), b.int_arg());
    let (lane, first, key) = (b.iota(), b.splat(first), b.splat(key));
    let counter = b.iadd(lane, first);
    let value = uniform(&mut b, counter, key);
    b.store(out, 0, value, Lanes::All);
    insta::assert_snapshot!(b.finish());
}
