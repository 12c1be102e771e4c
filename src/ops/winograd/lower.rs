//! The transforms of tiles in one direction, on vectors whose lanes are channels.

use super::{Form, WinogradConv, WinogradFilter, WinogradFilterGrad, transposed};
use crate::ir::Node;
use crate::kernel::{BodyBuilder, Reg};
use crate::lower::{Cx, winograd};

/// Bᵀ d of a column of the input.
pub fn input(form: Form, b: &mut BodyBuilder, d: &[Reg]) -> Vec<Reg> {
    match form {
        Form::Two => {
            vec![
                b.sub(d[0], d[2]),
                b.add(d[1], d[2]),
                b.sub(d[2], d[1]),
                b.sub(d[1], d[3]),
            ]
        }
        Form::Four | Form::TwoOfFive => {
            let [two, four, five] = [2.0, 4.0, 5.0].map(|x| b.const_f(x));
            let even = b.fma_neg(four, d[2], d[4]);
            let odd = b.fma_neg(four, d[1], d[3]);
            let wide = b.sub(d[4], d[2]);
            let slope = b.sub(d[3], d[1]);
            let first = b.fma_neg(five, d[2], d[4]);
            let last = b.fma_neg(five, d[3], d[5]);
            vec![
                b.fma(four, d[0], first),
                b.add(even, odd),
                b.sub(even, odd),
                b.fma(two, slope, wide),
                b.fma_neg(two, slope, wide),
                b.fma(four, d[1], last),
            ]
        }
    }
}

/// Aᵀ m of a column of sums.
pub fn output(form: Form, b: &mut BodyBuilder, m: &[Reg]) -> Vec<Reg> {
    let (sum, difference) = (b.add(m[1], m[2]), b.sub(m[1], m[2]));
    match form {
        Form::Two => vec![b.add(m[0], sum), b.sub(difference, m[3])],
        Form::TwoOfFive => {
            let two = b.const_f(2.0);
            let (far, slope) = (b.add(m[3], m[4]), b.sub(m[3], m[4]));
            let first = b.add(m[0], sum);
            let last = b.add(difference, m[5]);
            vec![b.add(first, far), b.fma(two, slope, last)]
        }
        Form::Four => {
            let [two, four, eight] = [2.0, 4.0, 8.0].map(|x| b.const_f(x));
            let (far, slope) = (b.add(m[3], m[4]), b.sub(m[3], m[4]));
            let first = b.add(m[0], sum);
            let last = b.add(difference, m[5]);
            vec![
                b.add(first, far),
                b.fma(two, slope, difference),
                b.fma(four, far, sum),
                b.fma(eight, slope, last),
            ]
        }
    }
}

/// A y of a column of the output's gradient; those that are left out at its end are zero.
pub fn output_grad(form: Form, b: &mut BodyBuilder, y: &[Reg]) -> Vec<Reg> {
    product(b, &transposed(form.output_matrix()), y)
}

/// G g of a column of the filter.
pub fn filter(form: Form, b: &mut BodyBuilder, g: &[Reg]) -> Vec<Reg> {
    product(b, form.filter_matrix(), g)
}

/// Gᵀ m of a column of sums.
pub fn filter_grad(form: Form, b: &mut BodyBuilder, m: &[Reg]) -> Vec<Reg> {
    product(b, &transposed(form.filter_matrix()), m)
}

/// M x of a column; those that are left out at its end are zero.
fn product(b: &mut BodyBuilder, matrix: &[impl AsRef<[f64]>], x: &[Reg]) -> Vec<Reg> {
    let row = |b: &mut BodyBuilder, row: &[f64]| {
        let terms = row.iter().zip(x).filter(|&(&factor, _)| factor != 0.0);
        let mut sum = None;
        for (&factor, &x) in terms {
            sum = Some(match (sum, factor) {
                (None, 1.0) => x,
                (Some(sum), 1.0) => b.add(sum, x),
                (Some(sum), -1.0) => b.sub(sum, x),
                (sum, _) => {
                    #[allow(clippy::cast_possible_truncation, reason = "rounded once")]
                    let factor = b.const_f(factor as f32);
                    match sum {
                        None => b.mul(x, factor),
                        Some(sum) => b.fma(x, factor, sum),
                    }
                }
            });
        }
        sum.unwrap_or_else(|| b.const_f(0.0))
    };
    matrix.iter().map(|line| row(b, line.as_ref())).collect()
}

/// Lanes are filters.
pub fn filter_taps(cx: &mut Cx<'_>, op: &WinogradFilter, node: &Node) {
    winograd::filter(cx, op, node.inputs[0], node.outputs[0]);
}

/// Transforms in, a product of matrices for each place of a tile, transforms out.
pub fn conv(cx: &mut Cx<'_>, op: &WinogradConv, node: &Node) {
    winograd::conv(cx, op, [node.inputs[0], node.inputs[1]], node.outputs[0]);
}

/// Transforms of both maps in, a product of matrices for each place of a tile, one transform of their sums out.
pub fn filter_grad_of(cx: &mut Cx<'_>, op: &WinogradFilterGrad, node: &Node) {
    winograd::grad::lower(cx, op, [node.inputs[0], node.inputs[1]], node.outputs[0]);
}
