//! Elementary functions as vector code: register in, register out.
//!
//! Each reduces its argument to a small interval, evaluates a polynomial there and scales back. NaN
//! gives NaN; clamps therefore put their bound first, as `min` and `max` give their second operand
//! for NaN.
//!
//! Errors are given in ULP, units in the last place of the correctly rounded result. They hold for all
//! floats: each was tried against double precision, of which the tests repeat a part. Where the
//! thread flushes denormals, results below the least normal float are zero besides.
//!
//! The polynomials were fitted in sixty digits to the least greatest relative error by Lawson's
//! algorithm (repeated least squares, each point weighted by its last error; C. L. Lawson, 1961) and
//! their coefficients rounded to single precision. The argument reduction is that of Cody and Waite,
//! "Software Manual for the Elementary Functions", 1980.

use super::body::{Cmp, Reg};
use super::builder::BodyBuilder;

mod random;
#[cfg(test)]
mod tests;

pub use random::{uniform, uniform_reference};

/// ln 2 in two parts (Cephes, `expf.c`). The first has few bits: its product with a small whole
/// number is exact.
const LN2_HI: f32 = 355.0 / 512.0;
const LN2_LO: f32 = -2.121_944_4e-4;

/// Half of log2 e.
const HALF_LOG2_E: f32 = 0.721_347_5;

/// A float this large has no bits behind the point, so adding it rounds to a whole number, which then
/// is in the lowest bits: 1.5 · 2^23, plus the bias of a float's exponent.
const ROUND_TO_EXPONENT: f32 = 12_582_912.0 + 127.0;

/// Below, exp is nearer to zero than to the least float.
const EXP_LO: f32 = -104.0;
/// Above, exp is infinite.
const EXP_HI: f32 = 89.0;

/// (e^r - 1 - r) / r² for |r| ≤ ln 2, of relative error 1.5e-8 in e^r.
const EXP: [f32; 6] = [
    0.500_000_36,
    0.166_666_14,
    0.041_661_266,
    0.008_336_104,
    0.001_410_451_7,
    0.000_196_117_08,
];

/// (ln(1 + f) - f + f² / 2) / f³ for √½ ≤ 1 + f ≤ √2, of relative error 6e-9 in the logarithm.
const LOG: [f32; 8] = [
    0.333_333_3,
    -0.250_008_23,
    0.200_012_27,
    -0.166_233_55,
    0.142_017_68,
    -0.131_602_12,
    0.127_615_15,
    -0.076_343_4,
];

/// (ln(1 + u) - u) / u² for 0 ≤ u ≤ 1, of relative error 6e-9 in the logarithm.
const LOG_1P: [f32; 9] = [
    -0.499_999_3,
    0.333_305_1,
    -0.249_585_7,
    0.196_953_1,
    -0.153_551_36,
    0.106_801_12,
    -0.057_660_054,
    0.020_202_246,
    -0.003_317_953,
];

/// Φ(-a) e^(a²/2) / t with t = 1 / (1 + 19/64 a), for 0 ≤ a ≤ 14.4, of relative error 2.4e-9.
const TAIL: [f32; 10] = [
    0.118_442_82,
    0.118_262_54,
    0.109_914_035,
    0.075_009_76,
    0.106_908_54,
    -0.098_673_16,
    0.218_657_52,
    -0.243_152_93,
    0.115_135_34,
    -0.020_504_47,
];
/// What makes [`TAIL`]'s variable: a fit's freedom, chosen for the least error among short numbers.
const TAIL_SCALE: f32 = 19.0 / 64.0;
/// Above, Φ(-a) and its density are nearer to zero than to the least float, and so is e^(-a²/2).
const TAIL_HI: f32 = 14.5;

/// The bits of √½.
const SQRT_HALF_BITS: i32 = 0x3f35_04f3;
/// The bits of 1.
const ONE_BITS: i32 = 0x3f80_0000;
/// The bits of a float's mantissa.
const MANTISSA: i32 = 0x007f_ffff;
/// The bit of a float's sign.
const SIGN: i32 = i32::MIN;

/// e^x, within 1.7 ULP.
///
/// x = 2 h ln 2 + r with a whole h and |r| ≤ ln 2; the result is e^r · 2^h · 2^h. Two factors reach
/// the denormals as well as infinity, and being equal they cost one shift: h is rounded to whole
/// where its bits already are those of 2^h's exponent.
pub fn exp(b: &mut BodyBuilder, x: Reg) -> Reg {
    let (lo, hi) = (b.const_f(EXP_LO), b.const_f(EXP_HI));
    let x = b.min(hi, x);
    let x = b.max(lo, x);
    exp_between(b, x)
}

/// e^x for x between -106 and [`EXP_HI`].
fn exp_between(b: &mut BodyBuilder, x: Reg) -> Reg {
    let (r, scale) = reduce_exp(b, x);
    let one = b.const_f(1.0);
    let poly = horner(b, r, &EXP);
    let poly = b.fma(poly, r, one);
    let poly = b.fma(poly, r, one);
    let scaled = b.mul(poly, scale);
    b.mul(scaled, scale)
}

