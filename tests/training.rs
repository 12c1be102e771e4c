//! Trainings as a user runs them: stopped, killed, resumed, gone wrong.

mod program;

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use image::{GrayImage, Luma};
use netc::io::npy;
use netc::io::weights::WeightsFile;
use program::{Done, Folder, command};
use serde_json::Value;

/// A net with all that is random: order, dropout, changes of the samples.
const NET: &str = "\
net Small {
    input [1, 8, 8]
    conv(4, 3, pad = 1, bias = false) -> bn -> relu -> maxpool(2)
    flatten -> dropout(0.25) -> dense(4)
}
train Small {
    data folder(\"set\", validation = 40)
    augment flip, crop(1), noise(0.05)
    loss cross_entropy
    optimizer adam(lr = 0.01)
    schedule plateau(factor = 0.5, patience = 1, warmup = 1)
    batch 16
    epochs 6
    seed 3
}
";

/// Writes a data set in the form of MNIST: pictures of 8 x 8 in four classes, told apart by the quarter
/// that is bright, with noise.
fn write_set(folder: &Folder, train: usize, test: usize) {
    let set = folder.path("set");
    std::fs::create_dir_all(&set).expect("a new folder");
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 25) as u8
    };
    for (stem, count) in [("train", train), ("t10k", test)] {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for sample in 0..count {
            let label = sample % 4;
            labels.push(label as u8);
            for pixel in 0..64 {
                let quarter = pixel / 32 * 2 + pixel % 8 / 4;
                images.push(noise() + if quarter == label { 90 } else { 0 });
            }
        }
        let number = |n: usize| (n as u32).to_be_bytes();
        let header = [[0, 0, 8, 3], number(count), number(8), number(8)].concat();
        let write = |name: String, bytes: Vec<u8>| {
            std::fs::write(set.join(name), bytes).expect("a written file");
        };
        write(
            format!("{stem}-images-idx3-ubyte"),
            [header, images].concat(),
        );
        let header = [[0, 0, 8, 1], number(count)].concat();
        write(
            format!("{stem}-labels-idx1-ubyte"),
            [header, labels].concat(),
        );
    }
}

fn prepared() -> Folder {
    let folder = Folder::new();
    folder.write("small.net", NET);
    write_set(&folder, 200, 40);
    folder
}

fn bytes(folder: &Folder, name: &str) -> Vec<u8> {
    std::fs::read(folder.path(name)).expect("the file is there")
}

fn leftovers(folder: &Folder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path("")).expect("the folder is there");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    let names = names.map(|name| name.into_string().expect("an ASCII name"));
    names.filter(|name| name.ends_with(".tmp")).collect()
}

