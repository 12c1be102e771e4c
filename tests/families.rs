//! Every architecture of `examples/` at a reduced size, out of the very blocks of the published nets: compiled inference
//! and a compiled training step on every tier against the reference in f64, and every tensor's gradient against central
//! differences.

mod common;

use std::collections::BTreeSet;

use common::differences::{Forward, Rule};
use common::{Bindings, How, compiled, distance, loss, named, random, reference, settle, targets};
use netc::Net;
use netc::codegen::Target;
use netc::ir::{DType, Graph, ValueId};
use netc::sema::{Mode, Model, OptimizerConfig, UpdateRule, WeightDecay};
use netc::train::loss::LOSS;
use netc::train::step::{self, StepConfig};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

const BATCH: usize = 3;

/// Labels stay below this: one net has no more classes.
const CLASSES: u32 = 2;

/// Roundings of f32 through a hundred layers, as a part of a tensor's norm.
const BOUND: f64 = 2e-5;

/// A net of `examples/` and what `--set` would be given to make it small.
type Small = (&'static str, &'static [&'static str]);

const NETS: &[Small] = &[
    ("alexnet.net:Fashion", &["width=4"]),
    ("alexnet.net:Fashion", &["width=3", "groups=1"]),
    ("approximation.net:Approximation", &[]),
    (
        "cbam_resnet.net:Fashion",
        &["first=2", "gate=cbam(1)", "image=[1, 20, 20]"],
    ),
    (
        "cbam_resnet.net:Fashion",
        &[
            "unit=cbam_bottleneck",
            "first=1",
            "gate=cbam(1)",
            "image=[1, 20, 20]",
        ],
    ),
    (
        "condensenet.net:CondenseNet",
        &[
            "layers=[1, 1, 1, 1, 2]",
            "growth=2",
            "groups=2",
            "condense=2",
            "classes=5",
            "side=32",
        ],
    ),
    (
        "condensenet_cifar.net:Fashion",
        &[
            "n=1",
            "growth=4",
            "groups=2",
            "condense=2",
            "picture=[1, 16, 16]",
        ],
    ),
    ("densenet.net:Fashion", &["growth=2"]),
    (
        "densenet_cifar.net:Fashion",
        &["growth=3", "image=[1, 8, 8]"],
    ),
    (
        "densenet_cifar.net:FashionPlain",
        &["growth=3", "image=[1, 8, 8]"],
    ),
    (
        "efficientnet.net:Fashion",
        &["width=0.05", "depth=0.25", "resolution=20", "rate=0.2"],
    ),
    (
        "efficientnet.net:EfficientNetLite",
        &[
            "width=0.05",
            "depth=0.25",
            "resolution=20",
            "stride=1",
            "classes=5",
        ],
    ),
    ("googlenet.net:Fashion", &["part=1/32", "side=20"]),
    ("inception.net:Inception", &[]),
    (
        "inception_v3.net:Fashion",
        &["a=[32]", "b=[128]", "c=1", "side=20"],
    ),
    ("lenet5.net:LeNet5", &[]),
    ("lenet5_1998.net:Fashion", &[]),
    ("lenet5_classic.net:LeNet5Classic", &[]),
    ("maxout.net:Fashion", &["width=2"]),
    ("maxout.net:FashionRuns", &["width=2"]),
    ("mlp.net:Fashion", &["widths=[12, 9]"]),
    ("mlp.net:Sigmoid", &["widths=[12, 9]"]),
    ("mobilenet.net:Fashion", &["width=0.0625", "resolution=16"]),
    ("mobilenet.net:FashionV2", &["width=0.125", "resolution=24"]),
    ("nin.net:Fashion", &["width=3"]),
    ("residual.net:Residual", &["width=2"]),
    ("resnet.net:Fashion", &["first=3", "image=[1, 20, 20]"]),
    (
        "resnet.net:Fashion",
        &["start=stem", "first=2", "image=[3, 40, 40]"],
    ),
    (
        "resnet.net:FashionBottleneck",
        &["first=1", "image=[1, 20, 20]"],
    ),
    (
        "resnet.net:FashionBottleneck",
        &[
            "unit=bottleneck_v15",
            "first=1",
            "layers=[2, 1, 1, 1]",
            "image=[1, 20, 20]",
        ],
    ),
    (
        "resnet.net:FashionNeXt",
        &["first=1", "groups=2", "image=[1, 20, 20]"],
    ),
    (
        "resnet_cifar.net:Fashion",
        &["first=3", "image=[1, 12, 12]"],
    ),
    (
        "resnet_cifar.net:Fashion",
        &["first=3", "unit=basic", "image=[1, 11, 11]"],
    ),
    (
        "se_resnet.net:Fashion",
        &["first=2", "gate=se(2)", "image=[1, 20, 20]"],
    ),
    (
        "se_resnet.net:FashionSoftmax",
        &["unit=se_bottleneck", "first=1", "image=[1, 20, 20]"],
    ),
    ("squeezenet.net:Fashion", &["width=1"]),
    ("twins.net:Twins", &[]),
    ("vanishing_gradient.net:Sigmoid", &[]),
    ("vgg.net:Fashion", &["width=2"]),
    ("vgg.net:FashionPlain", &["width=2"]),
    ("xception.net:Fashion", &["width=1", "middle=1"]),
    ("xor.net:Xor", &[]),
];

fn open((spec, set): Small, mode: Mode) -> Model {
    let path = format!("{}/examples/{spec}", env!("CARGO_MANIFEST_DIR"));
    let set: Vec<String> = set.iter().map(|&each| each.to_owned()).collect();
    let net = Net::open(&path, &set).unwrap_or_else(|error| panic!("{spec}: {error}"));
    net.model(mode)
        .unwrap_or_else(|error| panic!("{spec}: {error}"))
}

fn name((spec, set): &Small) -> String {
    format!("{spec} {}", set.join(" "))
}

/// What an output of a gradient graph is the gradient of.
fn given(graph: &Graph, name: &str) -> ValueId {
    let param = graph.params().find(|(_, param)| param.name == name);
    let input = graph.inputs().find(|(id, input)| {
        // A single input's gradient is called `input`, whatever it is called itself.
        graph.ty(*id).dtype == DType::F32 && (*input == name || name == "input")
    });
    let found = param.map(|(id, _)| id).or(input.map(|(id, _)| id));
    found.unwrap_or_else(|| panic!("{name} is the gradient of nothing"))
}

#[test]
fn every_example_is_here() {
    let folder = format!("{}/examples", env!("CARGO_MANIFEST_DIR"));
    let files = std::fs::read_dir(folder).expect("the examples can be listed");
    let files: BTreeSet<String> = files
        .map(|file| file.expect("the examples can be listed").file_name())
        .filter_map(|file| file.into_string().ok())
        .filter(|file| file.ends_with(".net"))
        .collect();
    let covered: BTreeSet<String> = NETS
        .iter()
        .filter_map(|(spec, _)| Some(spec.split_once(':')?.0.to_owned()))
        .collect();
    assert_eq!(files, covered);
}

/// Holds compiled code on every tier against the reference in f64. A tensor may be as far off, as a part of its norm, as
/// `bound`, or as eight times what the reference itself loses in f32: batch norms over few numbers stretch errors, and what
/// is 0 in truth, as the gradient of a bias in front of one, is all error.
fn hold(small: &Small, graph: &Graph, bindings: &Bindings, bound: f64) {
    let exact = reference::<f64>(graph, bindings);
    let single = reference::<f32>(graph, bindings);
    for target in targets() {
        let isa = target.isa;
        let how = How {
            target,
            most: BATCH,
            threads: 2,
            fuse: true,
        };
        let results = compiled(graph, bindings, &how);
        for (tensor, value) in named(graph) {
            let exact = exact[&value].data();
            let error = distance(&results[&tensor], exact);
            let allowed = bound.max(8.0 * distance(single[&value].data(), exact));
            assert!(
                error <= allowed,
                "{} on {isa}: {tensor} is off by {error:.3e} of its norm, allowed {allowed:.3e}",
                name(small)
            );
        }
    }
}

/// Running means and variances are random too.
#[test]
fn inference_is_that_of_the_reference() {
    for small in NETS {
        let graph = open(*small, Mode::Infer).graph;
        let mut bindings = random(&graph, BATCH, 11, CLASSES);
        settle(&graph, &mut bindings, 0.0);
        hold(small, &graph, &bindings, BOUND);
    }
}

/// Nets with joins, gates, groups and pools.
const FEW_NETS: [&str; 5] = [
    "cbam_resnet.net:Fashion",
    "densenet_cifar.net:Fashion",
    "googlenet.net:Fashion",
    "mobilenet.net:FashionV2",
    "resnet.net:FashionNeXt",
];

/// What is fused decides where numbers are kept, and not which they are but for their rounding.
#[test]
fn fused_and_unfused_nets_agree() {
    let few = NETS.iter().filter(|(spec, _)| FEW_NETS.contains(spec));
    let mut count = 0;
    for small in few {
        let graph = open(*small, Mode::Infer).graph;
        let mut bindings = random(&graph, BATCH, 23, CLASSES);
        settle(&graph, &mut bindings, 0.0);
        let [fused, unfused] = [true, false].map(|fuse| {
            let how = How {
                target: Target::host(),
                most: BATCH,
                threads: 2,
                fuse,
            };
            compiled(&graph, &bindings, &how)
        });
        for (tensor, found) in &fused {
            let other: Vec<f64> = unfused[tensor].iter().map(|&x| f64::from(x)).collect();
            let error = distance(found, &other);
            assert!(
                error <= 1e-5,
                "{}: {tensor} is off by {error:.3e} of its norm where it is fused",
                name(small)
            );
        }
        count += 1;
    }
    assert!(count >= FEW_NETS.len(), "{count} nets");
}

/// With momenta that start at 0, so that what a step leaves in them is the gradient itself.
#[test]
fn training_steps_are_those_of_the_reference() {
    let config = StepConfig::from(OptimizerConfig {
        lr: 0.05,
        rule: UpdateRule::Sgd {
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
        },
        weight_decay: WeightDecay::NONE,
    });
    for small in NETS {
        let model = open(*small, Mode::Train);
        let graph = step::training_step(model.graph.clone(), loss(&model), &config)
            .expect("the loss fits the output");
        let mut bindings = random(&graph, BATCH, 13, CLASSES);
        settle(&graph, &mut bindings, 0.0);
        hold(small, &graph, &bindings, BOUND);
    }
}

/// Pictures of a batch where the reference runs thousands of times.
const FEW: usize = 2;

/// Nets that take minutes here, for one has no arguments that make it small, and the other keeps wide layers at any size;
/// others have all that they are made of. Their slopes are taken where every slow test is asked for.
const SLOW: [&str; 2] = [
    "inception.net:Inception",
    "efficientnet.net:EfficientNetLite",
];

fn asked_for() -> bool {
    std::env::var("NETC_TEST_FULL").is_ok_and(|nets| nets == "all")
}

/// The gradient of the loss by every parameter and every input.
#[test]
fn gradients_are_slopes() {
    let rule = Rule {
        steps: &[[1e-5, 3e-6], [1e-6, 3e-7], [1e-7, 3e-8]],
        tolerance: 1e-5,
        floor: 0.0,
        entries: 1,
    };
    let nets = NETS.par_iter();
    let nets = nets.filter(|(spec, _)| asked_for() || !SLOW.contains(spec));
    nets.for_each(|small| {
        let model = open(*small, Mode::Train);
        let gradients =
            step::gradient_graph(model.graph.clone(), loss(&model), &Default::default())
                .expect("the loss fits the output");
        let forward = step::evaluation_graph(model.graph.clone(), loss(&model))
            .expect("the loss fits the output");
        let mut bindings = random(&gradients, FEW, 17, CLASSES);
        settle(&gradients, &mut bindings, 0.0);
        let exact = reference::<f64>(&gradients, &bindings);
        // The backward half is appended, so a value of the forward half is the same in both.
        let run = Forward {
            loss: forward.output(LOSS).expect("it was asked for"),
            values: exact.clone(),
            graph: &forward,
            batch: FEW,
        };
        // A gradient that is 0 in truth, as that of a bias in front of a batch norm, is noise of the others' size.
        let largest = gradients
            .outputs
            .iter()
            .flat_map(|output| exact[&output.value].data());
        let largest = largest.fold(0.0_f64, |most, x| most.max(x.abs()));
        let rule = Rule {
            floor: 1e-3 * largest.max(1.0),
            ..rule
        };
        let mut rng = ChaCha8Rng::seed_from_u64(19);
        for output in &gradients.outputs {
            if output.name == LOSS {
                continue;
            }
            let value = given(&forward, &output.name);
            let found = exact[&output.value].data();
            let what = format!("{}, {}", name(small), output.name);
            run.hold(&what, value, found, &rule, &mut rng);
        }
    });
}
