//! The batch-reduce matrix tile: the inner code of every convolution and dense layer.
//!
//! A tile holds M · NV accumulators, M rows of NV vectors. Each step of the sum loads NV vectors of B
//! and, for each row, spreads one element of A over a vector and multiplies it into the row's
//! accumulators. The sum runs over up to four nested axes with free strides: what the paper calls
//! the batch is the outer axes, the matrix product's own K the innermost (Georganas et al.,
//! "High-Performance Deep Learning via a Single Building Block", 2019).

use super::body::{Count, Lanes, Op, Ptr, Reg};
use super::builder::BodyBuilder;

/// An axis of the sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Its length. Only the outermost may depend on an argument.
    pub count: Count,
    /// Bytes from one position to the next in A.
    pub a_step: i64,
    /// Bytes from one position to the next in B.
    pub b_step: i64,
}

/// The shape of a tile and of its sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tile {
    /// For each row its distance from the A pointer, in bytes.
    pub a_rows: Vec<i32>,
    /// Vectors of a row.
    pub vectors: usize,
    /// The axes of the sum, outermost first; without one the sum is zero.
    pub reduce: Vec<Axis>,
    /// Steps of the innermost axis in one turn of its loop.
    pub unroll: usize,
}

/// Multiply-adds that are written out without any loop at most: 512 of them are about four kilobytes
/// of code, a small part of the instruction cache.
const STRAIGHT_LINE: usize = 512;

/// Sums into fresh accumulators, row by row. Whole vectors of B are read, so its rows are padded to
/// whole vectors. The pointers move.
pub fn sum(b: &mut BodyBuilder, tile: &Tile, a_ptr: Ptr, b_ptr: Ptr) -> Vec<Vec<Reg>> {
    let mut accumulators: Vec<Vec<Reg>> = Vec::with_capacity(tile.a_rows.len());
    for _ in &tile.a_rows {
        let row = (0..tile.vectors).map(|_| {
            let acc = b.reg(super::LaneType::F32);
            b.set(acc, Op::ConstF(0.0));
            acc
        });
        accumulators.push(row.collect());
    }
    let steps: Option<usize> = tile
        .reduce
        .iter()
        .map(|axis| match axis.count {
            Count::Imm(count) => Some(count as usize),
            Count::Arg(_) => None,
        })
        .product();
    if tile.reduce.is_empty() {
        return accumulators;
    }
    let mut maker = Maker { tile, accumulators: &accumulators, ptrs: [a_ptr, b_ptr] };
    match steps {
        Some(steps) if steps * tile.a_rows.len() * tile.vectors <= STRAIGHT_LINE => {
            maker.straight(b, &tile.reduce, [0, 0]);
        }
        _ => maker.loops(b, &tile.reduce),
    }
    accumulators
}

struct Maker<'t> {
    tile: &'t Tile,
    accumulators: &'t [Vec<Reg>],
    ptrs: [Ptr; 2],
}

impl Maker<'_> {
    /// One step of the sum at constant offsets from the pointers.
    fn step(&mut self, b: &mut BodyBuilder, [a_off, b_off]: [i64; 2]) {
        let offset = |bytes: i64| i32::try_from(bytes).expect("a step stays within two gigabytes");
        let columns: Vec<Reg> = (0..self.tile.vectors)
            .map(|vector| {
                let off = offset(b_off) + vector as i32 * b.vector_bytes();
                b.load(self.ptrs[1], off, Lanes::All)
            })
            .collect();
        for (&row, accumulators) in self.tile.a_rows.iter().zip(self.accumulators) {
            let a = b.broadcast(self.ptrs[0], offset(a_off) + row);
            for (&column, &acc) in columns.iter().zip(accumulators) {
                b.fma_into(acc, a, column, acc);
            }
        }
    }

    fn straight(&mut self, b: &mut BodyBuilder, axes: &[Axis], at: [i64; 2]) {
        let Some((axis, inner)) = axes.split_first() else {
            self.step(b, at);
            return;
        };
        let Count::Imm(count) = axis.count else {
            panic!("straight-line code has constant counts");
        };
        for turn in 0..i64::from(count) {
            self.straight(b, inner, [at[0] + turn * axis.a_step, at[1] + turn * axis.b_step]);
        }
    }

    /// Loops over the axes; leaves the pointers where the last step of the outermost axis, plus one,
    /// begins.
    fn loops(&mut self, b: &mut BodyBuilder, axes: &[Axis]) {
        let (axis, inner) = axes.split_first().expect("a sum has an axis");
        if inner.is_empty() {
            self.innermost(b, *axis);
            return;
        }
        let walked = match inner[0].count {
            Count::Imm(count) => i64::from(count),
            Count::Arg(_) => panic!("only the outermost axis may depend on an argument"),
        };
        b.repeat(axis.count, |b| {
            self.loops(b, inner);
            b.advance(self.ptrs[0], axis.a_step - walked * inner[0].a_step);
            b.advance(self.ptrs[1], axis.b_step - walked * inner[0].b_step);
        });
    }

    fn innermost(&mut self, b: &mut BodyBuilder, axis: Axis) {
        let mut turn = |b: &mut BodyBuilder, steps: i64| {
            for step in 0..steps {
                self.step(b, [step * axis.a_step, step * axis.b_step]);
            }
            b.advance(self.ptrs[0], steps * axis.a_step);
            b.advance(self.ptrs[1], steps * axis.b_step);
        };
        match axis.count {
            Count::Imm(count) => {
                let (count, unroll) = (count as usize, self.tile.unroll);
                let turns = count / unroll;
                // A loop of one turn is none.
                if turns > 1 {
                    b.repeat(Count::Imm(turns as u32), |b| turn(b, unroll as i64));
                    turn(b, (count % unroll) as i64);
                } else {
                    turn(b, count as i64);
                }
            }
            Count::Arg(_) => b.repeat(axis.count, |b| turn(b, 1)),
        }
    }
}
