//! The shape of a tile, chosen by counting cycles, and how n is cut into tiles.

use crate::codegen::Target;
use crate::kernel::Lanes;
use crate::lower::access::vectors;

/// Cycles that a fused multiply-add takes until its result can be added to again; a tile with fewer
/// accumulators than twice this waits.
const FMA_LATENCY: f64 = 4.0;

/// Cycles of entering and leaving a tile: an estimate of the call, its addresses and the way back.
/// It only has to keep tiles from becoming tiny.
const TILE_OVERHEAD: f64 = 40.0;

/// Cycles of storing one accumulator through a short epilogue, also an estimate.
const STORE_COST: f64 = 2.0;

/// A tile's shape: positions along the axes of m, vectors along n.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(super) struct Shape {
    /// Positions along the axes of m.
    pub(super) rows: [usize; 3],
    /// Vectors along n.
    pub(super) vectors: usize,
}

/// Bytes a cycle that come from beyond the second-level cache: what the filters of a layer of 7 x 7 pixels came at, whose
/// panels did not fit there, some 35 GB/s at 3.5 GHz.
pub(super) const FAR_BYTES: f64 = 10.0;

/// The share of the second-level cache that a panel of B may take: the rest is A's and C's.
pub const PANEL_SHARE: f64 = 0.6;

/// The estimated cycles of one tile. As many loads a cycle as multiply-adds; a broadcast is a load.
fn tile_cycles(target: &Target, rows: usize, vectors: usize, depth: usize) -> f64 {
    let a_cycle = target.multiply_adds as f64;
    let arithmetic = (rows * vectors) as f64 / a_cycle;
    let loads = (rows + vectors) as f64 / a_cycle;
    let step = arithmetic.max(loads).max(FMA_LATENCY);
    depth as f64 * step + (rows * vectors) as f64 * STORE_COST + TILE_OVERHEAD
}

/// The shape with the least estimated time for all of m and n, k being `depth` long; of so many vectors, if that is given.
pub(super) fn choose(
    target: &Target,
    extents: [usize; 3],
    columns: usize,
    depth: usize,
    only: Option<usize>,
) -> Shape {
    let n_vectors = columns.div_ceil(target.lanes);
    let mut best: Option<(f64, Shape)> = None;
    for vectors in 1..=n_vectors.min(4) {
        // Groups of vectors are as even as can be, so only some widths occur.
        let is_even = n_vectors.div_ceil(n_vectors.div_ceil(vectors)) == vectors;
        if !only.map_or(is_even, |only| only == vectors) {
            continue;
        }
        // Every tile reads the whole panel; one that does not stay near comes from afar each time.
        let far = |vectors: usize| {
            let panel = (depth * vectors * target.vector_bytes()) as f64;
            match panel > PANEL_SHARE * target.caches[1] as f64 {
                true => panel / FAR_BYTES,
                false => 0.0,
            }
        };
        // The last of n may be narrower.
        let rest = n_vectors % vectors;
        let runs = [
            (n_vectors / vectors, vectors),
            (usize::from(rest > 0), rest),
        ];
        let most = (target.registers - 1).saturating_sub(vectors) / vectors;
        // Of equals the one longest along neighbours in memory wins.
        for inner in (1..=extents[2].min(most)).rev() {
            for middle in 1..=extents[1].min(most / inner) {
                for outer in 1..=extents[0].min(most / (inner * middle)) {
                    let rows = [outer, middle, inner];
                    let mut cycles = 0.0;
                    for (tiles, vectors) in runs {
                        if tiles == 0 {
                            continue;
                        }
                        for_variants(extents, rows, |count, sizes| {
                            let size = sizes.iter().product();
                            let tile = tile_cycles(target, size, vectors, depth);
                            cycles += (tiles * count) as f64 * tile.max(far(vectors));
                        });
                    }
                    if best.is_none_or(|(least, _)| cycles < least) {
                        best = Some((cycles, Shape { rows, vectors }));
                    }
                }
            }
        }
    }
    best.expect("one row of one vector always fits").1
}

/// The sizes of tiles that cover the extents, and how often each occurs.
fn for_variants(extents: [usize; 3], tile: [usize; 3], mut visit: impl FnMut(usize, [usize; 3])) {
    let parts = |axis: usize| {
        let (whole, rest) = (extents[axis] / tile[axis], extents[axis] % tile[axis]);
        [(whole, tile[axis]), (usize::from(rest > 0), rest)]
    };
    for (n0, t0) in parts(0) {
        for (n1, t1) in parts(1) {
            for (n2, t2) in parts(2) {
                if n0 * n1 * n2 > 0 {
                    visit(n0 * n1 * n2, [t0, t1, t2]);
                }
            }
        }
    }
}

