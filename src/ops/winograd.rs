//! Convolutions of 3 x 3 by way of fewer multiplications (Lavin and Gray 2016, "Fast algorithms for convolutional neural
//! networks", sections 4.1 and 4.2, after Winograd 1980).
//!
//! The output is made in tiles of m x m. With t = m + 2, filter g and a tile d of the input, t x t,
//!
//! ```text
//! y = Aᵀ [ (G g Gᵀ) ⊙ (Bᵀ d B) ] A
//! ```
//!
//! summed over channels before the last step; so each of the t² places is a product of matrices, tiles by channels, and an
//! output takes t² / m² multiplications a channel in place of 9: 4 with m = 2, 2.25 with m = 4. With m = 2 the result is at
//! least as exact as the direct sum. With m = 4 the error is three to four times that of the direct sum in the norm and six
//! times at its greatest, 3e-5 to 5e-5 of the root mean square of the output with 64 to 512 channels.
//!
//! No net asks for these operators: a pass puts them in the place of convolutions.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::window::{Pads, Window};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};

/// How large the tiles are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Form {
    /// F(2 x 2, 3 x 3).
    Two,
    /// F(4 x 4, 3 x 3).
    Four,
}

/// Filter [K, C, 3, 3] → [K, C, t, t], the filter as the products take it; or [C, K, t, t], if it is turned round.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WinogradFilter {
    /// The tiles.
    pub form: Form,
    /// Whether it is that of the gradient by the input: from outputs to channels, taps in reverse.
    pub turned: bool,
}

/// (x [N, C, H, W], filter [K, C, t, t] from [`WinogradFilter`]) → [N, K, H', W'], a convolution of stride 1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct WinogradConv {
    /// The tiles.
    pub form: Form,
    /// Zeros around the input.
    pub pads: Pads,
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

const INPUT_FOUR: [&[f64]; 6] = [
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

impl Form {
    /// m: rows and columns of the output that a tile makes.
    pub fn outputs(self) -> usize {
        match self {
            Form::Two => 2,
            Form::Four => 4,
        }
    }

    /// t: rows and columns of the input that a tile reads.
    pub fn inputs(self) -> usize {
        self.outputs() + 2
    }

    /// Bᵀ.
    fn input_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &INPUT_TWO,
            Form::Four => &INPUT_FOUR,
        }
    }

    /// G.
    pub fn filter_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &FILTER_TWO,
            Form::Four => &FILTER_FOUR,
        }
    }

    /// Aᵀ.
    fn output_matrix(self) -> &'static [&'static [f64]] {
        match self {
            Form::Two => &OUTPUT_TWO,
            Form::Four => &OUTPUT_FOUR,
        }
    }
}

