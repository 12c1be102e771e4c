//! Convolutions of 3 x 3 and of 5 x 5 by way of fewer multiplications (Lavin and Gray 2016, "Fast algorithms for convolutional neural
//! networks", sections 4.1 and 4.2, after Winograd 1980).
//!
//! The output is made in tiles of m x m. With t = m + r - 1, filter g of r x r and a tile d of the input, t x t,
//!
//! ```text
//! y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//! ```
//!
//! summed over channels before the last step; so each of the t² places is a product of matrices, tiles by channels, and an
//! output takes t² / m² multiplications a channel in place of r²: of 9, 4 with m = 2 and 2.25 with m = 4; of 25, 9 with m = 2.
//! With t = 4 the result is at least as exact as the direct sum. With t = 6 the error is three to four times that of the direct
//! sum in the norm and six times at its greatest, 3e-5 to 5e-5 of the root mean square of the output with 64 to 512 channels.
//!
//! The gradient by the filter goes the same way back (each step is linear, so its transpose is the step's gradient):
//!
//! ```text
//! dg = Gᵀ [ Σ (A dy Aᵀ) ⊙ (Bᵀ d B) ] G
//! ```
//!
//! summed over tiles and images before the last step: each place is a product of matrices too, channels by tiles times tiles
//! by filters. Of layers of 64 to 512 channels the error with t = 6 is three times that of the direct sum in the norm and
//! three to four and a half times at its greatest, 1e-5 to 7e-5 of the root mean square of the gradient.
//!
//! With r = 5 the error of outputs is that of r = 3 with the same t; that of gradients by the filter is four to seven times
//! that of the direct sum in the norm and up to thirteen times at its greatest, 6e-5 to 1.2e-4 of the root mean square.
//!
//! With groups, each group of outputs is such a convolution of its own channels.
//!
//! No net asks for these operators: a pass puts them in the place of convolutions.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::window::{Pads, Window};
use super::{Conv2d, Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// How large the tiles and the filters are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// F(2 x 2, 3 x 3).
    Two,
    /// F(4 x 4, 3 x 3).
    Four,
    /// F(2 x 2, 5 x 5).
    TwoOfFive,
}

/// Filter [K, C / G, r, r] → [K, C / G, t, t], the filter as the products take it; or [C, K / G, t, t], if it is turned round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WinogradFilter {
    /// The tiles.
    pub form: Form,
    /// Into how many independent groups the channels are split.
    pub groups: usize,
    /// Whether it is that of the gradient by the input: from outputs to channels, taps in reverse.
    pub turned: bool,
}

/// (x [N, C, H, W], filter [K, C / G, t, t] from [`WinogradFilter`]) → [N, K, H', W'], a convolution of stride 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WinogradConv {
    /// The tiles.
    pub form: Form,
    /// Zeros around the input.
    pub pads: Pads,
    /// Into how many independent groups the channels are split.
    pub groups: usize,
}

/// (x [N, C, H, W], gradient of the output [N, K, H', W']) → gradient of the filter [K, C / G, r, r] of a convolution of
/// stride 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WinogradFilterGrad {
    /// The tiles.
    pub form: Form,
    /// Zeros around the input.
    pub pads: Pads,
    /// Into how many independent groups the channels are split.
    pub groups: usize,
}

impl From<WinogradFilterGrad> for Op {
    fn from(op: WinogradFilterGrad) -> Op {
        Op::WinogradFilterGrad(op)
    }
}

impl From<WinogradFilter> for Op {
    fn from(op: WinogradFilter) -> Op {
        Op::WinogradFilter(op)
    }
}

impl From<WinogradConv> for Op {
    fn from(op: WinogradConv) -> Op {
        Op::WinogradConv(op)
    }
}

const INPUT_TWO: [&[f64]; 4] = [
    &[1.0, 0.0, -1.0, 0.0],
    &[0.0, 1.0, 1.0, 0.0],
    &[0.0, -1.0, 1.0, 0.0],
    &[0.0, 1.0, 0.0, -1.0],
];
const FILTER_TWO: [&[f64]; 4] = [
    &[1.0, 0.0, 0.0],
    &[0.5, 0.5, 0.5],
    &[0.5, -0.5, 0.5],
    &[0.0, 0.0, 1.0],
];
const OUTPUT_TWO: [&[f64]; 2] = [&[1.0, 1.0, 1.0, 0.0], &[0.0, 1.0, -1.0, -1.0]];

