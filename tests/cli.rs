//! The built program, command by command, as a user runs it.

mod program;
#[path = "cli/run.rs"]
mod run;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use netc::codegen::{Isa, host};
use netc::io::npy;
use netc::io::weights::WeightsFile;
use serde_json::Value;

use program::{Done, Folder, command, root};

const TINY: &str = "\
net Tiny(classes = 3) {
    input [2, 6, 6]
    conv(4, 3, pad = 1) -> relu -> maxpool(2)     : [4, 3, 3]
    flatten -> dense(classes)
}

train Tiny {
    loss cross_entropy
    optimizer sgd(lr = 0.1, momentum = 0.9)
    batch 8
}
";

/// An array of numbers that differ.
fn array(folder: &Folder, name: &str, shape: &[usize]) {
    let count: usize = shape.iter().product();
    let data: Vec<f32> = (0..count)
        .map(|at| (at * 29 % 31) as f32 / 31.0 - 0.4)
        .collect();
    npy::write(&folder.path(name), shape, &data).expect("a written file");
}

/// The largest difference, as a part of the largest number.
fn difference(found: &[f32], wanted: &[f32]) -> f32 {
    assert_eq!(found.len(), wanted.len());
    let most = wanted.iter().fold(1e-6_f32, |most, x| most.max(x.abs()));
    let apart = found.iter().zip(wanted).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, f32::max) / most
}

fn close(found: &Path, wanted: &Path, tolerance: f32) {
    let found = npy::read(found).expect("a written array");
    let wanted = npy::read(wanted).expect("a written array");
    assert_eq!(found.shape(), wanted.shape());
    let apart = difference(found.data(), wanted.data());
    assert!(apart <= tolerance, "{apart}");
}

#[test]
fn check_finds_mistakes() {
    let folder = Folder::new();
    folder.write("good.net", TINY);
    folder.write(
        "bad.net",
        "net Bad {\n    input [2, 6, 6]\n    convv(4, 3)\n}\n",
    );
    assert_eq!(folder.ok("check good.net"), "good.net: ok (Tiny)\n");
    folder.fails("check good.net bad.net", 1, "convv");
    let done = folder.netc("check good.net bad.net");
    assert_eq!(
        done.stdout,
        "good.net: ok (Tiny)\nbad.net: 1 error\n2 files: 1 error, 0 warnings\n"
    );
    assert!(
        done.stderr.ends_with("`netc explain N0202` says more.\n"),
        "{done:?}"
    );
    assert!(
        !done.stderr.contains('\u{1b}'),
        "no colours in a pipe: {done:?}"
    );
    let done = folder.netc("check bad.net --json");
    let first: Value = serde_json::from_str(done.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["severity"], "error");
    assert_eq!(first["labels"][0]["line"], 3);
    folder.fails("check good.net:Huge", 1, "Huge");
    folder.fails("check missing.net", 1, "cannot read `missing.net`");
}

#[test]
fn all_errors_of_a_file_come_in_one_run() {
    let folder = Folder::new();
    let text = "block half(width) {\n    conv(width 3)\n}\n\
        net A {\n    input [2, 6, 6]\n    half(4) -> relu6(1)\n    conv 4\n}\n\
        net B {\n    input [2, 6, 6]\n    conv(4, 7)\n}\n";
    folder.write("bad.net", text);
    let found = |command: &str| -> Vec<(String, u64)> {
        let done = folder.netc(command);
        assert_eq!(done.code, Some(1), "{done:?}");
        let lines = done.stdout.lines();
        let lines = lines.map(|line| serde_json::from_str::<Value>(line).unwrap());
        let place = |line: &Value| {
            let place = line["labels"][0]["line"].as_u64()?;
            Some((line["code"].as_str()?.to_owned(), place))
        };
        lines.filter_map(|line| place(&line)).collect()
    };
    let wanted = [("N0110", 2), ("N0206", 6), ("N0110", 7), ("N0213", 11)];
    let wanted = wanted.map(|(code, line)| (code.to_owned(), line));
    assert_eq!(found("check bad.net --json"), wanted);
    // Of the names and shapes, only those of the net that is asked for matter; those of a block may concern it.
    assert_eq!(found("check bad.net:A --json"), wanted[..3]);
    let done = folder.netc("summary bad.net:B");
    for code in ["N0110", "N0213"] {
        assert!(done.stderr.contains(code), "{done:?}");
    }
    let done = folder.netc("check bad.net --set classes=(");
    assert!(
        done.stderr.contains("N0103") && done.stderr.contains("N0213"),
        "{done:?}"
    );

    folder.fails("fmt bad.net", 1, "N0110");
    let after = std::fs::read_to_string(folder.path("bad.net")).unwrap();
    assert_eq!(after, text, "what is not understood is not laid out");
}

#[test]
fn check_looks_at_all_files_and_all_nets() {
    let folder = Folder::new();
    folder.write(
        "a.net",
        "net A { input [4]; dense(0) }\nnet B { input [4]; relu(1) }\n",
    );
    folder.write("b.net", "net C { input [4]; let n = 3; dense(2) }\n");
    folder.write("c.net", "net D { input [4\n");
    let done = folder.netc("check a.net missing.net b.net c.net");
    assert_eq!(done.code, Some(1));
    assert!(
        done.stdout.ends_with("4 files: 4 errors, 1 warning\n"),
        "{done:?}"
    );
    let hint = "`netc explain CODE` says more; the codes are N0103, N0206, N0210.\n";
    assert!(done.stderr.ends_with(hint), "{done:?}");
    assert_eq!(done.stderr.matches("netc explain").count(), 1);
    let done = folder.netc("check a.net b.net c.net --json");
    let lines: Vec<Value> = done
        .stdout
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(lines.last().unwrap()["errors"], 3);
    assert_eq!(lines[0]["help"][0]["edit"]["replacement"], "1");
    assert_eq!(done.stderr, "");
}

