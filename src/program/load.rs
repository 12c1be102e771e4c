//! Following `use` from file to file.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::shipped::{self, ROOT};
use super::sources::{Sources, plain};
use super::{Loaded, Module, Program, Used, spelled, uses};
use crate::diag::{Diagnostic, FileId, Files, Span, codes, suggest};
use crate::syntax::ast::{Name, StringLit, Use, UseSource};
use crate::syntax::{self, Ast, MAX_BYTES};

/// Files of a program. A library of blocks has a dozen.
const MAX_FILES: usize = 256;
/// Bytes of all files of a program together.
const MAX_TOTAL: usize = 16 << 20;

/// What makes a file one and the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Identity {
    Shipped(&'static str),
    Path(PathBuf),
}

/// A file that has been parsed, and what it uses.
struct Found {
    module: Module,
    /// Where its own `use` items look; shipped files use shipped ones alone.
    path: Option<PathBuf>,
}

struct Loader<'s> {
    files: &'s mut Files,
    sources: &'s dyn Sources,
    known: BTreeMap<Identity, FileId>,
    /// In the order in which they were found; each is looked through after those before it.
    found: Vec<Found>,
    /// Bytes of all files so far.
    total: usize,
    /// Whether some file is not there or has errors of its own.
    broken: bool,
    diagnostics: Vec<Diagnostic>,
}

impl Program {
    /// Parses a file whose text is already among the files, and all files that it uses. `path` is where it stands:
    /// what it uses is looked for beside it.
    pub fn load(files: &mut Files, file: FileId, path: &Path, sources: &dyn Sources) -> Loaded {
        let mut loader = Loader {
            total: files.text(file).len(),
            files,
            sources,
            known: BTreeMap::from([(Identity::Path(sources.identity(path)), file)]),
            found: Vec::new(),
            broken: false,
            diagnostics: Vec::new(),
        };
        loader.parse(file, Some(path.to_owned()));
        let mut next = 0;
        while next < loader.found.len() {
            loader.follow(next);
            next += 1;
        }
        let Loader {
            found,
            broken,
            mut diagnostics,
            files,
            ..
        } = loader;
        let program = Program {
            modules: found.into_iter().map(|found| found.module).collect(),
        };
        // A file that is missing or broken uses nothing, so it closes no circle.
        diagnostics.extend(circle(&program, files));
        crate::diag::sort(&mut diagnostics);
        let sound = !broken && !diagnostics.iter().any(Diagnostic::is_error);
        let (program, recovered) = match sound {
            true => (Some(program), None),
            false => (None, Some(program)),
        };
        Loaded {
            program,
            recovered,
            diagnostics,
        }
    }
}

