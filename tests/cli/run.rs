//! `netc run` on samples of data sets and on pictures, and what helps a user who types something wrong.

use netc::io::npy;
use netc::model::Provenance;
use netc::sema::{Mode, reference};
use netc::train::data::{Places, load, locate};
use serde_json::Value;

use super::{Folder, TINY, array, root};

/// A linear classifier of the pictures that come with the source, with random weights.
const LINEAR: &str = "\
net Linear {
    input [1, 28, 28] from image(mean = 0.25, std = 0.5)
    flatten -> dense(10)
}

train Linear {
    data fashion_mnist_small
    loss cross_entropy
}
";

fn linear() -> Folder {
    let folder = Folder::new();
    folder.write("linear.net", LINEAR);
    folder.ok("init linear.net --out w.safetensors --seed 5");
    folder
}

const RUN: &str = "run linear.net --weights w.safetensors";

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().expect("a list").iter();
    items
        .map(|item| item["probability"].as_f64().expect("a number"))
        .collect()
}

#[test]
fn samples_are_classified() {
    let folder = linear();
    let lines = folder.json(&format!("{RUN} --index 0..2,1999 --top 10 --json"));
    let samples: Vec<u64> = lines
        .iter()
        .map(|line| line["sample"].as_u64().unwrap())
        .collect();
    assert_eq!(samples, [0, 1, 2, 1999]);
    folder.ok(&format!("{RUN} --index 0..2,1999 --output y.npy"));
    let logits = npy::read(&folder.path("y.npy")).unwrap();
    assert_eq!(logits.shape(), [4, 10]);
    for (line, logits) in lines.iter().zip(logits.data().chunks(10)) {
        let found = numbers(&line["top"]);
        let sum: f64 = logits.iter().map(|&x| f64::from(x).exp()).sum();
        let mut wanted: Vec<f64> = logits.iter().map(|&x| f64::from(x).exp() / sum).collect();
        wanted.sort_by(|a, b| b.total_cmp(a));
        let apart = found.iter().zip(&wanted).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-9, "{found:?} {wanted:?}");
        let best = &line["top"][0];
        assert_eq!(line["right"], best["class"] == line["label"]);
        assert!(line["label_name"].is_string() && best["name"].is_string());
    }
    let text = folder.ok(&format!("{RUN} --index 3 --top 2"));
    let first = text.lines().next().unwrap();
    assert!(
        first.starts_with("3: ") && first.matches(" %").count() == 2,
        "{text}"
    );
    assert!(text.ends_with(" of 1 right\n"), "{text}");
    // Without a number the first ten are shown.
    assert_eq!(
        folder
            .ok(&format!("{RUN} --data fashion_mnist_small"))
            .lines()
            .count(),
        11
    );
}

/// The picture of a sample is classified as the sample itself; so is the same picture in colour.
#[test]
fn pictures_are_samples() {
    let folder = linear();
    let places = Places {
        folder: None,
        net_file: Some(&folder.path("linear.net")),
    };
    let data = load(&locate("fashion_mnist_small", &places).unwrap(), None).unwrap();
    let part = data.test.pick(&[4]);
    let mut pixels = vec![0.0; 28 * 28];
    let config = netc::train::data::BatchConfig {
        size: std::num::NonZeroUsize::MIN,
        seed: None,
        drop_last: false,
    };
    let mut batches = netc::train::data::Batches::new(&part, None, config).unwrap();
    batches.fill(&mut pixels, &mut [0]);
    let bytes: Vec<u8> = pixels.iter().map(|x| (x * 255.0).round() as u8).collect();
    let grey = image::GrayImage::from_raw(28, 28, bytes).unwrap();
    grey.save(folder.path("grey.png")).unwrap();
    let colour = image::DynamicImage::from(grey).into_rgb8();
    colour.save(folder.path("colour.png")).unwrap();
    let sample = &folder.json(&format!("{RUN} --index 4 --json"))[0];
    let lines = folder.json(&format!("{RUN} --image grey.png colour.png --json"));
    assert_eq!(lines.len(), 2);
    for (line, file) in lines.iter().zip(["grey.png", "colour.png"]) {
        assert_eq!(line["file"], file);
        assert_eq!(line["top"], sample["top"]);
        assert_eq!(line["right"], Value::Null);
    }
}