fn start(folder: &Folder, args: &str) -> Child {
    command(args)
        .current_dir(folder.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// What a step can have beside its loss, with groups of steps that no checkpoint of every 4 steps ends with.
const GROUPED: &str = "\
    optimizer sgd(lr = 0.05, momentum = 0.9, nesterov = true, weight_decay = 1e-4)
    regularize l1(1e-5), max_norm(3)
    clip norm(1)
    freeze \"conv1\"
    accumulate 3
";

/// The net with every key of [`GROUPED`] in place of its optimizer.
fn grouped() -> String {
    NET.replace("    optimizer adam(lr = 0.01)\n", GROUPED)
}

/// The net with a learned group convolution, whose filters lose channels in three stages of the first half.
fn learned() -> String {
    let layer = "maxpool(2) -> lgconv(8, 3, groups = 2, condense = 4, pad = 1) -> relu\n";
    NET.replace("maxpool(2)\n", layer).replace(
        "    schedule",
        "    regularize group_lasso(1e-4)\n    schedule",
    )
}

/// Kills a training of this net so many times, at any instant, and resumes it every time.
fn killed_and_resumed(net: &str, kills: usize) {
    let folder = prepared();
    folder.write("small.net", net);
    let train = "train small.net --threads 2 --set train.epochs=40 --checkpoint-every 4";
    let begin = Instant::now();
    folder.ok(&format!("{train} --out calm.safetensors"));
    let whole = begin.elapsed();
    let calm = bytes(&folder, "calm.safetensors");
    let mut state = 7_u64;
    let (mut killed, mut resumed) = (0, 0);
    while killed < kills || resumed == 0 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let share = (state >> 40) as f64 / f64::from(1 << 24);
        let resume = folder.path("w.checkpoint").exists();
        let flag = if resume { " --resume" } else { "" };
        let mut child = start(&folder, &format!("{train} --out w.safetensors{flag}"));
        std::thread::sleep(Duration::from_secs_f64(0.8 * share * whole.as_secs_f64()));
        child.kill().expect("the program can be killed");
        let output = child.wait_with_output().expect("the program ends");
        if output.status.success() {
            // It was done before it could be killed: another training begins.
            assert_eq!(bytes(&folder, "w.safetensors"), calm);
            for name in ["w.safetensors", "w.checkpoint"] {
                std::fs::remove_file(folder.path(name)).expect("the file is there");
            }
            continue;
        }
        assert_eq!(output.status.code(), None, "{output:?}");
        killed += 1;
        resumed += usize::from(resume);
    }
    let flag = if folder.path("w.checkpoint").exists() {
        " --resume"
    } else {
        ""
    };
    folder.ok(&format!("{train} --out w.safetensors{flag}"));
    assert!(
        bytes(&folder, "w.safetensors") == calm,
        "after {killed} kills the weights are others"
    );
    // The run that came to its end has removed what the killed ones left.
    assert_eq!(leftovers(&folder), Vec::<String>::new());
}

#[test]
fn a_killed_training_comes_to_the_same_bits() {
    let many = std::env::var("NETC_TEST_KILLS").ok();
    let many = many.map(|many| many.parse().expect("a number of kills"));
    killed_and_resumed(NET, many.unwrap_or(5));
    killed_and_resumed(&grouped(), many.unwrap_or(3));
    killed_and_resumed(&learned(), many.unwrap_or(3));
}

/// Everything that changes the bits of what is still to come is held against the checkpoint.
#[test]
fn a_resumed_training_has_every_key_of_the_checkpoint() {
    let folder = prepared();
    folder.write("small.net", &grouped());
    let train = "train small.net --out w.safetensors";
    folder.ok(&format!("{train} --epochs 1"));
    let refused = |old: &str, new: &str, parts: &[&str]| {
        let text = grouped();
        assert!(text.contains(old), "{old}");
        folder.write("small.net", &text.replace(old, new));
        let done = folder.netc(&format!("{train} --epochs 2 --resume"));
        assert_eq!(done.code, Some(1), "{new}: {done:?}");
        for part in parts {
            assert!(done.stderr.contains(part), "{new}: {done:?}");
        }
    };
    for (old, new, key) in [
        (
            "accumulate 3",
            "accumulate 4",
            "accumulate: it was 3, and is 4",
        ),
        ("norm(1)", "norm(2)", "clip: it was norm(1), and is norm(2)"),
        (
            "norm(1)",
            "value(1)",
            "clip: it was norm(1), and is value(1)",
        ),
        (
            "    clip norm(1)\n",
            "",
            "clip: it was norm(1), and is absent",
        ),
        (
            "freeze \"conv1\"",
            "freeze \"bn1\"",
            "freeze: it was \"conv1\", and is \"bn1\"",
        ),
        ("flip, ", "", "augment: it was flip(p = 0.5), crop("),
        ("noise(0.05)", "noise(0.06)", "noise(std = 0.06)"),
        (
            "batch 16",
            "batch(16, drop_last = true)",
            "drop_last: it was false, and is true",
        ),
        (
            "seed 3",
            "seed 3\n    early_stop 4",
            "early_stop: it was absent, and is early_stop(patience = 4",
        ),
        ("seed 3", "seed 4", "seed: it was 3, and is 4"),
        ("validation = 40", "validation = 20", "data: it was"),
        (
            "seed 3",
            "seed 3\n    init he",
            "init: it was fan_in, and is he(",
        ),
    ] {
        refused(old, new, &[key]);
    }
    for (old, new, was, is) in [
        (
            "cross_entropy",
            "cross_entropy(label_smoothing = 0.1)",
            "label_smoothing = 0,",
            "label_smoothing = 0.1",
        ),
        (
            "cross_entropy",
            "cross_entropy(weight = 2)",
            "weight = 1)",
            "weight = 2)",
        ),
        (
            "cross_entropy",
            "cross_entropy(class_weights = [1, 1, 1, 2])",
            "class_weights = none",
            "class_weights = [1, 1, 1, 2]",
        ),
        ("l1(1e-5)", "l1(1e-5, on = all)", "on = weights", "on = all"),
        (
            "l1(1e-5)",
            "l2(1e-5)",
            "l1(strength = 1e-5",
            "l2(strength = 1e-5",
        ),
        ("max_norm(3)", "max_norm(4)", "limit = 3", "limit = 4"),
        (
            "nesterov = true",
            "dampening = 0.5",
            "dampening = 0, nesterov = true",
            "dampening = 0.5, nesterov = false",
        ),
        (
            "weight_decay = 1e-4",
            "weight_decay = 1e-4, decoupled = true",
            "decoupled = false",
            "decoupled = true",
        ),
        (
            "weight_decay = 1e-4",
            "weight_decay = 1e-4, decay = weights",
            "decay = all",
            "decay = weights",
        ),
        (
            "factor = 0.5",
            "factor = 0.25",
            "factor = 0.5",
            "factor = 0.25",
        ),
        ("warmup = 1", "warmup = 2", "warmup = 1", "warmup = 2"),
    ] {
        refused(old, new, &[was, is, "it was", "and is"]);
    }
    folder.write("small.net", &grouped());
    folder.ok(&format!("{train} --epochs 2 --resume"));
}

/// What `dump --stage train` shows is a section that means the same.
#[test]
fn a_dumped_section_can_stand_in_the_file() {
    let folder = prepared();
    let every = grouped().replace(
        "seed 3",
        "seed 3\n    early_stop(2, metric = train_loss)\n    init truncated_normal(0.02)",
    );
    let several = "\
net Two {
    input [1, 8, 8]
    flatten -> dense(4) as stem
    stem
    output class
    stem -> dense(2)
    output place
}
train Two {
    loss class = cross_entropy(class_weights = [1, 2, 0.5, 1])
    loss place = huber(0.5, weight = 3)
    optimizer adamw(1e-4)
    schedule linear(warmup = 2)
}
";
    for net in [NET, &every, several] {
        let (before, _) = net.split_once("train ").expect("a section");
        folder.write("first.net", net);
        let dumped = folder.ok("dump first.net --stage train");
        folder.write("second.net", &format!("{before}{dumped}"));
        assert_eq!(folder.ok("dump second.net --stage train"), dumped);
        assert!(
            dumped.contains("seed ") && dumped.contains("schedule "),
            "{dumped}"
        );
    }
}

