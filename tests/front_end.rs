//! What no input may do to the front end, and what must not matter to it.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use netc::diag::{Code, Diagnostic, Files, Renderer, Terminal, codes};
use netc::program::{Program, Texts};
use netc::sema::{self, Mode};
use netc::syntax::{self, Parsed};
use proptest::prelude::*;

fn parse(text: &str) -> (Parsed, Files) {
    let mut files = Files::new();
    let file = files.add("test.net", text);
    (syntax::parse(file, text), files)
}

fn tree(text: &str) -> String {
    let (parsed, files) = parse(text);
    match parsed.ast {
        // Comments that document something are content; the tests below change comments.
        Some(ast) => syntax::print::print(&ast)
            .lines()
            .filter(|line| !line.contains("///"))
            .collect(),
        None => panic!("{text}\n{}", render(&parsed.diagnostics, &files)),
    }
}

fn render(diagnostics: &[Diagnostic], files: &Files) -> String {
    let terminal = Terminal { color: false };
    diagnostics
        .iter()
        .map(|d| terminal.render(d, files) + "\n")
        .collect()
}

/// The text is rejected quickly, and its first finding has the wanted code.
fn check_hostile(text: &str, code: Code) {
    let start = Instant::now();
    let (parsed, files) = parse(text);
    let shown = render(&parsed.diagnostics, &files);
    let time = start.elapsed();
    assert!(parsed.ast.is_none());
    assert_eq!(
        parsed.diagnostics.first().map(|d| d.code),
        Some(code),
        "{shown}"
    );
    assert!(
        shown.len() < 20_000,
        "a message of {} bytes helps nobody",
        shown.len()
    );
    // Far above what a debug build takes on a busy machine, and far below what anything but linear work would take.
    assert!(time < Duration::from_secs(20), "took {time:?}");
}

#[test]
fn deep_nesting_is_an_error() {
    for bracket in ["(", "[", "{", "f(", "add{", "if x {", "({[", "[(1, "] {
        check_hostile(&bracket.repeat(100_000), codes::TOO_DEEP);
        check_hostile(
            &format!("net A {{ {}", bracket.repeat(100_000)),
            codes::TOO_DEEP,
        );
    }
}

#[test]
fn long_operator_runs_are_an_error() {
    let minus = format!("fn f() {{ {}1 }}", "-".repeat(30_000));
    check_hostile(&minus, codes::TOO_MANY_OPERATORS);
    check_hostile(
        &format!("fn f() {{ 1{} }}", " + 1".repeat(150_000)),
        codes::TOO_MANY_OPERATORS,
    );
    check_hostile(
        &format!("fn f() {{ ({}1) }}", "not\n".repeat(100_000)),
        codes::TOO_MANY_OPERATORS,
    );
    check_hostile(
        &format!("fn f() {{ 1{} }}", "+1".repeat(300_000)),
        codes::TOO_MANY_OPERATORS,
    );
}

#[test]
fn depth_of_operators_and_brackets_together_is_bounded() {
    let mut text = "1".to_owned();
    for _ in 0..90 {
        text = format!("({text}{})", " + 1".repeat(150));
    }
    check_hostile(&format!("fn f() {{ {text} }}"), codes::TOO_DEEP);
}

#[test]
fn huge_inputs_are_an_error() {
    check_hostile(&"a".repeat(10_000_000), codes::TOO_LARGE);
    check_hostile(&"a -> ".repeat(2_000_000), codes::TOO_LARGE);
    check_hostile(&"a".repeat(1_000_000), codes::NAME_TOO_LONG);
    check_hostile(
        &format!("net A {{ conv(\"{}\") ? }}", "x".repeat(1_000_000)),
        codes::BAD_CHARACTER,
    );
}