#[test]
fn what_cannot_be_classified_is_refused() {
    let folder = linear();
    let fails = |args: &str, code, message: &str| {
        folder.fails(&format!("{RUN} {args}"), code, message);
    };
    fails(
        "--index 0..2000",
        1,
        "it has 2000 unseen samples, numbered from 0 to 1999",
    );
    fails("--index 3..1", 2, "runs backwards");
    fails("--index a", 2, "no number of a sample");
    fails("--index 1 --image a.png", 2, "cannot be used with");
    fails("", 2, "--image");
    fails(
        "--data no_such_set",
        1,
        "no data set or folder is called `no_such_set`",
    );
    fails("--image missing.png", 1, "`missing.png`: cannot read");
    fails("--image linear.net", 1, "is not a PNG or JPEG picture");
    folder.write(
        "plain.net",
        &LINEAR.replace(" from image(mean = 0.25, std = 0.5)", ""),
    );
    let args = "run plain.net --weights w.safetensors --image a.png";
    folder.fails(
        args,
        1,
        "write `input [1, 28, 28] from image()` in `plain.net`",
    );
    folder.write("tiny.net", TINY);
    array(&folder, "x.npy", &[2, 2, 6, 6]);
    folder.ok("init tiny.net --out t.safetensors");
    let args = "run tiny.net --weights t.safetensors --image a.png";
    folder.fails(args, 1, "takes no pictures: its input is [2, 6, 6]");
    let args = "run tiny.net --weights t.safetensors --data fashion_mnist_small";
    folder.fails(
        args,
        1,
        "takes samples of [2, 6, 6], but those of fashion_mnist_small are [1, 28, 28]",
    );
    let text = folder.ok("run tiny.net --weights t.safetensors --input x.npy --top 1");
    assert_eq!(text.lines().count(), 2);
    folder.write(
        "map.net",
        "net Map {\n    input [2, 6, 6]\n    conv(3, 1)\n}\n",
    );
    folder.ok("init map.net --out m.safetensors");
    let args = "run map.net --weights m.safetensors --input x.npy";
    folder.fails(
        args,
        1,
        "that of `Map` is [3, 6, 6]: write it to a file with --output",
    );
}

/// A net that is trained by squared error gives scores, and one that gives a single number an estimate.
#[test]
fn scores_are_no_probabilities() {
    let folder = Folder::new();
    folder.ok(&format!(
        "init {} --out x.safetensors",
        root("examples/xor.net")
    ));
    let run = format!(
        "run {} --weights x.safetensors --data xor",
        root("examples/xor.net")
    );
    let lines = folder.json(&format!("{run} --json"));
    assert_eq!(lines.len(), 4);
    assert!(
        lines
            .iter()
            .all(|line| line["value"].is_number() && line["right"].is_boolean())
    );
    assert!(folder.ok(&run).ends_with(" of 4 right\n"));
}

