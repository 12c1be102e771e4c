//! Learned group convolutions: trained with their stages, stopped and resumed, condensed, and the same numbers before
//! and after.

mod common;
mod program;

use std::path::{Path, PathBuf};

use common::{check_norm, random, targets};
use netc::Net;
use netc::codegen::Target;
use netc::condense::{self, CondenseError};
use netc::engine::{Engine, Runner};
use netc::io::weights::WeightsFile;
use netc::ir::{Action, ParamRole, ValueKind};
use netc::model::{self, NamedParam};
use netc::ops::condense::{filter_sizes, prune};
use netc::sema::Mode;
use netc::train::checkpoint::Checkpoint;
use netc::train::fit::{Ending, Event, FitConfig, FitError, Flow, Trainer};
use netc::train::source;
use program::Folder;

/// Two blocks of pooled pictures, and a head that reads half of its channels. Small enough for tests, and with everything
/// of the real ones: groups, shuffles, kernels of 1 and 3, biases, labels.
const NET: &str = "\
// A comment of the file.
use std.condensenet

/// Two blocks.
net Small(growth = 4, groups = 2, condense = 4) {
    input [1, 28, 28] from image()
    conv(8, 5, stride = 4, pad = 2, bias = false)
    for grown in [growth, 2 * growth] {
        repeat 2 { condense_layer(grown, groups = groups, condense = condense) } // both of them
        avgpool(2)
    }
    wide: lgconv(9, 3, groups = 3, condense = 2, pad = 1, bias = true) -> relu
    avgpool(1) -> classifier: lgconv(10, 1, condense = 3, bias = true) -> global_avgpool
}
preset Wide = Small(8, groups = 4)
train Small {
    data fashion_mnist_small
    loss cross_entropy
    optimizer sgd(lr = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-4)
    schedule cosine
    regularize l2(1e-5), group_lasso(1e-3)
    batch 100
    epochs 6
    seed 1
}
";

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("examples")
        .join(name)
}

fn net(text: &str, name: Option<&str>) -> Net {
    Net::parse(&path("small.net"), text.as_bytes(), name, &[])
        .unwrap_or_else(|error| panic!("{error}"))
}

/// Trains until `stop` steps are done, from the start or a checkpoint.
fn train(net: &Net, threads: usize, stop: usize, from: Option<Checkpoint>) -> (Ending, Trainer) {
    let [train, infer] = [Mode::Train, Mode::Infer].map(|mode| net.model(mode).expect("is right"));
    let params = net.parameters(Mode::Train, None, 1).expect("fresh");
    let samples = source::samples(&train, None, Some(&net.path), 1).expect("comes along");
    let config = FitConfig {
        engine: Engine::Compiled {
            target: Target::host(),
            threads,
            winograd: true,
        },
        seed: 1,
        batch: 1000,
        epochs: 1,
        scalings: source::scalings(&train),
        watch_gradients: false,
    };
    let mut trainer = Trainer::new(&train, &infer, &params, config).expect("compiles");
    if let Some(checkpoint) = from {
        trainer.restore(checkpoint).expect("is of this net");
    }
    let mut done = 0;
    let report = |event: Event<'_>| -> Result<Flow, FitError> {
        if let Event::Progress(_) = event {
            done += 1;
        }
        Ok(if done >= stop {
            Flow::Stop
        } else {
            Flow::Continue
        })
    };
    let ending = trainer
        .fit(&samples.dataset, None, report)
        .expect("the data fits");
    (ending, trainer)
}

fn bits(params: &[NamedParam]) -> Vec<(&str, Vec<u32>)> {
    let of = |data: &[f32]| data.iter().map(|x| x.to_bits()).collect();
    params
        .iter()
        .map(|(name, _, data)| (name.as_str(), of(data)))
        .collect()
}

/// Outputs for some samples.
fn outputs(graph: &netc::ir::Graph, params: &[NamedParam], engine: &Engine) -> Vec<f32> {
    const SAMPLES: usize = 3;
    let mut runner = Runner::new(graph, SAMPLES, engine, params).expect("compiles");
    for (value, name) in graph.inputs() {
        let elements = SAMPLES * graph.ty(value).shape.elements();
        let samples: Vec<f32> = (0..elements).map(|i| (i as f32 * 0.37).sin()).collect();
        runner.set_input(name, &samples).expect("fits");
    }
    runner.run(SAMPLES).expect("runs");
    runner.output("output", SAMPLES).expect("is there")
}