/// Results, findings, mistakes that have no place in a file, and those of the command line.
#[test]
fn with_json_everything_is_an_object_on_standard_output() {
    let folder = Folder::new();
    folder.write("bad.net", "net Bad { input [4]; dense(2 }\n");
    folder.write("warned.net", "net A { input [4]; let w = 3; dense(2) }\n");
    for (command, code, wanted) in [
        ("summary bad.net", 1, &["N0103"][..]),
        ("summary warned.net missing.net", 1, &["N0222", "", "error"]),
        ("fmt bad.net missing.net", 1, &["N0103", "error"]),
        ("check missing.net", 1, &["error"]),
        (
            "run warned.net --weights no.safetensors --index 1",
            1,
            &["N0222", "error"],
        ),
        ("explain N9", 1, &["error"]),
        ("run --nonsense", 2, &["error"]),
    ] {
        let done = folder.netc(&format!("{command} --json"));
        assert_eq!(done.stderr, "", "{command}");
        assert_eq!(done.code, Some(code), "{command}");
        let lines = done.stdout.lines();
        let found: Vec<String> = lines
            .map(|line| {
                let object: Value = serde_json::from_str(line).unwrap();
                let key = object["code"].as_str().or(object["severity"].as_str());
                key.unwrap_or_default().to_owned()
            })
            .collect();
        assert_eq!(found, wanted, "{command}");
    }
}

#[test]
fn dumps_show_how_pictures_become_the_input() {
    let folder = Folder::new();
    let text = "net A { input [3, 8, 8] from image(resize = 10); flatten -> dense(2) }\n";
    folder.write("a.net", text);
    let dump = folder.ok("dump a.net --stage graph");
    let wanted = "input from image(resize = 10, crop = (8, 8), filter = bilinear, \
                  mean = 0, std = 1)\n";
    assert!(dump.ends_with(wanted), "{dump}");
}

#[test]
fn summary_shows_every_net_and_preset() {
    let folder = Folder::new();
    let two = "net A(n = 2) { input [4]; dense(n) }\npreset Wide = A(8)\n";
    folder.write("two.net", two);
    folder.write("tiny.net", TINY);
    folder.write("bad.net", "net Bad { input [4]; dense(2 }\n");
    let names = |lines: &[Value]| -> Vec<String> {
        lines
            .iter()
            .map(|line| line["net"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        names(&folder.json("summary two.net tiny.net --json")),
        ["A", "Wide", "Tiny"]
    );
    assert_eq!(names(&folder.json("summary two.net:Wide --json")), ["Wide"]);
    assert!(
        folder
            .ok("summary two.net")
            .contains("\n\nWide: [4] to [8]\n")
    );
    let done = folder.netc("summary bad.net two.net missing.net --json");
    let nets = done.stdout.matches("{\"net\":").count();
    assert_eq!((done.code, nets), (Some(1), 2), "{done:?}");
}

/// A family in lines: what is counted and planned as without `--scale`, what is estimated from stated rates.
#[test]
fn summary_tells_where_windows_stand() {
    let folder = Folder::new();
    // With a stride, `same` pads the end more than the beginning.
    let text = "net Pads { input [3, 6, 6]; conv(4, 3, stride = 2, pad = same) }
net Even { input [3, 6, 6]; conv(4, 3, stride = 2, pad = 1) -> relu -> avgpool(2, pad = (0, 1)) }\n";
    folder.write("pads.net", text);
    let shown = folder.ok("summary pads.net");
    for wanted in [
        "3x3, stride 2, pad 0,0,1,1",
        "3x3, stride 2, pad 1 ",
        "2x2, stride 2, pad 0,1,0,1",
    ] {
        assert!(shown.contains(wanted), "{wanted}\n{shown}");
    }
    let lines = folder.json("summary pads.net --json");
    let pads = |net: usize, layer: usize| lines[net]["layers"][layer]["window"]["pad"].clone();
    assert_eq!(pads(0, 0), serde_json::json!([0, 0, 1, 1]));
    assert_eq!(pads(1, 0), serde_json::json!([1, 1, 1, 1]));
    assert_eq!(pads(1, 1), Value::Null);
}

/// Sizes beyond 31 and 32 bits are counted right, and what no machine has is refused in words.
#[test]
fn batches_beyond_all_memory_are_refused() {
    let folder = Folder::new();
    let text = "net Big { input [5, 224, 224]; conv(5, 3, pad = 1) }
train Big { loss mse; optimizer sgd(lr = 0.1); batch 4; epochs 1 }\n";
    folder.write("big.net", text);
    let lines = folder.json("summary big.net --batch 1000000 --json");
    // The picture, its result, the result wanted, and what the gradient needs, of a million images.
    let image = 4 * 5 * 224 * 224;
    let bytes = lines[0]["train_peak_bytes"].as_u64().unwrap();
    assert!(
        (3 * image * 1_000_000..8 * image * 1_000_000).contains(&bytes),
        "{bytes}"
    );
    for mode in ["infer", "train"] {
        let command = format!("bench big.net --mode {mode} --batch 1000000");
        folder.fails(
            &command,
            1,
            "bytes of memory, which the system does not give",
        );
    }
}

#[test]
fn summary_compares_a_family() {
    let folder = Folder::new();
    let family = "net A(n = 2) { input [4]; dense(n) }\npreset Wide = A(800)\n";
    folder.write("family.net", family);
    folder.write("tiny.net", TINY);
    folder.write("bad.net", "net Bad { input [4]; dense(2 }\n");
    let scale = "summary --scale --gmacs 2 --gbytes 4 --threads 1 --isa baseline";
    insta::assert_snapshot!(
        "summary_scale",
        folder.ok(&format!("{scale} family.net tiny.net"))
    );
    let lines = folder.json(&format!("{scale} --json family.net"));
    let plain = folder.json("summary --isa baseline --json family.net");
    assert_eq!((lines.len(), plain.len()), (2, 2));
    for (line, plain) in lines.iter().zip(&plain) {
        for key in [
            "net",
            "input",
            "params",
            "macs",
            "infer_peak_bytes",
            "train_peak_bytes",
        ] {
            assert_eq!(line[key], plain[key], "{key}");
        }
    }
    // Four inputs, a matrix of 3,200, 800 biases and as many outputs cross the memory at four bytes each.
    let wide = lines[1]["estimated_latency_s"].as_f64().unwrap();
    assert!((wide - 4.0 * 4804.0 / 4e9).abs() < 1e-8, "{wide}");
    assert_eq!(lines[1]["estimate"]["stated"], true);
    // Without rates the machine is measured.
    let measured = &folder.json("summary --scale --json family.net:Wide")[0];
    assert_eq!(measured["estimate"]["stated"], false);
    assert!(measured["estimate"]["macs_per_s"].as_f64() > Some(1e6));
    let done = folder.netc(&format!("{scale} bad.net family.net"));
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stdout.contains("Wide") && done.stderr.contains("bad.net"));
    folder.fails("summary --gmacs 2 family.net", 2, "--scale");
    folder.fails("summary --scale --gmacs 2 family.net", 2, "together");
    folder.fails(
        "summary --scale --gmacs 0 --gbytes 1 family.net",
        2,
        "above 0",
    );
}

#[test]
fn fmt_lays_files_out() {
    let folder = Folder::new();
    let loose = "net A{input[4]\r\ndense(2)}\r\n";
    let wanted = "net A { input [4]; dense(2) }\n";
    folder.write("loose.net", loose);
    folder.write("good.net", wanted);
    folder.write("bad.net", "net A { input [4\n");
    let read = |name: &str| std::fs::read_to_string(folder.path(name)).unwrap();

    let done = folder.netc("fmt --check loose.net good.net");
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(1), "would change loose.net\n")
    );
    assert_eq!(
        folder.ok("fmt --stdout loose.net good.net"),
        wanted.repeat(2)
    );
    assert_eq!(read("loose.net"), loose, "neither writes");

    // The other files are laid out although one cannot be.
    folder.fails("fmt bad.net missing.net loose.net good.net", 1, "N0103");
    assert_eq!(
        (read("loose.net").as_str(), read("bad.net").as_str()),
        (wanted, "net A { input [4\n")
    );
    assert_eq!(folder.ok("fmt --check loose.net good.net"), "");
    let line = &folder.json("fmt good.net --json")[0];
    assert_eq!(
        (&line["changed"], &line["written"]),
        (&false.into(), &false.into())
    );

    let mut command = command("fmt -");
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::io::Write::write_all(&mut stdin, loose.as_bytes()).expect("the program reads");
    drop(stdin);
    let done = Done::from(child.wait_with_output().expect("the program ends"));
    assert_eq!(
        (done.code, done.stdout.as_str()),
        (Some(0), wanted),
        "{done:?}"
    );
}