#[test]
fn several_inputs_and_outputs_go_by_name() {
    let folder = Folder::new();
    folder.write(
        "twins.net",
        "net Twins {\n    input left: [3]\n    input right: [3]\n    concat { left; right }\n    output both\n    dense(2)\n    output judged\n}\n",
    );
    folder.ok("init twins.net --out w.safetensors");
    array(&folder, "a.npy", &[4, 3]);
    array(&folder, "b.npy", &[4, 3]);
    let run = "run twins.net --weights w.safetensors";
    folder.ok(&format!(
        "{run} --input left=a.npy --input right=b.npy --output both=both.npy --output judged=judged.npy"
    ));
    assert_eq!(npy::read(&folder.path("both.npy")).unwrap().shape(), [4, 6]);
    assert_eq!(
        npy::read(&folder.path("judged.npy")).unwrap().shape(),
        [4, 2]
    );
    folder.fails(
        &format!("{run} --input left=a.npy"),
        2,
        "add --input right=FILE",
    );
    folder.fails(
        &format!("{run} --input a.npy"),
        2,
        "NAME being one of left, right",
    );
    let wrong = format!("{run} --input left=a.npy --input right=b.npy --output all=y.npy");
    folder.fails(
        &wrong,
        1,
        "the net has no output `all`: it has both, judged",
    );
}

/// Pairs of pictures in a folder: a folder of arrays for each of two inputs, one of which is scaled.
fn pairs() -> Folder {
    let folder = Folder::new();
    folder.write(
        "twins.net",
        "net Twins {
    input left: [1, 4, 5] from image(mean = 0.5, std = 0.25)
    input right: [1, 4, 5]
    shared tower { conv(2, 3) -> relu -> flatten }
    concat { left -> tower; right -> tower } -> dense(2)
}

train Twins {
    data folder(\"pairs\")
    loss cross_entropy
    optimizer sgd(lr = 0.1)
    batch 3
}
",
    );
    for part in ["train", "test"] {
        std::fs::create_dir_all(folder.path("pairs").join(part)).expect("a folder can be made");
        array(&folder, &format!("pairs/{part}/left.npy"), &[6, 1, 4, 5]);
        array(&folder, &format!("pairs/{part}/right.npy"), &[6, 1, 4, 5]);
        super::labels(
            &folder,
            &format!("pairs/{part}/labels.npy"),
            &[0, 1, 1, 0, 1, 0],
        );
    }
    folder.ok("init twins.net --out w.safetensors --seed 3");
    folder
}

/// Samples of several inputs are those of the arrays, each scaled as its input says.
#[test]
fn samples_of_several_inputs_are_taken_by_number() {
    let folder = pairs();
    let run = "run twins.net --weights w.safetensors";
    folder.ok(&format!("{run} --index 4,1,2 --output by_number.npy"));
    folder.ok(&format!(
        "{run} --data pairs --index 4,1,2 --output by_name.npy"
    ));
    let all = |side: &str| npy::read(&folder.path(&format!("pairs/test/{side}.npy"))).unwrap();
    let pick = |side: &str, scale: &dyn Fn(f32) -> f32| {
        let all = all(side);
        let rows = [4, 1, 2].map(|at| &all.data()[at * 20..(at + 1) * 20]);
        let data: Vec<f32> = rows.concat().into_iter().map(scale).collect();
        npy::write(&folder.path(&format!("{side}.npy")), &[3, 1, 4, 5], &data).unwrap();
    };
    pick("left", &|x| (x - 0.5) / 0.25);
    pick("right", &|x| x);
    folder.ok(&format!(
        "{run} --input right=right.npy --input left=left.npy --output by_hand.npy"
    ));
    let output = |name: &str| npy::read(&folder.path(name)).unwrap();
    assert_eq!(output("by_number.npy").shape(), [3, 2]);
    assert_eq!(output("by_number.npy"), output("by_hand.npy"));
    assert_eq!(output("by_name.npy"), output("by_hand.npy"));
    let lines = folder.json(&format!("{run} --index 4,1,2 --json"));
    let labels: Vec<u64> = lines
        .iter()
        .map(|line| line["label"].as_u64().unwrap())
        .collect();
    assert_eq!(labels, [1, 1, 1]);
    // Without a number the first ten, here all.
    assert!(
        folder
            .ok(run.replace("--weights", "--data pairs --weights").as_str())
            .contains(" of 6 right")
    );
}

