//! The pages of `netc explain`: one for each code, with a wrong example that gives this code alone and a right one that
//! gives nothing.

use std::collections::BTreeSet;
use std::path::Path;

use netc::diag::{Diagnostic, Files, Renderer, Terminal, codes};
use netc::program::{Program, Texts};
use netc::sema::{self, Mode, Override};
use netc::syntax;

/// The examples of a page, with the words behind `net` where the example begins.
fn examples(page: &str) -> Vec<(&str, &str)> {
    let starts = page.split("```net").skip(1);
    starts
        .map(|rest| {
            let (words, rest) = rest.split_once('\n').expect("a block has lines");
            let text = rest.split("```").next().expect("a split has a first part");
            (words.trim(), text)
        })
        .collect()
}

/// What `netc check` finds in an example.
fn check(words: &str, text: &str) -> (Vec<Diagnostic>, Files) {
    let mut bytes = text.as_bytes().to_vec();
    let mut setting = None;
    match words.split_once(' ') {
        None if words.is_empty() => {}
        None if words == "latin1" => {
            bytes = text
                .chars()
                .map(|c| u8::try_from(u32::from(c)).expect("a character of Latin-1"))
                .collect();
        }
        Some(("repeat", count)) => {
            let mut lines = text.split_inclusive('\n');
            let first = lines.next().expect("a first line");
            let second = lines.next().expect("a line to repeat");
            let rest: String = lines.collect();
            let count = count.parse().expect("a number of lines");
            bytes = format!("{first}{}{rest}", second.repeat(count)).into();
        }
        Some(("set", given)) => setting = Some(given),
        _ => panic!("unknown words `{words}`"),
    }
    let mut files = Files::new();
    let file = match syntax::read(&mut files, "example.net", &bytes) {
        Ok(file) => file,
        Err(diagnostic) => return (vec![*diagnostic], files),
    };
    let name = Path::new("example.net");
    let sources = Texts::new().with(name, bytes);
    let loaded = Program::load(&mut files, file, name, &sources);
    let Some(program) = loaded.program else {
        return (loaded.diagnostics, files);
    };
    let setting = setting.map(|given| Override::parse(&mut files, given).expect("a setting"));
    let overrides: Vec<Override> = setting.into_iter().collect();
    let mut nets: Vec<Option<&str>> = sema::net_names(program.main())
        .into_iter()
        .map(Some)
        .collect();
    if nets.is_empty() {
        nets.push(None);
    }
    let mut found = loaded.diagnostics;
    found.extend(sema::searches(&program, &files).1);
    for net in nets {
        for mode in [Mode::Infer, Mode::Train] {
            found.extend(
                match sema::elaborate(&program, &files, net, &overrides, mode) {
                    Ok(model) => model.warnings,
                    Err(diagnostics) => diagnostics,
                },
            );
        }
    }
    (found, files)
}

fn shown(diagnostics: &[Diagnostic], files: &Files) -> String {
    let terminal = Terminal { color: false };
    diagnostics
        .iter()
        .map(|d| terminal.render(d, files) + "\n\n")
        .collect()
}

#[test]
fn every_code_has_a_page_with_examples_that_hold() {
    for &code in codes::ALL {
        let heading = format!("# {code}: {}\n", code.title);
        assert!(
            code.page.starts_with(&heading),
            "{code}: the page starts with its title"
        );
        let examples = examples(code.page);
        let [(words, wrong), (right_words, right)] = examples.as_slice() else {
            panic!("{code}: a page has a wrong and a right example");
        };
        assert_eq!(*right_words, "", "{code}: the right example needs no words");
        let (found, files) = check(words, wrong);
        let codes: BTreeSet<&str> = found.iter().map(|d| d.code.id).collect();
        assert_eq!(
            codes,
            BTreeSet::from([code.id]),
            "{code}: the wrong example\n{}",
            shown(&found, &files)
        );
        let (found, files) = check("", right);
        let found_is_empty = found.is_empty();
        assert!(
            found_is_empty,
            "{code}: the right example\n{}",
            shown(&found, &files)
        );
    }
}

#[test]
fn every_example_stands_on_lines_that_can_be_read() {
    for code in codes::ALL {
        for (_, example) in examples(code.page) {
            let longest = example.lines().map(str::len).max().unwrap_or(0);
            assert!(longest <= 100 || *code == codes::NAME_TOO_LONG, "{code}");
        }
    }
}