#[cfg(unix)]
fn interrupt(folder: &Folder, args: &str, signal: &str) -> Done {
    use std::io::{BufRead, BufReader, Read};
    let mut child = start(folder, args);
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut stdout = String::new();
    // The first line says that the training begins, the second that an epoch is done.
    for _ in 0..2 {
        lines.read_line(&mut stdout).expect("a line");
    }
    let kill = std::process::Command::new("kill")
        .args([signal, &child.id().to_string()])
        .status();
    assert!(kill.expect("`kill` is there").success());
    lines.read_to_string(&mut stdout).expect("text");
    let mut stderr = String::new();
    let pipe = child.stderr.as_mut().expect("standard error is a pipe");
    pipe.read_to_string(&mut stderr).expect("text");
    let code = child.wait().expect("the program ends").code();
    Done {
        code,
        stdout,
        stderr,
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_training_says_how_to_go_on() {
    let folder = prepared();
    let train = "train small.net --epochs 100000 --out w.safetensors";
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let done = interrupt(&folder, train, signal);
        assert_eq!(done.code, Some(code), "{done:?}");
        for part in [
            "stopped ",
            "wrote w.safetensors and w.checkpoint",
            "--resume",
        ] {
            assert!(done.stderr.contains(part), "{done:?}");
        }
        assert_eq!(leftovers(&folder), Vec::<String>::new());
        folder.ok("eval small.net --weights w.safetensors");
        // A training that is refused leaves the files of an earlier one alone.
        let checkpoint = bytes(&folder, "w.checkpoint");
        folder.write("learned.net", &learned());
        folder.fails(
            "train learned.net --epochs 1 --batch 200 --out w.safetensors",
            1,
            "in 3 stages over the first half of the training, which has 0 steps",
        );
        assert_eq!(bytes(&folder, "w.checkpoint"), checkpoint);
        // What is thrown away by a new training is kept under another name.
        let done = folder.netc("train small.net --epochs 1 --out w.safetensors");
        assert!(
            done.stderr.contains("it is `w.checkpoint.old` now"),
            "{done:?}"
        );
        assert!(folder.path("w.checkpoint.old").exists());
    }
    let done = interrupt(&folder, "train small.net --epochs 100000", "-INT");
    assert_eq!(done.code, Some(130), "{done:?}");
    assert!(done.stderr.contains("nothing is written"), "{done:?}");
}

/// The first Ctrl-C waits for the step that runs, the second one does not.
#[cfg(unix)]
#[test]
fn a_second_interrupt_ends_at_once() {
    use std::io::{BufRead, BufReader, Read};
    let folder = prepared();
    // An epoch is one step, of all samples in the interpreter: it takes seconds. The first one leaves a checkpoint.
    let slow = NET
        .replace(
            "conv(4, 3, pad = 1, bias = false)",
            "conv(24, 5, pad = 2) -> conv(24, 5, pad = 2)",
        )
        .replace("batch 16", "batch 160");
    folder.write("small.net", &slow);
    let train = "train small.net --interpret f32 --out w.safetensors";
    folder.ok(&format!("{train} --epochs 1"));
    let mut child = start(&folder, &format!("{train} --epochs 100 --resume"));
    let mut lines = BufReader::new(child.stdout.take().expect("standard output is a pipe"));
    let mut first = String::new();
    lines
        .read_line(&mut first)
        .expect("it says that it goes on");
    let begin = Instant::now();
    // By now the state that it goes on from is the last checkpoint.
    std::thread::sleep(Duration::from_millis(200));
    let before = bytes(&folder, "w.checkpoint");
    // A signal that comes while the same one is pending is lost.
    for _ in 0..2 {
        std::thread::sleep(Duration::from_millis(200));
        let kill = std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status();
        assert!(kill.expect("`kill` is there").success());
    }
    let code = child.wait().expect("the program ends").code();
    let time = begin.elapsed();
    let mut shown = String::new();
    let pipe = child.stderr.as_mut().expect("standard error is a pipe");
    pipe.read_to_string(&mut shown).expect("text");
    assert_eq!(code, Some(130), "{shown}");
    assert!(
        !shown.contains("stopped"),
        "it waited for the step, {time:?}: {shown}"
    );
    assert!(
        bytes(&folder, "w.checkpoint") == before,
        "another checkpoint after {time:?}"
    );
    assert_eq!(leftovers(&folder), Vec::<String>::new());
    let text = folder.ok(&format!("{train} --epochs 1 --resume"));
    assert!(text.contains("the training is over"), "{text}");
}

#[test]
fn more_epochs_go_on_where_a_training_ended() {
    let folder = prepared();
    folder.ok("train small.net --epochs 5 --out five.safetensors");
    folder.ok("train small.net --epochs 2 --out two.safetensors");
    let text = folder.ok("train small.net --epochs 2 --out two.safetensors --resume");
    assert!(
        text.contains("the training is over: 2 of 2 epochs are done"),
        "{text}"
    );
    let lines = folder.json("train small.net --epochs 5 --out two.safetensors --resume --json");
    let epochs: Vec<&Value> = lines.iter().map(|line| &line["epoch"]).collect();
    assert_eq!(epochs, [3, 4, 5]);
    assert_eq!(
        bytes(&folder, "two.safetensors"),
        bytes(&folder, "five.safetensors")
    );
}

#[test]
fn a_checkpoint_of_another_training_is_refused() {
    let folder = prepared();
    let train = "train small.net --epochs 1 --out w.safetensors";
    folder.fails(
        &format!("{train} --resume"),
        1,
        "there is no checkpoint `w.checkpoint`",
    );
    folder.ok(train);
    let other = format!("{train} --epochs 2 --resume --batch 8 --set train.optimizer.lr=0.02");
    let done = folder.netc(&other.replace("--epochs 1 ", ""));
    assert_eq!(done.code, Some(1), "{done:?}");
    for part in [
        "batch: it was 16, and is 8",
        "lr = 0.01",
        "lr = 0.02",
        "without --resume",
    ] {
        assert!(done.stderr.contains(part), "{done:?}");
    }
    folder.write("small.net", &NET.replace("-> relu", "-> tanh"));
    folder.fails(
        &format!("{train} --resume"),
        1,
        "layer tanh: it was absent, and is tanh",
    );
    folder.write("w.checkpoint", "text");
    folder.fails(&format!("{train} --resume"), 1, "w.checkpoint");
    folder.fails("train small.net --resume", 2, "--out");
}

#[test]
fn threads_change_nothing() {
    let folder = prepared();
    let weights = |threads: usize| {
        folder.ok(&format!(
            "train small.net --epochs 5 --out w.safetensors --threads {threads}"
        ));
        bytes(&folder, "w.safetensors")
    };
    let one = weights(1);
    for threads in [2, 7, 16] {
        assert!(weights(threads) == one, "{threads} threads");
    }
    folder.ok("train small.net --epochs 5 --out w.safetensors --seed 4");
    assert!(bytes(&folder, "w.safetensors") != one, "another seed");
}

#[test]
fn early_stop_keeps_the_best_weights() {
    let folder = prepared();
    let early = "early_stop(patience = 2, metric = validation_accuracy)\n    seed 3";
    folder.write("small.net", &NET.replace("seed 3", early));
    let train = "train small.net --epochs 60 --out w.safetensors --json";
    let lines = folder.json(train);
    let value = |line: &Value, key: &str| line[key].as_f64().expect("a number");
    let mut best = &lines[0];
    for line in &lines[1..] {
        if value(line, "validation_accuracy") > value(best, "validation_accuracy") {
            best = line;
        }
    }
    let (last, at) = (lines.last().expect("an epoch"), &best["epoch"]);
    assert_eq!(
        last["epoch"].as_u64(),
        at.as_u64().map(|epoch| epoch + 2),
        "{lines:?}"
    );
    let eval = &folder.json("eval small.net --weights w.safetensors --json")[0];
    assert_eq!(eval["loss"], best["test_loss"]);
    let text = folder.ok("train small.net --epochs 60 --out w.safetensors --resume");
    assert!(text.contains("`early_stop` ended it after epoch"), "{text}");
    let alone = NET
        .replace("seed 3", early)
        .replace(", validation = 40", "");
    folder.write("small.net", &alone);
    folder.fails("train small.net", 1, "no samples are held out");
}

#[test]
fn a_number_that_is_not_finite_is_traced() {
    let folder = prepared();
    let high = "train small.net --set train.optimizer.lr=1e30 --out w.safetensors";
    folder.fails(high, 1, "the first number that is not finite: the ");
    let done = folder.netc(high);
    assert!(
        done.stderr
            .contains("the weights of before that step are in w.safetensors")
    );
    let mut file = WeightsFile::open(&folder.path("w.safetensors")).expect("readable weights");
    let names: Vec<String> = file.tensors().map(|(name, _)| name.to_owned()).collect();
    assert!(names.len() > 4);
    for name in names {
        let tensor = file.read(&name).expect("a tensor");
        assert!(tensor.data().iter().all(|x| x.is_finite()), "{name}");
    }
}

#[test]
fn a_batch_of_one_sample_has_no_variance() {
    let folder = Folder::new();
    write_set(&folder, 33, 8);
    let net = "\
net Deep {
    input [1, 8, 8]
    conv(4, 8) -> bn -> relu
    flatten -> dense(4)
}
train Deep { data folder(\"set\"); loss cross_entropy; optimizer sgd(0.1); batch 16; epochs 1 }
";
    folder.write("deep.net", net);
    let message = "`bn1` normalises one value per channel and sample, and the last batch of the 33 samples has \
                   one sample, of which there is no variance: write `batch(16, drop_last = true)`";
    folder.fails("train deep.net", 1, message);
    folder.fails("train deep.net --batch 1", 1, "each batch has one sample");
    folder.ok("train deep.net --batch 11");
    folder.ok("train deep.net --set train.batch.drop_last=true --out w.safetensors");
    folder.write(
        "deep.net",
        &net.replace("batch 16", "batch(16, drop_last = true)"),
    );
    folder.ok("train deep.net --out w.safetensors");
}

#[test]
fn gradients_vanish_where_sigmoids_are_deep() {
    let folder = Folder::new();
    write_set(&folder, 64, 8);
    let net = "\
net Deep(act = sigmoid) {
    input [1, 8, 8]
    flatten
    repeat 6 { dense(16, init = xavier) -> act }
    dense(4)
}
preset Relu = Deep(act = relu)
train Deep { data folder(\"set\"); loss cross_entropy; optimizer sgd(0.1); batch 16; epochs 2 }
";
    folder.write("deep.net", net);
    let ratio = |file: &str| {
        let args = format!("train {file} --watch gradients --out w.safetensors --json --threads 1");
        let lines = folder.json(&args);
        assert_eq!(lines.len(), 2);
        let norms = lines[0]["gradient_norms"]
            .as_object()
            .expect("norms of layers");
        let norms: Vec<f64> = norms
            .values()
            .map(|norm| norm.as_f64().expect("a norm"))
            .collect();
        assert_eq!(norms.len(), 7);
        norms[0] / norms[6]
    };
    let (sigmoid, relu) = (ratio("deep.net"), ratio("deep.net:Relu"));
    assert!(
        sigmoid < 1e-3 && relu > 20.0 * sigmoid,
        "{sigmoid} and {relu}"
    );
    let picture = String::from_utf8(bytes(&folder, "w.gradients.svg")).expect("text");
    assert!(picture.contains("Gradient norm by layer"));
    let text = folder.ok("train deep.net --watch gradients");
    assert!(text.contains("gradient of "), "{text}");
}

#[test]
fn weights_that_fit_in_part() {
    let folder = prepared();
    folder.ok("init small.net --out w.safetensors");
    folder.write(
        "small.net",
        &NET.replace("dense(4)", "dense(4, bias = false)")
            .replace("conv(4", "conv(5"),
    );
    let train = "train small.net --epochs 1 --weights w.safetensors";
    folder.fails(train, 1, "different in the file");
    let done = folder.netc(&format!("{train} --partial"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(
        done.stderr.contains("no tensor of `w.safetensors` fits"),
        "{done:?}"
    );
    folder.write(
        "small.net",
        &NET.replace("dense(4)", "dense(8) -> dense(4)"),
    );
    let done = folder.netc(&format!("{train} --partial"));
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.stderr
            .contains("note: took 5 of 9 tensors from `w.safetensors`"),
        "{done:?}"
    );
    assert!(Path::new(&folder.path("w.safetensors")).exists());
}

/// Writes an array for each sample that `number` says, by sample and element.
fn write_array(folder: &Folder, name: &str, shape: &[usize], number: impl Fn(usize, usize) -> f32) {
    let path = folder.path(name);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    let elements: usize = shape[1..].iter().product();
    let count = shape[0] * elements;
    let data: Vec<f32> = (0..count)
        .map(|at| number(at / elements, at % elements))
        .collect();
    npy::write(&path, shape, &data).expect("a written file");
}

/// Writes arrays of a folder into one file, as NumPy's `savez_compressed` does.
fn pack(folder: &Folder, from: &str, names: &[&str], to: &str) {
    use std::io::Write as _;
    let path = folder.path(to);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    let file = std::fs::File::create(path).expect("a new file");
    let mut archive = zip::ZipWriter::new(file);
    for name in names {
        let how = zip::write::SimpleFileOptions::default();
        archive
            .start_file(format!("{name}.npy"), how)
            .expect("a new entry");
        let array = bytes(folder, &format!("{from}/{name}.npy"));
        archive.write_all(&array).expect("a written entry");
    }
    archive.finish().expect("a written archive");
}

#[test]
fn two_inputs_and_a_target_of_numbers() {
    let folder = Folder::new();
    let wave = |sample: usize| (sample as f32 * 0.37).sin();
    for (part, count) in [("train", 64), ("test", 16)] {
        let at = |name: &str| format!("set/{part}/{name}.npy");
        write_array(&folder, &at("left"), &[count, 2], |n, e| wave(n + 7 * e));
        write_array(&folder, &at("right"), &[count, 1], |n, _| wave(3 * n));
        write_array(&folder, &at("target"), &[count], |n, _| {
            0.5 * wave(n) - wave(n + 7) + 0.25 * wave(3 * n) + 0.1
        });
    }
    let net = "\
net Sum {
    input right: [1]
    input left: [2]
    concat { left; right }
    dense(1)
}
train Sum {
    data folder(\"set\", validation = 8)
    loss mse
    optimizer adam(lr = 0.05)
    batch 8
    epochs 60
}
";
    folder.write("sum.net", net);
    let lines = folder.json("train sum.net --out w.safetensors --json");
    let last = lines.last().expect("an epoch");
    // The target is a linear function of both inputs, so nothing is left of the loss.
    assert!(last["test_loss"].as_f64().expect("a loss") < 1e-4, "{last}");
    assert_eq!(last["test_accuracy"], Value::Null);
    let arrays = ["left", "right", "target"];
    for part in ["train", "test"] {
        pack(
            &folder,
            &format!("set/{part}"),
            &arrays,
            &format!("packed/{part}.npz"),
        );
    }
    folder.write("packed.net", &net.replace("\"set\"", "\"packed\""));
    folder.ok("train packed.net --out packed.safetensors");
    assert!(bytes(&folder, "packed.safetensors") == bytes(&folder, "w.safetensors"));
    let run = "run sum.net --weights w.safetensors --output";
    folder.ok(&format!(
        "{run} y.npy --input left=set/test/left.npy --input right=set/test/right.npy"
    ));
    folder.ok(&format!("{run} z.npy --input packed/test.npz"));
    folder.ok(&format!(
        "{run} v.npy --input left=packed/test.npz --input right=set/test/right.npy"
    ));
    for same in ["z.npy", "v.npy"] {
        assert!(bytes(&folder, same) == bytes(&folder, "y.npy"), "{same}");
    }
    let grad =
        "grad sum.net --weights w.safetensors --input packed/test.npz --loss-out l.npy --target";
    folder.fails(
        &format!("{grad} packed/test.npz"),
        1,
        "`packed/test.npz`: holds no array `output`: it has left, right, target",
    );
    folder.ok(&format!("{grad} set/test/target.npy"));
    pack(&folder, "set/test", &["left"], "half.npz");
    folder.fails(
        &format!("{run} y.npy --input half.npz"),
        1,
        "`half.npz`: holds no array `right`: it has left",
    );
    folder.write("text.npz", "left, right");
    folder.fails(
        &format!("{run} y.npy --input text.npz"),
        1,
        "`text.npz`: is no zip archive that can be read",
    );
    let text = folder.ok("train sum.net --epochs 1");
    assert!(
        text.contains("loss on 16 unseen samples") && !text.contains("accuracy"),
        "{text}"
    );

    folder.write(
        "one.net",
        &net.replace("input right: [1]\n", "")
            .replace("concat { left; right }", "left"),
    );
    folder.fails(
        "train one.net",
        1,
        "the net has the inputs left, but each of the training samples has left, right",
    );
    folder.write("sum.net", &net.replace("dense(1)", "dense(2)"));
    folder.fails(
        "train sum.net",
        1,
        "numbers of [1] as answers: these need another loss than the cross-entropy, such as `loss mse`, and an output of that shape",
    );
    write_array(&folder, "set/test/left.npy", &[16, 2], |n, _| {
        if n == 3 { f32::NAN } else { 0.0 }
    });
    folder.write("sum.net", net);
    folder.fails(
        "train sum.net",
        1,
        "sample 3 of the test samples, counted from 0, holds a number that is not finite",
    );
    write_array(&folder, "set/test/left.npy", &[15, 2], |_, _| 0.0);
    folder.fails("train sum.net", 1, "holds 15 images, but");
    write_array(&folder, "set/test/left.npy", &[16, 3], |_, _| 0.0);
    folder.fails(
        "train sum.net",
        1,
        "`train` has left [2], right [1], target [1], and `test` has left [3]",
    );
    std::fs::remove_file(folder.path("set/train/target.npy")).expect("the file is there");
    folder.fails("train sum.net", 1, "is no data set");
}

/// Writes labels as NumPy does for an array of whole numbers of 64 bits.
fn write_labels(folder: &Folder, name: &str, labels: &[i64]) {
    let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (COUNT,), }";
    let header = header.replace("COUNT", &labels.len().to_string());
    let header = format!("{header:<117}\n");
    let length = (header.len() as u16).to_le_bytes();
    let mut bytes = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat();
    bytes.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
    std::fs::write(folder.path(name), bytes).expect("a written file");
}

#[test]
fn labels_and_names_of_classes() {
    let folder = Folder::new();
    for (part, count) in [("train", 12), ("test", 6)] {
        let at = |name: &str| format!("set/{part}/{name}.npy");
        write_array(&folder, &at("points"), &[count, 2], |n, e| {
            if n % 3 == e { 1.0 } else { 0.0 }
        });
        let labels: Vec<i64> = (0..count as i64).map(|n| n % 3).collect();
        write_labels(&folder, &at("labels"), &labels);
    }
    let net = "\
net Points { input [2]; dense(3) }
train Points { data folder(\"set\"); loss cross_entropy; optimizer sgd(1.0); batch 4; epochs 30 }
";
    folder.write("points.net", net);
    let lines = folder.json("train points.net --json");
    assert_eq!(lines.last().expect("an epoch")["test_accuracy"], 1.0);
    folder.write("set/labels.txt", "left\nright\n");
    folder.fails(
        "train points.net",
        1,
        "labels.txt` names 2 classes, but there is a label 2",
    );
    folder.write("set/labels.txt", "left\nright\nneither\n");
    folder.ok("train points.net --epochs 1");
    write_labels(&folder, "set/test/labels.npy", &[-1; 6]);
    folder.fails(
        "train points.net",
        1,
        "label -1 of sample 0 is out of range",
    );
}

/// What an auxiliary head answers is nobody's matter: this one always says 0, which is the class of no sample.
#[test]
fn accuracy_is_that_of_the_output_and_of_no_auxiliary_head() {
    let folder = Folder::new();
    for (part, count) in [("train", 16), ("test", 6)] {
        let at = |name: &str| format!("set/{part}/{name}.npy");
        write_array(&folder, &at("points"), &[count, 2], |n, e| {
            if n % 2 == e { 1.0 } else { 0.0 }
        });
        let labels: Vec<i64> = (0..count as i64).map(|n| 1 + n % 2).collect();
        write_labels(&folder, &at("labels"), &labels);
    }
    let net = "\
net Judged {
    input [2]
    aux(weight = 0.3) { dense(3, init = zeros) }
    dense(3)
}
train Judged {
    data folder(\"set\", validation = 4)
    loss cross_entropy
    optimizer sgd(1)
    freeze aux1
    batch 4
    epochs 30
}
";
    folder.write("judged.net", net);
    let lines = folder.json("train judged.net --out w.safetensors --json");
    let last = lines.last().expect("an epoch");
    for part in ["train", "validation", "test"] {
        assert_eq!(last[format!("{part}_accuracy")], 1.0, "{part}: {last}");
    }
    let eval = &folder.json("eval judged.net --weights w.safetensors --json")[0];
    assert_eq!(eval["accuracy"], 1.0, "{eval}");
    // An output that answers as the head does is never right, however right the head is.
    let turned = net
        .replace("dense(3, init = zeros)", "DENSE")
        .replace("    dense(3)\n", "    dense(3, init = zeros)\n")
        .replace("DENSE", "dense(3)")
        .replace("freeze aux1", "freeze dense1");
    folder.write("judged.net", &turned);
    let lines = folder.json("train judged.net --json");
    let last = lines.last().expect("an epoch");
    for part in ["train", "validation", "test"] {
        assert_eq!(last[format!("{part}_accuracy")], 0.0, "{part}: {last}");
    }
}

#[test]
fn folders_of_pictures() {
    let folder = Folder::new();
    for (part, count) in [("train", 12), ("test", 4)] {
        for (class, shade) in [("dark", 20), ("light", 200)] {
            let at = folder.path(&format!("pets/{part}/{class}"));
            std::fs::create_dir_all(&at).expect("a new folder");
            for number in 0..count {
                let picture = GrayImage::from_pixel(6, 6, Luma([shade + 2 * number]));
                picture
                    .save(at.join(format!("{number}.png")))
                    .expect("a picture");
            }
        }
    }
    let net = "\
net Pets { input [1, 6, 6]; conv(2, 3) -> relu; flatten -> dense(2) }
train Pets { data folder(\"pets\"); augment flip, rotate(10); loss cross_entropy; optimizer adam(0.05); batch 8; epochs 20 }
";
    folder.write("pets.net", net);
    let lines = folder.json("train pets.net --json");
    assert_eq!(lines.last().expect("an epoch")["test_accuracy"], 1.0);
    std::fs::write(folder.path("pets/test/dark/x.png"), "no picture").expect("a written file");
    folder.fails(
        "train pets.net",
        1,
        "x.png`: is not a PNG or JPEG picture (it looks like a text file)",
    );
    folder.write("pets.net", &net.replace("rotate(10)", "crop(6)"));
    std::fs::remove_file(folder.path("pets/test/dark/x.png")).expect("the file is there");
    folder.fails(
        "train pets.net",
        1,
        "`crop(pad = 6)` could move a whole picture out: pad is at most 5",
    );
    // Pictures of other sizes need the net to say what becomes of them, and then are what `run` makes of them.
    let wide = GrayImage::from_fn(21, 9, |x, _| Luma([if x < 9 { 10 } else { 30 }]));
    wide.save(folder.path("pets/test/dark/wide.png"))
        .expect("a picture");
    folder.write("pets.net", net);
    folder.fails("train pets.net", 1, "from image(resize = cover)");
    let any = net.replace("[1, 6, 6]", "[1, 6, 6] from image(resize = cover)");
    folder.write("pets.net", &any);
    let lines = folder.json("train pets.net --json --out pets.safetensors");
    assert_eq!(lines.last().expect("an epoch")["test_accuracy"], 1.0);
    let eval = folder.json("eval pets.net --weights pets.safetensors --json");
    assert_eq!(eval[0]["images"], 9);
    let run = "run pets.net --weights pets.safetensors --json";
    let by_file = folder.json(&format!("{run} --image pets/test/dark/wide.png"));
    // The files of a class stand in the order of their names: `wide` is the last of the dark ones.
    let by_index = folder.json(&format!("{run} --index 4"));
    let scores = |lines: &[Value]| -> Vec<Value> {
        let top = lines[0]["top"].as_array().expect("a list").clone();
        top.into_iter()
            .map(|mut answer| {
                answer["name"].take();
                answer
            })
            .collect()
    };
    assert_eq!(scores(&by_file), scores(&by_index));
    let small = any.replace("resize = cover", "resize = 5");
    folder.write("pets.net", &small);
    folder.fails("train pets.net", 1, "can be smaller than the input");
}
