//! What a program needs of memory: joined values in one buffer, cheap ones made again, operands written over.

mod common;

use std::sync::Arc;

use common::{Bindings, bind, random, results};
use netc::codegen::Target;
use netc::driver::{self, Options, Program};
use netc::ir::{Builder, Graph, Shape, Type};
use netc::lower::once::Footprints;
use netc::model::{self, Net};
use netc::ops::{Concat, Op, Pointwise, Slice};
use netc::plan;
use netc::runtime::exec::Session;
use netc::sema::Mode;

fn net(text: &str) -> Net {
    Net::parse("net.net".as_ref(), text.as_bytes(), None, &[]).expect("parses")
}

fn inference(text: &str) -> Graph {
    net(text).model(Mode::Infer).expect("is sound").graph
}

fn training(text: &str) -> Graph {
    let model = net(text).model(Mode::Train).expect("is sound");
    model::training_graph(&model).expect("can be trained")
}

fn compile(graph: &Graph, batch: usize, recompute: bool) -> Program {
    let options = Options {
        recompute,
        // Its scratch memory is not what is measured here.
        winograd: false,
        ..Options::new(batch)
    };
    let program = driver::compile(graph, &options).expect("compiles");
    let Program {
        graph,
        groups,
        plan,
        target,
        ..
    } = &program;
    assert_eq!(
        plan::arena_bytes(graph, groups, batch, &Footprints::new(target)),
        plan.arena_bytes,
        "what `summary` says, which makes no kernels"
    );
    program
}

/// The steps whose kernels copy parts or ranges.
fn copies(program: &Program) -> Vec<&str> {
    let names = program.plan.steps.iter().map(|step| step.name.as_str());
    names
        .filter(|name| name.contains("concat") || name.contains("slice"))
        .collect()
}

/// A dense block of so many layers on 64 channels, each of which adds 32.
fn dense_block(layers: usize, size: usize, rest: &str, train: &str) -> String {
    format!(
        "block layer(growth) {{
            concat {{
                id
                bn -> relu -> conv(4 * growth, 1, bias = false) -> bn -> relu -> conv(growth, 3, pad = 1, bias = false)
            }}
        }}
        net Dense {{
            input [3, {size}, {size}]
            conv(64, 1)
            repeat {layers} {{ layer(32) }}
            {rest}
        }}
        {train}"
    )
}

const TRAIN: &str = "train Dense { data fashion_mnist_small; loss cross_entropy; optimizer sgd(lr = 0.1); batch 4 }";

#[test]
fn the_features_of_a_dense_block_are_one_buffer() {
    let graph = inference(&dense_block(6, 56, "bn -> relu", ""));
    let program = compile(&graph, 1, true);
    assert_eq!(copies(&program), [] as [&str; 0]);
    let kept = program.plan.kept_bytes;
    let pixels = 56 * 56;
    // 256 channels, and a cache line between pixels, since their distance would be a power of two.
    let features = (256 + 16) * pixels * 4;
    // Beside them what is alive within a layer: its input, normalised, with at most 224 channels; then 128 channels
    // with a halo around them. A copy for each layer would be 13,246,464 bytes in all.
    let layer = (224 + 128) * (58 * 58) * 4;
    let input = 3 * pixels * 4;
    let arena = program.plan.arena_bytes - kept;
    assert!(
        arena <= features + layer + input,
        "{arena} bytes, of which {features} for the features"
    );
}

#[test]
fn a_training_step_of_a_dense_block_copies_no_features() {
    let rest = "global_avgpool -> flatten -> dense(10)";
    let graph = training(&dense_block(3, 8, rest, TRAIN));
    assert_eq!(copies(&compile(&graph, 4, true)), [] as [&str; 0]);
}

