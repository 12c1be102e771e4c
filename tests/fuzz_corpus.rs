//! The inputs that are kept for the fuzzer, through the same checks; `tests/fuzz/README.md` says how to run the fuzzer.

use std::path::Path;

#[path = "fuzz/checks.rs"]
mod checks;

fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder is part of the repository") {
        let path = entry.expect("the folder can be read").path();
        check(&std::fs::read(&path).expect("the file can be read"));
        count += 1;
    }
    assert!(count > 3, "{target} has inputs");
}

#[test]
fn texts() {
    replay("parse", checks::parse);
}

#[test]
fn nets() {
    replay("check", checks::check);
}

#[test]
fn weights_files() {
    replay("weights", checks::weights);
}

#[test]
fn arrays_of_numbers() {
    replay("arrays", checks::arrays);
}