/// The same bits on one thread and on two, and where it stops and goes on: in the first stage, at its last step, after
/// it, and in the last half.
#[test]
fn stages_are_the_same_however_a_training_goes() {
    let net = net(NET, None);
    let (ending, calm) = train(&net, 1, usize::MAX, None);
    assert_eq!(ending, Ending::Finished);
    let calm = calm.params().expect("its own names");
    let (_, other) = train(&net, 2, usize::MAX, None);
    assert!(bits(&other.params().expect("its own names")) == bits(&calm));
    // Twelve steps: the stages end before steps 2, 4 and 6, counted from 0.
    let mut left = std::collections::BTreeSet::new();
    for stop in [1, 2, 3, 5, 9] {
        let (ending, trainer) = train(&net, 1, stop, None);
        assert_eq!(ending, Ending::Interrupted, "after {stop} steps");
        let checkpoint = trainer.checkpoint().expect("its own names");
        left.insert(ones(&checkpoint.params, "condense_layer1.lgconv1.mask"));
        let (_, resumed) = train(&net, 2, usize::MAX, Some(checkpoint));
        let resumed = resumed.params().expect("its own names");
        assert!(bits(&resumed) == bits(&calm), "stopped after {stop} steps");
    }
    // Sixteen filters over eight channels, of which each stage takes two; what is due before a step is done with it.
    assert_eq!(left.into_iter().collect::<Vec<_>>(), [32, 64, 96, 128]);
}

fn ones(params: &[NamedParam], name: &str) -> usize {
    let mask = params.iter().find(|(known, ..)| known == name);
    let (_, _, mask) = mask.unwrap_or_else(|| panic!("no `{name}`"));
    mask.iter().filter(|&&on| on == 1.0).count()
}

#[test]
fn a_trained_net_computes_the_same_when_it_is_condensed() {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("w.safetensors");
    let net = net(NET, None);
    let (_, trainer) = train(&net, 2, usize::MAX, None);
    let params = trainer.params().expect("its own names");
    model::save(&weights, &"Small".into(), &params).expect("written");
    let made = condense::condense(&net, &weights, Path::new("out.net")).expect("is condensed");
    assert_eq!(made.layers, 6);
    let wanted = made.before.condensed.expect("has layers that condense");
    assert_eq!(
        (made.after.params, made.after.macs),
        (wanted.params, wanted.macs)
    );
    let new = Net::parse(Path::new("out.net"), made.text.as_bytes(), None, &[])
        .unwrap_or_else(|error| panic!("{error}"));
    let [old, new] = [&net, &new].map(|net| net.model(Mode::Infer).expect("is right"));
    let exact = outputs(&old.graph, &params, &Engine::InterpretF64);
    let close = |found: &[f32], how: &str| {
        for (found, exact) in found.iter().zip(&exact) {
            // Outputs near one: sums of some hundred terms in f32 in another order.
            assert!((found - exact).abs() < 1e-5, "{how}: {found} {exact}");
        }
    };
    close(
        &outputs(&new.graph, &made.params, &Engine::InterpretF64),
        "interpreted",
    );
    for target in targets() {
        for threads in [1, 2] {
            let target = target.clone();
            let how = format!("{} with {threads} threads", target.isa);
            let engine = Engine::Compiled {
                target,
                threads,
                winograd: true,
            };
            close(&outputs(&old.graph, &params, &engine), &how);
            close(&outputs(&new.graph, &made.params, &engine), &how);
        }
    }
}