/// Vectors of n that one tile takes: from which vector, how many tiles of that width follow one
/// another, how wide, and the lanes of the last vector.
#[derive(Clone, Copy, Debug)]
pub(super) struct ColumnRun {
    pub(super) first: usize,
    pub(super) tiles: usize,
    pub(super) vectors: usize,
    pub(super) last: Lanes,
}

pub(super) fn column_runs(columns: usize, lanes: usize, widest: usize) -> Vec<ColumnRun> {
    let (n_vectors, last) = vectors(columns, lanes);
    let groups = n_vectors.div_ceil(widest);
    let (base, wider) = (n_vectors / groups, n_vectors % groups);
    let mut runs = Vec::new();
    let mut first = 0;
    for (tiles, vectors) in [(wider, base + 1), (groups - wider, base)] {
        let is_end = first + tiles * vectors == n_vectors;
        let partial = usize::from(is_end && last != Lanes::All && tiles > 0);
        if tiles > partial {
            runs.push(ColumnRun {
                first,
                tiles: tiles - partial,
                vectors,
                last: Lanes::All,
            });
        }
        first += (tiles - partial) * vectors;
        if partial > 0 {
            runs.push(ColumnRun {
                first,
                tiles: 1,
                vectors,
                last,
            });
            first += vectors;
        }
    }
    runs
}

/// The same for columns that are cut into panels of so many vectors: a tile covers a panel, the last one what is left.
pub(super) fn panel_runs(columns: usize, lanes: usize, width: usize) -> Vec<ColumnRun> {
    let (n_vectors, last) = vectors(columns, lanes);
    let (panels, rest) = (n_vectors / width, n_vectors % width);
    let is_cut = |vectors: usize| usize::from(vectors > 0 && last != Lanes::All);
    let whole = panels - if rest > 0 { 0 } else { is_cut(width) };
    let runs = [
        (0, whole, width, Lanes::All),
        (whole * width, panels - whole, width, last),
        (panels * width, usize::from(rest > 0), rest, last),
    ];
    let runs = runs.into_iter().filter(|&(_, tiles, ..)| tiles > 0);
    runs.map(|(first, tiles, vectors, last)| ColumnRun {
        first,
        tiles,
        vectors,
        last,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codegen::Isa;

    fn target(isa: Isa) -> Target {
        Target::of(isa, Target::SMALL_CACHES)
    }

    #[test]
    fn every_vector_of_n_is_in_one_tile() {
        for lanes in [4, 8, 16] {
            for columns in 1..200 {
                for (widest, cut) in (1..5).flat_map(|widest| [(widest, false), (widest, true)]) {
                    let mut next = 0;
                    let runs = match cut {
                        false => column_runs(columns, lanes, widest),
                        true => panel_runs(columns, lanes, widest),
                    };
                    for run in &runs {
                        assert!(!cut || run.first % widest == 0, "{columns} by {lanes}");
                        assert_eq!(run.first, next, "{columns} by {lanes}: {runs:?}");
                        assert!(run.vectors <= widest && run.tiles > 0);
                        next += run.tiles * run.vectors;
                    }
                    assert_eq!(next, columns.div_ceil(lanes));
                    let last = runs.last().map(|run| run.last);
                    let rest = u8::try_from(columns % lanes).unwrap();
                    let wanted = if rest == 0 {
                        Lanes::All
                    } else {
                        Lanes::First(rest)
                    };
                    assert_eq!(last, Some(wanted));
                }
            }
        }
    }

    #[test]
    fn tiles_fit_the_registers_and_suit_the_map() {
        for isa in Isa::ALL {
            let target = target(isa);
            for extents in [[1, 1, 1], [64, 1, 1], [1, 28, 28], [8, 7, 7], [1, 10, 10]] {
                for columns in [1, 6, 16, 64, 120] {
                    let Shape { rows, vectors } = choose(&target, extents, columns, 256, None);
                    let size: usize = rows.iter().product();
                    assert!(
                        size * vectors + vectors < target.registers,
                        "{isa} {extents:?}"
                    );
                    assert!(
                        rows.iter()
                            .zip(extents)
                            .all(|(&tile, extent)| tile <= extent)
                    );
                }
            }
        }
        // Half a row of 28 pixels by two vectors: no rest, and each element of A serves two vectors.
        let wide = target(Isa::Avx512);
        let chosen = choose(&wide, [1, 28, 28], 64, 576, None);
        assert_eq!(
            chosen,
            Shape {
                rows: [1, 1, 14],
                vectors: 2
            }
        );
        // Two whole rows of 7 pixels.
        let small = choose(&wide, [1, 7, 7], 512, 4608, None);
        assert_eq!(small.vectors * small.rows.iter().product::<usize>(), 28);
    }
}
