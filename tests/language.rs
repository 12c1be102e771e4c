//! The nets and blocks that show the language: LeNet-5 and its training, an inception module, ResNet-50, the blocks of
//! other families, and EfficientNet with its presets, its rule and its search.
//!
//! `tests/language` holds them in the one layout, `tests/ui/syntax` as their author wrote them. They must be accepted
//! without a finding, stay as they are when they are laid out, and be what they say: each has nets here that use it on
//! shapes that are asserted, and counts of trained values.

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::{load, render};
use netc::diag::Files;
use netc::sema::{self, Mode, Model};
use netc::syntax;
use netc::train::describe::Described;

/// A file, the nets that use what it declares, and the trained values of its nets and of those.
struct Case {
    file: &'static str,
    uses: &'static str,
    params: &'static [(&'static str, usize)],
}

const CASES: [Case; 5] = [
    Case {
        file: "lenet.net",
        uses: "",
        params: &[("LeNet5", 61_706)],
    },
    Case {
        file: "inception.net",
        // The module 3a of GoogLeNet.
        uses: "net Module { input [192, 28, 28]; inception(64, 96, 128, 16, 32, 32) : [256, 28, 28] }",
        params: &[("Module", 163_696)],
    },
    Case {
        file: "resnet.net",
        uses: "",
        params: &[("ResNet50", 25_557_032)],
    },
    Case {
        file: "blocks.net",
        uses: "
            net Dense { input [32, 8, 8]; dense_layer(16) : [48, 8, 8] }
            net Separable { input [48, 8, 8]; separable(64, stride = 2) : [64, 4, 4] }
            net Excited { input [64, 4, 4]; se : [64, 4, 4] }
            net Gated { input [64, 4, 4]; se(8, gate = hard_sigmoid) : [64, 4, 4] }
            net Survey { input [64, 4, 4]; mul { id; global_avgpool -> dense(in.channels) -> softmax } : [64, 4, 4] }
            net Channels { input [64, 4, 4]; channel_attention : [64, 4, 4] }
            net Places { input [64, 4, 4]; spatial_attention : [64, 4, 4] }
        ",
        params: &[
            ("Dense", 2 * 32 + 64 * 32 + 2 * 64 + 16 * 64 * 9),
            ("Separable", 48 * 9 + 2 * 48 + 64 * 48 + 2 * 64),
            ("Excited", 64 * 4 + 4 + 4 * 64 + 64),
            ("Gated", 64 * 8 + 8 + 8 * 64 + 64),
            ("Survey", 64 * 64 + 64),
            // One perceptron for both paths.
            ("Channels", 64 * 4 + 4 + 4 * 64 + 64),
            ("Places", 2 * 49),
        ],
    },
    Case {
        file: "efficientnet.net",
        uses: "
            net Rule {
                let (width, depth, resolution) = compound(1)
                input [round_channels(32 * width), resolution, round_channels(11)]
                id : [32, 257, 16]
                conv(ceil(2 * depth), 1) : [3, 257, 16]
            }
        ",
        params: &[("B0", 5_288_548), ("B1", 7_794_184), ("Rule", 3 * 32 + 3)],
    },
];

fn read(folder: &str, file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(folder)
        .join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A net of a text, of which nothing is found.
fn model(name: &str, text: &str, net: &str, mode: Mode) -> Model {
    let (program, files) = load(name, text);
    let model = sema::elaborate(&program, &files, Some(net), &[], mode)
        .unwrap_or_else(|found| panic!("{}", render(&found, &files)));
    assert!(
        model.warnings.is_empty(),
        "{}",
        render(&model.warnings, &files)
    );
    model
}

fn laid_out(text: &str) -> String {
    let file = Files::new().add("test.net", text);
    syntax::fmt::format(file, text).expect("a text that is accepted can be laid out")
}

#[test]
fn they_are_accepted_and_every_file_is_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let files: BTreeSet<String> = entries
        .map(|entry| entry.expect("the folder can be read").file_name())
        .map(|name| name.into_string().expect("test files have ASCII names"))
        .collect();
    assert_eq!(files, CASES.map(|case| case.file.to_owned()).into());
    for case in CASES {
        let (program, files) = load(case.file, &read("tests/language", case.file));
        let found = sema::check_names(&program, &files);
        assert!(found.is_empty(), "{}", render(&found, &files));
    }
}

#[test]
fn they_are_in_the_one_layout() {
    for case in CASES {
        let text = read("tests/language", case.file);
        assert_eq!(laid_out(&text), text, "{}", case.file);
        let written = read("tests/ui/syntax", case.file);
        assert_eq!(laid_out(&written), text, "{}", case.file);
    }
}

