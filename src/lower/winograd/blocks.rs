//! How the tiles of a batch are cut into blocks.

use crate::codegen::Target;
use crate::kernel::{Index, NestBuilder};
use crate::lower::LEAST_TASKS;
use crate::lower::contract;
use crate::ops::winograd::Form;

/// Tiles of a block that are enough to make good use of a filter's matrix once it is near.
const BLOCK_TILES: usize = 64;

/// Tiles of a block at least, where there are so many: rows of a register tile.
const LEAST_TILES: usize = 6;

/// Vectors of the widest register tile: outputs that are no more cannot be shared out.
const TILE_VECTORS: usize = 3;

/// How the tiles of a batch are cut into blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Blocks {
    /// Rows and columns of tiles of an image.
    pub tiles: [usize; 2],
    /// Images of a block, more than one only if it has all their tiles.
    pub images: usize,
    /// Rows of tiles of a block; they divide those of an image.
    pub rows: usize,
}

impl Blocks {
    /// The blocks for so many outputs, each of so many rows and columns. Blocks are large, so that the filter is read seldom;
    /// but few outputs cannot be shared out among threads by their columns, so they are cut into more blocks.
    pub fn new(
        target: &Target,
        form: Form,
        outputs: usize,
        [height, width]: [usize; 2],
        batch: usize,
    ) -> Blocks {
        let tiles = [height, width].map(|size| size.div_ceil(form.outputs()));
        let all = tiles[0] * tiles[1];
        let images = (BLOCK_TILES / all.max(1)).clamp(1, batch.max(1));
        let is_narrow = outputs <= TILE_VECTORS * target.lanes;
        let wanted = match is_narrow {
            true => LEAST_TASKS.div_ceil(batch.div_ceil(images).max(1)),
            false => 1,
        };
        if all <= BLOCK_TILES && wanted == 1 {
            return Blocks {
                tiles,
                images,
                rows: tiles[0],
            };
        }
        let divisors = (1..=tiles[0]).filter(|rows| tiles[0].is_multiple_of(*rows));
        let fits = |&rows: &usize| {
            let small = rows * tiles[1] <= BLOCK_TILES && tiles[0] / rows >= wanted;
            small || rows * tiles[1] < 2 * LEAST_TILES || rows == 1
        };
        Blocks {
            tiles,
            images: 1,
            rows: divisors.filter(fits).max().unwrap_or(1),
        }
    }

    /// All ways to cut a batch into blocks of at most so many tiles, or of one row.
    pub fn all(
        form: Form,
        map: [usize; 2],
        batch: usize,
        most: usize,
    ) -> impl Iterator<Item = Blocks> {
        let tiles = map.map(|size| size.div_ceil(form.outputs()));
        let rows = (1..=tiles[0]).filter(move |&rows| tiles[0].is_multiple_of(rows));
        let parts = rows.map(|rows| (1, rows));
        let images = (2..=batch).map(move |images| (images, tiles[0]));
        let fits = move |&(images, rows): &(usize, usize)| {
            images * rows * tiles[1] <= most || images * rows == 1
        };
        let blocks = move |(images, rows)| Blocks {
            tiles,
            images,
            rows,
        };
        parts.chain(images).take_while(fits).map(blocks)
    }

    /// Blocks of an image, if it has several.
    pub fn parts(&self) -> usize {
        self.tiles[0] / self.rows
    }

    /// Tiles of a block.
    pub fn count(&self) -> usize {
        self.images * self.rows * self.tiles[1]
    }

    /// Blocks of a whole batch.
    pub fn of_batch(&self, batch: usize) -> usize {
        batch.div_ceil(self.images) * self.parts()
    }

    /// Visits each row of tiles of one of a block's images: the image, the row of tiles within the image, and the row's first
    /// tile within the block. The block starts at an image and a row of tiles.
    pub(super) fn over_rows(
        &self,
        nest: &mut NestBuilder,
        number: &Index,
        [first, top]: [&Index; 2],
        visit: &mut impl FnMut(&mut NestBuilder, [Index; 3]),
    ) {
        let image = nest.let_(first.clone() + number.clone());
        nest.for_(0, self.rows as i64, 1, |nest, row| {
            let tile = number.clone() * self.rows as i64 + row.clone();
            let tile = nest.let_(tile * self.tiles[1] as i64);
            let row = nest.let_(top.clone() + row);
            visit(nest, [image.clone(), row, tile]);
        });
    }

    /// Columns of a panel of the filter's matrices.
    pub fn panel(&self, target: &Target, outputs: usize, channels: usize) -> usize {
        contract::panel(target, [1, 1, self.count()], outputs, channels)
    }
}