/// At 0, 1, -1, 2, -2 and infinity, whatever the filter's size.
const INPUT_SIX: [&[f64]; 6] = [
    &[4.0, 0.0, -5.0, 0.0, 1.0, 0.0],
    &[0.0, -4.0, -4.0, 1.0, 1.0, 0.0],
    &[0.0, 4.0, -4.0, -1.0, 1.0, 0.0],
    &[0.0, -2.0, -1.0, 2.0, 1.0, 0.0],
    &[0.0, 2.0, -1.0, -2.0, 1.0, 0.0],
    &[0.0, 4.0, 0.0, -5.0, 0.0, 1.0],
];
const FILTER_FOUR: [&[f64]; 6] = [
    &[1.0 / 4.0, 0.0, 0.0],
    &[-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    &[-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    &[1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
    &[1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
    &[0.0, 0.0, 1.0],
];
const OUTPUT_FOUR: [&[f64]; 4] = [
    &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    &[0.0, 1.0, -1.0, 2.0, -2.0, 0.0],
    &[0.0, 1.0, 1.0, 4.0, 4.0, 0.0],
    &[0.0, 1.0, -1.0, 8.0, -8.0, 1.0],
];

const FILTER_TWO_OF_FIVE: [&[f64]; 6] = [
    &[1.0 / 4.0, 0.0, 0.0, 0.0, 0.0],
    &[-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
    &[-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
    &[1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0, 1.0 / 3.0, 2.0 / 3.0],
    &[1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0, -1.0 / 3.0, 2.0 / 3.0],
    &[0.0, 0.0, 0.0, 0.0, 1.0],
];
const OUTPUT_TWO_OF_FIVE: [&[f64]; 2] = [
    &[1.0, 1.0, 1.0, 1.0, 1.0, 0.0],
    &[0.0, 1.0, -1.0, 2.0, -2.0, 1.0],
];

impl Form {
    /// All of them.
    pub const ALL: [Form; 3] = [Form::Two, Form::Four, Form::TwoOfFive];

    /// m: rows and columns of the output that a tile makes.
    pub fn outputs(self) -> usize {
        match self {
            Form::Two | Form::TwoOfFive => 2,
            Form::Four => 4,
        }
    }

    /// r: rows and columns of the filter.
    pub fn kernel(self) -> usize {
        match self {
            Form::Two | Form::Four => 3,
            Form::TwoOfFive => 5,
        }
    }

    /// t: rows and columns of the input that a tile reads.
    pub fn inputs(self) -> usize {
        self.outputs() + self.kernel() - 1
    }

    /// The window of a convolution by tiles.
    fn window(self, pads: Pads) -> Window {
        Window {
            pads,
            ..Window::new([self.kernel(); 2])
        }
    }

    /// How it is written.
    fn attributes(self) -> String {
        let (m, r) = (self.outputs(), self.kernel());
        format!("tile {m},{m} kernel {r},{r}")
    }

    /// The channels of a group, which has to have as many of them and of outputs as the others.
    fn channels_of_group(
        self,
        groups: usize,
        channels: usize,
        outputs: usize,
    ) -> Result<usize, ShapeError> {
        let window = self.window(Pads::all(0));
        let [_, of_group, ..] = Conv2d { window, groups }.filter(channels, outputs)?;
        Ok(of_group)
    }

    /// The axes of a filter of so many outputs and channels of a group before it is transformed.
    fn filter(self, outputs: usize, channels: usize) -> Shape {
        Shape::single([outputs, channels, self.kernel(), self.kernel()])
    }

    /// Bᵀ.
    fn input_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &INPUT_TWO,
            Form::Four | Form::TwoOfFive => &INPUT_SIX,
        }
    }

    /// G.
    pub fn filter_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &FILTER_TWO,
            Form::Four => &FILTER_FOUR,
            Form::TwoOfFive => &FILTER_TWO_OF_FIVE,
        }
    }

    /// Aᵀ.
    pub fn output_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &OUTPUT_TWO,
            Form::Four => &OUTPUT_FOUR,
            Form::TwoOfFive => &OUTPUT_TWO_OF_FIVE,
        }
    }
}

/// Mᵀ.
pub fn transposed(matrix: &[&[f64]]) -> Vec<Vec<f64>> {
    let column = |at: usize| matrix.iter().map(|row| row[at]).collect();
    (0..matrix[0].len()).map(column).collect()
}