/// A whole step, its lasso among the gradients, against the interpreter in f64.
#[test]
fn steps_with_masks_and_lasso() {
    for (name, batch) in [(None, 3), (Some("Wide"), 2)] {
        let model = net(NET, name).model(Mode::Train).expect("is right");
        let graph = model::training_graph(&model).expect("fits");
        let mut bindings = random(&graph, batch, 5, 3);
        for (id, value) in graph.values.iter() {
            if let (ValueKind::Param(param), Some(data)) = (&value.kind, bindings.data.get_mut(&id))
            {
                let shape = &value.ty.shape.dims;
                match param.role {
                    ParamRole::Mask => {
                        let open = |x: &mut f32| *x = f32::from(u8::from(*x > 0.0));
                        data.iter_mut().for_each(open);
                    }
                    _ if shape.len() > 1 => {
                        let fan_in: usize = shape[1..].iter().product();
                        let factor = (6.0 / fan_in as f32).sqrt();
                        data.iter_mut().for_each(|x| *x *= factor);
                    }
                    _ => {}
                }
            }
        }
        // Errors of some tens of layers' worth of roundings, as a part of each tensor's norm.
        check_norm(&graph, &bindings, batch + 1, 2e-4);
    }
}

/// Fresh parameters, each layer condensed by them.
fn condensed_at_random(net: &Net) -> Vec<NamedParam> {
    let model = net.model(Mode::Infer).expect("is right");
    let mut params = net.parameters(Mode::Infer, None, 3).expect("fresh");
    let place = |params: &[NamedParam], name: &str| {
        let found = params.iter().position(|(known, ..)| known == name);
        found.expect("an event names parameters")
    };
    for event in &model.graph.events {
        let Action::Prune(rule) = &event.action;
        let weight = params[place(&params, &rule.weight)].2.clone();
        let mask = place(&params, &rule.mask);
        let sizes = filter_sizes(&model.graph, rule);
        let _ = prune(&weight, &mut params[mask].2, sizes, rule);
    }
    params
}

/// Condenses a net with random weights; the text, whose net must compute the same.
fn condensed(net: &Net) -> Result<String, CondenseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let weights = folder.path().join("w.safetensors");
    let params = condensed_at_random(net);
    model::save(&weights, &"net".into(), &params).expect("written");
    let made = condense::condense(net, &weights, Path::new("out.net"))?;
    let new = Net::parse(Path::new("out.net"), made.text.as_bytes(), None, &[])
        .unwrap_or_else(|error| panic!("{error}\n{}", made.text));
    let found = new.model(Mode::Infer).expect("is right");
    assert_eq!(found.warnings, [], "{}", made.text);
    let old = net.model(Mode::Infer).expect("is right");
    let [exact, found] = [(&old.graph, &params), (&found.graph, &made.params)]
        .map(|(graph, params)| outputs(graph, params, &Engine::InterpretF64));
    for (found, exact) in found.iter().zip(&exact) {
        // The same terms in f64, and one rounding to f32.
        assert!((found - exact).abs() <= 1e-6 * exact.abs().max(1.0));
    }
    Ok(made.text)
}

#[test]
fn blocks_loops_and_comments_stay() {
    insta::assert_snapshot!(
        "condensed_preset",
        condensed(&net(NET, Some("Wide"))).expect("can be")
    );
}

/// Every construct that can stand around a learned group convolution.
const FORMS: &str = "\
net Forms(kinds = [1, 3], last = true) {
    input [8, 6, 6]
    shared twice { lgconv(8, 1, groups = 2) -> relu; lgconv(8, 1, condense = 4) }
    twice -> twice
    for (k, n) in [(1, 1), (3, 2)] { repeat n { pair(k, k > 1) } }
    for k in 1..3 step 2 { add { id; lgconv(8, k, pad = same, groups = 4, condense = 2) } }
    concat for k in kinds { lgconv(4, k, pad = same, groups = 2) }
    if last { named -> lgconv(8, 1, condense = 2) } else { lgconv(4, 1) }
    whole(layer = inner)
    flatten -> dense(3)
}

block named { conv(8, 1) }

/// One of two.
block pair(k, wide) {
    if wide { lgconv(8, k, pad = same, groups = 2) } else { conv(8, 1) }
    relu -> lgconv(8, 1, groups = 2, condense = 8, bias = true)
}

block inner(channels, condense = 2) { lgconv(channels, 1, condense = condense) }

block whole(layer) { layer(8) -> layer(4) }
";

#[test]
fn every_form_can_be_condensed() {
    insta::assert_snapshot!(
        "condensed_forms",
        condensed(&net(FORMS, None)).expect("can be")
    );
}

