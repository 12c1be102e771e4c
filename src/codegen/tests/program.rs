//! Programs of several kernels, and the memory they lie in.

use std::fs;
use std::sync::Arc;
use std::thread;

use super::foreign::sample;
use super::*;
use crate::kernel::Lanes;

/// A kernel that adds a number to whole vectors.
fn adder(target: &Target, number: usize) -> Kernel {
    let mut b = builder(target);
    let p = b.ptr_arg();
    let x = b.load(p, 0, Lanes::All);
    let more = b.const_f(number as f32);
    let sum = b.add(x, more);
    b.store(p, 0, sum, Lanes::All);
    let mut nest = NestBuilder::new();
    let body = nest.add_body(b.finish());
    let step = 4 * target.lanes as i64;
    nest.for_domain(|nest, unit| nest.call(body, [Arg(0).at(unit * step)], []));
    nest.finish(format!("add{number}"), 1)
}

/// Checks all kernels of a program of adders.
fn run_adders(code: &Code, kernels: &[Kernel], target: &Target) {
    for (index, kernel) in kernels.iter().enumerate() {
        let buffers = [ramp(3 * target.lanes)];
        let [expected, found] = guarded::run(kernel, code.kernel(index), &buffers, [0, 3, 1]);
        assert_eq!(expected, found, "{}", code.kernel(index).name());
    }
}

#[test]
fn a_program_of_many_kernels() {
    for target in targets() {
        let kernels: Vec<Kernel> = (0..100).map(|number| adder(&target, number)).collect();
        let code = compile(&kernels, &target, &Options { verify: true }).unwrap();
        assert_eq!(code.kernels(), 100);
        assert_eq!(code.functions().len(), 200);
        assert_eq!(code.kernel(7).name(), "add7");
        assert_eq!(code.functions()[14].name(), "add7.0.body");
        assert!(
            code.functions()
                .iter()
                .all(|f| code.bytes(f).len() == f.size())
        );
        let total = code.times();
        assert!(
            [total.nests, total.bodies, total.finalize]
                .iter()
                .all(|time| !time.is_zero())
        );
        run_adders(&code, &kernels, &target);
    }
}

#[test]
fn no_kernels_at_all() {
    for target in targets() {
        let code = compile(&[], &target, &Options { verify: true }).unwrap();
        assert_eq!(code.kernels(), 0);
    }
}

#[test]
fn bodies_of_another_tier_are_refused() {
    let other = Target::of(Isa::Avx512, Target::SMALL_CACHES);
    for target in targets()
        .iter()
        .filter(|target| target.lanes != other.lanes)
    {
        let kernels = [adder(&other, 1)];
        let error = compile(&kernels, target, &Options { verify: true }).expect_err("16 lanes");
        let text = format!(
            "body `add1.0.body` has 16 lanes, but the target has {}",
            target.lanes
        );
        assert_eq!(error.to_string(), text);
    }
}

/// The mappings of this process that contain an address, or that are writable and executable.
fn mappings(address: Option<usize>) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").expect("Linux tells its mappings");
    let holds = |line: &&str| {
        let mut fields = line.split_whitespace();
        let range = fields.next().expect("a range");
        let rights = fields.next().expect("rights");
        let (start, end) = range.split_once('-').expect("two ends");
        let [start, end] = [start, end].map(|text| usize::from_str_radix(text, 16).expect("hex"));
        match address {
            Some(address) => (start..end).contains(&address),
            None => rights.contains('w') && rights.contains('x'),
        }
    };
    maps.lines().filter(holds).map(str::to_owned).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn memory_is_executable_but_not_writable() {
    for target in targets() {
        let code = compile(&[sample(&target)], &target, &Options { verify: true }).unwrap();
        assert_eq!(mappings(None), Vec::<String>::new());
        for function in code.functions() {
            let found = mappings(Some(function.address()));
            assert!(found.len() == 1 && found[0].contains(" r-xp "), "{found:?}");
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn dropping_frees() {
    // Other tests map and unmap memory meanwhile, and may get an address that was just freed; so
    // most addresses must be gone, not all.
    let mut gone = 0;
    for target in targets() {
        for _ in 0..20 {
            let code = compile(&[sample(&target)], &target, &Options { verify: true }).unwrap();
            let address = code.functions()[0].address();
            assert_eq!(mappings(Some(address)).len(), 1);
            drop(code);
            let executable = mappings(Some(address))
                .iter()
                .any(|line| line.contains(" r-xp "));
            gone += usize::from(!executable);
        }
    }
    assert!(gone > 10 * targets().len(), "{gone} addresses are gone");
}

#[test]
fn sixteen_threads_compile_and_call() {
    let targets = Arc::new(targets());
    let threads: Vec<_> = (0..16)
        .map(|thread| {
            let targets = Arc::clone(&targets);
            thread::spawn(move || {
                // Room that is taken in between, so that code of later rounds lies too far away for a call by distance.
                let mut between = Vec::new();
                for round in 0..12 {
                    if round % 4 == 0 {
                        between.push(region::alloc(4 << 30, region::Protection::NONE).unwrap());
                    }
                    for target in targets.iter() {
                        let numbers = [0, 1, 2].map(|k| thread * 100 + round * 3 + k);
                        let kernels = numbers.map(|number| adder(target, number));
                        let options = Options { verify: true };
                        let code = compile(&kernels, target, &options).unwrap();
                        run_adders(&code, &kernels, target);
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn threads_share_code() {
    for target in targets() {
        let kernels: Arc<Vec<Kernel>> = Arc::new((0..4).map(|n| adder(&target, n)).collect());
        let code = compile(&kernels, &target, &Options { verify: true }).unwrap();
        let code = Arc::new(code);
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (code, kernels, target) = (code.clone(), kernels.clone(), target.clone());
                thread::spawn(move || run_adders(&code, &kernels, &target))
            })
            .collect();
        drop(code);
        for thread in threads {
            thread.join().unwrap();
        }
    }
}
