//! The batch-reduce matrix tile: the inner code of every convolution and dense layer.
//!
//! A tile computes `C[m, n] = sum over k of A[m, k] · B[k, n]` for M rows and NV vectors of columns, all
//! sums in registers at once: each step of k loads NV vectors of B and, for each row, spreads one
//! element of A over a vector and multiplies it into the row's NV accumulators. Step k is an affine
//! nest of axes with free strides: what the paper calls the batch is its outer axes (the taps of a
//! filter, images), a matrix product's own K the innermost. Rows of A and C are lists of offsets, so
//! that they may be any pixels (Georganas et al., "High-Performance Deep Learning via a Single
//! Building Block", 2019).
//!
//! The terms of a sum are added one after the other, outermost axis first, each by one fused
//! multiply-add, however the loops around them are unrolled.
//!
//! [`sum`] adds the sums to a body that its caller goes on with; [`build`] makes a whole body around
//! it, with arguments A, B, C and stores at the end.

use super::body::{Body, Count, Int, LaneType, Lanes, Op, Ptr, Reg};
use super::builder::BodyBuilder;
use sum::Maker;

mod shape;
mod sum;
#[cfg(test)]
mod tests;

pub use shape::candidates;

/// An axis of a sum.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Axis {
    /// Its length.
    pub count: Count,
    /// Bytes from one position to the next in A.
    pub a_step: i64,
    /// Bytes from one position to the next in B.
    pub b_step: i64,
}

/// The shape of a tile and its sum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tile {
    /// For each row its distance from the A pointer, in bytes.
    pub a_rows: Vec<i32>,
    /// The vectors of a row.
    pub vectors: usize,
    /// The axes of the sum, outermost first; without one the sum is zero.
    pub reduce: Vec<Axis>,
    /// Steps of the innermost axis in one turn of its loop, at least one.
    pub unroll: usize,
    /// Where the innermost count is an argument, bodies cannot divide it by [`Tile::unroll`]. With
    /// a `rest`, that argument counts whole turns, and this one the steps left over; with none, it
    /// counts steps, and the loop is not unrolled.
    pub rest: Option<Int>,
    /// Bytes from one vector of a row of B to the next.
    pub b_vector_step: i32,
    /// The lanes of the last vector of B that may be read: all where rows are padded.
    pub b_last: Lanes,
    /// What else each step brings near: lines so many bytes from its place in A, and in B.
    pub ahead: [Vec<i64>; 2],
}

/// Where the results of [`build`] go.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Output {
    /// For each row its distance from the C pointer, in bytes.
    pub rows: Vec<i32>,
    /// Bytes from one vector of a row to the next.
    pub vector_step: i32,
    /// The lanes of the last vector that exist.
    pub last: Lanes,
    /// Whether the sums are added to what C holds instead of to zero.
    pub accumulate: bool,
}

/// One accumulator's place, as its epilogue sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spot {
    /// Its row of the tile.
    pub row: usize,
    /// Its vector in the row.
    pub vector: usize,
    /// The lanes that exist.
    pub lanes: Lanes,
    /// The C pointer.
    pub c: Ptr,
    /// The distance of its place in C from the pointer.
    pub off: i32,
}

impl Tile {
    /// A tile whose vectors of B lie side by side and can be read whole.
    pub fn new(
        a_rows: Vec<i32>,
        vectors: usize,
        reduce: Vec<Axis>,
        unroll: usize,
        lanes: usize,
    ) -> Tile {
        Tile {
            a_rows,
            vectors,
            reduce,
            unroll,
            rest: None,
            b_vector_step: lanes as i32 * 4,
            b_last: Lanes::All,
            ahead: [Vec::new(), Vec::new()],
        }
    }

    /// The registers in use at once: all accumulators, the vectors of B and one element of A. An
    /// epilogue may need more, but comes when those of A and B are free.
    pub fn registers(&self) -> usize {
        shape::registers(self.a_rows.len(), self.vectors)
    }

    /// How many integer arguments the counts refer to.
    fn int_args(&self) -> u16 {
        let counts = self.reduce.iter().filter_map(|axis| match axis.count {
            Count::Arg(int) => Some(int),
            Count::Imm(_) => None,
        });
        counts
            .chain(self.rest)
            .map(|int| int.0 + 1)
            .max()
            .unwrap_or(0)
    }