/// M x Mᵀ for a square x, row by row.
fn transform<T: Real>(matrix: &[impl AsRef<[f64]>], x: &[T]) -> Vec<T> {
    let (to, from) = (matrix.len(), matrix[0].as_ref().len());
    let at = |row: usize, column: usize| T::from_f64(matrix[row].as_ref()[column]);
    let mut half = vec![T::ZERO; to * from];
    for (i, j, k) in
        (0..to).flat_map(|i| (0..from).flat_map(move |j| (0..from).map(move |k| (i, j, k))))
    {
        half[i * from + j] += at(i, k) * x[k * from + j];
    }
    let mut whole = vec![T::ZERO; to * to];
    for (i, j, k) in
        (0..to).flat_map(|i| (0..to).flat_map(move |j| (0..from).map(move |k| (i, j, k))))
    {
        whole[i * to + j] += half[i * from + k] * at(j, k);
    }
    whole
}

fn filter_axes(ty: &Type, taps: usize) -> Result<[usize; 2], ShapeError> {
    error::floats(ty, "filter")?;
    let [outputs, channels, rows, columns] = error::axes(ty, "filter", "[K, C, R, S]", false)?;
    let expected = Shape::single([outputs, channels, taps, taps]);
    error::same_shape(
        &Shape::single([outputs, channels, rows, columns]),
        &expected,
        "filter",
    )?;
    Ok([outputs, channels])
}

/// The cells of a map, zero outside, of a square that starts at a row and a column which count from the padding's corner.
fn square<T: Real>(
    map: &[T],
    [height, width]: [usize; 2],
    pads: Pads,
    [top, left]: [usize; 2],
    size: usize,
) -> Vec<T> {
    let inside = |at: usize, pad: usize, size: usize| at.checked_sub(pad).filter(|&at| at < size);
    let cell = |at: usize| {
        let row = inside(top + at / size, pads.top, height);
        let column = inside(left + at % size, pads.left, width);
        match (row, column) {
            (Some(row), Some(column)) => map[row * width + column],
            _ => T::ZERO,
        }
    };
    (0..size * size).map(cell).collect()
}

/// The first rows and columns of the tiles of a map.
fn corners([rows, columns]: [usize; 2], m: usize) -> impl Iterator<Item = [usize; 2]> {
    let row = move |top| (0..columns).step_by(m).map(move |left| [top, left]);
    (0..rows).step_by(m).flat_map(row)
}

impl WinogradFilter {
    /// The axes of what is made of a filter of so many outputs and channels.
    fn made(&self, [outputs, channels]: [usize; 2]) -> [usize; 4] {
        let taps = self.form.inputs();
        let groups = self.groups;
        match self.turned {
            true => [channels * groups, outputs / groups, taps, taps],
            false => [outputs, channels, taps, taps],
        }
    }
}

impl WinogradConv {
    /// The pads with which a convolution of the outputs' gradient by the turned filter is the gradient by the input; none if
    /// the convolution pads by more than its outputs reach.
    pub fn turned_pads(kernel: [usize; 2], pads: Pads) -> Option<Pads> {
        let [down, across] = kernel.map(|size| size - 1);
        Some(Pads {
            top: down.checked_sub(pads.top)?,
            left: across.checked_sub(pads.left)?,
            bottom: down.checked_sub(pads.bottom)?,
            right: across.checked_sub(pads.right)?,
        })
    }
}

impl OpRules for WinogradFilter {
    fn name(&self) -> &'static str {
        "winograd_filter"
    }

    fn attributes(&self) -> String {
        let turned = if self.turned { " turned" } else { "" };
        format!("{} groups {}{turned}", self.form.attributes(), self.groups)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [filter] = error::exactly(inputs)?;
        let [outputs, channels] = filter_axes(filter, self.form.kernel())?;
        self.form
            .channels_of_group(self.groups, channels * self.groups, outputs)?;
        let axes = self.made([outputs, channels]);
        Ok(vec![Type::f32(Shape::single(axes))])
    }

    fn eval<T: Real>(&self, _batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let filter = inputs[0];
        let &[outputs, channels, ..] = filter.dims() else {
            unreachable!("a filter")
        };
        let axes = self.made([outputs, channels]);
        let taps = |k: usize, c: usize| {
            let [from, by] = match self.turned {
                true => [k / channels * axes[1] + c, k % channels],
                false => [k, c],
            };
            let count = self.form.kernel().pow(2);
            let mut taps = filter.data()[(from * channels + by) * count..][..count].to_vec();
            if self.turned {
                taps.reverse();
            }
            transform(self.form.filter_matrix(), &taps)
        };
        let data = (0..axes[0])
            .flat_map(|k| (0..axes[1]).map(move |c| [k, c]))
            .flat_map(|[k, c]| taps(k, c))
            .collect();
        vec![Array::new(Shape::single(axes), data)]
    }

    fn grad(&self, _builder: &mut Builder, _at: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown]
    }
}