#[test]
fn hostile_files_are_errors() {
    let many = |part: &str, count: usize| part.repeat(count);
    check_hostile(&many("{", 10 << 20), codes::TOO_LARGE);
    check_hostile(
        &format!("net A {{ input [4]{} }}", many("; repeat 2 { relu", 30_000)),
        codes::TOO_DEEP,
    );
    check_hostile(
        &format!("net A {{ {} }}", many("if a { ", 30_000)),
        codes::TOO_DEEP,
    );
    check_hostile(&many("repeat 2 { relu }\n", 5_000), codes::OUTSIDE_ITEM);
    check_hostile("net A {\0 input [4] }", codes::BAD_CHARACTER);
    check_hostile(&many("\0", 1_000_000), codes::BAD_CHARACTER);
    check_hostile(
        &format!("fn f() {{ [{}] }}", many("12px, ", 50_000)),
        codes::BAD_NUMBER,
    );
    check_hostile(&many("fn f() { } ", 5_000), codes::BAD_FUNCTION_BODY);
}

/// A file of many words is refused before a tree is made of it, however short its lines are.
#[test]
fn many_words_are_an_error() {
    for (before, part, after) in [
        ("net A { input [4]; concat { ", "id;", " } }"),
        ("fn f() { [", "1,", "] }"),
        ("", "//\n", ""),
        ("", "/**/", ""),
        ("net A { input [4]; relu", " -> relu", " }"),
        ("net A { input [4] }\ntrain A { freeze ", "\"*\",", " }"),
    ] {
        check_hostile(
            &format!("{before}{}{after}", part.repeat(170_000)),
            codes::TOO_LARGE,
        );
    }
    check_hostile(&"net a { input [1] }\n".repeat(257), codes::TOO_LARGE);
    for signs in ["->", ";", ",", ":", "."] {
        check_hostile(&signs.repeat(200_000), codes::TOO_LARGE);
    }
}

/// Files at the edge of what is read, of each kind of thing that can stand many times. Work that grows with the
/// square of their number would take minutes here, and the suite a hundred times as long as the rest of it.
#[test]
fn many_of_one_kind_take_linear_time() {
    let each = |count: usize, part: &dyn Fn(usize) -> String| (0..count).map(part).collect();
    let net = |body: String| format!("net A {{\n    input [4]\n{body}\n}}\n");
    let section = |lines: String| format!("{}train A {{\n{lines}\n}}\n", net("dense(1)".into()));
    let texts: [String; 11] = [
        net(each(20_000, &|i| format!("let a{i} = {i}\n"))),
        net(each(9_000, &|i| format!("shared s{i} {{ relu }}\n"))),
        net(each(20_000, &|i| format!("dense(q{i})\n"))),
        net(each(40_000, &|_| "rleu;".to_owned())),
        net("relu;".repeat(40_000)),
        net(format!("concat {{ {} }}", "id;".repeat(40_000))),
        net(format!(
            "b({})\n}}\nblock b({}) {{ relu",
            each(20_000, &|i| format!("p{i} = 1, ")),
            each(20_000, &|i| format!("p{i} = 1, "))
        )),
        section(each(20_000, &|i| format!("loss a{i} = mse\n"))),
        section(each(40_000, &|i| format!("a{i} 1\n"))),
        section(format!(
            "loss mse; freeze {}",
            vec!["\"*.*.*\""; 40_000].join(",")
        )),
        format!(
            "{}{}",
            net("dense(1)".into()),
            each(20_000, &|i| format!("block b{i} {{ relu }}\n"))
        ),
    ];
    let start = Instant::now();
    for text in &texts {
        elaborate(text);
    }
    let long = format!(
        "{}net A {{ input [4]; dense(1) }}",
        "// a\n".repeat(100_000)
    );
    let file = Files::new().add("test.net", long.as_str());
    assert_eq!(
        syntax::fmt::format(file, &long)
            .expect("it is right")
            .lines()
            .count(),
        100_001
    );
    // As above: linear work takes a few seconds in a debug build.
    assert!(
        start.elapsed() < Duration::from_secs(120),
        "took {:?}",
        start.elapsed()
    );
}

/// A layout that would be longer than a file may be is refused, and the file is left as it is.
#[test]
fn a_layout_that_is_too_long_is_an_error() {
    let body = format!("{}relu{}", "{".repeat(90), ";relu".repeat(30_000));
    let text = format!("net A {{ input [4]; {body}{} }}", "}".repeat(90));
    let file = Files::new().add("test.net", text.as_str());
    let errors = syntax::fmt::format(file, &text).expect_err("it is too long");
    assert_eq!(errors[0].code, codes::TOO_LARGE);
    assert!(
        errors[0]
            .message
            .starts_with("laid out, the file would have ")
    );
}

