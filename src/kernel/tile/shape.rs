//! Which tiles suit a register file.

/// The least number of accumulators that keeps the multipliers busy: a fused multiply-add takes four
/// cycles, and two start in each.
const LEAST_ACCUMULATORS: usize = 8;

/// Registers that a tile of so many rows and vectors uses.
pub(super) fn registers(rows: usize, vectors: usize) -> usize {
    rows * vectors + vectors + 1
}

/// The tiles `(M, NV)` worth considering for so many registers, the fewest loads for each
/// multiply-add first.
///
/// Their accumulators, vectors of B and the element of A fit the registers, they have enough
/// accumulators to cover the latency of multiply-adds, and no other such tile has as many rows and
/// as many vectors. What is left of a matrix at its edges takes parts of such a tile.
pub fn candidates(registers: usize) -> Vec<(usize, usize)> {
    let fits = |rows: usize, vectors: usize| self::registers(rows, vectors) <= registers;
    let mut shapes: Vec<(usize, usize)> = (1..=registers)
        .flat_map(|rows| (1..=registers).map(move |vectors| (rows, vectors)))
        .filter(|&(rows, vectors)| {
            fits(rows, vectors)
                && !fits(rows + 1, vectors)
                && !fits(rows, vectors + 1)
                && rows * vectors >= LEAST_ACCUMULATORS
        })
        .collect();
    shapes.sort_by(|&(m, v), &(other_m, other_v)| {
        let loads = (m + v) * other_m * other_v;
        let other_loads = (other_m + other_v) * m * v;
        loads.cmp(&other_loads).then(other_m.cmp(&m))
    });
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_for_common_register_files() {
        let cases: [(usize, &[(usize, usize)]); 4] = [
            (8, &[]),
            (12, &[(4, 2), (10, 1)]),
            (16, &[(4, 3), (6, 2), (2, 5), (14, 1)]),
            (
                32,
                &[
                    (5, 5),
                    (6, 4),
                    (4, 6),
                    (9, 3),
                    (3, 7),
                    (14, 2),
                    (2, 10),
                    (30, 1),
                    (1, 15),
                ],
            ),
        ];
        for (registers, shapes) in cases {
            assert_eq!(candidates(registers), shapes, "{registers} registers");
        }
    }
}