#[test]
fn fmt_leaves_what_it_does_not_change_untouched() {
    let folder = Folder::new();
    folder.write("good.net", "net A { input [4]; dense(2) }\n");
    let modified = || {
        folder
            .path("good.net")
            .metadata()
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = modified();
    folder.ok("fmt good.net");
    assert_eq!(modified(), before);
}

#[test]
fn explain_prints_a_page_or_the_list() {
    let folder = Folder::new();
    assert!(
        folder
            .ok("explain n0207")
            .starts_with("# N0207: the branches")
    );
    let list = folder.ok("explain");
    assert_eq!(list.lines().count(), netc::diag::codes::ALL.len());
    folder.fails("explain N9999", 1, "no code `N9999`");
    assert_eq!(folder.json("explain N0103 --json")[0]["code"], "N0103");
}

#[test]
fn wrong_command_lines_are_refused() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    folder.fails("", 2, "Usage");
    folder.fails("bake tiny.net", 2, "bake");
    folder.fails("dump tiny.net", 2, "--stage");
    folder.fails("dump tiny.net --stage soup", 2, "soup");
    folder.fails("compile tiny.net --threads 0", 2, "number from 1");
    folder.fails("compile tiny.net --isa sse9", 2, "no tier");
    folder.fails("train tiny.net --threads 1,2", 2, "only `bench`");
    folder.fails("compile tiny.net --set nothing", 1, "--set");
    folder.fails("compile tiny.net --set klasses=3", 1, "klasses");
    let done = folder.netc("--help");
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.contains("Exit codes"));
}

#[test]
fn summary_counts() {
    let folder = Folder::new();
    let line = &folder.json(&format!("summary {} --json", root("examples/lenet5.net")))[0];
    assert_eq!(line["net"], "LeNet5");
    assert_eq!(line["params"], 61_706);
    assert_eq!(line["params_train"], 61_706);
    assert_eq!(line["bn_stats"], 0);
    assert_eq!(line["macs"], 416_520);
    assert_eq!(line["input"], serde_json::json!([1, 28, 28]));
    assert_eq!(line["output"], serde_json::json!([10]));
    assert_eq!(line["layers"].as_array().unwrap().len(), 12);
    let (train, infer) = (&line["train_peak_bytes"], &line["infer_peak_bytes"]);
    assert!(infer.as_u64().unwrap() > 4 * 61_706);
    assert!(train.as_u64() > infer.as_u64());
    let line = &folder.json(&format!(
        "summary {} --json",
        root("tests/golden/mixed.net")
    ))[0];
    assert_eq!(line["bn_stats"], 40);
    assert_eq!(line["train_peak_bytes"], Value::Null);
    folder.write("tiny.net", TINY);
    insta::assert_snapshot!("summary", folder.ok("summary tiny.net --isa baseline"));
}