/// Surrogates stand for characters in UTF-16 alone; as bytes they are no text.
#[test]
fn lone_surrogates_are_no_text() {
    let mut files = Files::new();
    let error = syntax::read(&mut files, "test.net", b"net A { \xED\xA0\x80 }").unwrap_err();
    assert_eq!(error.code, codes::NOT_UTF8);
    assert_eq!(
        files
            .location(error.labels[0].span.file, error.labels[0].span.start)
            .column,
        9
    );
}

/// The stack of the threads below. The deepest text that is accepted takes less in a debug build, where frames are
/// several times as large as in a release build, and a main thread has eight megabytes.
const STACK: usize = 1 << 20;

/// The limits of nesting bound the recursion of the parser, the layout and the expansion.
#[test]
fn the_deepest_texts_fit_a_small_stack() {
    let work = || {
        for (open, close) in [
            ("(", ")"),
            ("[", "]"),
            ("-(", ")"),
            ("if a { ", " } else { 2 }"),
        ] {
            for depth in [49, 98, 30_000] {
                let text = format!(
                    "fn f(a) {{ {}1{} }}\nnet A {{ input [4]; dense(f(true)) }}",
                    open.repeat(depth),
                    close.repeat(depth)
                );
                elaborate(&text);
                let file = Files::new().add("test.net", text.as_str());
                drop(syntax::fmt::format(file, &text));
            }
        }
        for (open, close) in [
            ("add { id; ", "}"),
            ("{ ", "}"),
            ("repeat 1 { ", "}"),
            ("if true { ", "}"),
        ] {
            for depth in [49, 98, 30_000] {
                let body = format!("{}relu{}", open.repeat(depth), close.repeat(depth));
                let text = format!("net A {{ input [4]; {body} }}");
                elaborate(&text);
                let file = Files::new().add("test.net", text.as_str());
                drop(syntax::fmt::format(file, &text));
            }
        }
        elaborate("block b { b }\nnet A { input [4]; b }");
        elaborate("fn f(n) { 1 + f(n) }\nnet A { input [4]; dense(f(1)) }");
    };
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(work);
    thread
        .expect("a thread starts")
        .join()
        .expect("no text exhausts the stack");
}

/// Adding the step again and again would lose the last item of each of these.
#[test]
fn ranges_keep_their_ends() {
    for (range, items) in [
        ("1.0..1.5 step 0.1", 6),
        ("1.0..1.3 step 0.1", 4),
        ("1.0..1.3 step 0.05", 7),
        ("1..4", 4),
    ] {
        let text = format!("net A {{ input [1]; for _x in {range} {{ dense(1, bias = false) }} }}");
        let mut files = Files::new();
        let file = files.add("test.net", text.as_str());
        let program = Program::alone(&mut files, file).program;
        let program = program.expect("the text is right");
        let model =
            sema::elaborate(&program, &files, None, &[], Mode::Infer).expect("so is the net");
        assert_eq!(model.graph.params().count(), items, "{range}");
    }
}

#[test]
fn large_but_sane_inputs_are_fast() {
    let mut text = "net A {\n".to_owned();
    for line in 0..10_000 {
        let _ = writeln!(text, "    conv({line}, 3, pad = 1) -> bn -> relu // {line}");
    }
    text.push('}');
    let start = Instant::now();
    assert!(parse(&text).0.ast.is_some());
    assert!(
        start.elapsed() < Duration::from_secs(3),
        "took {:?}",
        start.elapsed()
    );
}

