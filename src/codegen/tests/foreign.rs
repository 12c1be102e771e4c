//! Code for machines that this one is not: made, but not run.

use super::cranelift::Cranelift;
use super::*;
use crate::codegen::jit::check_calls;
use crate::codegen::tests::random::random_kernel;
use crate::kernel::{Cmp, LaneType, Lanes, Op, Reduce};

const ARM: &str = "aarch64-unknown-linux-gnu";
/// Without any feature beyond the first processors of that kind.
const OLD_X86: &str = "x86_64-unknown-linux-gnu";

fn baseline() -> Target {
    Target::of(Isa::Baseline, Target::SMALL_CACHES)
}

/// A dot product with an epilogue.
pub(super) fn sample(target: &Target) -> Kernel {
    let mut b = builder(target);
    let [p, q, r] = [(); 3].map(|()| b.ptr_arg());
    let [turns, rest] = [(); 2].map(|()| b.int_arg());
    let sums = [(); 2].map(|()| {
        let sum = b.reg(LaneType::F32);
        b.set(sum, Op::float(0.0));
        sum
    });
    b.repeat(crate::kernel::Count::Arg(turns), |b| {
        let x = b.load(q, 0, Lanes::All);
        for (row, sum) in sums.iter().enumerate() {
            let y = b.broadcast(p, 4 * row as i32);
            b.fma_into(*sum, y, x, *sum);
        }
        b.advance(p, 8);
        b.advance(q, b.vector_bytes().into());
    });
    let total = b.reduce(Reduce::Sum, sums[0]);
    let zero = b.const_f(0.0);
    let clamped = b.max(sums[1], zero);
    b.store(r, 0, clamped, Lanes::First(3));
    let half = b.const_f(0.5);
    let shift = b.broadcast(r, 4);
    b.tail(rest, |b| {
        let x = b.load(q, 0, Lanes::All);
        let y = b.gather(p, 0, 8, Lanes::All);
        let z = b.fma(x, half, y);
        let z = b.select(Cmp::Lt, z, shift, z, half);
        b.store(r, 16, z, Lanes::All);
    });
    b.store(r, 64, total, Lanes::All);
    single(b.finish(), &[7, 2])
}

#[test]
fn arm_bodies_and_nests_call_nothing() {
    let options = Options { verify: true };
    let mut cranelift = Cranelift::foreign(ARM, &options).expect("arm64 is built in");
    for seed in 0..60 {
        let kernel = random_kernel(seed, &baseline());
        let [body, nest] = [0, 1].map(FuncId::from_u32);
        let units = [
            cranelift.body("body".to_owned(), &kernel.bodies[0], body),
            cranelift.nest(&kernel, body, nest),
        ];
        for unit in units {
            let unit = unit.unwrap_or_else(|error| panic!("{error}, in\n{kernel}"));
            assert!(!unit.bytes.is_empty());
            check_calls(&unit, 2).unwrap_or_else(|error| panic!("{error}, in\n{kernel}"));
        }
    }
}

#[test]
fn arm_code_is_as_it_was() {
    let options = Options { verify: true };
    let mut cranelift = Cranelift::foreign(ARM, &options).expect("arm64 is built in");
    let kernel = sample(&baseline());
    let body = &kernel.bodies[0];
    insta::assert_snapshot!("clif_body", cranelift.body_clif("body", body));
    insta::assert_snapshot!(
        "clif_nest",
        cranelift.nest_clif(&kernel, FuncId::from_u32(0))
    );
    insta::assert_snapshot!("arm_body", cranelift.body_instructions("body", body));
}

#[test]
fn wide_code_is_as_it_was() {
    for isa in [Isa::Avx2, Isa::Avx512] {
        let target = Target::of(isa, Target::SMALL_CACHES);
        let kernel = sample(&target);
        // The nest depends on the machine that makes it.
        let text = asm(&kernel, &target).expect("a sound kernel");
        let (body, _) = text.split_once("\nsingle:\n").expect("the nest comes last");
        insta::assert_snapshot!(format!("asm_{isa}"), body);
    }
}

#[test]
fn multiply_adds_without_the_feature_are_refused() {
    let options = Options { verify: true };
    let mut cranelift = Cranelift::foreign(OLD_X86, &options).expect("x86 is built in");
    let kernel = sample(&baseline());
    let unit = cranelift
        .body("body".to_owned(), &kernel.bodies[0], FuncId::from_u32(0))
        .expect("Cranelift makes calls of them");
    let error = check_calls(&unit, 2).expect_err("a call of the host");
    assert!(
        matches!(&error, CodegenError::HostCall { symbol, .. } if symbol.contains("Fma")),
        "{error}"
    );
}

#[test]
fn multiply_adds_are_one_instruction() {
    for target in targets() {
        let text = asm(&sample(&target), &target).expect("a sound kernel");
        let (body, _) = text.split_once("\nsingle:\n").expect("the nest comes last");
        if cfg!(target_arch = "x86_64") {
            assert_eq!(body.matches("    vfmadd").count(), 3, "{body}");
            assert_eq!(body.matches("    call").count(), 0, "{body}");
        }
    }
}

#[test]
fn dumps_are_the_same_each_time() {
    for target in targets() {
        let kernel = sample(&target);
        let dumps = || [asm(&kernel, &target), clif(&kernel, &target)].map(Result::unwrap);
        assert_eq!(dumps(), dumps());
    }
}