/// M x Mᵀ for a square x, row by row.
fn transform<T: Real>(matrix: &[&[f64]], x: &[T]) -> Vec<T> {
    let (to, from) = (matrix.len(), matrix[0].len());
    let at = |row: usize, column: usize| T::from_f64(matrix[row][column]);
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

impl WinogradConv {
    /// The window of the convolution that this is.
    fn window(&self) -> Window {
        Window {
            pads: self.pads,
            ..Window::new([3, 3])
        }
    }
}

impl WinogradFilter {
    /// The axes of what is made of a filter of so many outputs and channels.
    fn made(&self, [outputs, channels]: [usize; 2]) -> [usize; 4] {
        let taps = self.form.inputs();
        match self.turned {
            true => [channels, outputs, taps, taps],
            false => [outputs, channels, taps, taps],
        }
    }
}

impl WinogradConv {
    /// The pads with which a convolution of the outputs' gradient by the turned filter is the gradient by the input; none if
    /// the convolution pads by more than its outputs reach.
    pub fn turned_pads(pads: Pads) -> Option<Pads> {
        Some(Pads {
            top: 2usize.checked_sub(pads.top)?,
            left: 2usize.checked_sub(pads.left)?,
            bottom: 2usize.checked_sub(pads.bottom)?,
            right: 2usize.checked_sub(pads.right)?,
        })
    }
}

impl OpRules for WinogradFilter {
    fn name(&self) -> &'static str {
        "winograd_filter"
    }

    fn attributes(&self) -> String {
        let turned = if self.turned { " turned" } else { "" };
        format!("tile {0},{0}{turned}", self.form.outputs())
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [filter] = error::exactly(inputs)?;
        let axes = self.made(filter_axes(filter, 3)?);
        Ok(vec![Type::f32(Shape::single(axes))])
    }

    fn eval<T: Real>(&self, _batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let filter = inputs[0];
        let &[outputs, channels, ..] = filter.dims() else {
            unreachable!("a filter")
        };
        let axes = self.made([outputs, channels]);
        let taps = |k: usize, c: usize| {
            let [from, by] = if self.turned { [c, k] } else { [k, c] };
            let mut taps = filter.data()[(from * channels + by) * 9..][..9].to_vec();
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
        let window = self.window().attributes();
        format!("tile {0},{0} {window}", self.form.outputs())
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, filter] = error::exactly(inputs)?;
        let [channels, height, width] = error::map(x, "input")?;
        let [outputs, filter_channels] = filter_axes(filter, self.form.inputs())?;
        let expected = Shape::single([filter_channels]);
        error::same_shape(&Shape::single([channels]), &expected, "input")?;
        let [height, width] = self.window().output([height, width])?;
        Ok(vec![Type::f32(Shape::batched([outputs, height, width]))])
    }

    fn eval<T: Real>(&self, batch: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, filter) = (inputs[0], inputs[1]);
        let &[channels, height, width] = x.dims() else {
            unreachable!("a map")
        };
        let outputs = filter.dims()[0];
        let [rows, columns] = self
            .window()
            .output([height, width])
            .expect("the shape rule said yes");
        let (m, t) = (self.form.outputs(), self.form.inputs());
        let mut y = Array::zeros(Shape::batched([outputs, rows, columns]), batch);
        for n in 0..batch {
            for (top, left) in (0..rows)
                .step_by(m)
                .flat_map(|top| (0..columns).step_by(m).map(move |left| (top, left)))
            {
                let tile = |c: usize| -> Vec<T> {
                    let cell = |i: usize, j: usize| {
                        let row = (top + i)
                            .checked_sub(self.pads.top)
                            .filter(|&row| row < height);
                        let column = (left + j)
                            .checked_sub(self.pads.left)
                            .filter(|&column| column < width);
                        match (row, column) {
                            (Some(row), Some(column)) => {
                                x.data()[((n * channels + c) * height + row) * width + column]
                            }
                            _ => T::ZERO,
                        }
                    };
                    let cells: Vec<T> = (0..t * t).map(|at| cell(at / t, at % t)).collect();
                    transform(self.form.input_matrix(), &cells)
                };
                let tiles: Vec<Vec<T>> = (0..channels).map(tile).collect();
                for k in 0..outputs {
                    let mut sums = vec![T::ZERO; t * t];
                    for (c, tile) in tiles.iter().enumerate() {
                        let taps = &filter.data()[(k * channels + c) * t * t..][..t * t];
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Conv2d;

    fn numbers(count: usize, seed: usize) -> Vec<f64> {
        let number = |at: usize| ((at * 37 + seed * 11) % 101) as f64 / 50.0 - 1.0;
        (0..count).map(number).collect()
    }

    #[test]
    fn both_forms_are_the_convolution() {
        let pads = Pads {
            top: 1,
            left: 0,
            bottom: 2,
            right: 1,
        };
        let x = Array::new(Shape::batched([3, 7, 6]), numbers(2 * 3 * 7 * 6, 1));
        let filter = Array::new(Shape::single([2, 3, 3, 3]), numbers(2 * 3 * 9, 2));
        let window = Window {
            pads,
            ..Window::new([3, 3])
        };
        let direct = Conv2d { window, groups: 1 }.eval(2, &[&x, &filter]);
        for form in [Form::Two, Form::Four] {
            let taps = WinogradFilter {
                form,
                turned: false,
            }
            .eval(1, &[&filter]);
            let found = WinogradConv { form, pads }.eval(2, &[&x, &taps[0]]);
            assert_eq!(found[0].shape(), direct[0].shape());
            for (found, direct) in found[0].data().iter().zip(direct[0].data()) {
                assert!((found - direct).abs() < 1e-12, "{form:?}: {found} {direct}");
            }
        }
    }
}