/// Inputs for which a grammar with unfactored alternatives takes exponential time.
#[test]
fn nesting_within_the_limit_is_linear() {
    let depth = 45;
    let nest = |open: &str, close: &str| format!("{}1{}", open.repeat(depth), close.repeat(depth));
    let start = Instant::now();
    for (open, close) in [
        ("(", ")"),
        ("[", "]"),
        ("(1, ", ")"),
        ("f(a = ", ")"),
        ("if a { ", " } else { 2 }"),
    ] {
        tree(&format!("fn f(a) {{ {} }}", nest(open, close)));
    }
    for (open, close) in [
        ("add { id; ", " }"),
        ("add{", "}"),
        ("{ ", " }"),
        ("a -> { ", " } -> b"),
        ("x{1}.y: add { ", "}"),
    ] {
        let body = format!("{}relu{}", open.repeat(depth), close.repeat(depth));
        tree(&format!("net A {{ {body} }}"));
        // The same, left unfinished.
        assert!(
            parse(&format!(
                "net A {{ {} }}",
                body.replace("relu", "relu relu")
            ))
            .0
            .ast
            .is_none()
        );
    }
    assert!(
        start.elapsed() < Duration::from_secs(1),
        "took {:?}",
        start.elapsed()
    );
}

fn examples() -> Vec<String> {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ui/syntax");
    let files = std::fs::read_dir(dir).expect("the folder is part of the repository");
    let paths = files.map(|entry| entry.expect("the folder can be read").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|ext| ext == "net"));
    let read = |path| {
        std::fs::read_to_string(path)
            .expect("examples are UTF-8")
            .replace("\r\n", "\n")
    };
    let texts: Vec<String> = paths.map(read).collect();
    assert!(!texts.is_empty());
    texts
}

/// The text with every blank outside of comments and strings put through `change`.
fn change_blanks(text: &str, change: impl Fn(char) -> String) -> String {
    let (parsed, _) = parse(text);
    let comment = |at: usize| parsed.comments.iter().any(|c| c.range().contains(&at));
    let mut quoted = false;
    let mut out = String::new();
    for (at, c) in text.char_indices() {
        quoted ^= c == '"' && !comment(at) && !text[..at].ends_with('\\');
        if (c == ' ' || c == '\n') && !comment(at) && !quoted {
            out.push_str(&change(c));
        } else {
            out.push(c);
        }
    }
    out
}

#[test]
fn comments_and_blanks_do_not_matter() {
    for text in examples() {
        let before = tree(&text);
        assert_eq!(before, tree(&text.replace('\n', "\r\n")));
        assert_eq!(
            before,
            tree(&change_blanks(&text, |c| format!("{c}/* c */{c}")))
        );
        assert_eq!(
            before,
            tree(&change_blanks(&text, |c| if c == '\n' {
                "\t// é, \"\n\n".into()
            } else {
                "\t".into()
            }))
        );
        assert_eq!(before, tree(&format!("{text} // no line break at the end")));
    }
}

#[test]
fn every_comment_is_reported_once_and_in_order() {
    for text in examples() {
        let (parsed, files) = parse(&change_blanks(&text, |c| format!("{c}/* c */{c}")));
        let ours = parsed
            .comments
            .iter()
            .filter(|span| files.slice(**span) == "/* c */");
        let blanks = std::cell::Cell::new(0);
        change_blanks(&text, |c| {
            blanks.set(blanks.get() + 1);
            c.to_string()
        });
        assert_eq!(ours.count(), blanks.get());
        assert!(parsed.comments.is_sorted());
    }
}

fn token() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "net ",
        "block ",
        "fn ",
        "train ",
        "search ",
        "preset ",
        "use ",
        "edition ",
        "let ",
        "input ",
        "output ",
        "shared ",
        "add ",
        "concat ",
        "max",
        "id ",
        "in ",
        "if ",
        "else ",
        "repeat ",
        "for ",
        "aux ",
        "as ",
        "and ",
        "or ",
        "not ",
        "A",
        "b",
        "conv",
        "1",
        "2.5",
        "1e",
        "8M",
        "\"s\"",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "{",
        "}",
        "->",
        ":",
        ": ",
        ";",
        "\n",
        " ",
        ",",
        ".",
        "..",
        "=",
        "==",
        "<",
        "+",
        "-",
        "*",
        "^",
        "//",
        "/*",
        "*/",
        "é",
        "\r",
        "/// d\n",
        "step ",
        "vary ",
        "set ",
        "subject to ",
        "maximize ",
        "from ",
        "l1:",
        "x{",
        "日",
        "\"",
        "\\",
    ])
}