/// Where the answers are numbers there is nothing to be right about, and the outputs are told all the same.
#[test]
fn samples_with_numbers_as_answers_are_computed() {
    let folder = pairs();
    for part in ["train", "test"] {
        std::fs::remove_file(folder.path(&format!("pairs/{part}/labels.npy"))).unwrap();
        array(&folder, &format!("pairs/{part}/target.npy"), &[6, 2]);
    }
    let text = std::fs::read_to_string(folder.path("twins.net")).unwrap();
    folder.write("twins.net", &text.replace("cross_entropy", "mse"));
    let run = "run twins.net --weights w.safetensors --index 0..2";
    assert_eq!(folder.ok(run).lines().count(), 3);
    folder.ok(&format!("{run} --output y.npy"));
    assert_eq!(npy::read(&folder.path("y.npy")).unwrap().shape(), [3, 2]);
}

/// Each mistake with inputs names the input, the sizes and the way out.
#[test]
fn mistakes_with_inputs_are_explained() {
    let folder = pairs();
    array(&folder, "a.npy", &[3, 1, 4, 5]);
    array(&folder, "four.npy", &[4, 1, 4, 5]);
    array(&folder, "wide.npy", &[3, 1, 4, 6]);
    array(&folder, "flat.npy", &[3, 20]);
    let fails = |args: &str, code, message: &str| {
        folder.fails(
            &format!("run twins.net --weights w.safetensors {args}"),
            code,
            message,
        );
    };
    fails(
        "--input lft=a.npy --input right=a.npy",
        1,
        "the net has no input `lft`: it has left, right; did you mean `left`?",
    );
    fails(
        "--input right=a.npy",
        2,
        "the input `left` is missing: add --input left=FILE",
    );
    fails(
        "--input left=a.npy --input left=a.npy",
        2,
        "the input `left` is given twice",
    );
    fails(
        "--input left=a.npy --input right=four.npy",
        1,
        "`four.npy` holds 4 samples for the input `right`, but `a.npy` 3 samples for `left`",
    );
    fails(
        "--input left=a.npy --input right=wide.npy",
        1,
        "width 6 in place of 5; a sample has 1 x 4 x 5 = 20 numbers, not 1 x 4 x 6 = 24; \
         `input right: [1, 4, 6]` in the net would take it",
    );
    fails(
        "--input left=a.npy --input right=flat.npy",
        1,
        "reshape it to [3, 1, 4, 5]",
    );
    fails(
        "--image a.png",
        1,
        "`Twins` has the inputs left, right, and a picture is one: give each an array with --input NAME=FILE",
    );
    fails(
        "--data fashion_mnist_small",
        1,
        "`Twins` has the inputs left, right, but each sample of fashion_mnist_small has one array: \
         give each input an array with --input NAME=FILE",
    );
    array(&folder, "pairs/test/right.npy", &[6, 1, 4, 6]);
    array(&folder, "pairs/train/right.npy", &[6, 1, 4, 6]);
    fails(
        "--index 0",
        1,
        "the input `right` takes samples of [1, 4, 5], but those of pairs are [1, 4, 6]",
    );
    folder.fails(
        "eval twins.net --weights w.safetensors",
        1,
        "`right` of the net takes samples of [1, 4, 5]",
    );
    let grad = "grad twins.net --weights w.safetensors --target a.npy --input left=a.npy";
    folder.fails(
        grad,
        2,
        "the input `right` is missing: add --input right=FILE",
    );
}

#[test]
fn a_wrong_file_name_is_answered_with_the_right_one() {
    let folder = linear();
    folder.fails("check liner.net", 1, "did you mean `linear.net`?");
    folder.fails("check .", 1, "it is a folder: name a file of it, such as");
    folder.fails(
        "check nowhere/linear.net",
        1,
        "there is no folder `nowhere`",
    );
    folder.fails(
        "run linear.net --weights v.safetensors --index 0",
        1,
        "did you mean `w.safetensors`?",
    );
    folder.fails("check linear.net:Linaer", 1, "Linear");
}