#[test]
fn forms_that_cannot_stay() {
    let text = "\
net A { input [8, 2, 2]; let l = lgconv(8, 1, groups = 2); l -> l -> flatten }
net B { input [8, 2, 2]; b([1, 1]) -> b([1]) -> flatten }
block b(ks) { for k in ks { lgconv(8, k, groups = 2) } }
net C { input [8, 2, 2]; conv(8, 1) -> flatten }
";
    let message = |name| {
        condensed(&net(text, Some(name)))
            .expect_err("no")
            .to_string()
    };
    let places = message("A").replace(&path("").display().to_string(), "");
    insta::assert_snapshot!(places, @"small.net:1:60: a learned group convolution is used here by a name; write `lgconv(…)` in its place");
    let places = message("B").replace(&path("").display().to_string(), "");
    insta::assert_snapshot!(places, @"small.net:3:24: this loop has other rounds in other uses of its block; give those uses blocks of their own");
    insta::assert_snapshot!(message("C"), @"C has no learned group convolution (`lgconv`), so there is nothing to condense");
}

/// The commands, one after the other, as a user gives them.
#[test]
fn from_training_to_a_condensed_net() {
    let folder = Folder::new();
    folder.write("small.net", NET);
    folder.ok("init small.net:Small --out fresh.safetensors");
    folder.fails(
        "condense small.net:Small --weights fresh.safetensors --out c.net",
        1,
        "`condense_layer1.lgconv1` is not condensed yet: group 1 of 2 reads 8 of 8 input channels, and 2 are to be left",
    );
    folder.fails(
        "train small.net:Small --epochs 1 --batch 4000",
        1,
        "is condensed in 3 stages over the first half of the training, which has 1 step",
    );
    folder.ok("train small.net:Small --epochs 2 --batch 500 --out w.safetensors");
    let condense = "condense small.net:Small --weights w.safetensors --out";
    folder.fails(&format!("{condense} c.txt"), 2, "ends with `.net`");
    folder.fails(&format!("{condense} small.net"), 2, "would be written over");
    folder.fails(&format!("{condense} w.net"), 2, "would be written over");
    folder.fails(&format!("{condense} none/c.net"), 1, "none");
    let made = &folder.json(&format!("{condense} c.net --json"))[0];
    assert_eq!(made["layers"], 6);
    let eval = |file: &str| {
        let found = folder.json(&format!("eval {file} --json"));
        (
            found[0]["accuracy"].clone(),
            found[0]["loss"].as_f64().expect("a number"),
        )
    };
    let (accuracy, loss) = eval("small.net:Small --weights w.safetensors");
    let (condensed, condensed_loss) = eval("c.net --weights c.safetensors");
    assert_eq!(accuracy, condensed);
    // A mean over thousands of samples, each off by some roundings.
    assert!((loss - condensed_loss).abs() < 1e-5);
    for command in ["check c.net", "fmt --check c.net"] {
        let done = folder.netc(command);
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""), "{done:?}");
    }
    let summary = &folder.json("summary small.net:Small --json")[0];
    let after = &folder.json("summary c.net --json")[0];
    assert_eq!(summary["condensed"]["params"], after["params"]);
    assert_eq!(summary["condensed"]["macs"], after["macs"]);
    // A mask that no training makes is told, not followed.
    let mut file = WeightsFile::open(&folder.path("w.safetensors")).expect("is there");
    let named: Vec<String> = file.tensors().map(|(name, _)| name.to_owned()).collect();
    let mut params: Vec<NamedParam> = Vec::new();
    for name in named {
        let tensor = file.read(&name).expect("is there");
        params.push((name, tensor.shape().to_vec(), tensor.into_data()));
    }
    let mask = params.iter_mut().find(|(name, ..)| name == "wide.mask");
    mask.expect("is there").2[0] = 0.5;
    model::save(&folder.path("bad.safetensors"), &"Small".into(), &params).expect("written");
    folder.fails(
        "condense small.net:Small --weights bad.safetensors --out c2.net",
        1,
        "the mask of `wide` is damaged",
    );
    assert!(!folder.path("c2.net").exists() && !folder.path("c2.safetensors").exists());
}