/// Elaborates every net of a text in both modes, and shows what is found.
fn elaborate(text: &str) {
    let mut files = Files::new();
    let file = files.add("test.net", text);
    let loaded = Program::alone(&mut files, file);
    let Some(program) = loaded.program else {
        if let Some(rest) = &loaded.recovered {
            render(&sema::check_recovered(rest, &files, None, &[]), &files);
        }
        return;
    };
    for net in sema::net_names(program.main()) {
        for mode in [Mode::Infer, Mode::Train] {
            match sema::elaborate(&program, &files, Some(net), &[], mode) {
                Ok(model) => {
                    netc::ir::verify::verify(&model.graph).expect("a graph that comes out is valid")
                }
                Err(diagnostics) => {
                    assert!(diagnostics.iter().any(Diagnostic::is_error));
                    render(&diagnostics, &files);
                }
            }
        }
    }
}

/// Statements that are likely to fit together, and values that are not.
fn statement() -> impl Strategy<Value = String> {
    let value = prop::sample::select(vec![
        "1",
        "2",
        "3",
        "n",
        "in.channels",
        "in.height / 2",
        "0",
        "-1",
        "1e300",
        "9007199254740992",
        "same",
        "(1, 2)",
        "(1, 0, 2, 1)",
        "[2, 2]",
        "true",
        "relu",
        "b",
        "max(n, 2)",
        "f(2)",
        "16777216",
        "1.5",
        "\"s\"",
        "skip",
    ]);
    let frame = prop::sample::select(vec![
        "conv(#, #, pad = #)",
        "conv(#, #, stride = #, dilation = #, groups = #)",
        "dwconv(#, multiplier = #)",
        "dense(#)",
        "maxpool(#, stride = #, pad = #, ceil = #)",
        "avgpool(#)",
        "global_avgpool",
        "relu -> bn -> tanh",
        "flatten",
        "dropout(0.#)",
        "softmax",
        "reshape([#, #])",
        "b(#)",
        "add { id; conv(#, 1) }",
        "concat { id; relu; # }",
        "mul { id; global_avgpool -> sigmoid }",
        "max { id; in }",
        "repeat # { relu -> b(#) }",
        "for i in #..# { dense(i) }",
        "if n > # { relu } else { dense(#) }",
        "let n = #",
        "let (n, m) = #",
        "relu as skip",
        "skip -> relu",
        "l{#}: b(#)",
        "shared s { dense(#) }",
        "s",
        "output o",
        "input x: [#, #, #]",
        ": [#]",
        "aux(#) { dense(#) }",
        "# -> #",
        "concat for k in [#, #] { conv(#, k, pad = same) }",
    ]);
    (frame, prop::collection::vec(value, 4)).prop_map(|(frame, values)| {
        let mut values = values.into_iter().cycle();
        frame
            .split('#')
            .map(str::to_owned)
            .reduce(|text, part| text + values.next().unwrap_or("1") + &part)
            .unwrap_or_default()
    })
}