impl OpRules for WinogradConv {
    fn name(&self) -> &'static str {
        "winograd_conv"
    }

    fn attributes(&self) -> String {
        let window = self.form.window(self.pads).attributes();
        format!("{} {window} groups {}", self.form.attributes(), self.groups)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, filter] = error::exactly(inputs)?;
        let [channels, height, width] = error::map(x, "input")?;
        let [outputs, filter_channels] = filter_axes(filter, self.form.inputs())?;
        let of_group = self
            .form
            .channels_of_group(self.groups, channels, outputs)?;
        let expected = Shape::single([of_group]);
        error::same_shape(&Shape::single([filter_channels]), &expected, "filter")?;
        let [height, width] = self.form.window(self.pads).output([height, width])?;
        Ok(vec![Type::f32(Shape::batched([outputs, height, width]))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, filter) = (inputs[0], inputs[1]);
        let &[channels, height, width] = x.dims() else {
            unreachable!("a map")
        };
        let &[outputs, of_group, ..] = filter.dims() else {
            unreachable!("a filter")
        };
        let window = self.form.window(self.pads);
        let [rows, columns] = window
            .output([height, width])
            .expect("the shape rule said yes");
        let (m, t) = (self.form.outputs(), self.form.inputs());
        let mut y = Array::zeros(Shape::batched([outputs, rows, columns]), batch);
        for n in 0..batch {
            for corner @ [top, left] in corners([rows, columns], m) {
                let tile = |c: usize| -> Vec<T> {
                    let map = &x.data()[(n * channels + c) * height * width..][..height * width];
                    let cells = square(map, [height, width], self.pads, corner, t);
                    transform(self.form.input_matrix(), &cells)
                };
                let tiles: Vec<Vec<T>> = (0..channels).map(tile).collect();
                for k in 0..outputs {
                    let mut sums = vec![T::ZERO; t * t];
                    let group = k / (outputs / self.groups);
                    let tiles = &tiles[group * of_group..][..of_group];
                    for (c, tile) in tiles.iter().enumerate() {
                        let taps = &filter.data()[(k * of_group + c) * t * t..][..t * t];
                        for (sum, (&a, &b)) in sums.iter_mut().zip(tile.iter().zip(taps)) {
                            *sum += a * b;
                        }
                    }
                    let made = transform(self.form.output_matrix(), &sums);
                    for (i, j) in (0..m).flat_map(|i| (0..m).map(move |j| (i, j))) {
                        if top + i < rows && left + j < columns {
                            let at = ((n * outputs + k) * rows + top + i) * columns + left + j;
                            y.data_mut()[at] = made[i * m + j];
                        }
                    }
                }
            }
        }
        vec![y]
    }

    fn grad(&self, _builder: &mut Builder, _at: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown; 2]
    }
}

