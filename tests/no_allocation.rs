//! A training step allocates nothing once it runs.
//!
//! Stands alone, because the allocator counts for the whole process.
#![allow(
    unsafe_code,
    reason = "an allocator is an unsafe trait; this one only counts and passes on"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use netc::Net;
use netc::codegen::Target;
use netc::engine::Engine;
use netc::sema::Mode;
use netc::train::fit::{Event, FitConfig, FitError, Flow, Trainer};
use netc::train::source;

/// Counts allocations of all threads.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: all requests go to the system's allocator unchanged, which fulfils the trait's contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as in `alloc`; what is freed here came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NET: &str = "
net Small {
    input [1, 28, 28]
    conv(4, 5, stride = 2) -> bn -> relu -> maxpool(2)
    flatten -> dropout(0.2) -> dense(10)
}
train Small {
    data fashion_mnist_small
    loss cross_entropy
    optimizer adam(lr = 0.001)
    regularize l2(1e-5), max_norm(3)
    clip norm(1)
    accumulate 3
    batch 100
    epochs 2
    seed 1
}
";

fn check(threads: usize) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/small.net");
    let net = Net::parse(&path, NET.as_bytes(), None, &[]).expect("the net is right");
    let train = net.model(Mode::Train).expect("the net is right");
    let infer = net.model(Mode::Infer).expect("the net is right");
    let params = net
        .parameters(Mode::Train, None, 1)
        .expect("fresh weights need no file");
    let samples =
        source::samples(&train, None, Some(&path), 1).expect("the data is in the source tree");
    let config = FitConfig {
        engine: Engine::Compiled {
            target: Target::host(),
            threads,
            winograd: true,
        },
        seed: 1,
        batch: 100,
        epochs: 2,
        scalings: Vec::new(),
        watch_gradients: false,
    };
    let mut trainer = Trainer::new(&train, &infer, &params, config).expect("compiles");
    // The count at each report, of which there are 120 an epoch.
    let mut counts = Vec::with_capacity(1000);
    let report = |event: Event<'_>| -> Result<Flow, FitError> {
        if let Event::Progress(progress) = event {
            counts.push((progress.epoch, ALLOCATIONS.load(Ordering::Relaxed)));
        }
        Ok(Flow::Continue)
    };
    trainer
        .fit(&samples.dataset, None, report)
        .expect("the data fits");
    let second: Vec<usize> = counts
        .iter()
        .filter(|(epoch, _)| *epoch == 2)
        .map(|&(_, count)| count)
        .collect();
    assert!(second.len() >= 100, "{counts:?}");
    assert!(
        second.iter().all(|count| *count == second[0]),
        "on {threads} threads, steps allocate: {second:?}"
    );
}

#[test]
fn steps_allocate_nothing() {
    check(1);
    check(2);
}