/// A wide character that the grammar does not know is marked whole, also where a statement stands in its place.
#[test]
fn places_do_not_cut_characters() {
    let text = "net A { }日x{日}net net  }";
    let (parsed, _) = parse(text);
    let labels = parsed.diagnostics.iter().flat_map(|found| &found.labels);
    let shown: Vec<Option<&str>> = labels.map(|label| text.get(label.span.range())).collect();
    assert!(shown.contains(&Some("日")), "{shown:?}");
    assert!(shown.iter().all(Option::is_some), "{shown:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the text, there is a tree or an error, every place lies inside the text, and everything can be shown.
    #[test]
    fn any_text_is_answered(tokens in prop::collection::vec(token(), 0..40), in_net in any::<bool>()) {
        let soup: String = tokens.concat();
        let text = if in_net { format!("net A {{ {soup} }}") } else { soup };
        let (parsed, files) = parse(&text);
        prop_assert_eq!(parsed.ast.is_none(), parsed.diagnostics.iter().any(Diagnostic::is_error));
        for diagnostic in &parsed.diagnostics {
            prop_assert!(diagnostic.span().is_some());
            for label in &diagnostic.labels {
                prop_assert!(text.get(label.span.range()).is_some(), "{:?} in {:?}", label, text);
            }
        }
        render(&parsed.diagnostics, &files);
        if let Some(ast) = &parsed.ast {
            prop_assert!(!ast.items.is_empty() || syntax::print::print(ast).len() < 20);
            elaborate(&text);
        }
    }

    /// Whatever the net, there is a valid graph or an error, never a panic and never a long wait.
    #[test]
    fn any_net_is_answered(block in prop::collection::vec(statement(), 0..4), net in prop::collection::vec(statement(), 0..10)) {
        let (block, net) = (block.join("\n"), net.join("\n"));
        elaborate(&format!("fn f(x) {{ x + 1 }}\nblock b(n = 2) {{ {block} }}\nnet A(n = 4) {{ input [4, 8, 8]\n {net} }}"));
    }
}

/// Loads a program from texts in memory; the first is the one that is asked for.
fn program(texts: &[(&str, &str)]) -> (Option<Program>, String) {
    let mut sources = Texts::new();
    for (path, text) in texts {
        sources = sources.with(path, *text);
    }
    let mut files = Files::new();
    let (path, text) = texts[0];
    let file = files.add(path, text);
    let loaded = Program::load(&mut files, file, Path::new(path), &sources);
    (loaded.program, render(&loaded.diagnostics, &files))
}

#[test]
fn files_in_memory_use_one_another() {
    let (loaded, found) = program(&[
        (
            "a/main.net",
            "use \"../b/left.net\"\nuse \"right.net\"\nnet A { input [4]; left -> right }",
        ),
        ("b/left.net", "use \"shared.net\"\nblock left { part }"),
        (
            "a/right.net",
            "use \"../b/shared.net\"\nblock right { part }",
        ),
        ("b/shared.net", "block part { relu }"),
    ]);
    let loaded = loaded.unwrap_or_else(|| panic!("{found}"));
    // The file that both sides use is there once.
    assert_eq!(loaded.modules().len(), 4);
}

#[test]
fn files_of_the_disk_stay_closed_to_texts() {
    let (loaded, found) = program(&[(
        "main.net",
        "use \"examples/lenet5.net\"\nnet A { input [4]; id }",
    )]);
    assert!(loaded.is_none());
    assert!(
        found.contains("there is no file `examples/lenet5.net`"),
        "{found}"
    );
}

#[test]
fn a_chain_of_too_many_files_ends() {
    let texts: Vec<(String, String)> = (0..300)
        .map(|at| {
            let text = format!("use \"{}.net\"\nblock b{at} {{ relu }}", at + 1);
            (format!("{at}.net"), text)
        })
        .collect();
    let texts: Vec<(&str, &str)> = texts
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let (loaded, found) = program(&texts);
    assert!(loaded.is_none());
    assert!(found.contains("take more than 256 files"), "{found}");
}

#[test]
fn files_that_are_too_large_together_end() {
    let filler = format!("/*{}*/\n", "x".repeat(70)).repeat(13_000);
    let names: Vec<String> = (0..20).map(|at| format!("{at}.net")).collect();
    let uses: String = names
        .iter()
        .map(|name| format!("use \"{name}\"\n"))
        .collect();
    let mut texts = vec![("main.net", uses.as_str())];
    texts.extend(names.iter().map(|name| (name.as_str(), filler.as_str())));
    let (loaded, found) = program(&texts);
    assert!(loaded.is_none());
    assert!(found.contains("take more than 16777216 bytes"), "{found}");
}

/// One line each; none may take the machine down.
#[test]
fn expansion_is_bounded() {
    let blocks: String = (1..40)
        .map(|at| format!("block b{at} {{ b{} ; b{} }}\n", at - 1, at - 1))
        .collect();
    let lists: String = (1..60)
        .map(|at| format!("let l{at} = [l{}, l{}]\n", at - 1, at - 1))
        .collect();
    let label = "x".repeat(100_000);
    for text in [
        format!("block b0 {{ id }}\n{blocks}net A {{ input [4]; b39 }}"),
        format!("net A {{ input [4]\nlet l0 = [1, 2]\n{lists}\nif l59 == l59 {{ relu }} }}"),
        "net A { input [4]; repeat 100000 { repeat 100000 { } } }".to_owned(),
        "net A { input [4]; for i in 1..100000 { for j in 1..100000 { } } }".to_owned(),
        "net A { input [4]; add for i in 1..100000 { repeat 100000 { id } } }".to_owned(),
        "net A { input [4]; repeat 100000 { repeat 100000 { shared s { id } } } }".to_owned(),
        "fn f(n) { f(n) + f(n) }\nnet A { input [f(1)]; id }".to_owned(),
        "fn f(n) { if n < 1 { 1 } else { f(n - 1) + f(n - 1) } }\nnet A { input [f(40)]; id }"
            .to_owned(),
        format!(
            "net A {{ input [4]\nlet s = \"{label}\"\nrepeat 1 {{ {{s}}: {{ {{s}}: {{ {{s}}: {{ dense(4) }} }} }} }} }}"
        ),
        "net A { input [16000000]; repeat 60 { dense(16000000) } }".to_owned(),
    ] {
        let start = Instant::now();
        let mut files = Files::new();
        let file = files.add("test.net", text.as_str());
        let loaded = Program::alone(&mut files, file);
        let Some(program) = loaded.program else {
            panic!("{}", render(&loaded.diagnostics, &files));
        };
        let found = sema::elaborate(&program, &files, None, &[], Mode::Infer).err();
        let found = found.unwrap_or_else(|| panic!("{} is accepted", &text[..text.len().min(200)]));
        assert!(found.iter().any(Diagnostic::is_error));
        // Generous for a debug build on a busy machine; in release each takes a fraction of a second.
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "took {:?}",
            start.elapsed()
        );
    }
}