/// e^x - 1, within 1.7 ULP, also near zero.
///
/// With r and h as in [`exp`], e^r - 1 is a polynomial without a constant, and the result
/// 2^h · (2^h · (e^r - 1) + (2^h - 2^-h)).
pub fn expm1(b: &mut BodyBuilder, x: Reg) -> Reg {
    // Far below, e^x is lost beside 1.
    let (lo, hi) = (b.const_f(-20.0), b.const_f(EXP_HI));
    let x = b.min(hi, x);
    let x = b.max(lo, x);
    expm1_between(b, x)
}

/// e^x - 1 for x between -87 and [`EXP_HI`].
fn expm1_between(b: &mut BodyBuilder, x: Reg) -> Reg {
    let (r, scale) = reduce_exp(b, x);
    let poly = horner(b, r, &EXP);
    let square = b.mul(r, r);
    let less_one = b.fma(square, poly, r);
    // The exponents of 2^h and 2^-h add up to twice the bias.
    let (exponents, bits) = (b.const_i(254 << 23), b.as_int(scale));
    let inverse = b.isub(exponents, bits);
    let inverse = b.as_float(inverse);
    let rest = b.sub(scale, inverse);
    let sum = b.fma(scale, less_one, rest);
    b.mul(sum, scale)
}

/// r and 2^h with x = 2 h ln 2 + r.
fn reduce_exp(b: &mut BodyBuilder, x: Reg) -> (Reg, Reg) {
    let (half_log2_e, round) = (b.const_f(HALF_LOG2_E), b.const_f(ROUND_TO_EXPONENT));
    let (hi, lo) = (b.const_f(2.0 * LN2_HI), b.const_f(2.0 * LN2_LO));
    let rounded = b.fma(x, half_log2_e, round);
    let h = b.sub(rounded, round);
    let r = b.fma_neg(h, hi, x);
    let r = b.fma_neg(h, lo, r);
    let bits = b.as_int(rounded);
    let scale = b.shl(bits, 23);
    (r, b.as_float(scale))
}

/// 1 / (1 + e^-x), within 3.4 ULP; exactly 0 and 1 far out.
///
/// Computed as e^x / (1 + e^x), which is accurate for negative x, where the result is small.
pub fn sigmoid(b: &mut BodyBuilder, x: Reg) -> Reg {
    // From 17.4 on the result is 1; e^x must stay finite.
    let (lo, hi) = (b.const_f(EXP_LO), b.const_f(20.0));
    let x = b.min(hi, x);
    let x = b.max(lo, x);
    let exp = exp_between(b, x);
    let one = b.const_f(1.0);
    let sum = b.add(one, exp);
    b.div(exp, sum)
}

/// The hyperbolic tangent, within 2.8 ULP, also near zero; exactly ±1 far out, never beyond.
///
/// (e^2|x| - 1) / (e^2|x| + 1) with the sign of x, from e^2|x| - 1 as in [`expm1`].
pub fn tanh(b: &mut BodyBuilder, x: Reg) -> Reg {
    // From |x| = 9.02 on the result is 1.
    let (hi, two) = (b.const_f(20.0), b.const_f(2.0));
    let magnitude = b.abs(x);
    let double = b.add(magnitude, magnitude);
    let double = b.min(hi, double);
    let less_one = expm1_between(b, double);
    let plus_one = b.add(less_one, two);
    let tanh = b.div(less_one, plus_one);
    let sign = b.const_i(SIGN);
    let (bits, from) = (b.as_int(tanh), b.as_int(x));
    let sign = b.and(from, sign);
    let signed = b.or(bits, sign);
    b.as_float(signed)
}

/// The natural logarithm, within 1 ULP; -∞ for zeros of either sign, NaN below.
///
/// x = 2^k · (1 + f) with √½ ≤ 1 + f < √2; the result is k ln 2 + ln(1 + f).
pub fn log(b: &mut BodyBuilder, x: Reg) -> Reg {
    // Denormals are brought to where the exponent's bits tell their size.
    let (least, up) = (b.const_f(f32::MIN_POSITIVE), b.const_f(8_388_608.0));
    let (bias, larger_bias) = (b.const_i(127), b.const_i(127 + 23));
    let scaled = b.mul(x, up);
    let normal = b.select(Cmp::Lt, x, least, scaled, x);
    let bias = b.select(Cmp::Lt, x, least, larger_bias, bias);

    // Moved up by the ratio of 1 to √½, the exponent's bits change at √½ instead of at 1.
    let (moved, mantissa) = (b.const_i(ONE_BITS - SQRT_HALF_BITS), b.const_i(MANTISSA));
    let (sqrt_half, one) = (b.const_i(SQRT_HALF_BITS), b.const_f(1.0));
    let bits = b.as_int(normal);
    let bits = b.iadd(bits, moved);
    let exponent = b.shr(bits, 23);
    let exponent = b.isub(exponent, bias);
    let k = b.to_float(exponent);
    let bits = b.and(bits, mantissa);
    let bits = b.iadd(bits, sqrt_half);
    let factor = b.as_float(bits);
    let f = b.sub(factor, one);

    let (half, hi, lo) = (b.const_f(-0.5), b.const_f(LN2_HI), b.const_f(LN2_LO));
    let poly = horner(b, f, &LOG);
    let less_half = b.fma(poly, f, half);
    let square = b.mul(f, f);
    let small = b.mul(square, less_half);
    let small = b.fma(k, lo, small);
    let small = b.add(f, small);
    let log = b.fma(k, hi, small);

    let (zero, infinity) = (b.const_f(0.0), b.const_f(f32::INFINITY));
    let (pole, invalid) = (b.const_f(f32::NEG_INFINITY), b.const_f(f32::NAN));
    let log = b.select(Cmp::Lt, x, infinity, log, x);
    let outside = b.select(Cmp::Eq, x, zero, pole, invalid);
    b.select(Cmp::Gt, x, zero, log, outside)
}

