//! Dropout in registers: the mask is computed where it is used, forward and backward alike, and never
//! stored.

use super::Dropout;
use crate::kernel::BodyBuilder;
use crate::kernel::{Cmp, Reg, math};

/// x · keep / (1 - rate), keep following from the seed, the layer and the element's logical number.
pub fn emit(op: &Dropout, b: &mut BodyBuilder, x: Reg, seed: Reg, element: Reg) -> Reg {
    let zero = b.const_f(0.0);
    if op.rate >= 1.0 {
        return zero;
    }
    // The key of a zero seed is the stream's own part.
    let stream = b.const_i(op.key(0) as i32);
    let key = b.xor(seed, stream);
    let uniform = math::uniform(b, element, key);
    let rate = b.const_f(op.rate);
    let scale = b.const_f(1.0 / (1.0 - op.rate));
    let kept = b.mul(x, scale);
    b.select(Cmp::Ge, uniform, rate, kept, zero)
}
