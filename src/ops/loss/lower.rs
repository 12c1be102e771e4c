//! The cross-entropy of softmax, computed from logits so that nothing overflows and no logarithm of
//! zero is taken.

use super::{CrossEntropy, CrossEntropyGrad, shares};
use crate::ir::Node;
use crate::kernel::BodyBuilder;
use crate::kernel::{Cmp, Lanes, Ptr, Reg, math};
use crate::lower::Cx;
use crate::lower::rows::{self, Row, Rows};
use crate::ops::softmax::lower::{greatest, row_sum, shifted_exp};

/// What is wanted of the classes of a row.
#[derive(Clone, Copy)]
struct Wanted {
    /// Of the label's class, and of each other.
    shares: [f32; 2],
    classes: usize,
    weights: Option<Ptr>,
}

impl Wanted {
    fn new(label_smoothing: f32, cx: &Cx<'_>, node: &Node) -> Wanted {
        let classes = cx.graph.dims(node.inputs[0])[0];
        let [hit, each] = shares(label_smoothing, classes);
        Wanted {
            shares: [(hit + each) as f32, each as f32],
            classes,
            weights: None,
        }
    }

    /// Whether only the label's class is wanted, and counts once.
    fn is_label(&self) -> bool {
        self.shares == [1.0, 0.0] && self.weights.is_none()
    }

    /// The pointers that move along the row beside others.
    fn with(&self, ptrs: &[Ptr]) -> Vec<Ptr> {
        ptrs.iter().copied().chain(self.weights).collect()
    }

    /// Of a vector of classes; zero beyond the last of them.
    fn of(&self, b: &mut BodyBuilder, row: &Row, at: At, label: Reg) -> Reg {
        let [hit, each] = self.shares.map(|share| b.const_f(share));
        let share = b.select(Cmp::Eq, at.number, label, hit, each);
        match self.weights {
            None => row.fill(b, share, at.lanes, 0.0),
            Some(weights) => {
                // A load gives zero beyond the last class.
                let weights = b.load(weights, at.off, at.lanes);
                b.mul(share, weights)
            }
        }
    }

    /// Of all classes together.
    fn total(&self, b: &mut BodyBuilder, row: &Row, label: Reg) -> Reg {
        let Some(weights) = self.weights else {
            let [hit, each] = self.shares;
            let others = self.classes.saturating_sub(1);
            #[allow(clippy::cast_precision_loss, reason = "no layer has 2^24 classes")]
            return b.const_f(hit + each * others as f32);
        };
        row_sum(b, row, &[weights], |b, off, lanes, number| {
            self.of(b, row, At { off, lanes, number }, label)
        })
    }
}

/// A vector of a row's classes.
#[derive(Clone, Copy)]
struct At {
    off: i32,
    lanes: Lanes,
    number: Reg,
}

/// `Σ q · log(Σ exp(x - most)) + Σ q · (most - x)`, and with class weights the label's.
pub fn cross_entropy(cx: &mut Cx<'_>, op: CrossEntropy, node: &Node) {
    let (n_inputs, weighted) = (node.inputs.len(), node.inputs.len() == 3);
    let values = node.inputs.iter().chain(&node.outputs).copied().collect();
    let shares = Wanted::new(op.label_smoothing, cx, node);
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, label, outputs) = (ptrs[0], ptrs[1], &ptrs[n_inputs..]);
        let wanted = Wanted {
            weights: weighted.then(|| ptrs[2]),
            ..shares
        };
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x], |b, off, lanes, _| {
            shifted_exp(b, row, x, off, lanes, most)
        });
        let label = b.broadcast_i(label, 0);
        let zero = b.const_f(0.0);
        let log = math::log(b, sum);
        let result = if wanted.is_label() {
            let chosen = row_sum(b, row, &[x], |b, off, lanes, number| {
                let x = b.load(x, off, lanes);
                b.select(Cmp::Eq, number, label, x, zero)
            });
            let below = b.sub(most, chosen);
            b.add(log, below)
        } else {
            let below = row_sum(b, row, &wanted.with(&[x]), |b, off, lanes, number| {
                let share = wanted.of(b, row, At { off, lanes, number }, label);
                let x = b.load(x, off, lanes);
                let below = b.sub(most, x);
                let product = b.mul(share, below);
                // What is not wanted does not count, however far below.
                b.select(Cmp::Eq, share, zero, zero, product)
            });
            let total = wanted.total(b, row, label);
            b.fma(total, log, below)
        };
        b.store(outputs[0], 0, result, Lanes::First(1));
        if let Some(weights) = wanted.weights {
            let own = row_sum(b, row, &[weights], |b, off, lanes, number| {
                let weight = b.load(weights, off, lanes);
                b.select(Cmp::Eq, number, label, weight, zero)
            });
            b.store(outputs[1], 0, own, Lanes::First(1));
        }
    };
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 40,
            pixel: &pixel,
        },
    );
}

/// (Σ q · softmax(x) - q) · the gradient of the loss.
pub fn cross_entropy_grad(cx: &mut Cx<'_>, op: CrossEntropyGrad, node: &Node) {
    let (n_inputs, weighted) = (node.inputs.len(), node.inputs.len() == 4);
    let values = node.inputs.iter().chain(&node.outputs).copied().collect();
    let shares = Wanted::new(op.label_smoothing, cx, node);
    let pixel = |b: &mut BodyBuilder, row: &Row, ptrs: &[Ptr]| {
        let (x, label, dloss, dx) = (ptrs[0], ptrs[1], ptrs[2], ptrs[n_inputs]);
        let wanted = Wanted {
            weights: weighted.then(|| ptrs[3]),
            ..shares
        };
        let most = greatest(b, row, x);
        let sum = row_sum(b, row, &[x], |b, off, lanes, _| {
            shifted_exp(b, row, x, off, lanes, most)
        });
        let label = b.broadcast_i(label, 0);
        let total = if wanted.is_label() {
            b.const_f(1.0)
        } else {
            wanted.total(b, row, label)
        };
        let share = b.div(total, sum);
        let dloss = b.broadcast(dloss, 0);
        row.each(b, &wanted.with(&[x, dx]), |b, off, lanes, number| {
            let exp = shifted_exp(b, row, x, off, lanes, most);
            let softmax = b.mul(exp, share);
            let wanted = wanted.of(b, row, At { off, lanes, number }, label);
            let error = b.sub(softmax, wanted);
            let result = b.mul(error, dloss);
            b.store(dx, off, result, lanes);
        });
    };
    rows::lower(
        cx,
        &Rows {
            over: node.inputs[0],
            values,
            work: 50,
            pixel: &pixel,
        },
    );
}
