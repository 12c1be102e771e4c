//! How long a net may take, without running it: its arithmetic and its traffic held against what a machine can do.
//!
//! Each group of nodes that becomes one loop takes the longer of two times: that of its multiply-accumulates, and that
//! of the bytes that it reads and writes, weights included (the roofline model of Williams, Waterman and Patterson 2009).
//! It is an estimate: caches make small nets faster than it says, and what is not a multiply-accumulate is counted by
//! its bytes alone.

use std::time::{Duration, Instant};

use crate::codegen::Target;
use crate::driver::Prepared;
use crate::engine::{Engine, RunError, Runner};
use crate::ir::{Builder, Graph, Init, Param, ParamRole, Shape, Type};
use crate::lower::Group;
use crate::ops::{Conv2d, Pads, Pointwise, Window};
use crate::plan::parts;

/// What a machine can do in a second.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rates {
    /// Multiply-accumulates of a convolution that suits the machine.
    pub macs: f64,
    /// Bytes read from and written to memory.
    pub bytes: f64,
}

/// The share of the rate of one good convolution that the convolutions of whole nets are taken to reach: maps are small
/// at the end, channels few at the start.
pub const EFFICIENCY: f64 = 0.7;

/// Channels, height and width of the convolution that is timed: 231 million multiply-accumulates whose operands lie in
/// the nearer caches.
const PROBE_MAP: [usize; 3] = [64, 56, 112];
/// Elements of the map that is copied: beyond the last cache of most machines.
const PROBE_ELEMENTS: usize = 8 << 20;
/// Calls of each, of which the fastest counts.
const CALLS: usize = 5;

/// Measures this machine, in about a second.
///
/// # Errors
///
/// There is no code, memory or thread.
pub fn measure(target: &Target, threads: usize) -> Result<Rates, RunError> {
    let [channels, height, width] = PROBE_MAP;
    let mut builder = Builder::new("convolution");
    let x = builder.input("x", Type::f32(Shape::batched(PROBE_MAP)));
    let filter = Param {
        name: "filter".to_owned(),
        role: ParamRole::Weight,
        init: Init::Constant(0.0),
    };
    let filter = builder.param([channels, channels, 3, 3], filter);
    let window = Window {
        pads: Pads::all(1),
        ..Window::new([3, 3])
    };
    let y = builder.op(Conv2d { window, groups: 1 }, &[x, filter]);
    builder.output("y", y);
    let convolution = fastest(&builder.finish(), target, threads)?;
    let products = channels * channels * 9 * height * width;
    Ok(Rates {
        macs: products as f64 / convolution.as_secs_f64(),
        bytes: bandwidth(target, threads)?,
    })
}

/// Bytes that this machine reads from and writes to memory in a second, by a loop that does little else.
///
/// # Errors
///
/// There is no code, memory or thread.
pub fn bandwidth(target: &Target, threads: usize) -> Result<f64, RunError> {
    let mut builder = Builder::new("copy");
    let x = builder.input("x", Type::f32(Shape::batched([PROBE_ELEMENTS])));
    let y = builder.pointwise(Pointwise::Neg, &[x]);
    builder.output("y", y);
    let copy = fastest(&builder.finish(), target, threads)?;
    let traffic = 2 * PROBE_ELEMENTS * size_of::<f32>();
    Ok(traffic as f64 / copy.as_secs_f64())
}

/// The time of the fastest of some calls.
fn fastest(graph: &Graph, target: &Target, threads: usize) -> Result<Duration, RunError> {
    let engine = Engine::Compiled {
        target: target.clone(),
        threads,
        winograd: false,
    };
    let mut runner = Runner::new(graph, 1, &engine, &[])?;
    let mut best = Duration::MAX;
    for _ in 0..CALLS {
        let start = Instant::now();
        runner.run(1)?;
        best = best.min(start.elapsed());
    }
    // A clock that does not move must not give an endless rate.
    Ok(best.max(Duration::from_nanos(1)))
}

/// What a group has to do for a batch.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Work {
    /// Multiply-accumulates.
    pub macs: f64,
    /// Bytes of the values that it reads and writes, each once.
    pub bytes: f64,
}

/// What a group has to do for a batch of so many images.
#[must_use]
pub fn work(graph: &Graph, group: &Group, batch: usize) -> Work {
    let work = parts::work(graph, group);
    let images = batch as f64;
    Work {
        macs: work.macs * images,
        bytes: work.own * images + work.shared,
    }
}

/// The time that a batch of one image may take.
#[must_use]
pub fn latency(prepared: &Prepared, rates: Rates) -> Duration {
    let Prepared { graph, groups, .. } = prepared;
    let seconds = groups.groups.iter().map(|(_, group)| {
        let work = work(graph, group, 1);
        let arithmetic = work.macs / (rates.macs * EFFICIENCY);
        arithmetic.max(work.bytes / rates.bytes)
    });
    Duration::from_secs_f64(seconds.sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::{self, Options};
    use crate::ops::Op;

    /// A dense layer of 1000 by 500 and what follows it in registers.
    fn dense() -> Prepared {
        let mut builder = Builder::new("dense");
        let x = builder.input("x", Type::f32(Shape::batched([500])));
        let weight = Param {
            name: "w".to_owned(),
            role: ParamRole::Weight,
            init: Init::Constant(0.0),
        };
        let weight = builder.param([1000, 500], weight);
        let y = builder.op(Op::Dense, &[x, weight]);
        let y = builder.pointwise(Pointwise::Relu, &[y]);
        builder.output("y", y);
        driver::prepare(&builder.finish(), &Options::new(1))
    }

    #[test]
    fn the_longer_of_arithmetic_and_traffic_counts() {
        let found = |macs, bytes| latency(&dense(), Rates { macs, bytes }).as_secs_f64();
        // Half a million products; the matrix, 500 numbers in, 1000 out.
        let arithmetic = 500_000.0 / (1e9 * EFFICIENCY);
        let traffic = 4.0 * (500_000.0 + 500.0 + 1000.0) / 1e9;
        assert!((found(1e9, 1e12) - arithmetic).abs() < 1e-8);
        assert!((found(1e12, 1e9) - traffic).abs() < 1e-8);
    }

    #[test]
    fn this_machine_can_be_measured() {
        let rates = measure(&Target::host(), 1).unwrap();
        // Any processor of this century does ten million of both in a second, and none a thousand million million.
        assert!(rates.macs > 1e7 && rates.macs < 1e15, "{rates:?}");
        assert!(rates.bytes > 1e7 && rates.bytes < 1e15, "{rates:?}");
    }
}
