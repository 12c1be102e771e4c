//! Local response normalisation across channels.
//!
//! ```text
//! y[c] = x[c] · s[c]^-beta,   s[c] = k + alpha · Σ x[j]²    (alpha / size, if it is by window)
//! dx[c] = dy[c] · s[c]^-beta - 2 · alpha · beta · x[c] · Σ dy[i] · x[i] · s[i]^(-beta - 1)
//! ```
//!
//! The first sum is over the `size` channels j around c that exist, the second over the channels i
//! whose window holds c. An even window has its larger half before c. Source: Krizhevsky et al. 2012,
//! 3.3. One operator makes one pass over memory where its parts would make eight.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Type};

/// The attributes, as the formula has them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Lrn {
    /// Channels in the window.
    pub size: usize,
    /// The factor of the sum of squares.
    pub alpha: f32,
    /// The power.
    pub beta: f32,
    /// The offset.
    pub k: f32,
    /// Whether alpha is divided by the size, as in Caffe and PyTorch; the paper's isn't.
    pub by_window: bool,
}

/// x → y.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LrnForward(pub Lrn);

/// (x, gradient of y) → gradient of x.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LrnGrad(pub Lrn);

impl From<Lrn> for Op {
    fn from(lrn: Lrn) -> Op {
        Op::Lrn(LrnForward(lrn))
    }
}

impl Lrn {
    /// Channels of the window before its own.
    pub fn before(&self) -> usize {
        self.size / 2
    }

    /// Channels of the window after its own.
    pub fn after(&self) -> usize {
        self.size - 1 - self.before()
    }

    /// What the sum of squares is multiplied with.
    fn factor(&self) -> f32 {
        #[allow(clippy::cast_precision_loss, reason = "windows are small")]
        let size = self.size as f32;
        match self.by_window {
            true => self.alpha / size,
            false => self.alpha,
        }
    }

    fn attributes(&self) -> String {
        let Lrn {
            size,
            alpha,
            beta,
            k,
            by_window,
        } = self;
        format!("size {size} alpha {alpha:?} beta {beta:?} k {k:?} by_window {by_window}")
    }

    fn infer(&self, x: &Type) -> Result<Type, ShapeError> {
        error::floats(x, "input")?;
        if x.shape.dims.is_empty() {
            return Err(ShapeError::Rank {
                input: "input",
                expected: "[C, …]",
                found: Vec::new(),
            });
        }
        Ok(x.clone())
    }

    /// s for every element.
    fn bases<T: Real>(&self, x: &Array<T>) -> Array<T> {
        let number = |value: f32| T::from_f64(f64::from(value));
        let mut sums = x.clone();
        for_each_window(x, self.before(), self.after(), |at, window| {
            let mut sum = T::ZERO;
            for other in window {
                sum += x.data()[other] * x.data()[other];
            }
            sums.data_mut()[at] = number(self.k) + number(self.factor()) * sum;
        });
        sums
    }

    /// A base to a power that is `-beta` and so many more.
    fn power<T: Real>(&self, base: T, more: f64) -> T {
        (T::from_f64(more - f64::from(self.beta)) * base.ln()).exp()
    }
}

/// Visits every element with the positions of the channels around it.
fn for_each_window<T: Real>(
    x: &Array<T>,
    before: usize,
    after: usize,
    mut visit: impl FnMut(usize, &mut dyn Iterator<Item = usize>),
) {
    let (channels, pixels) = x.channels_and_pixels();
    for at in 0..x.data().len() {
        let channel = x.channel(at);
        let first = at - channel.min(before) * pixels;
        let last = at + (channels - 1 - channel).min(after) * pixels;
        visit(at, &mut (first..=last).step_by(pixels));
    }
}

impl OpRules for LrnForward {
    fn name(&self) -> &'static str {
        "lrn"
    }

    fn attributes(&self) -> String {
        self.0.attributes()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x] = error::exactly(inputs)?;
        Ok(vec![self.0.infer(x)?])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let mut y = self.0.bases(inputs[0]);
        for (base, &x) in y.data_mut().iter_mut().zip(inputs[0].data()) {
            *base = x * self.0.power(*base, 0.0);
        }
        vec![y]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let (&[x], &[Some(dy)]) = (at.inputs, at.grads) else {
            unreachable!("arity")
        };
        let grad = Op::LrnGrad(LrnGrad(self.0));
        vec![Grad::Value(builder.op(grad, &[x, dy]))]
    }
}

impl OpRules for LrnGrad {
    fn name(&self) -> &'static str {
        "lrn_grad"
    }

    fn attributes(&self) -> String {
        self.0.attributes()
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, dy] = error::exactly(inputs)?;
        error::floats(dy, "gradient")?;
        error::same_shape(&dy.shape, &x.shape, "gradient")?;
        Ok(vec![self.0.infer(x)?])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (lrn, x, dy) = (self.0, inputs[0], inputs[1]);
        let bases = lrn.bases(x);
        let through = |at: usize| dy.data()[at] * x.data()[at] * lrn.power(bases.data()[at], -1.0);
        let factor = T::from_f64(2.0 * f64::from(lrn.factor()) * f64::from(lrn.beta));
        let mut dx = dy.clone();
        // The channels whose window holds this one lie the other way round.
        for_each_window(x, lrn.after(), lrn.before(), |at, window| {
            let mut sum = T::ZERO;
            for other in window {
                sum += through(other);
            }
            let direct = dy.data()[at] * lrn.power(bases.data()[at], 0.0);
            dx.data_mut()[at] = direct - factor * x.data()[at] * sum;
        });
        vec![dx]
    }

    fn grad(&self, _: &mut Builder, _: GradInputs<'_>) -> Vec<Grad> {
        vec![Grad::Unknown; 2]
    }
}

#[cfg(test)]
mod tests;