impl Loader<'_> {
    /// Parses a file that is among the files already.
    fn parse(&mut self, file: FileId, path: Option<PathBuf>) {
        let parsed = syntax::parse(file, self.files.text(file));
        let first = self.found.is_empty();
        self.broken |= parsed.ast.is_none();
        let read = parsed.ast.or(parsed.recovered);
        let incomplete = read.is_none();
        let ast = read.unwrap_or(Ast {
            file,
            edition: None,
            items: Vec::new(),
            broken: Vec::new(),
        });
        let worth = |diagnostic: &Diagnostic| first || diagnostic.is_error();
        self.diagnostics
            .extend(parsed.diagnostics.into_iter().filter(worth));
        self.found.push(Found {
            module: Module {
                ast,
                uses: Vec::new(),
                incomplete,
            },
            path,
        });
    }

    /// Takes in what the file of that number uses.
    fn follow(&mut self, at: usize) {
        let items: Vec<Use> = uses(&self.found[at].module.ast).cloned().collect();
        let path = self.found[at].path.clone();
        for item in &items {
            let brought = match &item.source {
                UseSource::Module(words) => self.shipped(words, item.span),
                UseSource::File(written) => match &path {
                    Some(path) => self.beside(path, written),
                    None => None,
                },
            };
            let Some(file) = brought else {
                self.broken = true;
                self.found[at].module.incomplete = true;
                continue;
            };
            let uses = &mut self.found[at].module.uses;
            match uses.iter().find(|used| used.file == file) {
                Some(earlier) => {
                    let message = format!("{} is used twice", spelled(&item.source));
                    let diagnostic = Diagnostic::error(codes::DUPLICATE_NAME, message);
                    let diagnostic = diagnostic
                        .primary(item.span, "second time")
                        .secondary(earlier.span, "first time");
                    self.diagnostics
                        .push(diagnostic.help("remove one of the two"));
                }
                None => uses.push(Used {
                    span: item.span,
                    file,
                }),
            }
        }
    }

    /// A module that is shipped with netc.
    fn shipped(&mut self, words: &[Name], span: Span) -> Option<FileId> {
        let missing = |message: String, place: Span| {
            Diagnostic::error(codes::USE_MISSING, message).primary(place, "")
        };
        let names: Vec<&str> = shipped::modules()
            .iter()
            .map(|module| module.name)
            .collect();
        let (root, rest) = words.split_first()?;
        if root.text != ROOT {
            let message = format!("there are no modules called `{}`", root.text);
            let diagnostic = missing(message, root.span).help(format!(
                "what comes with netc is called `{ROOT}`, as in `use {ROOT}.{}`; a file stands in quotes, as in `use \"{}.net\"`",
                names.first().copied().unwrap_or_default(),
                root.text,
            ));
            self.diagnostics.push(diagnostic);
            return None;
        }
        let [name] = rest else {
            let message = match rest {
                [] => format!("`{ROOT}` alone names no module"),
                _ => format!("a module of `{ROOT}` has one name"),
            };
            let help = format!("the modules are {}", names.join(", "));
            self.diagnostics.push(missing(message, span).help(help));
            return None;
        };
        let Some(module) = shipped::find(&name.text) else {
            let message = format!("`{ROOT}` has no module `{}`", name.text);
            let diagnostic = missing(message, name.span);
            self.diagnostics
                .push(match suggest(&name.text, names.iter().copied()) {
                    Some(near) => {
                        diagnostic.edit(format!("did you mean `{ROOT}.{near}`?"), name.span, near)
                    }
                    None => diagnostic.help(format!("the modules are {}", names.join(", "))),
                });
            return None;
        };
        let identity = Identity::Shipped(module.name);
        if let Some(&file) = self.known.get(&identity) {
            return Some(file);
        }
        self.room(module.text.len(), span)?;
        let file = self
            .files
            .add(format!("{ROOT}/{}.net", module.name), module.text);
        self.known.insert(identity, file);
        self.parse(file, None);
        Some(file)
    }

    /// A file that is named relative to the one that uses it.
    fn beside(&mut self, user: &Path, written: &StringLit) -> Option<FileId> {
        let folder = user.parent().unwrap_or(Path::new(""));
        let path = folder.join(&written.text);
        let identity = Identity::Path(self.sources.identity(&path));
        if let Some(&file) = self.known.get(&identity) {
            return Some(file);
        }
        let shown = plain(&path).display().to_string();
        let limit = MAX_BYTES + 1;
        let bytes = match self.sources.read(&path, limit) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(&path, written, &error);
                return None;
            }
        };
        self.room(bytes.len(), written.span)?;
        match syntax::read(self.files, &shown, &bytes) {
            Ok(file) => {
                self.known.insert(identity, file);
                self.parse(file, Some(path));
                Some(file)
            }
            Err(diagnostic) => {
                self.diagnostics
                    .push(diagnostic.secondary(written.span, "used here"));
                None
            }
        }
    }

    /// Whether one more file may be taken in.
    fn room(&mut self, bytes: usize, span: Span) -> Option<()> {
        self.total += bytes;
        let message = if self.found.len() >= MAX_FILES {
            format!("a net and what it uses take more than {MAX_FILES} files")
        } else if self.total > MAX_TOTAL {
            format!("a net and what it uses take more than {MAX_TOTAL} bytes")
        } else {
            return Some(());
        };
        // One such message is enough.
        if !self.diagnostics.iter().any(|d| d.code == codes::TOO_LARGE) {
            self.diagnostics.push(
                Diagnostic::error(codes::TOO_LARGE, message).primary(span, "this one is too many"),
            );
        }
        None
    }

    fn unreadable(&mut self, path: &Path, written: &StringLit, error: &std::io::Error) {
        let shown = plain(path).display().to_string();
        if error.kind() != std::io::ErrorKind::NotFound {
            let message = format!("`{shown}` cannot be read: {error}");
            self.diagnostics
                .push(Diagnostic::error(codes::USE_MISSING, message).primary(written.span, ""));
            return;
        }
        let message = format!("there is no file `{shown}`");
        let diagnostic = Diagnostic::error(codes::USE_MISSING, message).primary(written.span, "");
        let nets = self.sources.nets_in(path.parent().unwrap_or(Path::new("")));
        let name = path.file_name().and_then(|name| name.to_str());
        let near = name.and_then(|name| suggest(name, nets.iter().map(String::as_str)));
        // What stands in front of the file's name stays as it was written.
        let kept = written.text.strip_suffix(name.unwrap_or_default());
        self.diagnostics.push(match (near, kept) {
            (Some(near), Some(kept)) => {
                let replacement = format!("{:?}", format!("{kept}{near}"));
                diagnostic.edit(
                    format!("did you mean {replacement}?"),
                    written.span,
                    replacement,
                )
            }
            _ if nets.is_empty() => {
                diagnostic.help("a file is looked for in the folder of the file that uses it")
            }
            _ => diagnostic.help(format!("in that folder there are {}", nets.join(", "))),
        });
    }
}