/// The codes and lines of everything that one run finds.
fn all_findings(text: &str) -> Vec<(&'static str, usize)> {
    let mut files = Files::new();
    let file = files.add("test.net", text);
    let loaded = Program::alone(&mut files, file);
    let mut found = loaded.diagnostics;
    if let Some(rest) = &loaded.recovered {
        found.extend(sema::check_recovered(rest, &files, None, &[]));
    }
    netc::diag::sort(&mut found);
    let place = |d: &Diagnostic| {
        let span = d.span().expect("a finding has a place");
        (d.code.id, files.location(span.file, span.start).line)
    };
    found.iter().map(place).collect()
}

#[test]
fn an_item_inside_of_another_is_one_error() {
    // The brace in line 8 belongs to what was not closed, and is none that closes nothing.
    let text = "net Outer {\n    input [4, 8, 8]\n    add {\n        id\nnet Inner {\n    input [4, 8, 8]\n\
        }\n}\nnet After {\n    input [4, 8, 8]\n    conv(4, 9)\n}\n";
    assert_eq!(all_findings(text), [("N0103", 3), ("N0213", 11)]);
}

#[test]
fn errors_behind_an_unclosed_item_are_found() {
    let text = "block a { conv(1, 2\nblock b { conv 1 }\nblock c { conv(1, 2) } }\n\
        net D { input [4]; a -> b -> c -> d }\nnet E { input [4]; dense(2) : [3] }\n";
    let wanted = [
        ("N0103", 1),
        ("N0110", 2),
        // The second brace there may be the one that is missed in the first line.
        ("N0202", 4),
        ("N0214", 5),
    ];
    assert_eq!(all_findings(text), wanted);
}

#[test]
fn a_comment_without_an_end_hides_what_follows() {
    let text = "net A { input [4]; b }\nnet C { input [4] ? }\n/* block b { relu }\n";
    assert_eq!(all_findings(text), [("N0109", 2), ("N0106", 3)]);
}

#[test]
fn statements_with_errors_hide_nothing_beside_them() {
    let statements = |wrong: &str| {
        format!(
            "net A {{\n    input [4, 8, 8]\n    {wrong}\n    id : [4, 8, 8]\n    conv(4, 9)\n    conv(c, 3)\n}}\n"
        )
    };
    for wrong in [
        "conv 4",
        "relu relu",
        "repeat 2 { conv(4, 3) relu }",
        "repeat { relu }",
        "add { id; relu relu }",
        "relu as",
        "dense(if a { 1 2 } else { 3 })",
        "relu -> dense(1 +) as e; relu",
        "let a = [1, 2",
        "if a { relu } els { relu }",
        "relu + 1",
        "l{1 2}: relu",
        "dense(12px)",
        "dense(1..2)",
    ] {
        let found = all_findings(&statements(wrong));
        let unclosed = wrong.matches('[').count() > wrong.matches(']').count();
        // The assertion says how to go on behind a statement of which nothing is known.
        let wanted: &[_] = match unclosed {
            true => &[],
            false => &[("N0213", 5), ("N0201", 6)],
        };
        let (first, rest) = found.split_first().expect("it is wrong");
        assert!(first.0 < "N02" && first.1 == 3, "{wrong}: {found:?}");
        assert_eq!(rest, wanted, "{wrong}");
    }
}

