//! Dropout: elements zeroed at random, the rest scaled up so that the expectation stays.
//!
//! `y = x · keep / (1 - rate)`, keep being 1 with probability 1 - rate and else 0; a rate of 1 gives
//! zeros. Source: Srivastava et al. 2014, section 10, in its inverted form, which leaves a network at
//! rest as it is. Whether an element is kept is a pure function of its logical position in the batch,
//! the step's seed and the layer's stream, so the gradient draws the same mask again instead of
//! storing it, and the layout and the number of threads change nothing.

pub mod lower;

use super::array::{Array, Real};
use super::error::{self, ShapeError};
use super::{Grad, GradInputs, Op, OpRules};
use crate::ir::{Builder, Shape, Type};
use crate::kernel::math::uniform_reference;

/// (x, seed i32 []) → x with elements zeroed at random and the rest scaled up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Dropout {
    /// The probability of being zeroed.
    pub rate: f32,
    /// What tells this layer's mask from that of the net's other layers.
    pub stream: u32,
}

impl From<Dropout> for Op {
    fn from(dropout: Dropout) -> Op {
        Op::Dropout(dropout)
    }
}

impl Dropout {
    /// The factor of what is kept.
    pub fn scale(&self) -> f32 {
        if self.rate < 1.0 {
            1.0 / (1.0 - self.rate)
        } else {
            0.0
        }
    }

    /// The seed of this layer's mask in a step. The odd multiplier (from the golden ratio) spreads
    /// neighbouring streams over all seeds.
    pub fn key(&self, seed: u32) -> u32 {
        seed ^ self.stream.wrapping_mul(0x9E37_79B9)
    }

    /// Whether the element at a row-major position of the batch is kept.
    pub fn keeps(&self, position: u32, seed: u32) -> bool {
        uniform_reference(position, self.key(seed)) >= self.rate
    }
}

/// A seed that is stored as a number.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seeds are whole numbers of 32 bits, of either sign"
)]
fn seed_bits<T: Real>(seed: T) -> u32 {
    seed.to_f64() as i64 as u32
}

impl OpRules for Dropout {
    fn name(&self) -> &'static str {
        "dropout"
    }

    fn attributes(&self) -> String {
        format!("rate {:?} stream {}", self.rate, self.stream)
    }

    fn infer(&self, inputs: &[Type]) -> Result<Vec<Type>, ShapeError> {
        let [x, seed] = error::exactly(inputs)?;
        error::floats(x, "input")?;
        error::integers(seed, "seed")?;
        error::same_shape(&seed.shape, &Shape::single([]), "seed")?;
        if !(0.0..=1.0).contains(&self.rate) {
            return Err(ShapeError::Rate { rate: self.rate });
        }
        Ok(vec![x.clone()])
    }

    fn eval<T: Real>(&self, _: usize, inputs: &[&Array<T>]) -> Vec<Array<T>> {
        let (x, seed) = (inputs[0], seed_bits(inputs[1].data()[0]));
        let scale = T::from_f64(f64::from(self.scale()));
        let data = x
            .data()
            .iter()
            .zip((0..=u32::MAX).cycle())
            .map(|(&value, position)| {
                if self.keeps(position, seed) {
                    value * scale
                } else {
                    T::ZERO
                }
            });
        let data = data.collect();
        vec![Array::new(x.shape().clone(), data)]
    }

    fn grad(&self, builder: &mut Builder, at: GradInputs<'_>) -> Vec<Grad> {
        let &[Some(dy)] = at.grads else {
            unreachable!("one output")
        };
        vec![
            Grad::Value(builder.op(*self, &[dy, at.inputs[1]])),
            Grad::None,
        ]
    }
}
