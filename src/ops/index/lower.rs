//! Channels by a list, pixel by pixel.
//!
//! The list is known when code is generated, so it becomes code: what is evenly spaced, in vectors,
//! the rest element by element. No list is read at run time.

use super::{Index, IndexGrad};
use crate::ir::Node;
use crate::kernel::{BodyBuilder, LaneType, Lanes, Ptr, Reg};
use crate::lower::rows::{self, Row, Rows};
use crate::lower::{Cx, ELEMENT, strided};

/// Runs that one body writes out, so that no function grows without bound.
const MAX_RUNS: usize = 512;

/// Adjacent channels of the output, each the sum of as many channels of the input, every one of which
/// moves evenly along the run.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Run {
    to: usize,
    count: usize,
    /// For each addend the first channel and the distance to the next.
    from: Vec<(usize, i64)>,
}

/// The runs of outputs that are sums of given channels.
fn runs(sources: &[Vec<usize>]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (to, channels) in sources.iter().enumerate() {
        if let Some(run) = runs.last_mut()
            && run.from.len() == channels.len()
        {
            let fits = run
                .from
                .iter()
                .zip(channels)
                .all(|(&(first, step), &channel)| {
                    let distance = channel as i64 - first as i64;
                    // The second element of a run decides on its distances.
                    (run.count == 1 && distance > 0) || distance == step * run.count as i64
                });
            if fits {
                if run.count == 1 {
                    for ((first, step), &channel) in run.from.iter_mut().zip(channels) {
                        *step = channel as i64 - *first as i64;
                    }
                }
                run.count += 1;
                continue;
            }
        }
        runs.push(Run {
            to,
            count: 1,
            from: channels.iter().map(|&channel| (channel, 1)).collect(),
        });
    }
    runs
}

/// `y[c] = x[items[c]]`.
pub fn index(cx: &mut Cx<'_>, op: &Index, node: &Node) {
    let sources: Vec<Vec<usize>> = op.items.iter().map(|&item| vec![item]).collect();
    sums(cx, node, &sources);
}

/// `dx[c]` = the sum of all dy whose item is c, in their order.
pub fn index_grad(cx: &mut Cx<'_>, op: &IndexGrad, node: &Node) {
    let mut sources = vec![Vec::new(); op.channels];
    for (place, &item) in op.items.iter().enumerate() {
        sources[item].push(place);
    }
    sums(cx, node, &sources);
}

fn sums(cx: &mut Cx<'_>, node: &Node, sources: &[Vec<usize>]) {
    let runs = runs(sources);
    let name = cx.name.clone();
    for (part, runs) in runs.chunks(MAX_RUNS).enumerate() {
        let pixel = |b: &mut BodyBuilder, _: &Row, ptrs: &[Ptr]| {
            for run in runs {
                emit(b, run, ptrs[0], ptrs[1]);
            }
        };
        rows::lower_as(
            cx,
            &format!("{name}_{part}"),
            &Rows {
                over: node.outputs[0],
                values: vec![node.inputs[0], node.outputs[0]],
                work: 2,
                pixel: &pixel,
            },
            &[],
        );
    }
}

/// The run's vectors, written out.
fn emit(b: &mut BodyBuilder, run: &Run, from: Ptr, to: Ptr) {
    let lanes = b.lanes();
    for start in (0..run.count).step_by(lanes) {
        let count = lanes.min(run.count - start);
        let width = if count == lanes {
            Lanes::All
        } else {
            Lanes::First(count as u8)
        };
        let bytes = |elements: i64| {
            i32::try_from(elements * ELEMENT).expect("a pixel takes less than two gigabytes")
        };
        let mut sum: Option<Reg> = None;
        for &(first, step) in &run.from {
            let off = bytes(first as i64 + step * start as i64);
            let x = strided::load(b, from, off, step * ELEMENT, width, LaneType::F32);
            sum = Some(match sum {
                None => x,
                Some(sum) => b.add(sum, x),
            });
        }
        let sum = sum.unwrap_or_else(|| b.const_f(0.0));
        b.store(to, bytes((run.to + start) as i64), sum, width);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_distances_are_one_run() {
        let list = |items: &[usize]| {
            let sources: Vec<Vec<usize>> = items.iter().map(|&item| vec![item]).collect();
            runs(&sources)
        };
        let run = |to, count, from, step| Run {
            to,
            count,
            from: vec![(from, step)],
        };
        assert_eq!(list(&[2, 3, 4, 5]), [run(0, 4, 2, 1)]);
        assert_eq!(
            list(&[0, 3, 1, 4, 2, 5]),
            [run(0, 2, 0, 3), run(2, 2, 1, 3), run(4, 2, 2, 3)]
        );
        assert_eq!(
            list(&[7, 7, 5]),
            [run(0, 1, 7, 1), run(1, 1, 7, 1), run(2, 1, 5, 1)]
        );
    }

    #[test]
    fn sums_of_as_many_are_one_run() {
        let found = runs(&[vec![0, 4], vec![1, 6], vec![2, 8], vec![], vec![]]);
        let sum = Run {
            to: 0,
            count: 3,
            from: vec![(0, 1), (4, 2)],
        };
        let nothing = Run {
            to: 3,
            count: 2,
            from: Vec::new(),
        };
        assert_eq!(found, [sum, nothing]);
    }
}
