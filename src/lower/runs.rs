//! Windows along one axis, cut into runs of positions whose windows look alike.
//!
//! A pooling window at the edge has fewer cells than one inside; in a gradient, which windows cover
//! a cell depends on the cell's place modulo the stride. Positions with the same relative cells form
//! a run, for which the code can be straight-line with constant offsets.

use crate::ops::Window;
use crate::ops::window::Axis;

/// A cell of a window, seen from a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tap {
    /// Which cell of the window (0 up to the kernel size).
    pub cell: usize,
    /// Position on the source axis at the run's first position.
    pub source: i64,
    /// Cells that the average over this window divides by.
    pub count: usize,
}

/// Positions with windows alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The first position.
    pub start: usize,
    /// Distance of neighbouring positions.
    pub step: usize,
    /// How many there are.
    pub count: usize,
    /// Distance of neighbouring source positions.
    pub source_step: usize,
    /// The cells.
    pub taps: Vec<Tap>,
}

/// The runs of a pooling's outputs: taps are cells of the input.
pub fn forward(
    window: &Window,
    axis: Axis,
    input: usize,
    output: usize,
    include_pad: bool,
) -> Vec<Run> {
    let stride = window.stride[axis.index()];
    collect(output, 1, stride, |position| {
        taps(window, axis, input, position, include_pad)
    })
}

/// The runs of a pooling's inputs: taps are the outputs whose windows cover the position.
pub fn backward(
    window: &Window,
    axis: Axis,
    input: usize,
    output: usize,
    include_pad: bool,
) -> Vec<Run> {
    let mut covering: Vec<Vec<Tap>> = vec![Vec::new(); input];
    for position in 0..output {
        for tap in taps(window, axis, input, position, include_pad) {
            covering[tap.source as usize].push(Tap {
                source: position as i64,
                ..tap
            });
        }
    }
    collect(input, window.stride[axis.index()], 1, |position| {
        covering[position].clone()
    })
}

fn taps(window: &Window, axis: Axis, input: usize, position: usize, include_pad: bool) -> Vec<Tap> {
    let (before, after) = window.pads.along(axis);
    let first = (position * window.stride[axis.index()]) as i64 - before as i64;
    let cells = (0..window.kernel[axis.index()])
        .map(|cell| (cell, first + (cell * window.dilation[axis.index()]) as i64));
    let inside: Vec<(usize, i64)> = cells
        .clone()
        .filter(|&(_, at)| at >= 0 && at < input as i64)
        .collect();
    // What a rounded-up output size lets hang over the declared pad is no cell at all.
    let declared = cells.filter(|&(_, at)| at < (input + after) as i64).count();
    let count = if include_pad { declared } else { inside.len() };
    inside
        .into_iter()
        .map(|(cell, source)| Tap {
            cell,
            source,
            count,
        })
        .collect()
}

fn collect(
    positions: usize,
    step: usize,
    source_step: usize,
    taps: impl Fn(usize) -> Vec<Tap>,
) -> Vec<Run> {
    let mut runs = Vec::new();
    for phase in 0..step.min(positions) {
        let mut open: Option<Run> = None;
        for position in (phase..positions).step_by(step) {
            let here = taps(position);
            if let Some(run) = &mut open {
                let moved = (run.count * source_step) as i64;
                let alike = run.taps.len() == here.len()
                    && run.taps.iter().zip(&here).all(|(a, b)| {
                        (a.cell, a.source + moved, a.count) == (b.cell, b.source, b.count)
                    });
                if alike {
                    run.count += 1;
                    continue;
                }
            }
            let next = Run {
                start: position,
                step,
                count: 1,
                source_step,
                taps: here,
            };
            runs.extend(open.replace(next));
        }
        runs.extend(open);
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Pads;

    fn window(kernel: usize, stride: usize, pad: usize, dilation: usize) -> Window {
        Window {
            kernel: [kernel; 2],
            stride: [stride; 2],
            dilation: [dilation; 2],
            pads: Pads {
                top: pad,
                left: pad,
                bottom: pad,
                right: pad,
            },
            ceil: false,
        }
    }

    #[test]
    fn every_position_is_in_one_run() {
        for (kernel, stride, pad, dilation, input) in [
            (3, 2, 1, 1, 9),
            (2, 2, 0, 1, 7),
            (3, 1, 1, 2, 11),
            (2, 5, 0, 1, 13),
            (3, 3, 1, 1, 4),
        ] {
            let window = window(kernel, stride, pad, dilation);
            let reach = (kernel - 1) * dilation + 1;
            let output = (input + 2 * pad - reach) / stride + 1;
            for (runs, positions) in [
                (forward(&window, Axis::Height, input, output, false), output),
                (backward(&window, Axis::Height, input, output, false), input),
            ] {
                let mut seen = vec![0; positions];
                for run in &runs {
                    for turn in 0..run.count {
                        seen[run.start + turn * run.step] += 1;
                    }
                }
                assert!(seen.iter().all(|&times| times == 1), "{window:?}: {runs:?}");
            }
        }
    }

    #[test]
    fn both_directions_name_the_same_pairs() {
        let (input, output) = (10, 5);
        let window = window(3, 2, 1, 1);
        let pairs = |runs: &[Run], swap: bool| {
            let mut pairs = Vec::new();
            for run in runs {
                for turn in 0..run.count {
                    for tap in &run.taps {
                        let here = (run.start + turn * run.step) as i64;
                        let there = tap.source + (turn * run.source_step) as i64;
                        let (out, inp) = if swap { (there, here) } else { (here, there) };
                        pairs.push((out, inp, tap.cell, tap.count));
                    }
                }
            }
            pairs.sort_unstable();
            pairs
        };
        assert_eq!(
            pairs(&forward(&window, Axis::Width, input, output, false), false),
            pairs(&backward(&window, Axis::Width, input, output, false), true)
        );
    }
}
