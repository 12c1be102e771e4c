//! Products of a few rows with each row of a large matrix, of which both lie along the sum.
//!
//! C[m, r] = sum over k of A[m, k] · B[r, k]: lanes are k, and each sum's lanes are added at its end. That costs some cycles a
//! result, but B is read where it lies: where it is so large that it comes from memory and the rows of A are few, bringing it
//! is all that takes time.

use super::access::Access;
use super::epilogue::{Epilogue, Held, Place};
use super::{Args, Buffer, Cx, Domain, ELEMENT, Units, access, chunk, sized, split};
use crate::codegen::Target;
use crate::ir::ValueId;
use crate::kernel::{Body, BodyBuilder, Count, Index, LaneType, Lanes, NestBuilder};
use crate::kernel::{Op, Reduce, Reg};

/// The products of a batch's rows with those of a matrix.
#[derive(Debug)]
pub struct Dots<'a> {
    /// A, of which each image has a row, and how it is reached.
    pub a: (ValueId, Access),
    /// B: a row for each element of the result, pixel by pixel.
    pub b: ValueId,
    /// Bytes from one row of B to the next.
    pub row: i64,
    /// Terms of a sum.
    pub terms: usize,
    /// What is done with the results.
    pub epilogue: Epilogue<'a>,
}

/// Images and rows of B that a body multiplies: the most that stay in registers.
fn shape(target: &Target, batch: usize, rows: usize) -> [usize; 2] {
    let room = target.registers - 1;
    let images = batch.clamp(1, room / 4);
    let fits = (room / (images + 1)).max(1);
    [images, rows.clamp(1, fits)]
}

/// Appends the step.
pub fn lower(cx: &mut Cx<'_>, dots: &Dots<'_>) {
    let epilogue = &dots.epilogue;
    let [channels, height, width] = epilogue.space.map;
    if channels * height * width == 0 {
        return;
    }
    let [images, rows] = shape(cx.target, cx.batch, channels);
    let blocks = channels.div_ceil(rows);
    let (value, access) = &dots.a;
    let mut args = Args::touching(
        [Buffer::Value(*value), Buffer::Value(dots.b)]
            .into_iter()
            .chain(epilogue.buffers()),
    );
    let kernel = cx.emit(&cx.name, &mut args, |nest, args| {
        nest.for_domain(|nest, unit| {
            let (pixel, block) = split(unit, blocks);
            let pixel = nest.let_(pixel);
            let first = nest.let_(block * rows as i64);
            let args = std::cell::RefCell::new(args);
            let over_images = |nest: &mut NestBuilder, rows: usize| {
                let call = |nest: &mut NestBuilder, image: Index, images: usize| {
                    let body = nest.add_body(body(cx, dots, [images, rows]));
                    let mut args = args.borrow_mut();
                    let line = (pixel.clone() * channels as i64 + first.clone()) * dots.row;
                    let mut ptrs = vec![
                        args.value(*value)
                            .at(image.clone() * access.image + access.origin),
                        args.of(Buffer::Value(dots.b)).at(line),
                    ];
                    let (row, column) = split(pixel.clone(), width);
                    let (row, column) = (nest.let_(row), nest.let_(column));
                    let position = [&image, &row, &column, &first];
                    ptrs.extend(epilogue.addresses(&mut args, position));
                    nest.call(body, ptrs, epilogue.ints(position));
                };
                let step = images as i64;
                let end = nest.let_(Index::Batch / step * step);
                nest.for_(0, end.clone(), step, |nest, image| {
                    call(nest, image, images)
                });
                if images > 1 {
                    nest.for_(end, Index::Batch, 1, |nest, image| call(nest, image, 1));
                }
            };
            sized(nest, &first, channels, rows, over_images);
        });
    });
    let units = Units::Fixed(height * width * blocks);
    let (vectors, _) = access::vectors(dots.terms, cx.lanes());
    let work = rows * cx.batch * (vectors + epilogue.work());
    let chunk = chunk(units.count(cx.batch), work);
    cx.step(kernel, args, Domain { units, chunk });
}

/// The sums of some images and rows, and what is done with them.
fn body(cx: &Cx<'_>, dots: &Dots<'_>, [images, rows]: [usize; 2]) -> Body {
    let epilogue = &dots.epilogue;
    let mut b = BodyBuilder::new(format!("{}_{images}x{rows}", cx.name), cx.lanes());
    let (x, w) = (b.ptr_arg(), b.ptr_arg());
    let ptrs = epilogue.declare(&mut b);
    let element = epilogue.counts_elements.then(|| b.int_arg());
    let number = element.map(|element| epilogue.element_lanes(&mut b, element));
    let sums: Vec<Vec<Reg>> = (0..images)
        .map(|_| {
            let sum = |_| {
                let sum = b.reg(LaneType::F32);
                b.set(sum, Op::float(0.0));
                sum
            };
            (0..rows).map(sum).collect()
        })
        .collect();
    let far = |bytes: i64| i32::try_from(bytes).expect("a few rows stay within two gigabytes");
    let add = |b: &mut BodyBuilder, lanes: Lanes| {
        let line = |row: usize| far(row as i64 * dots.row);
        let of_rows: Vec<Reg> = (0..rows).map(|row| b.load(w, line(row), lanes)).collect();
        for (image, sums) in sums.iter().enumerate() {
            let own = b.load(x, far(image as i64 * dots.a.1.image), lanes);
            for (&sum, &row) in sums.iter().zip(&of_rows) {
                b.fma_into(sum, own, row, sum);
            }
        }
    };
    let (vectors, last) = access::vectors(dots.terms, cx.lanes());
    let whole = vectors - usize::from(last != Lanes::All);
    let step = cx.lanes() as i64 * ELEMENT;
    if whole > 0 {
        let count = u32::try_from(whole).expect("an axis fits 32 bits");
        b.repeat(Count::Imm(count), |b| {
            add(b, Lanes::All);
            b.advance(x, step);
            b.advance(w, step);
        });
    }
    if last != Lanes::All {
        add(&mut b, last);
    }
    for (image, sums) in sums.iter().enumerate() {
        for (row, &sum) in sums.iter().enumerate() {
            let sum = b.reduce(Reduce::Sum, sum);
            let delta = [image as i64, 0, 0, row as i64];
            let place = Place {
                delta,
                lanes: Lanes::First(1),
                element: number.map(|number| epilogue.element_at(&mut b, number, delta)),
            };
            epilogue.emit(&mut b, &ptrs, place, &[sum], &Held::default());
        }
    }
    b.finish()
}