impl OpRules for WinogradFilterGrad {
    fn name(&self) -> &'static str {
        "winograd_filter_grad"
    }

    fn attributes(&self) -> String {
        let window = self.form.window(self.pads).attributes();
        format!("{} {window} groups {}", self.form.attributes(), self.groups)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, dy] = error::exactly(inputs)?;
        let [channels, height, width] = error::map(x, "input")?;
        let [outputs, ..] = error::map(dy, "gradient")?;
        let [height, width] = self.form.window(self.pads).output([height, width])?;
        let expected = Shape::batched([outputs, height, width]);
        error::same_shape(&dy.shape, &expected, "gradient")?;
        let of_group = self
            .form
            .channels_of_group(self.groups, channels, outputs)?;
        Ok(vec![Type::f32(self.form.filter(outputs, of_group))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, dy) = (inputs[0], inputs[1]);
        let (&[channels, height, width], &[outputs, rows, columns]) = (x.dims(), dy.dims()) else {
            unreachable!("maps")
        };
        let form = self.form;
        let (m, t) = (form.outputs(), form.inputs());
        let to_places = transposed(form.output_matrix());
        let of_group = channels / self.groups;
        let mut sums = vec![T::ZERO; outputs * of_group * t * t];
        for (n, corner) in
            (0..batch).flat_map(|n| corners([rows, columns], m).map(move |corner| (n, corner)))
        {
            let tiles =
                |array: &Array<T>, count: usize, [height, width]: [usize; 2], pads, size| {
                    let map = move |c: usize| {
                        let pixels = height * width;
                        let map = &array.data()[(n * count + c) * pixels..][..pixels];
                        square(map, [height, width], pads, corner, size)
                    };
                    (0..count).map(map).collect::<Vec<Vec<T>>>()
                };
            let inputs = tiles(x, channels, [height, width], self.pads, t);
            let inputs: Vec<Vec<T>> = inputs
                .iter()
                .map(|cells| transform(form.input_matrix(), cells))
                .collect();
            for (k, cells) in tiles(dy, outputs, [rows, columns], Pads::all(0), m)
                .iter()
                .enumerate()
            {
                let grad = transform(&to_places, cells);
                let group = k / (outputs / self.groups);
                let inputs = &inputs[group * of_group..][..of_group];
                for (c, input) in inputs.iter().enumerate() {
                    let sums = &mut sums[(k * of_group + c) * t * t..][..t * t];
                    for (sum, (&a, &b)) in sums.iter_mut().zip(input.iter().zip(&grad)) {
                        *sum += a * b;
                    }
                }
            }
        }
        let to_taps = transposed(form.filter_matrix());
        let data = sums
            .chunks(t * t)
            .flat_map(|sums| transform(&to_taps, sums))
            .collect();
        vec![Array::new(form.filter(outputs, of_group), data)]
    }

    fn grad(&self, _builder: &mut Builder, _at: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown; 2]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv2dFilterGrad;

    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        let number = |at: usize| ((at * 37 + seed * 11) % 101) as f64 / 50.0 - 1.0;
        (0..count).map(number).collect()
    }

    #[test]
    fn all_forms_are_the_convolution() {
        let pads = Pads {
            top: 1,
            left: 0,
            bottom: 2,
            right: 1,
        };
        let x = Array::new(Shape::batched([6, 7, 6]), numbers(2 * 6 * 7 * 6, 1));
        for (form, groups) in Form::ALL
            .into_iter()
            .flat_map(|form| [(form, 1), (form, 2)])
        {
            let count = 4 * 6 / groups * form.kernel().pow(2);
            let filter = Array::new(form.filter(4, 6 / groups), numbers(count, 2));
            let window = form.window(pads);
            let direct = Conv2d { window, groups }.eval(2, &[&x, &filter]);
            let taps = WinogradFilter {
                form,
                groups,
                turned: false,
            }
            .eval(1, &[&filter]);
            let conv = WinogradConv { form, pads, groups };
            let found = conv.eval(2, &[&x, &taps[0]]);
            assert_eq!(found[0].shape(), direct[0].shape());
            for (found, direct) in found[0].data().iter().zip(direct[0].data()) {
                assert!((found - direct).abs() < 1e-12, "{form:?}: {found} {direct}");
            }
        }
    }

    #[test]
    fn all_forms_are_the_gradient_by_the_filter() {
        let pads = Pads {
            top: 0,
            left: 2,
            bottom: 1,
            right: 1,
        };
        let x = Array::new(Shape::batched([6, 7, 6]), numbers(2 * 6 * 7 * 6, 1));
        for (form, groups) in Form::ALL
            .into_iter()
            .flat_map(|form| [(form, 1), (form, 2)])
        {
            let window = form.window(pads);
            let [rows, columns] = window.output([7, 6]).expect("fits");
            let dy = Shape::batched([4, rows, columns]);
            let dy = Array::new(dy, numbers(2 * 4 * rows * columns, 2));
            let conv = Conv2d { window, groups };
            let direct = Conv2dFilterGrad { conv }.eval(2, &[&x, &dy]);
            let found = WinogradFilterGrad { form, pads, groups }.eval(2, &[&x, &dy]);
            assert_eq!(found[0].shape(), direct[0].shape());
            for (found, direct) in found[0].data().iter().zip(direct[0].data()) {
                assert!((found - direct).abs() < 1e-11, "{form:?}: {found} {direct}");
            }
        }
    }
}
