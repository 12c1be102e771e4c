//! Long sums are cut into parts: what one part reads stays near while all tiles go over it, and each adds to what the parts
//! before it came to. The terms of a sum are added in the same order as without a cut.

use super::{Contract, Extent, Finish};
use crate::codegen::Target;
use crate::kernel::{Index, NestBuilder};

/// The share of the second-level cache for what a part reads.
const PART_SHARE: f64 = 0.4;

/// The share of the second-level cache that a result may take to stay there while parts are added to it.
const RESULT_SHARE: f64 = 0.5;

/// Rows of the result that a task takes at least where sums are cut: each task reads all of B, from afar, which that many
/// rows are worth.
pub(super) const TASK_ROWS: usize = 192;

/// Vectors of B that a tile has at most.
const WIDEST: usize = 4;

/// What a part of a sum over images and rows of a map is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cut {
    /// So many whole images.
    Images(usize),
    /// So many rows of one image.
    Rows(usize),
}

impl Cut {
    /// The cut of a contraction over `images` images; none if all of it is near anyway.
    pub(super) fn of(contract: &Contract<'_>, target: &Target, images: usize) -> Option<Cut> {
        let Finish::Store { .. } = contract.finish else {
            return None;
        };
        let [over_images, over_rows, ..] = contract.sums.as_slice() else {
            return None;
        };
        let (Extent::Batch, Extent::Static(rows)) = (over_images.extent, over_rows.extent) else {
            return None;
        };
        if contract.sums[2..]
            .iter()
            .any(|axis| axis.extent == Extent::Static(0))
            || rows == 0
        {
            return None;
        }
        // A row of A is read whole, by tiles that follow one another; of B those columns that the tiles have.
        let widest = WIDEST * target.vector_bytes();
        let step = |bytes: i64, most: usize| usize::try_from(bytes).unwrap_or(0).min(most);
        let pixels = contract.sums[2..].iter().map(|axis| match axis.extent {
            Extent::Static(count) => count,
            Extent::Batch | Extent::Part => 1,
        });
        let row = step(over_rows.a, usize::MAX) + pixels.product::<usize>() * widest;
        let near = (PART_SHARE * target.caches[1] as f64) as usize;
        let image = row * rows;
        if image * images <= near {
            None
        } else if image <= near {
            Some(Cut::Images(near / image))
        } else {
            // As even as can be.
            let parts = rows.div_ceil((near / row.max(1)).max(1));
            Some(Cut::Rows(rows.div_ceil(parts)))
        }
    }
}

/// A part of the sums.
#[derive(Debug)]
pub(super) struct Part {
    /// How far its first terms are from those of the whole sums, in bytes of A and of B.
    pub(super) offset: [Index; 2],
    /// How many images or rows it has.
    pub(super) count: Index,
    /// Which one it is; none where there is only one.
    pub(super) number: Option<Index>,
    /// The unit of the images' split that it belongs to.
    pub(super) unit: Option<Index>,
}

/// Bytes of a result that stay near while parts are added to it.
pub(super) fn near(target: &Target) -> usize {
    (RESULT_SHARE * target.caches[1] as f64) as usize
}

/// What a unit sums over.
#[derive(Debug)]
pub(super) struct Over {
    /// The first image and the one behind the last.
    pub(super) images: [Index; 2],
    /// The unit's number, if it belongs to the images' split.
    pub(super) unit: Option<Index>,
}

impl Over {
    /// All of it, if it is not cut; none if a contraction's own sums say the same.
    pub(super) fn whole(&self, nest: &mut NestBuilder, contract: &Contract<'_>) -> Option<Part> {
        self.unit.as_ref()?;
        let [first, end] = self.images.clone();
        let count = nest.let_(end - first.clone());
        Some(self.part(contract, first, count))
    }

    fn part(&self, contract: &Contract<'_>, first: Index, count: Index) -> Part {
        let axis = contract.sums[0];
        Part {
            offset: [axis.a, axis.b].map(|step| first.clone() * step),
            count,
            number: None,
            unit: self.unit.clone(),
        }
    }

    /// Visits the parts in order.
    pub(super) fn parts(
        &self,
        nest: &mut NestBuilder,
        contract: &Contract<'_>,
        cut: Cut,
        mut visit: impl FnMut(&mut NestBuilder, &Part),
    ) {
        let [first, end] = self.images.clone();
        let step = match cut {
            Cut::Images(images) => images as i64,
            Cut::Rows(_) => 1,
        };
        nest.for_(first.clone(), end.clone(), step, |nest, image| {
            let number = image.clone() - first;
            let count = (end - image.clone()).min(step);
            let Cut::Rows(rows) = cut else {
                let count = nest.let_(count);
                let mut part = self.part(contract, image, count);
                part.number = Some(number);
                return visit(nest, &part);
            };
            let axis = contract.sums[1];
            let Extent::Static(all) = axis.extent else {
                panic!("each image has as many rows");
            };
            nest.for_(0, all as i64, rows as i64, |nest, row| {
                let left = Index::Const(all as i64) - row.clone();
                let count = match all % rows {
                    0 => Index::Const(rows as i64),
                    _ => nest.let_(left.min(rows as i64)),
                };
                let mut part = self.part(contract, image, count);
                let [a, b] = part.offset;
                part.offset = [a + row.clone() * axis.a, b + row.clone() * axis.b];
                part.number = Some(number + row);
                visit(nest, &part);
            });
        });
    }
}