/// ln(1 + e^x), within 3.2 ULP.
///
/// Computed as max(x, 0) + ln(1 + u) with u = e^-|x|, which is at most 1, so that a polynomial does.
pub fn softplus(b: &mut BodyBuilder, x: Reg) -> Reg {
    let (zero, one) = (b.const_f(0.0), b.const_f(1.0));
    let magnitude = b.abs(x);
    let (lo, below) = (b.const_f(EXP_LO), b.neg(magnitude));
    let below = b.max(lo, below);
    let u = exp_between(b, below);
    let poly = horner(b, u, &LOG_1P);
    let poly = b.fma(poly, u, one);
    let positive = b.max(zero, x);
    b.fma(poly, u, positive)
}

/// x Φ(x) with Φ the normal distribution, Φ(x) = erfc(-x / √2) / 2, within 8 ULP; 0 far below.
///
/// Computed as max(x, 0) - a Φ(-a) with a = |x|: the second term is at most 0.17, so nothing cancels
/// on either side.
pub fn gelu(b: &mut BodyBuilder, x: Reg) -> Reg {
    let Tail { a, scaled, exp } = normal_tail(b, x);
    let below = b.mul(scaled, exp);
    let zero = b.const_f(0.0);
    let positive = b.max(zero, x);
    b.fma_neg(a, below, positive)
}

/// The slope of [`gelu`], Φ(x) + x φ(x) with φ the normal density, within 2e-7; exactly 0 and 1 far
/// out.
///
/// One power of e serves both: with a = |x|, Φ(-a) - a φ(a) is the slope at -a and 1 less the slope
/// at a. Near -0.752, where the slope is zero, only the absolute error is small.
pub fn gelu_slope(b: &mut BodyBuilder, x: Reg) -> Reg {
    let Tail { a, scaled, exp } = normal_tail(b, x);
    let density = b.const_f(INVERSE_SQRT_TAU);
    let difference = b.fma_neg(a, density, scaled);
    let below = b.mul(difference, exp);
    let (zero, one) = (b.const_f(0.0), b.const_f(1.0));
    let above = b.sub(one, below);
    b.select(Cmp::Gt, x, zero, above, below)
}

/// 1 / √(2 π)
const INVERSE_SQRT_TAU: f32 = 0.398_942_3;

/// The tail of the normal distribution in two factors: Φ(-a) = scaled · exp.
struct Tail {
    /// |x|, at most [`TAIL_HI`].
    a: Reg,
    /// Φ(-a) e^(a²/2).
    scaled: Reg,
    /// e^(-a²/2).
    exp: Reg,
}

/// Φ(-|x|) = t · P(t) · e^(-a²/2) with t = 1 / (1 + 19/64 a). What rounding takes off the square is
/// put back in after the power, which would magnify it.
fn normal_tail(b: &mut BodyBuilder, x: Reg) -> Tail {
    let (hi, half) = (b.const_f(TAIL_HI), b.const_f(-0.5));
    let (one, scale) = (b.const_f(1.0), b.const_f(TAIL_SCALE));
    let magnitude = b.abs(x);
    let a = b.min(hi, magnitude);
    let square = b.mul(a, a);
    let negative = b.neg(square);
    let rest = b.fma(a, a, negative);
    let exponent = b.mul(square, half);
    let exp = exp_between(b, exponent);
    let rest = b.mul(rest, half);
    let exp = b.fma(exp, rest, exp);
    let divisor = b.fma(a, scale, one);
    let t = b.div(one, divisor);
    let poly = horner(b, t, &TAIL);
    let scaled = b.mul(t, poly);
    Tail { a, scaled, exp }
}

/// The polynomial with these coefficients, the constant one first.
fn horner(b: &mut BodyBuilder, x: Reg, coefficients: &[f32]) -> Reg {
    let (&last, others) = coefficients
        .split_last()
        .expect("a polynomial has a coefficient");
    let last = b.const_f(last);
    others.iter().rev().fold(last, |sum, &coefficient| {
        let coefficient = b.const_f(coefficient);
        b.fma(sum, x, coefficient)
    })
}