#[test]
fn weights_start_from_files() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    folder.ok("init tiny.net --seed 1 --out w.safetensors");
    // The whole net.
    let whole = TINY.replace("batch 8", "batch 8\n    init file(\"w.safetensors\")");
    folder.write("whole.net", &whole);
    folder.ok("init whole.net --seed 2 --out copy.safetensors");
    let bytes = |name: &str| std::fs::read(folder.path(name)).expect("was written");
    assert_eq!(bytes("copy.safetensors"), bytes("w.safetensors"));
    // One layer; the other starts afresh and may have another size.
    let one = TINY
        .replace("pad = 1)", "pad = 1, init = file(\"w.safetensors\"))")
        .replace("classes = 3", "classes = 5");
    folder.write("one.net", &one);
    folder.ok("init one.net --seed 2 --out one.safetensors");
    let read = |file: &str, name: &str| {
        let mut file = WeightsFile::open(&folder.path(file)).expect("is a weights file");
        file.read(name).expect("is there").into_data()
    };
    for name in ["conv1.weight", "conv1.bias"] {
        assert_eq!(read("one.safetensors", name), read("w.safetensors", name));
    }
    // What does not fit is told by name.
    folder.write("wrong.net", &whole.replace("classes = 3", "classes = 5"));
    folder.fails("init wrong.net --out no.safetensors", 1, "dense1.weight");
    folder.write(
        "gone.net",
        &whole.replace("w.safetensors", "gone.safetensors"),
    );
    folder.fails("init gone.net --out no.safetensors", 1, "gone.safetensors");
    assert!(!folder.path("no.safetensors").exists());
}

#[test]
fn dump_shows_every_stage() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    let dump = |args: &str| folder.ok(&format!("dump tiny.net --isa baseline {args}"));
    insta::assert_snapshot!("dump_ast", dump("--stage ast"));
    insta::assert_snapshot!("dump_graph", dump("--stage graph"));
    insta::assert_snapshot!("dump_train", dump("--stage train"));
    insta::assert_snapshot!("dump_grad", dump("--stage grad"));
    insta::assert_snapshot!("dump_fused", dump("--stage fused"));
    insta::assert_snapshot!("dump_fused_train", dump("--stage fused --train"));
    insta::assert_snapshot!("dump_explain_train", dump("--explain --train"));
    insta::assert_snapshot!("dump_plan", dump("--stage plan"));
    insta::assert_snapshot!("dump_plan_train", dump("--stage plan --train --batch 2"));
    insta::assert_snapshot!("dump_kernel", dump("--stage kernel --kernel maxpool"));
    insta::assert_snapshot!("dump_clif", dump("--stage clif --kernel maxpool"));
}

/// The functions of vector code. The nest around them is Cranelift's, and differs with the machine.
fn bodies(asm: &str) -> String {
    let mut keep = false;
    let mut text = String::new();
    for line in asm.lines() {
        if let Some(name) = line.strip_suffix(':')
            && name.starts_with('k')
        {
            keep = name.contains('.');
        }
        if keep {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[test]
#[cfg(target_arch = "x86_64")]
fn dump_disassembles_wide_tiers() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    for isa in [Isa::Avx2, Isa::Avx512] {
        if !host::supported(isa) {
            eprintln!("skipped: this machine has no {isa}");
            continue;
        }
        let asm = folder.ok(&format!(
            "dump tiny.net --isa {isa} --stage asm --kernel maxpool"
        ));
        insta::assert_snapshot!(format!("dump_asm_{isa}"), bodies(&asm));
    }
}

#[test]
fn compile_tells_what_it_made() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    let infer = &folder.json("compile tiny.net --json")[0];
    let train = &folder.json("compile tiny.net --train --json")[0];
    assert_eq!(infer["batch"], 1);
    assert_eq!(train["batch"], 8);
    for key in ["kernels", "code_bytes", "arena_bytes", "steps"] {
        assert!(train[key].as_u64() > infer[key].as_u64(), "{key}");
    }
    assert!(train["stages_ms"]["code"].as_f64().unwrap() > 0.0);
    assert!(folder.ok("compile tiny.net").contains("bytes of code"));
}

#[test]
fn init_and_run() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    array(&folder, "x.npy", &[5, 2, 6, 6]);
    folder.ok("init tiny.net --out w.safetensors --seed 3");
    folder.ok("init tiny.net --out same.safetensors --seed 3");
    folder.ok("init tiny.net --out other.safetensors --seed 4");
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert_eq!(bytes("w.safetensors"), bytes("same.safetensors"));
    assert_ne!(bytes("w.safetensors"), bytes("other.safetensors"));
    let run = "run tiny.net --weights w.safetensors --input x.npy --output";
    folder.ok(&format!("{run} y.npy"));
    folder.ok(&format!("{run} y2.npy --batch 2 --threads 1"));
    folder.ok(&format!("{run} y64.npy --interpret f64"));
    folder.ok(&format!("{run} y32.npy --interpret f32"));
    folder.ok(&format!("{run} output=named.npy --isa baseline"));
    for other in ["y2.npy", "y64.npy", "y32.npy", "named.npy"] {
        close(&folder.path("y.npy"), &folder.path(other), 1e-5);
    }
    array(&folder, "wrong.npy", &[5, 2, 6, 7]);
    let run = "run tiny.net --weights w.safetensors --output y.npy --input";
    folder.fails(&format!("{run} wrong.npy"), 1, "[N, 2, 6, 6]");
    folder.fails(&format!("{run} missing.npy"), 1, "missing.npy");
    folder.fails(&format!("{run} left=x.npy"), 1, "no input `left`");
    folder.fails(&format!("{run} tiny.net"), 1, "tiny.net");
}

#[test]
fn weights_that_do_not_fit_are_listed() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    folder.write(
        "other.net",
        &TINY.replace("flatten", "conv(4, 1) -> flatten"),
    );
    array(&folder, "x.npy", &[1, 2, 6, 6]);
    folder.ok("init tiny.net --out w.safetensors");
    let run = "--input x.npy --output y.npy --weights w.safetensors";
    let args = format!("run other.net {run}");
    folder.fails(&args, 1, "missing from the file (2):\n    conv2.weight");
    folder.ok("init other.net --out w.safetensors");
    let args = format!("run tiny.net {run}");
    folder.fails(&args, 1, "in the file but not in the network (2)");
    let args = format!("run other.net --set classes=5 {run}");
    folder.fails(&args, 1, "dense1.weight is [3, 36], expected [5, 36]");
    let args = "run tiny.net --input x.npy --output y.npy --weights missing.safetensors";
    folder.fails(args, 1, "cannot read: No such file");
    assert!(!folder.path("y.npy").exists());
}