#[test]
fn help_shows_the_way() {
    let folder = Folder::new();
    let help = folder.ok("--help");
    for part in [
        "First steps:",
        "Train and use it:",
        "Exit codes",
        "netc layers",
    ] {
        assert!(help.contains(part), "{part} is missing in {help}");
    }
    assert_eq!(folder.ok("help"), help);
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = folder.ok(&format!("completions {shell}"));
        assert!(
            script.contains("summary") && script.contains("weights"),
            "{shell}"
        );
    }
    folder.fails("completions tcsh", 2, "possible values: bash");
}

#[test]
fn layers_are_described() {
    let folder = Folder::new();
    let all = folder.ok("layers");
    assert_eq!(all.lines().count(), reference::layers().len() + 1);
    let one = folder.ok("layers dense relu");
    assert!(
        one.contains("weight [features, F]") && one.contains("must be given"),
        "{one}"
    );
    let line = &folder.json("layers conv --json")[0];
    assert_eq!(line["attributes"][0]["name"], "channels");
    assert_eq!(line["attributes"][2]["default"], "1");
    folder.fails("layers cnov", 1, "did you mean `conv`?");
    folder.fails("layers transformer", 1, "`netc layers` lists them");
}

/// The mistake that the readme shows is shown like that.
#[test]
fn the_mistake_of_the_readme_is_real() {
    let folder = Folder::new();
    folder.write(
        "odd.net",
        "net Odd {\n    input [32, 15, 15]\n    add {\n        conv(64, 3, stride = 2, pad = 1)\n        \
         avgpool(2) -> conv(64, 1)\n    }\n}\n",
    );
    let done = folder.netc("check odd.net");
    assert_eq!(done.code, Some(1), "{done:?}");
    let readme = std::fs::read_to_string(root("README.md")).expect("the file exists");
    let (_, shown) = readme.split_once("```text\n").expect("the readme shows it");
    let (shown, _) = shown.split_once("```").expect("the block ends");
    assert!(done.stderr.starts_with(shown.trim_end()), "{}", done.stderr);
}

/// Tensors of a batch norm fit one with another `eps`, and give other numbers: 1 / √(1e-4 + eps).
#[test]
fn weights_made_with_another_eps_are_noticed() {
    let folder = Folder::new();
    let text = |eps: &str| format!("net A {{ input [1, 1, 1]; bn(eps = {eps}) }}\n");
    folder.write("keras.net", &text("1e-3"));
    folder.write("torch.net", &text("1e-5"));
    let net = netc::Net::open(&folder.path("keras.net").display().to_string(), &[]);
    let model = net.expect("a net").model(Mode::Infer).expect("a net");
    let tensor = |name: &str, number: f32| (format!("bn1.{name}"), vec![1], vec![number]);
    let params = [
        tensor("weight", 1.0),
        tensor("bias", 0.0),
        tensor("running_mean", 0.0),
        tensor("running_var", 1e-4),
    ];
    let weights = folder.path("w.safetensors");
    netc::model::save(&weights, &Provenance::from(&model), &params).expect("written");
    npy::write(&folder.path("x.npy"), &[1, 1, 1, 1], &[1.0]).expect("written");
    for (file, wanted, note) in [
        ("keras.net", 30.151_134_f32, ""),
        (
            "torch.net",
            95.346_26,
            "`eps = 0.001` in the batch norm `bn1`",
        ),
    ] {
        let args = format!("run {file} --weights w.safetensors --input x.npy --output y.npy");
        let done = folder.netc(&args);
        assert_eq!(done.code, Some(0), "{done:?}");
        assert_eq!(done.stderr.is_empty(), note.is_empty(), "{done:?}");
        assert!(done.stderr.contains(note), "{done:?}");
        let found = npy::read(&folder.path("y.npy")).expect("an array");
        let found = found.data()[0];
        assert!((found / wanted - 1.0).abs() < 1e-6, "{file}: {found}");
    }
}
