//! The most arithmetic that a core can do, measured.
#![allow(unsafe_code, reason = "calls generated code")]

use std::time::Instant;

use crate::codegen::{self, Code, CodegenError, Target};
use crate::kernel::{
    Arg, Body, BodyBuilder, Count, Index, Kernel, LaneType, Lanes, NestBuilder, Op,
};

/// Independent chains, more than the latency of a multiply-add hides.
const CHAINS: usize = 12;
/// Turns of the loop in a call, and steps of each chain written out in a turn.
const TURNS: u32 = 100;
const UNROLL: usize = 4;
/// Calls of a sample: some hundreds of microseconds.
const CALLS: i64 = 200;
/// Samples, of which the fastest counts: whatever disturbs makes slower.
const SAMPLES: usize = 60;

/// A body of independent multiply-adds on registers, and the multiply-adds of a call. It reads two numbers at its only
/// pointer and writes a vector behind them.
#[must_use]
pub fn fma_chain(target: &Target) -> (Body, usize) {
    let mut b = BodyBuilder::new("chain", target.lanes);
    let p = b.ptr_arg();
    let factor = b.broadcast(p, 0);
    let addend = b.broadcast(p, 4);
    let chains: Vec<_> = (0..CHAINS)
        .map(|chain| {
            let register = b.reg(LaneType::F32);
            b.set(register, Op::float(chain as f32));
            register
        })
        .collect();
    b.repeat(Count::Imm(TURNS), |b| {
        for register in std::iter::repeat_n(&chains, UNROLL).flatten() {
            b.fma_into(*register, *register, factor, addend);
        }
    });
    for register in chains {
        b.store(p, 8, register, Lanes::All);
    }
    (b.finish(), CHAINS * UNROLL * TURNS as usize * target.lanes)
}

/// A kernel that calls a body as often as the batch has images.
fn repeated(body: Body) -> Kernel {
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    nest.for_(0, Index::Batch, 1, |nest, _| {
        nest.call(body, vec![Arg(0).at(0)], [])
    });
    nest.finish("chain", 1)
}

/// Multiply-adds of single precision that one core does in a second at most.
///
/// # Errors
///
/// There is no machine code for the target on this machine.
pub fn fma_rate(target: &Target) -> Result<f64, CodegenError> {
    let (body, count) = fma_chain(target);
    let code: Code = codegen::compile(
        &[repeated(body)],
        target,
        &codegen::Options { verify: false },
    )?;
    let mut memory = vec![0.5_f32; 2 + target.lanes];
    let args = [memory.as_mut_ptr().cast::<u8>()];
    let mut best = f64::INFINITY;
    for _ in 0..SAMPLES {
        let start = Instant::now();
        // SAFETY: the kernel reads two numbers and writes one vector behind them; that is the size of the memory, which
        // this thread alone owns.
        unsafe { code.kernel(0).call(args.as_ptr(), 0, 1, CALLS) };
        best = best.min(start.elapsed().as_secs_f64());
    }
    Ok(count as f64 * CALLS as f64 / best.max(1e-9))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_one_of_this_world() {
        let rate = fma_rate(&Target::host()).unwrap();
        // Any processor of this century does a hundred million in a second, and none a million million on a core.
        assert!(rate > 1e8 && rate < 1e12, "{rate}");
    }
}