#[test]
fn heads_of_training_do_not_disturb_use() {
    let folder = Folder::new();
    let body = "flatten\n    aux(weight = 0.3) { dense(classes) }\n    dense(classes)";
    folder.write("aux.net", &TINY.replace("flatten -> dense(classes)", body));
    array(&folder, "x.npy", &[2, 2, 6, 6]);
    folder.ok("init aux.net --out w.safetensors");
    folder.ok("run aux.net --weights w.safetensors --input x.npy --output y.npy");
    let y = npy::read(&folder.path("y.npy")).unwrap();
    assert_eq!(y.shape(), [2, 3]);
    let line = &folder.json("summary aux.net --json")[0];
    assert!(line["params_train"].as_u64() > line["params"].as_u64());
    folder.ok("dump aux.net --stage grad");
}

/// Gradients of the golden nets are PyTorch's.
#[test]
fn grad_agrees_with_pytorch() {
    let folder = Folder::new();
    for (case, extra) in [
        ("lenet5_modern", "--threads 2"),
        ("lenet5_classic", ""),
        ("mixed", "--threads 1"),
        ("mixed", "--isa baseline"),
        ("mixed", "--interpret f64"),
        ("xor", ""),
    ] {
        let golden = root(&format!("tests/golden/{case}"));
        folder.ok(&format!(
            "grad {golden}.net --weights {golden}/weights.safetensors --input {golden}/x.npy \
             --target {golden}/t.npy --grads-out g.safetensors --loss-out l.npy {extra}"
        ));
        let golden = PathBuf::from(golden);
        close(&folder.path("l.npy"), &golden.join("loss.npy"), 1e-5);
        let mut found = WeightsFile::open(&folder.path("g.safetensors")).unwrap();
        let mut wanted = WeightsFile::open(&golden.join("gradients.safetensors")).unwrap();
        let names: Vec<String> = wanted.tensors().map(|(name, _)| name.to_owned()).collect();
        assert_eq!(found.tensors().count(), names.len() + 1);
        for name in names {
            let (found, wanted) = (found.read(&name).unwrap(), wanted.read(&name).unwrap());
            assert_eq!(found.shape(), wanted.shape(), "{case} {name}");
            let apart = difference(found.data(), wanted.data());
            assert!(apart < 1e-4, "{case} {name} {extra}: {apart}");
        }
        let dx = npy::read(&golden.join("dx.npy")).unwrap();
        let input = found.read("input").unwrap();
        assert!(difference(input.data(), dx.data()) < 1e-4, "{case} input");
    }
}

/// Outputs of the golden nets, in use, are PyTorch's.
#[test]
fn run_agrees_with_pytorch() {
    let folder = Folder::new();
    for (case, output, extra) in [
        ("lenet5_modern", "y.npy", ""),
        ("lenet5_classic", "y.npy", "--threads 2"),
        ("xor", "y.npy", "--isa baseline"),
        ("mixed", "y_eval.npy", ""),
        ("mixed", "y_eval.npy", "--interpret f32"),
    ] {
        let golden = root(&format!("tests/golden/{case}"));
        folder.ok(&format!(
            "run {golden}.net --weights {golden}/weights.safetensors --input {golden}/x.npy \
             --output y.npy {extra}"
        ));
        close(
            &folder.path("y.npy"),
            &PathBuf::from(golden).join(output),
            1e-4,
        );
    }
}

#[test]
fn grad_refuses_wrong_labels() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    folder.ok("init tiny.net --out w.safetensors");
    array(&folder, "x.npy", &[2, 2, 6, 6]);
    npy::write(&folder.path("t.npy"), &[2], &[0.0, 3.0]).unwrap();
    let golden = root("tests/golden/lenet5_modern/t.npy");
    let grad = "grad tiny.net --weights w.safetensors --input x.npy --target";
    folder.fails(&format!("{grad} t.npy"), 1, "t.npy");
    folder.fails(&format!("{grad} {golden}"), 1, "5 images");
}

/// Writes labels as NumPy writes whole numbers.
fn labels(folder: &Folder, name: &str, labels: &[i64]) {
    let header = format!(
        "{{'descr': '<i8', 'fortran_order': False, 'shape': ({},), }}",
        labels.len()
    );
    // Magic, version and length take 10 bytes; all of it is a multiple of 64, closed by a newline.
    let header = format!("{header:<117}\n");
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(labels.iter().flat_map(|label| label.to_le_bytes()));
    std::fs::write(folder.path(name), bytes).expect("a written file");
}

const SEVERAL: &str = "\
net Several {
    input [3]
    dense(4) -> relu as body
    dense(3)
    output class
    body -> dense(1)
    output size
    body -> dense(2)
    output flags
    body -> dense(5)
    output features
}

train Several {
    loss class = cross_entropy(label_smoothing = 0.1)
    loss size = huber(2, weight = 0.5)
    loss flags = binary_cross_entropy
}
";

