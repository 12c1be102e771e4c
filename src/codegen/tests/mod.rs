//! Machine code against the evaluator, on every tier that this machine has.

mod control;
mod foreign;
mod memory;
mod ops;
mod pressure;
mod program;
mod random;

use super::jit::guarded;
use super::*;
use crate::kernel::{Arg, BodyBuilder, Index, NestBuilder};

/// The tiers to test, each as a target.
fn targets() -> Vec<Target> {
    let (present, absent): (Vec<Isa>, Vec<Isa>) =
        Isa::ALL.into_iter().partition(|isa| host::supported(*isa));
    for isa in absent {
        eprintln!("skipped: this machine lacks the tier `{isa}`");
    }
    present.into_iter().filter_map(Target::with_isa).collect()
}

/// What buffers may hold afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Nan {
    /// The same bits everywhere.
    Exact,
    /// Any NaN where the evaluator has one: which of two NaNs an operation passes on is not said.
    Any,
}

/// Compiles a kernel, runs it both ways and compares all buffers.
fn check(kernel: &Kernel, target: &Target, buffers: &[Vec<u8>], range: [i64; 3], nan: Nan) {
    let options = Options { verify: true };
    let code = match compile(std::slice::from_ref(kernel), target, &options) {
        Ok(code) => code,
        Err(error) => panic!("{error}, in\n{kernel}"),
    };
    let [expected, found] = guarded::run(kernel, code.kernel(0), buffers, range);
    for (buffer, (expected, found)) in expected.iter().zip(&found).enumerate() {
        for (place, (e, f)) in words(expected).zip(words(found)).enumerate() {
            let both_nan = f32::from_bits(e).is_nan() && f32::from_bits(f).is_nan();
            if e != f && !(both_nan && nan == Nan::Any) {
                panic!(
                    "on {}: buffer {buffer} holds {f:#010x} = {:?} at {}, not {e:#010x} = {:?}, of\n{kernel}\n{}",
                    target.isa,
                    f32::from_bits(f),
                    4 * place,
                    f32::from_bits(e),
                    asm(kernel, target).unwrap_or_default(),
                );
            }
        }
    }
}

/// A kernel that calls one body once, with a buffer for each pointer.
fn single(body: Body, ints: &[i64]) -> Kernel {
    let pointers = body.ptr_args;
    let mut nest = NestBuilder::new();
    let body = nest.add_body(body);
    let addresses: Vec<_> = (0..pointers).map(|arg| Arg(arg).at(0)).collect();
    let ints: Vec<Index> = ints.iter().map(|int| Index::Const(*int)).collect();
    nest.call(body, addresses, ints);
    nest.finish("single", pointers)
}

/// As [`check`], for one body.
fn check_body(body: Body, target: &Target, buffers: &[Vec<u8>], ints: &[i64], nan: Nan) {
    check(&single(body, ints), target, buffers, [0, 1, 1], nan);
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes
        .chunks_exact(4)
        .map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
}

fn to_bytes(words: impl IntoIterator<Item = u32>) -> Vec<u8> {
    words.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn floats(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
    to_bytes(values.into_iter().map(f32::to_bits))
}

/// So many small distinct floats.
fn ramp(count: usize) -> Vec<u8> {
    floats((0..count).map(|i| i as f32 * 0.25 - 3.0))
}

/// Recognisable contents for a buffer that is to be written.
fn blank(count: usize) -> Vec<u8> {
    to_bytes(vec![0xDEAD_BEEF; count])
}

/// A body of the target's lanes.
fn builder(target: &Target) -> BodyBuilder {
    BodyBuilder::new("body", target.lanes)
}