/// A single character too little or too much in a block leaves what is found elsewhere as it is.
#[test]
fn an_error_in_a_block_makes_no_errors_elsewhere() {
    let block = "block pair(width, stride = 1) {\n    let out = if stride > 1 { 2 * width } else { width }\n    \
        add { conv(out, 3, pad = 1) -> bn; \"a\": conv(out, 1) } as sum // joined\n    \
        repeat 2 { relu; sum -> relu }\n}\n";
    let block = block.replace("\"a\"", "a");
    let rest = "net Uses {\n    input [4, 8, 8]\n    pair(4)\n    pair(8, 1) -> pair(2)\n}\n\
        net Other {\n    input [4, 8, 8]\n    conv(4, 9)\n}\npreset P = Other(n = 1)\n";
    let head = "block pair(".len();
    let mut broken = 0;
    for at in head..block.len() {
        for put in [
            "", "(", ")", "{", "}", "[", "]", "\"", ",", "=", ";", ":", "->", " 1 ", "\n", "/*",
            "?",
        ] {
            let end = at + usize::from(put.is_empty());
            let text = format!("{}{put}{}{rest}", &block[..at], &block[end..]);
            let last = text.lines().count() - rest.lines().count();
            let found = all_findings(&text);
            let syntax = |found: &&(&str, usize)| found.0 < "N02";
            if !found.iter().any(|found| syntax(&found))
                || found.iter().any(|found| found.0 == "N0106")
            {
                continue;
            }
            broken += 1;
            let elsewhere: Vec<_> = found
                .iter()
                .filter(|found| found.1 > last)
                .map(|(code, line)| (*code, line - last))
                .collect();
            let wanted = [("N0213", 8), ("N0203", 10)];
            assert_eq!(elsewhere, wanted, "{text}\n{found:?}");
        }
    }
    assert!(broken > 2000, "{broken} texts with errors of syntax");
}

/// Texts with very many errors, or with one behind very much that is right: the number of findings is bounded, and so is
/// the work for them.
#[test]
fn many_errors_take_little_time() {
    let right = " conv(3, 4)\n".repeat(20_000);
    let (deep, out) = ("repeat 2 {\n".repeat(95), "} 5\n".repeat(95));
    let texts = [
        "block b { conv 3 }\n".repeat(20_000),
        format!(
            "net A {{\n input [3, 8, 8]\n{} }}",
            " conv 3 4\n".repeat(35_000)
        ),
        format!("net A {{\n{right}{} }}", " conv 3 4\n".repeat(100)),
        format!("net A {{\n{deep}{right}{out} }}"),
        format!("net A {{ relu{} 5\n relu 4 }}", " -> relu".repeat(50_000)),
        format!("net A {{ conv 3 {} }}", "\n/**/".repeat(150_000)),
        format!("net A {{ conv 3 }}{} = 3", "/**/".repeat(150_000)),
        format!(
            "block b {{ dense(if a {{{} }} else {{ 3 }}) }}",
            " 1 2;".repeat(50_000)
        ),
        "net A { conv(3, 4\n".repeat(30_000),
        "net A {\n".repeat(50_000),
        format!("net A {{ relu\n{} }}", "?\n".repeat(30_000)),
    ];
    let start = Instant::now();
    for text in &texts {
        let found = all_findings(text);
        assert!((1..=150).contains(&found.len()), "{} findings", found.len());
    }
    // As above: far more than it takes.
    let time = start.elapsed();
    assert!(time < Duration::from_secs(60), "took {time:?}");
}