/// Every output that has a loss has a target of its own; the others have none.
#[test]
fn grad_takes_a_target_for_each_loss() {
    let folder = Folder::new();
    folder.write("several.net", SEVERAL);
    folder.ok("init several.net --out w.safetensors");
    array(&folder, "x.npy", &[2, 3]);
    labels(&folder, "class.npy", &[2, 0]);
    // A number an image does for an output of one number.
    npy::write(&folder.path("size.npy"), &[2], &[5.0, -1.0]).unwrap();
    npy::write(&folder.path("flags.npy"), &[2, 2], &[0.0, 1.0, 0.5, 1.0]).unwrap();
    let grad = "grad several.net --weights w.safetensors --input x.npy --loss-out l.npy";
    let all = "--target class=class.npy --target size=size.npy --target flags=flags.npy";
    let mut losses = Vec::new();
    for extra in ["", "--interpret f64", "--isa baseline --threads 2"] {
        folder.ok(&format!("{grad} {all} --grads-out g.safetensors {extra}"));
        losses.push(npy::read(&folder.path("l.npy")).unwrap().data()[0]);
    }
    assert!(losses.iter().all(|loss| (loss - losses[1]).abs() < 1e-5));
    let mut grads = WeightsFile::open(&folder.path("g.safetensors")).unwrap();
    let unused = grads.read("dense5.weight").unwrap();
    assert!(unused.data().iter().all(|&slope| slope == 0.0));

    let some = "--target class=class.npy --target size=size.npy";
    folder.fails(&format!("{grad} {some}"), 2, "--target flags=FILE");
    folder.fails(
        &format!("{grad} --target class.npy"),
        2,
        "class, size, flags",
    );
    folder.fails(
        &format!("{grad} {all} --target features=x.npy"),
        1,
        "no target `features`",
    );
    folder.fails(
        &format!("{grad} {all} --target size=size.npy"),
        2,
        "given twice",
    );
    npy::write(&folder.path("flags.npy"), &[2, 2], &[0.0, 1.0, 0.5, 2.0]).unwrap();
    folder.fails(&format!("{grad} {all}"), 1, "element 1 of sample 1 is 2");
    npy::write(&folder.path("flags.npy"), &[2, 2], &[0.0; 4]).unwrap();
    for wrong in [3, -1] {
        labels(&folder, "class.npy", &[0, wrong]);
        let message = format!("label {wrong} of sample 1 is out of range; 3 classes");
        folder.fails(&format!("{grad} {all}"), 1, &message);
    }
}

/// The only target may be named after its output or not at all.
#[test]
fn the_only_target_needs_no_name() {
    let folder = Folder::new();
    folder.write(
        "one.net",
        "net One { input [2]; dense(1) }\ntrain One { loss mae }",
    );
    folder.ok("init one.net --out w.safetensors");
    array(&folder, "x.npy", &[3, 2]);
    npy::write(&folder.path("t.npy"), &[3], &[0.0; 3]).unwrap();
    let grad = "grad one.net --weights w.safetensors --input x.npy --target";
    let [bare, named] = ["t.npy", "output=t.npy"].map(|file| folder.ok(&format!("{grad} {file}")));
    assert_eq!(bare, named);
}

/// Exclusive or as two yes-or-no questions and as one, by losses other than the example's.
#[test]
fn losses_train() {
    let folder = Folder::new();
    for (name, head, loss) in [
        ("binary", "dense(1)", "binary_cross_entropy"),
        ("binary_one_hot", "dense(2)", "binary_cross_entropy"),
        ("huber", "dense(1)", "huber(0.5)"),
        ("mae", "dense(2)", "mae"),
        (
            "weighted",
            "dense(2)",
            "cross_entropy(class_weights = [1, 3], label_smoothing = 0.1)",
        ),
    ] {
        folder.write(
            &format!("{name}.net"),
            &format!(
                "net Xor {{ input [2]; dense(8) -> tanh; {head} }}\ntrain Xor {{ data xor; loss \
                 {loss}; optimizer adam(lr = 0.05); batch 4; epochs 300; seed 3 }}"
            ),
        );
        let train = format!("train {name}.net --json --threads 1 --out {name}.safetensors");
        let last = folder.json(&train).pop().expect("300 epochs");
        assert_eq!(last["test_accuracy"], 1.0, "{name}: {last}");
        // The loss of all samples does not depend on how they are dealt out, class weights or not.
        let eval = format!("eval {name}.net --weights {name}.safetensors --json --threads 1");
        for batch in [1, 3] {
            let line = &folder.json(&format!("{eval} --batch {batch}"))[0];
            let (found, wanted) = (line["loss"].as_f64(), last["test_loss"].as_f64());
            let apart = found.unwrap() - wanted.unwrap();
            assert!(apart.abs() < 1e-6, "{name}: {line}, not {last}");
        }
    }
}

/// A data set's labels say nothing of a map, and a label that is no answer is told before training.
#[test]
fn labels_must_fit_the_losses() {
    let folder = Folder::new();
    let net = |body: &str, loss: &str| {
        folder.write(
            "n.net",
            &format!(
                "net N {{ input [1, 28, 28]; {body} }}\ntrain N {{ data fashion_mnist_small; loss \
                 {loss}; optimizer adam; epochs 1 }}"
            ),
        );
    };
    net("conv(1, 3)", "mse");
    folder.fails("train n.net", 1, "[1, 26, 26]");
    net("flatten -> dense(1)", "binary_cross_entropy");
    folder.fails("train n.net", 1, "2 classes");
    net("flatten -> dense(9)", "cross_entropy");
    folder.fails("train n.net", 1, "9 classes");
}

#[test]
fn xor_is_learned() {
    let folder = Folder::new();
    let net = root("examples/xor.net");
    let lines = folder.json(&format!(
        "train {net} --out xor.safetensors --json --threads 1"
    ));
    assert_eq!(lines.len(), 300);
    let keys = [
        "epoch",
        "train_loss",
        "train_accuracy",
        "test_loss",
        "test_accuracy",
    ];
    for key in keys {
        assert!(lines[0][key].is_number(), "{key}");
    }
    assert!(lines[0]["images_per_s"].as_f64().unwrap() > 0.0);
    let last = &lines[299];
    assert_eq!(last["epoch"], 300);
    assert_eq!(last["test_accuracy"], 1.0);
    assert!(last["test_loss"].as_f64().unwrap() < 0.01);
    let svg = std::fs::read_to_string(folder.path("xor.svg")).unwrap();
    assert!(svg.starts_with("<svg"));
    for extra in ["", "--interpret f64"] {
        let eval = format!("eval {net} --weights xor.safetensors --json {extra}");
        let line = &folder.json(&eval)[0];
        assert_eq!(line["images"], 4);
        assert_eq!(line["accuracy"], 1.0);
        let apart = line["loss"].as_f64().unwrap() - last["test_loss"].as_f64().unwrap();
        assert!(apart.abs() < 1e-6);
    }
}

