//! In which order the tiles of a contraction come, and which of them a task has.
//!
//! A tile reads a few rows of A and a panel of B. Whatever does not fit into the second-level cache had better come there
//! once: A, if a few rows meet all panels before the next rows; B, if a panel meets all rows before the next panel.

use super::ColumnRun;
use crate::codegen::Target;
use crate::kernel::{Index, NestBuilder};

/// The share of the second-level cache for what has to stay there.
const SHARE: f64 = 0.4;

/// Tasks that few panels are cut into, so that threads have like shares.
pub(super) const LEAST_TASKS: usize = 8;

/// The order of tiles.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// A unit is a tile of m. So many of them go through all panels before the next ones come.
    Rows(usize),
    /// A unit is a tile of m and one of n, and a task has the units of whole panels.
    Columns,
}

/// What a contraction reads.
pub(super) struct Reads {
    /// Tiles of m, and of n.
    pub(super) tiles: [usize; 2],
    /// Bytes of A, and of B.
    pub(super) bytes: [usize; 2],
}

impl Reads {
    /// The order in which least comes from afar.
    pub(super) fn order(&self, target: &Target) -> Order {
        let near = (SHARE * target.caches[1] as f64) as usize;
        let ([rows, columns], [a, b]) = (self.tiles, self.bytes);
        // Too few rows for threads to share.
        if rows < LEAST_TASKS && columns > rows {
            return Order::Columns;
        }
        if b > near && columns > 1 && (a <= near || a * columns + b < a + b * a.div_ceil(near)) {
            return Order::Columns;
        }
        if a <= near || columns == 1 {
            return Order::Rows(rows.max(1));
        }
        Order::Rows((near / a.div_ceil(rows).max(1)).clamp(1, rows))
    }
}

/// Visits the units of a task by rows: blocks of so many, each before all panels.
pub(super) fn blocks(
    nest: &mut NestBuilder,
    size: usize,
    rows: usize,
    mut visit: impl FnMut(&mut NestBuilder, [Index; 2]),
) {
    if size >= rows {
        return visit(nest, [Index::Lo, Index::Hi]);
    }
    nest.for_(Index::Lo, Index::Hi, size as i64, |nest, first| {
        let end = nest.let_((first.clone() + size as i64).min(Index::Hi));
        visit(nest, [first, end]);
    });
}

/// Visits the panels of a task and the tiles of m that it has of each; there are `rows` of them.
pub(super) fn panels(
    nest: &mut NestBuilder,
    runs: &[ColumnRun],
    lanes: usize,
    rows: &Index,
    mut visit: impl FnMut(&mut NestBuilder, Index, &ColumnRun, [Index; 2]),
) {
    let mut before = 0;
    for run in runs {
        nest.for_(0, run.tiles as i64, 1, |nest, tile| {
            let start = nest.let_((tile.clone() + before) * rows.clone());
            let first = nest.let_((Index::Lo - start.clone()).max(0));
            let end = nest.let_((Index::Hi - start).min(rows.clone()));
            let column = tile * (run.vectors * lanes) as i64 + (run.first * lanes) as i64;
            let column = nest.let_(column);
            visit(nest, column, run, [first, end]);
        });
        before += run.tiles as i64;
    }
}
