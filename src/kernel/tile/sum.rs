//! The loops and steps of a tile's sum.

use super::{Axis, Tile};
use crate::kernel::body::{Count, Lanes, Ptr, Reg};
use crate::kernel::builder::BodyBuilder;

/// A sum of at most so many instructions is written out without any loop. It saves the few percent
/// that loop counters and pointer advances cost, and costs code: at some 8 bytes an instruction this
/// is a quarter of a 32 KiB instruction cache, which holds a layer's few tiles, and well within the
/// cache of decoded instructions of current cores.
const STRAIGHT_LINE_INSTRUCTIONS: usize = 1024;

/// The A and B pointers, or a number of bytes for each.
type Pair<T> = [T; 2];

pub(super) struct Maker<'t> {
    tile: &'t Tile,
    accumulators: &'t [Vec<Reg>],
    /// The axes that matter: those of one position are left out, and neighbours that continue each
    /// other are one.
    axes: Vec<Axis>,
}

impl<'t> Maker<'t> {
    pub(super) fn new(tile: &'t Tile, accumulators: &'t [Vec<Reg>]) -> Maker<'t> {
        let mut axes: Vec<Axis> = Vec::new();
        for &axis in &tile.reduce {
            if axis.count == Count::Imm(1) {
                continue;
            }
            match axes
                .last_mut()
                .and_then(|outer| continued(*outer, axis).map(|joined| (outer, joined)))
            {
                Some((outer, joined)) => *outer = joined,
                None => axes.push(axis),
            }
        }
        Maker {
            tile,
            accumulators,
            axes,
        }
    }

    /// Adds the whole sum to the body; the pointers move.
    pub(super) fn emit(&self, b: &mut BodyBuilder, ptrs: Pair<Ptr>) {
        self.nest(b, &self.axes, ptrs);
    }

    /// Adds the sum over some innermost axes; the pointers move as [`Maker::moved`] says.
    fn nest(&self, b: &mut BodyBuilder, axes: &[Axis], ptrs: Pair<Ptr>) {
        if self.is_straight(axes) {
            self.straight(b, axes, ptrs, [0, 0]);
            return;
        }
        match axes {
            [] => unreachable!("a single step is straight"),
            [innermost] => self.run(b, innermost, ptrs),
            [axis, inner @ ..] => {
                let moved = self.moved(inner);
                b.repeat(axis.count, |b| {
                    // Where the way back is not known, the inner axes walk on a copy.
                    let own = [0, 1].map(|side| match moved[side] {
                        Some(_) => ptrs[side],
                        None => b.ptr_copy(ptrs[side], 0),
                    });
                    self.nest(b, inner, own);
                    for (side, step) in steps(axis).into_iter().enumerate() {
                        b.advance(ptrs[side], step - moved[side].unwrap_or(0));
                    }
                });
            }
        }
    }

    /// The innermost loop: some steps a turn, at constant distances from the pointers, which advance
    /// once a turn; then the steps left over.
    fn run(&self, b: &mut BodyBuilder, axis: &Axis, ptrs: Pair<Ptr>) {
        let turn = |b: &mut BodyBuilder, unroll: u32| {
            self.some_steps(b, axis, unroll, ptrs);
            for (ptr, step) in ptrs.into_iter().zip(steps(axis)) {
                b.advance(ptr, i64::from(unroll) * step);
            }
        };
        let unroll = self.unroll();
        match (axis.count, self.tile.rest) {
            (Count::Imm(count), _) => {
                if count >= unroll {
                    b.repeat(Count::Imm(count / unroll), |b| turn(b, unroll));
                }
                self.some_steps(b, axis, count % unroll, ptrs);
            }
            (Count::Arg(_), None) => b.repeat(axis.count, |b| turn(b, 1)),
            (Count::Arg(_), Some(rest)) => {
                b.repeat(axis.count, |b| turn(b, unroll));
                b.repeat(Count::Arg(rest), |b| turn(b, 1));
            }
        }
    }

    fn some_steps(&self, b: &mut BodyBuilder, axis: &Axis, count: u32, ptrs: Pair<Ptr>) {
        for turn in 0..i64::from(count) {
            self.step(b, ptrs, steps(axis).map(|step| turn * step));
        }
    }

    /// All steps of some innermost axes, at constant distances from pointers that stay.
    fn straight(&self, b: &mut BodyBuilder, axes: &[Axis], ptrs: Pair<Ptr>, at: Pair<i64>) {
        let Some((axis, inner)) = axes.split_first() else {
            self.step(b, ptrs, at);
            return;
        };
        let Count::Imm(count) = axis.count else {
            unreachable!("only constant counts are written out");
        };
        for turn in 0..i64::from(count) {
            let [a_step, b_step] = steps(axis);
            self.straight(
                b,
                inner,
                ptrs,
                [at[0] + turn * a_step, at[1] + turn * b_step],
            );
        }
    }

    /// One term of every sum, at a distance from the pointers.
    fn step(&self, b: &mut BodyBuilder, [a_ptr, b_ptr]: Pair<Ptr>, [a_at, b_at]: Pair<i64>) {
        let tile = self.tile;
        let columns: Vec<Reg> = (0..tile.vectors)
            .map(|vector| {
                let last = vector + 1 == tile.vectors;
                let lanes = if last { tile.b_last } else { Lanes::All };
                let off = b_at + vector as i64 * i64::from(tile.b_vector_step);
                b.load(b_ptr, displacement(off), lanes)
            })
            .collect();
        for (ptr, at, ahead) in [(a_ptr, a_at, &tile.ahead[0]), (b_ptr, b_at, &tile.ahead[1])] {
            for &bytes in ahead {
                if let Ok(off) = i32::try_from(at + bytes) {
                    b.prefetch(ptr, off);
                }
            }
        }
        for (&row, accumulators) in tile.a_rows.iter().zip(self.accumulators) {
            let a = b.broadcast(a_ptr, displacement(a_at + i64::from(row)));
            for (&column, &acc) in columns.iter().zip(accumulators) {
                b.fma_into(acc, a, column, acc);
            }
        }
    }

    /// Whether the sum over some innermost axes is written out: all of a short sum, of a longer one
    /// what would be a loop of one turn.
    fn is_straight(&self, axes: &[Axis]) -> bool {
        let Some(total) = total(axes) else {
            return false;
        };
        let (rows, vectors) = (self.tile.a_rows.len(), self.tile.vectors);
        let instructions = (vectors + rows * (1 + vectors)) as u64;
        let short = axes.len() == self.axes.len()
            && total.saturating_mul(instructions) <= STRAIGHT_LINE_INSTRUCTIONS as u64;
        (short || total < 2 * u64::from(self.unroll())) && self.within_reach(axes)
    }

    /// Whether all steps of some axes of constant counts are at distances that instructions can hold.
    fn within_reach(&self, axes: &[Axis]) -> bool {
        let rows = self
            .tile
            .a_rows
            .iter()
            .map(|row| i64::from(*row).abs())
            .max();
        let vectors = self.tile.vectors as i64 * i64::from(self.tile.b_vector_step).abs();
        let mut reach = [rows.unwrap_or(0), vectors];
        for axis in axes {
            let Count::Imm(count) = axis.count else {
                return false;
            };
            for (reach, step) in reach.iter_mut().zip(steps(axis)) {
                *reach = reach.saturating_add(step.saturating_mul(count.into()).saturating_abs());
            }
        }
        reach.iter().all(|&reach| reach <= i64::from(i32::MAX))
    }

    /// How far the sum over some innermost axes moves the pointers, where that is known.
    fn moved(&self, axes: &[Axis]) -> Pair<Option<i64>> {
        if self.is_straight(axes) {
            return [Some(0); 2];
        }
        let (axis, inner) = axes.split_first().expect("a single step is straight");
        steps(axis).map(|step| match axis.count {
            // The steps left over from the turns do not move them.
            Count::Imm(count) if inner.is_empty() => {
                Some(i64::from(count - count % self.unroll()) * step)
            }
            Count::Imm(count) => Some(i64::from(count) * step),
            Count::Arg(_) => (step == 0).then_some(0),
        })
    }

    fn unroll(&self) -> u32 {
        u32::try_from(self.tile.unroll).expect("a loop's turn is some code")
    }
}

/// The two axes as one, if the outer one goes on where the inner one ends.
fn continued(outer: Axis, inner: Axis) -> Option<Axis> {
    let (Count::Imm(many), Count::Imm(few)) = (outer.count, inner.count) else {
        return None;
    };
    let ends = |step: i64| step.checked_mul(few.into());
    let goes_on =
        ends(inner.a_step) == Some(outer.a_step) && ends(inner.b_step) == Some(outer.b_step);
    let count = Count::Imm(many.checked_mul(few)?);
    goes_on.then_some(Axis { count, ..inner })
}

/// How many steps the axes have, if that is constant.
fn total(axes: &[Axis]) -> Option<u64> {
    axes.iter()
        .try_fold(1, |total: u64, axis| match axis.count {
            Count::Imm(count) => Some(total.saturating_mul(count.into())),
            Count::Arg(_) => None,
        })
}

fn steps(axis: &Axis) -> Pair<i64> {
    [axis.a_step, axis.b_step]
}

fn displacement(bytes: i64) -> i32 {
    i32::try_from(bytes).expect("one turn of a tile's loop spans less than two gigabytes")
}