#[test]
fn ranges_and_joins_inside_one_another_are_exact() {
    let mut b = Builder::new("ranges");
    let x = b.input("x", Type::f32(Shape::batched([12, 3, 5])));
    let of =
        |b: &mut Builder, value, from, to| b.op(Op::Slice(Slice { axis: 0, from, to }), &[value]);
    let relu = |b: &mut Builder, value| b.pointwise(Pointwise::Relu, &[value]);
    let low = of(&mut b, x, 0, 5);
    let high = of(&mut b, x, 5, 12);
    let (low, high) = (relu(&mut b, low), relu(&mut b, high));
    // A join within a join, a part that is read twice, one that is joined with itself, and a range of the whole.
    let inner = b.op(Op::Concat(Concat { axis: 0 }), &[high, low]);
    let double = b.op(Op::Concat(Concat { axis: 0 }), &[low, low]);
    let outer = b.op(Op::Concat(Concat { axis: 0 }), &[double, inner]);
    let middle = of(&mut b, outer, 3, 19);
    let flat = b.op(Op::Reshape(vec![16 * 15]), &[middle]);
    let again = b.pointwise(Pointwise::Neg, &[flat]);
    let sum = b.pointwise(Pointwise::Add, &[high, high]);
    for (name, value) in [
        ("outer", outer),
        ("middle", middle),
        ("again", again),
        ("sum", sum),
    ] {
        b.output(name, value);
    }
    let graph = b.finish();
    for batch in [1, 3] {
        let bindings = random(&graph, batch, 5, 3);
        let exact = common::reference::<f32>(&graph, &bindings);
        for (isa, found) in common::on_every_tier(&graph, &bindings) {
            for output in &graph.outputs {
                assert_eq!(
                    found[&output.name],
                    exact[&output.value].data(),
                    "{isa:?} {}",
                    output.name
                );
            }
        }
    }
}

const NORMED: &str = "
    block unit(c) { conv(c, 3, pad = same, bias = false) -> bn -> relu }
    net Normed {
        input [3, 16, 16]
        repeat 6 { unit(24) }
        global_avgpool -> flatten -> dense(10)
    }
    train Normed { data fashion_mnist_small; loss cross_entropy; optimizer sgd(lr = 0.1); batch 8 }
";

fn run(program: Program, graph: &Graph, bindings: &Bindings) -> Vec<(String, Vec<f32>)> {
    let mut session = Session::new(Arc::new(program), 1).expect("starts");
    bind(graph, bindings, &mut session);
    session.run(bindings.batch).expect("runs");
    let mut found: Vec<_> = results(graph, &session, bindings.batch)
        .into_iter()
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn what_is_made_again_takes_less_memory_and_gives_the_same_bits() {
    let graph = training(NORMED);
    let (kept, again) = (compile(&graph, 8, false), compile(&graph, 8, true));
    let need = |program: &Program| program.plan.arena_bytes - program.plan.kept_bytes;
    // Of what a unit keeps, its output goes and the input of its batch norm stays.
    assert!(
        need(&again) * 4 < need(&kept) * 3,
        "{} of {} bytes",
        need(&again),
        need(&kept)
    );
    let bindings = random(&graph, 8, 3, 10);
    assert_eq!(run(kept, &graph, &bindings), run(again, &graph, &bindings));
}

#[test]
fn an_operand_that_nobody_reads_later_is_written_over() {
    let mut b = Builder::new("over");
    let x = b.input("x", Type::f32(Shape::batched([16, 32, 32])));
    let pool = netc::ops::AvgPool {
        window: netc::ops::Window {
            kernel: [3, 3],
            stride: [1, 1],
            dilation: [1, 1],
            pads: netc::ops::Pads::all(1),
            ceil: false,
        },
        include_pad: true,
    };
    let a = b.op(Op::AvgPool(pool), &[x]);
    let c = b.op(Op::AvgPool(pool), &[a]);
    // Two that are needed whole before the sum: one of them can make room for it.
    let both = b.pointwise(Pointwise::Mul, &[a, c]);
    let last = b.op(Op::AvgPool(pool), &[both]);
    b.output("y", last);
    let graph = b.finish();
    let options = Options {
        fuse: false,
        ..Options::new(1)
    };
    let program = driver::compile(&graph, &options).expect("compiles");
    let map = 16 * 32 * 32 * 4;
    let slack = 4 * (Target::host().vector_bytes() + 64);
    assert!(
        program.plan.arena_bytes <= 3 * map + slack,
        "{}",
        program.plan.arena_bytes
    );
    let bindings = random(&graph, 1, 5, 3);
    let exact = common::reference::<f32>(&graph, &bindings);
    let found = run(program, &graph, &bindings);
    let y = &exact[&graph.outputs[0].value];
    let distance = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max)
    };
    assert!(distance(&found[0].1, y.data()) < 1e-5);
}
