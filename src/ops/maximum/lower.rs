//! Maxima along axes, and their gradients.

use super::{Over, ReduceMax, ReduceMaxGrad};
use crate::ir::{Layout, Node};
use crate::kernel::Cmp;
use crate::lower::Cx;
use crate::lower::fold::{self, Batch, Fold, Rule};
use crate::lower::strided::{self, Axis, Moves, Operand, map_steps};

/// One of the axes pieces, channels of a piece, rows, columns of the wide map.
struct Part {
    count: usize,
    /// Bytes from one to the next in the wide map.
    step: i64,
    /// If it is reduced, how far the number of a place moves along it.
    number: Option<i64>,
    /// The axis of the narrow map, channels, rows or columns, where it stays.
    narrow: usize,
}

impl Over {
    fn parts(self, (c, h, w): (usize, usize, usize), wide: &Layout) -> [Part; 4] {
        let (piece, reduces) = match self {
            Over::Channels { pieces } => (pieces, [false, true, false, false]),
            Over::Height => (1, [false, false, true, false]),
            Over::Width => (1, [false, false, false, true]),
            Over::Space => (1, [false, false, true, true]),
        };
        let [channel, row, pixel] = map_steps(wide);
        let steps = [channel * piece as i64, channel, row, pixel];
        let counts = [c / piece, piece, h, w];
        // Places are numbered in row-major order.
        let number = |axis: usize| {
            let inner = (axis + 1..4).filter(|&inner| reduces[inner]);
            inner.map(|inner| counts[inner] as i64).product()
        };
        [0, 1, 2, 3].map(|axis| Part {
            count: counts[axis],
            step: steps[axis],
            number: reduces[axis].then(|| number(axis)),
            narrow: axis.saturating_sub(1),
        })
    }
}

/// The greatest along the axes, and where it was if something reads that.
pub fn reduce_max(cx: &mut Cx<'_>, op: &ReduceMax, node: &Node) {
    let x = node.inputs[0];
    let wants_place = cx.group.stores.contains(&node.outputs[1]);
    let results = node.outputs[..1 + usize::from(wants_place)].to_vec();
    let to: Vec<[i64; 3]> = results
        .iter()
        .map(|&result| map_steps(cx.layout(result)))
        .collect();
    let shape = &cx.graph.ty(x).shape;
    let (mut kept, mut reduced) = (Vec::new(), Vec::new());
    for part in op.over.parts(shape.chw(), cx.layout(x)) {
        match part.number {
            Some(number) => reduced.push(Axis {
                number,
                ..Axis::new(part.count, [part.step])
            }),
            None => {
                let results = to.iter().map(|steps| steps[part.narrow]);
                let steps: Vec<i64> = [part.step].into_iter().chain(results).collect();
                kept.push(Axis::new(part.count, steps));
            }
        }
    }
    let fold = Fold {
        sources: vec![Operand::value(cx, x)],
        results,
        kept,
        reduced,
        batch: if shape.batched {
            Batch::Kept
        } else {
            Batch::None
        },
        rule: Rule::Max,
    };
    fold::lower(cx, &fold);
}

/// The gradient at the places of the maxima, zero elsewhere.
pub fn reduce_max_grad(cx: &mut Cx<'_>, op: &ReduceMaxGrad, node: &Node) {
    let &[dy, place] = node.inputs.as_slice() else {
        unreachable!("arity")
    };
    let dx = node.outputs[0];
    let shape = &cx.graph.ty(dx).shape;
    let narrow = [dy, place].map(|value| map_steps(cx.layout(value)));
    let axes = op.over.parts(shape.chw(), cx.layout(dx)).map(|part| {
        let [dy, place] = narrow.map(|steps| match part.number {
            Some(_) => 0,
            None => steps[part.narrow],
        });
        Axis {
            number: part.number.unwrap_or(0),
            ..Axis::new(part.count, [dy, place, part.step])
        }
    });
    let batched = shape.batched;
    let name = cx.name.clone();
    let [dy, place, dx] = [dy, place, dx].map(|value| Operand::value(cx, value));
    let moves = Moves {
        sources: vec![dy, place],
        destination: dx,
        batched,
        axes: axes.to_vec(),
        visit: &|b, loads, number| {
            // Where all axes are of one there is but one place, number 0.
            let number = number.unwrap_or_else(|| b.const_i(0));
            let zero = b.const_f(0.0);
            b.select(Cmp::Eq, number, loads[1], loads[0], zero)
        },
    };
    strided::lower(cx, &name, &moves);
}
