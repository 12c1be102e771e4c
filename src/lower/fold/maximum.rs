//! The greatest of a vector's places.

use super::super::strided::{go, imm, load, nested};
use super::{Along, Loops};
use crate::kernel::{BodyBuilder, Cmp, LaneType, Lanes, Op, Ptr, Reduce, Reg};

/// The greatest of one vector's places, and if `results` is 2 the number of the first such.
pub(super) fn maximum(
    b: &mut BodyBuilder,
    loops: &Loops,
    lane_type: LaneType,
    ptr: Ptr,
    results: usize,
    width: Lanes,
) -> Vec<Reg> {
    let lanes = b.lanes();
    let along = loops.along == Along::Reduced;
    let lane_step = if along { loops.lanes.number } else { 0 };
    let best = b.reg(LaneType::F32);
    b.set(best, Op::float(f32::NEG_INFINITY));
    let iota = b.iota();
    let step = b.const_i(lane_step as i32);
    let number = b.imul(iota, step);
    // If nothing exceeds minus infinity, the first place is it.
    let at = b.copy(number);
    let step = loops.lanes.steps[0];
    let look = |b: &mut BodyBuilder, width: Lanes, fill: bool| {
        let x = load(b, ptr, 0, step, width, lane_type);
        let x = match width {
            Lanes::First(width) if fill => {
                let width = b.const_i(i32::from(width));
                let least = b.const_f(f32::NEG_INFINITY);
                b.select(Cmp::Lt, iota, width, x, least)
            }
            Lanes::First(_) | Lanes::All => x,
        };
        // Only a NaN that is the first one replaces what it does not exceed.
        let first_nan = b.select(Cmp::Unordered, best, best, best, x);
        if results > 1 {
            let first_at = b.select(Cmp::Unordered, best, best, at, number);
            let greater = b.select(Cmp::Gt, x, best, number, at);
            let next = b.select(Cmp::Unordered, x, x, first_at, greater);
            b.copy_into(at, next);
        }
        let greater = b.select(Cmp::Gt, x, best, x, best);
        let next = b.select(Cmp::Unordered, x, x, first_nan, greater);
        b.copy_into(best, next);
    };
    let ptrs = [ptr];
    nested(b, &ptrs, Some(number), &loops.reduced, &mut |b| {
        if !along {
            look(b, width, false);
            return;
        }
        let (whole, rest) = (loops.lanes.count / lanes, loops.lanes.count % lanes);
        if whole > 0 {
            b.repeat(imm(whole), |b| {
                look(b, Lanes::All, false);
                go(b, &ptrs, Some(number), &loops.lanes, lanes as i64);
            });
        }
        if rest > 0 {
            look(b, Lanes::First(rest as u8), true);
        }
        go(
            b,
            &ptrs,
            Some(number),
            &loops.lanes,
            -((whole * lanes) as i64),
        );
    });
    if along {
        across_lanes(b, best, at, results)
    } else {
        [best, at][..results].to_vec()
    }
}

/// The greatest of all lanes, a NaN if there is one, and the least number of those that are it.
fn across_lanes(b: &mut BodyBuilder, best: Reg, at: Reg, results: usize) -> Vec<Reg> {
    let (zero, one) = (b.const_f(0.0), b.const_f(1.0));
    let nan = b.select(Cmp::Unordered, best, best, one, zero);
    let any_nan = b.reduce(Reduce::Max, nan);
    let least = b.const_f(f32::NEG_INFINITY);
    let ordered = b.select(Cmp::Unordered, best, best, least, best);
    let most = b.reduce(Reduce::Max, ordered);
    let wins = b.select(Cmp::Eq, best, most, one, zero);
    let wins = b.select(Cmp::Gt, any_nan, zero, nan, wins);
    let not_a_number = b.const_f(f32::NAN);
    let greatest = b.select(Cmp::Gt, any_nan, zero, not_a_number, most);
    if results == 1 {
        return vec![greatest];
    }
    // Floats hold halves of a number exactly; the least is the greatest of the negative.
    let mut candidates = wins;
    let mut halves = Vec::new();
    for shift in [16, 0] {
        let half = b.shr(at, shift);
        let mask = b.const_i(0xFFFF);
        let half = b.and(half, mask);
        let half = b.to_float(half);
        let negative = b.neg(half);
        let offered = b.select(Cmp::Gt, candidates, zero, negative, least);
        let smallest = b.reduce(Reduce::Max, offered);
        candidates = b.select(Cmp::Eq, offered, smallest, candidates, zero);
        let positive = b.neg(smallest);
        halves.push(b.to_int(positive));
    }
    let high = b.shl(halves[0], 16);
    vec![greatest, b.or(high, halves[1])]
}