#[test]
fn the_first_epoch_of_lenet_learns() {
    let folder = Folder::new();
    let net = root("examples/lenet5.net");
    let train = "--epochs 1 --json --curves c.svg --set train.schedule=constant";
    let first = folder.json(&format!("train {net} {train} --threads 1"));
    let again = folder.json(&format!("train {net} {train} --threads 2"));
    assert!(
        first[0]["test_accuracy"].as_f64().unwrap() > 0.7,
        "{first:?}"
    );
    // One seed is one training, however many threads there are.
    assert_eq!(first[0]["train_loss"], again[0]["train_loss"]);
    assert!(folder.path("c.svg").exists());
    let text = folder.ok(&format!("train {net} --epochs 1 --threads 1"));
    assert!(text.contains("accuracy on 2,000 unseen images: "), "{text}");
}

#[test]
fn training_that_cannot_be_is_refused() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    folder.fails("train tiny.net", 1, "names no data");
    folder.fails("train tiny.net --data nowhere", 1, "nowhere");
    folder.fails("train tiny.net --data xor", 1, "[2, 6, 6]");
    let lenet = root("examples/lenet5.net");
    folder.fails(&format!("train {lenet} --set classes=9"), 1, "label 9");
    let high = "--set train.optimizer.lr=1e30 --epochs 1";
    folder.fails(
        &format!("train {lenet} {high}"),
        1,
        "the learning rate may be too high",
    );
    let no_optimizer = TINY.replace("    optimizer sgd(lr = 0.1, momentum = 0.9)\n", "");
    folder.write("no.net", &no_optimizer);
    folder.fails("train no.net", 1, "names no optimizer");
    let args = format!("train {lenet} --epochs 1 --out missing/w.safetensors");
    folder.fails(&args, 1, "missing");
}

#[test]
fn bench_measures() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    let lines = folder.json("bench tiny.net --batch 1,4 --threads 1,2 --json");
    let pairs: Vec<(u64, u64)> = lines
        .iter()
        .map(|line| {
            let number = |key: &str| line[key].as_u64().unwrap();
            (number("batch"), number("threads"))
        })
        .collect();
    assert_eq!(pairs, [(1, 1), (1, 2), (4, 1), (4, 2)]);
    for line in &lines {
        assert_eq!(line["net"], "Tiny");
        assert_eq!(line["mode"], "infer");
        let ms = |key: &str| line[key].as_f64().unwrap();
        assert!(ms("min_ms") > 0.0 && ms("min_ms") <= ms("median_ms"));
        assert!(ms("first_ms") > ms("min_ms"));
        assert!(line["isa"].is_string());
        #[cfg(target_os = "linux")]
        assert!(line["peak_rss_bytes"].as_u64().unwrap() > 1_000_000);
    }
    assert_eq!(
        folder.json("bench tiny.net --mode train --json")[0]["batch"],
        8
    );
    let line = &folder.json("bench tiny.net --mode compile --json --threads 2")[0];
    assert_eq!(line["threads"], 1);
}