/// The first circle that `use` makes, with each `use` of it.
fn circle(program: &Program, files: &Files) -> Option<Diagnostic> {
    #[derive(Clone, Copy, PartialEq)]
    enum State {
        New,
        Open,
        Done,
    }
    let number = |file: FileId| {
        let at = program
            .modules
            .iter()
            .position(|module| module.ast.file == file);
        at.expect("each used file was loaded")
    };
    let mut states = vec![State::New; program.modules.len()];
    // The way from the first file to the one that is looked at: the file, and how many of its `use` items were followed.
    let mut way: Vec<(usize, usize)> = vec![(0, 0)];
    states[0] = State::Open;
    while let Some((at, followed)) = way.last_mut() {
        let module = &program.modules[*at];
        let Some(used) = module.uses.get(*followed) else {
            states[*at] = State::Done;
            way.pop();
            continue;
        };
        *followed += 1;
        let next = number(used.file);
        match states[next] {
            State::Done => {}
            State::New => {
                states[next] = State::Open;
                way.push((next, 0));
            }
            State::Open => {
                let start = way.iter().position(|&(at, _)| at == next)?;
                let links = way[start..].iter().map(|&(at, followed)| {
                    let module = &program.modules[at];
                    (files.name(module.ast.file), module.uses[followed - 1].span)
                });
                return Some(circle_of(&links.collect::<Vec<_>>()));
            }
        }
    }
    None
}

fn circle_of(links: &[(&str, Span)]) -> Diagnostic {
    let (first, _) = links[0];
    let mut names: Vec<&str> = links.iter().map(|&(name, _)| name).collect();
    names.push(first);
    let message = if links.len() == 1 {
        format!("`{first}` uses itself")
    } else {
        format!("files use one another in a circle: {}", names.join(" -> "))
    };
    let mut diagnostic = Diagnostic::error(codes::USE_CIRCLE, message);
    let (&(_, last), others) = links.split_last().expect("a circle has a link");
    diagnostic = diagnostic.primary(last, "this closes the circle");
    for &(_, span) in others {
        diagnostic = diagnostic.secondary(span, "");
    }
    let help = if links.len() == 1 {
        "remove it; what a file declares can be used in it"
    } else {
        "move what both sides need into a file of its own"
    };
    diagnostic.help(help)
}