#[test]
fn they_have_the_shapes_and_sizes_that_they_say() {
    for case in CASES {
        let text = read("tests/language", case.file) + case.uses;
        for &(net, wanted) in case.params {
            let model = model(case.file, &text, net, Mode::Infer);
            let trained = model.graph.params();
            let trained = trained.filter(|(_, param)| param.role.is_trainable());
            let sizes = trained.map(|(value, _)| model.graph.ty(value).shape.elements());
            assert_eq!(sizes.sum::<usize>(), wanted, "{net} of {}", case.file);
        }
    }
}

#[test]
fn a_shape_written_down_is_a_shape_checked() {
    let text = read("tests/language", "lenet.net").replace("[16, 5, 5]", "[16, 5, 6]");
    let (program, files) = load("lenet.net", &text);
    let found =
        sema::elaborate(&program, &files, None, &[], Mode::Infer).expect_err("a wrong shape");
    let shown = render(&found, &files);
    assert!(
        shown.contains("the shape is [16, 5, 5], not [16, 5, 6]"),
        "{shown}"
    );
}

#[test]
fn training_is_what_the_section_says() {
    let model = model(
        "lenet.net",
        &read("tests/language", "lenet.net"),
        "LeNet5",
        Mode::Train,
    );
    let section = model.train.as_ref().expect("there is a section");
    let described = Described {
        section,
        graph: &model.graph,
        norms: &model.norms,
    };
    let described = described.to_string();
    for line in [
        "data fashion_mnist(validation = 5000)",
        "loss cross_entropy(label_smoothing = 0, class_weights = none, weight = 1)",
        "optimizer sgd(lr = 0.05, momentum = 0.9, dampening = 0, nesterov = false, weight_decay = 1e-4, \
         decoupled = false, decay = all)",
        "schedule cosine(last = 0, warmup = 1)",
        "batch(samples = 64, drop_last = false)",
        "epochs 10",
        "seed 1",
    ] {
        let stands = described.lines().any(|known| known.trim_start() == line);
        assert!(stands, "{line}\n{described}");
    }
}

#[test]
fn a_dense_layer_hands_on_what_enters() {
    let text = read("tests/language", "blocks.net")
        + "net Dense { input [3, 4, 5]; dense_layer(2) : [5, 4, 5] }";
    let graph = model("blocks.net", &text, "Dense", Mode::Infer).graph;
    let bindings = common::random(&graph, 1, 7, 1);
    let values = common::reference::<f64>(&graph, &bindings);
    let (input, _) = graph.inputs().next().expect("a net has an input");
    let (entered, left) = (&values[&input], &values[&graph.outputs[0].value]);
    assert_eq!(left.data()[..3 * 4 * 5], *entered.data());
}

#[test]
fn both_paths_of_channel_attention_have_one_perceptron() {
    let text = read("tests/language", "blocks.net")
        + "net Channels { input [32, 4, 4]; channel_attention }";
    let graph = model("blocks.net", &text, "Channels", Mode::Infer).graph;
    let names: Vec<&str> = graph
        .params()
        .map(|(_, param)| param.name.as_str())
        .collect();
    let within = [
        "dense1.weight",
        "dense1.bias",
        "dense2.weight",
        "dense2.bias",
    ];
    let within = within.map(|name| format!("channel_attention1.mlp.{name}"));
    assert_eq!(names, within);
}

#[test]
fn the_search_has_its_points() {
    let (program, files) = load(
        "efficientnet.net",
        &read("tests/language", "efficientnet.net"),
    );
    let (spaces, found) = sema::searches(&program, &files);
    assert!(found.is_empty(), "{}", render(&found, &files));
    let shown: Vec<String> = spaces.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["search EfficientNet: 6 x 4 x 7 = 168 points"]);
}

/// The structure can vary too.
#[test]
fn a_search_varies_kernels_and_blocks() {
    let text = read("tests/language", "efficientnet.net")
        .replace("classes = 1000)", "classes = 1000, k = 3, body = mbconv)")
        .replace("(1, 3, 1, 16, 1)", "(1, k, 1, 16, 1)")
        .replace("mbconv(round", "body(round")
        .replace(
            "    vary alpha",
            "    vary k in [3, 5], body in [mbconv, plain]\n    set k = k, body = body\n    vary alpha",
        )
        + "block plain(c, _expand, k, stride = 1) { dwconv(k, stride = stride, pad = same) -> relu -> conv(c, 1) -> relu }";
    let (program, files) = load("efficientnet.net", &text);
    let (spaces, found) = sema::searches(&program, &files);
    assert!(found.is_empty(), "{}", render(&found, &files));
    assert_eq!(spaces[0].points, 2 * 2 * 6 * 4 * 7);
    let model = model("efficientnet.net", &text, "B0", Mode::Infer);
    assert_eq!(
        model.settings.last().map(|it| it.value.as_str()),
        Some("mbconv")
    );
}