#[test]
fn bench_tells_of_layers() {
    let folder = Folder::new();
    folder.write("tiny.net", TINY);
    let line = &folder.json("bench tiny.net --layers --threads 2 --json")[0];
    let number = |object: &serde_json::Value, key: &str| object[key].as_f64().unwrap();
    assert!(number(&line["limits"], "fma_gflops") > 0.1);
    assert!(number(&line["limits"], "bandwidth_gb_per_s") > 0.1);
    let layers = line["layers"].as_array().unwrap();
    // Their work is that of the net, which `summary` counts by itself.
    let macs: f64 = layers.iter().map(|layer| number(layer, "macs")).sum();
    let summary = &folder.json("summary tiny.net --json")[0];
    assert_eq!(macs, number(summary, "macs"));
    for layer in layers {
        assert!(number(layer, "ms") >= 0.0 && number(layer, "bytes") > 0.0);
        assert!(!layer["operators"].as_str().unwrap().is_empty());
    }
    // A step makes the gradients of both factors of each product, but none of the first layer's input.
    let step = &folder.json("bench tiny.net --layers --mode train --batch 4 --json")[0];
    let step = step["layers"].as_array().unwrap().iter();
    let first = f64::from(4 * 6 * 6 * 2 * 9);
    let products: f64 = step.map(|layer| number(layer, "macs")).sum();
    assert_eq!(products, 4.0 * (3.0 * macs - first));
    let text = folder.ok("bench tiny.net --layers --mode train --batch 4");
    assert!(
        text.contains("conv_filter_grad") && text.contains("of limit"),
        "{text}"
    );
    folder.fails("bench tiny.net --layers --mode compile", 2, "none does");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let folder = Folder::new();
    let net = root("examples/lenet5.net");
    let mut child = command(&format!("dump {net} --stage kernel --train"))
        .current_dir(folder.path(""))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    let done = Done::from(child.wait_with_output().expect("the program ends"));
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn nets_of_the_readme_are_right() {
    let folder = Folder::new();
    let readme = std::fs::read_to_string(root("README.md")).expect("the file exists");
    let blocks = readme.split("```net\n").skip(1);
    let nets = blocks.filter_map(|rest| rest.split_once("```"));
    for (index, (net, _)) in nets.enumerate() {
        folder.write("readme.net", net);
        let said = folder.ok("check readme.net");
        assert!(said.starts_with("readme.net: ok ("), "{index}: {said}");
        assert!(!said.contains("warning"), "{index}: {said}");
    }
    // What the table of commands writes is what the program takes.
    for line in readme.lines().filter(|line| line.starts_with("| `netc ")) {
        let name = line.split([' ', '`']).nth(3).expect("a command's name");
        assert!(folder.ok(&format!("help {name}")).contains("Usage: netc"));
    }
}

/// Every example of nets does what the shipped ones promise.
#[test]
fn examples_are_right() {
    let folder = Folder::new();
    let mut nets = 0;
    for entry in std::fs::read_dir(root("examples")).expect("the folder exists") {
        let path = entry.expect("the folder can be read").path();
        if path.extension().is_some_and(|extension| extension == "net") {
            let path = path.display();
            folder.ok(&format!("check {path}"));
            folder.ok(&format!("summary {path}"));
            nets += 1;
        }
    }
    assert!(nets >= 3);
}

#[test]
fn shipped_blocks_are_listed_and_printed() {
    let folder = Folder::new();
    let list = folder.ok("std");
    assert!(
        list.contains("std.squeezenet\n  fire(squeeze, expand)\n      Few channels"),
        "{list}"
    );
    let source = folder.ok("std squeezenet");
    assert!(source.contains("block fire(squeeze, expand) {"), "{source}");
    // What is printed can be copied and checked.
    folder.write("copy.net", &source);
    assert_eq!(folder.ok("check copy.net"), "copy.net: ok (blocks only)\n");
    let wrong = folder.netc("std squezenet");
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("did you mean `squeezenet`?"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn files_use_one_another() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("lib")).expect("a new folder");
    folder.write(
        "lib/blocks.net",
        "use \"parts.net\"\nblock unit(n) { part(n) }",
    );
    folder.write("lib/parts.net", "block part(n) { dense(n) -> relu }");
    folder.write(
        "a.net",
        "use \"lib/blocks.net\"\nnet A { input [4]; unit(3) }",
    );
    assert_eq!(folder.ok("check a.net"), "a.net: ok (A)\n");
    folder.write("lib/parts.net", "block part(n) { dense(n) -> rleu }");
    let wrong = folder.netc("check a.net");
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("--> lib/parts.net:1:29"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn searches_are_counted_and_documentation_is_shown() {
    let folder = Folder::new();
    let text = "/// Two layers.\nnet A(\n    /// How wide.\n    width = 1.0) { input [4]; dense(floor(4 * width)) }\n\
        search A { vary w in 1.0..1.3 step 0.1, n in [1, 2]; set width = w * n; maximize val_accuracy }";
    folder.write("a.net", text);
    let shown = folder.ok("check a.net");
    assert_eq!(shown, "a.net: ok (A)\na.net: search A: 4 x 2 = 8 points\n");
    let summary = folder.ok("summary a.net");
    assert!(
        summary.contains("Two layers.\n  width = 1  How wide.\n"),
        "{summary}"
    );
    assert!(summary.contains("search A: 4 x 2 = 8 points"), "{summary}");
}

/// What a net, its parameters, and the blocks that it uses say of themselves.
#[test]
fn comments_that_document_show_in_the_summary() {
    let folder = Folder::new();
    folder.write(
        "told.net",
        "/// A net that is told of.
net Told(
    /// How many.
    classes = 3,
) {
    input [2, 6, 6]
    narrow(4) -> narrow(2) -> plain
    global_avgpool -> dense(classes)
}

/// Fewer channels.
block narrow(
    /// What is left of them.
    width,
) {
    conv(width, 1)
}

block plain { relu }

/// Nobody uses this one.
block idle { relu }

train Told { loss cross_entropy }
",
    );
    let text = folder.ok("summary told.net");
    let head = "Told: [2, 6, 6] to [3]
A net that is told of.
  classes = 3  How many.
  block narrow(width)  Fewer channels.
    width  What is left of them.

layer";
    assert!(text.starts_with(head), "{text}");
    assert!(!text.contains("Nobody"), "{text}");
    assert!(
        text.contains("memory, training step the `train` section names no optimizer"),
        "{text}"
    );
    let object = &folder.json("summary told.net --json")[0];
    let block = &object["blocks"][0];
    assert_eq!(block["call"], "narrow(width)");
    assert_eq!(block["doc"], "Fewer channels.");
    assert_eq!(block["parameters"][0]["doc"], "What is left of them.");
    assert_eq!(object["blocks"].as_array().map(Vec::len), Some(1));
}

/// How running statistics move is no part of a graph for use, and frameworks differ in it.
#[test]
fn a_dump_of_training_says_how_statistics_move() {
    let folder = Folder::new();
    folder.write(
        "norms.net",
        "net Norms {
    input [2, 6, 6]
    shared twice { bn(momentum = 0.01) }
    conv(4, 3) -> bn -> twice -> twice -> kept: bn
    global_avgpool -> dense(3)
}

train Norms {
    loss cross_entropy
    optimizer sgd(lr = 0.1)
    freeze kept
}
",
    );
    let text = folder.ok("dump norms.net --stage train");
    let moving = "\
// running statistics, momentum 0.1, variance stored unbiased: bn1
// running statistics, momentum 0.01, variance stored unbiased: twice.bn1
";
    assert!(text.contains(moving), "{text}");
}

/// Decay of `all` takes biases and the scales and shifts of norms too, that of `weights` neither.
#[test]
fn a_dump_of_training_says_what_decays() {
    let folder = Folder::new();
    let net = "net Decayed {
    input [2, 6, 6]
    conv(4, 3) -> bn -> relu
    flatten -> dense(3)
}

train Decayed {
    loss cross_entropy
    optimizer sgd(lr = 0.1, weight_decay = 0.1, decay = all)
}
";
    let all = "conv1.weight, conv1.bias, bn1.weight, bn1.bias, dense1.weight, dense1.bias";
    for (decay, decayed) in [("all", all), ("weights", "conv1.weight, dense1.weight")] {
        let choice = format!("decay = {decay})");
        folder.write("decayed.net", &net.replace("decay = all)", &choice));
        let text = folder.ok("dump decayed.net --stage train");
        assert!(text.contains(&choice), "{text}");
        let line = format!("\n// decayed: {decayed}\n");
        assert!(text.contains(&line), "{text}");
    }
}
