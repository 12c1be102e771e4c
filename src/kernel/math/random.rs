//! Random numbers that are a function of a position and a key, so that they need no state, no order
//! and no memory: a mask is computed again wherever it is needed.

use crate::kernel::body::Reg;
use crate::kernel::builder::BodyBuilder;

/// Keeps zero, which the finaliser maps to itself, out of its second round: 2^32 divided by the
/// golden ratio, a customary number without structure.
const ROUND: i32 = 0x9e37_79b9_u32 as i32;

/// Shifts and multipliers of the finaliser.
const SHIFTS: [u8; 3] = [16, 15, 16];
const MULTIPLIERS: [i32; 2] = [0x7feb_352d, 0x846c_a68b_u32 as i32];

/// The bits of a float's mantissa, with the one that is implied.
const MANTISSA_BITS: u8 = 24;
/// 2^-24
const STEP: f32 = 1.0 / 16_777_216.0;

/// A float of 24 random bits in [0, 1) for each lane's counter and key, both integers.
///
/// Two rounds of the finaliser `lowbias32` (C. Wellons, "Prospecting for Hash Functions", 2018), the
/// key joining before each: mix(mix(counter ^ key) + key + 0x9e3779b9). A round is a permutation, so
/// one key gives no number twice before all 2^32 counters are used. Not for secrets.
pub fn uniform(b: &mut BodyBuilder, counter: Reg, key: Reg) -> Reg {
    let (round, step) = (b.const_i(ROUND), b.const_f(STEP));
    let bits = b.xor(counter, key);
    let bits = mix(b, bits);
    let key = b.iadd(key, round);
    let bits = b.iadd(bits, key);
    let bits = mix(b, bits);
    let high = b.shr(bits, 32 - MANTISSA_BITS);
    let whole = b.to_float(high);
    b.mul(whole, step)
}

fn mix(b: &mut BodyBuilder, mut bits: Reg) -> Reg {
    for (place, shift) in SHIFTS.into_iter().enumerate() {
        let high = b.shr(bits, shift);
        bits = b.xor(bits, high);
        if let Some(&multiplier) = MULTIPLIERS.get(place) {
            let multiplier = b.const_i(multiplier);
            bits = b.imul(bits, multiplier);
        }
    }
    bits
}

/// What [`uniform`] gives in a lane, bit for bit.
pub fn uniform_reference(counter: u32, key: u32) -> f32 {
    let bits = mix_reference(counter ^ key);
    let bits = mix_reference(bits.wrapping_add(key).wrapping_add(ROUND as u32));
    (bits >> (32 - MANTISSA_BITS)) as f32 * STEP
}

fn mix_reference(mut bits: u32) -> u32 {
    for (place, shift) in SHIFTS.into_iter().enumerate() {
        bits ^= bits >> shift;
        if let Some(&multiplier) = MULTIPLIERS.get(place) {
            bits = bits.wrapping_mul(multiplier as u32);
        }
    }
    bits
}