    fn check(&self) {
        assert!(self.unroll >= 1, "a turn of a tile's loop has a step");
        assert!(
            self.rest.is_none()
                || matches!(
                    self.reduce.last(),
                    Some(Axis {
                        count: Count::Arg(_),
                        ..
                    })
                ),
            "only an innermost count that is an argument leaves a rest"
        );
    }
}

/// Sums into fresh accumulators, `[row][vector]`. The pointers move, and no argument can be declared
/// afterwards.
pub fn sum(b: &mut BodyBuilder, tile: &Tile, a_ptr: Ptr, b_ptr: Ptr) -> Vec<Vec<Reg>> {
    let accumulators = accumulators(b, tile, |_, _| Op::float(0.0));
    sum_into(b, tile, a_ptr, b_ptr, &accumulators);
    accumulators
}

/// Adds the sums to accumulators, `[row][vector]`, that hold something. The pointers move, and no
/// argument can be declared afterwards.
pub fn sum_into(
    b: &mut BodyBuilder,
    tile: &Tile,
    a_ptr: Ptr,
    b_ptr: Ptr,
    accumulators: &[Vec<Reg>],
) {
    tile.check();
    if !tile.reduce.is_empty() {
        Maker::new(tile, accumulators).emit(b, [a_ptr, b_ptr]);
    }
}

/// Builds the body of a tile with pointer arguments A, B and C.
///
/// Counts of the sum refer to the first integer arguments. `declare` may add arguments of either
/// kind behind these; what it returns is handed to `epilogue`, which is called once for each
/// accumulator, row by row, and stores the result: see [`store`].
pub fn build<X>(
    tile: &Tile,
    output: &Output,
    lanes: usize,
    name: impl Into<String>,
    declare: impl FnOnce(&mut BodyBuilder) -> X,
    mut epilogue: impl FnMut(&mut BodyBuilder, &X, Spot, Reg),
) -> Body {
    assert_eq!(
        tile.a_rows.len(),
        output.rows.len(),
        "a tile has as many rows in C as in A"
    );
    let mut b = BodyBuilder::new(name, lanes);
    let (a_ptr, b_ptr, c) = (b.ptr_arg(), b.ptr_arg(), b.ptr_arg());
    for _ in 0..tile.int_args() {
        b.int_arg();
    }
    let extra = declare(&mut b);
    let spot = |row: usize, vector: usize| Spot {
        row,
        vector,
        lanes: if vector + 1 == tile.vectors {
            output.last
        } else {
            Lanes::All
        },
        c,
        off: output.rows[row] + vector as i32 * output.vector_step,
    };
    let accumulators = accumulators(&mut b, tile, |row, vector| {
        let Spot { lanes, off, .. } = spot(row, vector);
        if output.accumulate {
            Op::Load { ptr: c, off, lanes }
        } else {
            Op::float(0.0)
        }
    });
    sum_into(&mut b, tile, a_ptr, b_ptr, &accumulators);
    for (row, accumulators) in accumulators.iter().enumerate() {
        for (vector, &acc) in accumulators.iter().enumerate() {
            epilogue(&mut b, &extra, spot(row, vector), acc);
        }
    }
    b.finish()
}

/// The plain epilogue: the sum goes to C.
pub fn store<X>(b: &mut BodyBuilder, _extra: &X, spot: Spot, acc: Reg) {
    b.store(spot.c, spot.off, acc, spot.lanes);
}

/// Fresh registers, each set by what `first` says.
pub fn accumulators(
    b: &mut BodyBuilder,
    tile: &Tile,
    first: impl Fn(usize, usize) -> Op,
) -> Vec<Vec<Reg>> {
    let mut accumulators = Vec::with_capacity(tile.a_rows.len());
    for row in 0..tile.a_rows.len() {
        let registers = (0..tile.vectors).map(|vector| {
            let acc = b.reg(LaneType::F32);
            b.set(acc, first(row, vector));
            acc
        });
        accumulators.push(registers.collect());
    }
    accumulators
}
