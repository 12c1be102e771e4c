//! From pest's expectations to a sentence.
//!
//! pest knows where it stopped and which rules it tried there. What a reader needs is what was found, what would fit,
//! and, for the mistakes that people make most, what to write instead.

use std::ops::Range;

use pest::error::{Error, ErrorVariant, InputLocation};

use super::Rule;
use super::keyword::misspelled;
use crate::diag::{Diagnostic, FileId, Span, codes, suggest};
use crate::syntax::RESERVED;
use crate::syntax::scan::{ITEM_WORDS, Scan};

/// Explains an error found in the part of `text` that starts at `base`.
pub(super) fn explain(
    error: &Error<Rule>,
    file: FileId,
    text: &str,
    base: usize,
    scan: &Scan,
) -> Diagnostic {
    let at = base
        + match error.location {
            InputLocation::Pos(at) => at,
            InputLocation::Span((start, _)) => start,
        };
    let tried: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let context = Context::new(file, text, at, scan);
    if let Some(word) = misspelled(text, context.at, context.open, tried, scan) {
        let place = context.place(word.place.clone());
        let message = format!("`{}` is no keyword", &text[word.place]);
        return Diagnostic::error(codes::SYNTAX, message)
            .primary(place, "")
            .edit(format!("did you mean `{}`?", word.meant), place, word.meant);
    }
    let expected = context.expected(tried);
    let (message, place) = context.found();
    context.hints(
        tried,
        Diagnostic::error(codes::SYNTAX, message).primary(place, format!("expected {expected}")),
    )
}

/// The surroundings of the place where the grammar stopped.
struct Context<'a> {
    file: FileId,
    text: &'a str,
    /// The start of the token that does not fit.
    at: usize,
    /// That token; empty at the end of the file.
    token: &'a str,
    /// The token in front of it.
    before: Range<usize>,
    /// The innermost bracket around the place, and where it stands.
    bracket: Option<char>,
    open: Option<usize>,
}

impl<'a> Context<'a> {
    fn new(file: FileId, text: &'a str, at: usize, scan: &Scan) -> Self {
        let mut at = text.floor_char_boundary(at.min(text.len()));
        let bracket = scan
            .brackets
            .iter()
            .filter(|pair| pair.start < at && at <= pair.end)
            .max_by_key(|pair| pair.start);
        let open = bracket.map(|pair| pair.start);
        let bracket = open.map(|open| text.as_bytes()[open] as char);
        let newline_matters = bracket.is_none_or(|bracket| bracket == '{');
        // pest may stop in front of blanks and comments that it would have skipped.
        loop {
            at += text[at..].len()
                - text[at..]
                    .trim_start_matches(|c| blank(c, newline_matters))
                    .len();
            match scan
                .comments
                .binary_search_by_key(&at, |comment| comment.start)
            {
                Ok(comment) => at = scan.comments[comment].end,
                Err(_) => break,
            }
        }
        let end = last_code(text, at, scan);
        let before = token_before(text, end);
        Self {
            file,
            text,
            at,
            token: token_at(text, at),
            before,
            bracket,
            open,
        }
    }

    fn before(&self) -> &'a str {
        &self.text[self.before.clone()]
    }

    fn place(&self, range: Range<usize>) -> Span {
        Span::new(self.file, range)
    }

    /// What stands where something else was expected, and where to point.
    fn found(&self) -> (String, Span) {
        match self.token {
            "" => (
                "the file ends too early".to_owned(),
                self.place(self.before.clone()),
            ),
            "\n" => (
                "the line ends too early".to_owned(),
                self.place(self.before.clone()),
            ),
            token => {
                let end = self.at + token.len();
                let shown: String = token.chars().take(40).collect();
                (format!("unexpected `{shown}`"), self.place(self.at..end))
            }
        }
    }

    fn expected(&self, tried: &[Rule]) -> String {
        let has = |rules: &[Rule]| tried.iter().any(|rule| rules.contains(rule));
        let mut words: Vec<String> = Vec::new();
        use Rule::*;
        let layer = has(&[element, flow, join, if_element, repeat, for_loop, aux, body])
            && has(&[word, call, element, flow]);
        let module = has(&[path]);
        let value = has(&[expr, sum, operand, number, string, list, paren, if_expr]);
        let top_level = has(&[net_item, block_item, fn_item, kw_net, kw_block, kw_fn]);
        if top_level && self.bracket.is_none() {
            words.push("`net`, `block`, `fn`, `preset`, `train`, `search` or `use`".to_owned());
        } else if layer {
            words.push("a layer".to_owned());
        } else if module {
            words.push("a file name in quotes, or a module of `std`".to_owned());
        } else if value {
            words.push("a value".to_owned());
        } else if has(&[word, pattern, input_name, param]) {
            words.push("a name".to_owned());
        }
        if words.is_empty() && has(&[params]) {
            words.push("`(`".to_owned());
        }
        if words.is_empty() || self.bracket.is_none() {
            if has(&[body, entries, search_body, fn_body, expr_body]) {
                words.push("`{`".to_owned());
            }
            for (rule, text) in [(kw_in, "`in`"), (kw_to, "`to`"), (kw_else, "`else`")] {
                if has(&[rule]) && rule != kw_else {
                    words.push(text.to_owned());
                }
            }
        }
        if words.is_empty() {
            words.push(self.expected_end().to_owned());
        }
        words.join(" or ")
    }

    /// What can end the part that stands in front of the place.
    fn expected_end(&self) -> &'static str {
        let assigns = matches!(self.before(), "let" | "preset");
        match self.bracket {
            _ if assigns => "a name",
            _ if self.binds_nothing() => "`=`",
            Some('(') => "`,` or `)`",
            Some('[') => "`,` or `]`",
            Some(_) => "`->`, `;` or a new line",
            None => "the end of the line",
        }
    }

    /// Whether the place is behind the name of a `let` that says no value.
    fn binds_nothing(&self) -> bool {
        let front = &self.text[..self.before.start];
        let word = front.trim_end_matches([' ', '\t']);
        word_like(self.before()) && &word[token_before(front, word.len())] == "let"
    }

    /// The word in front of the one in front of the place, in the same line.
    fn word_before_last(&self) -> &'a str {
        let front = self.text[..self.before.start].trim_end_matches([' ', '\t']);
        &front[token_before(front, front.len())]
    }

    /// Whether a name and `=` stand behind the value of a line of `train`, as in `schedule cosine warmup = 1`.
    fn loose_argument(&self) -> bool {
        let behind = self.text[self.at + self.token.len()..].trim_start_matches([' ', '\t']);
        self.bracket == Some('{')
            && word_like(self.before())
            && behind.starts_with('=')
            && !behind.starts_with("==")
            && word_like(self.word_before_last())
    }

    /// The value of a function without its braces.
    fn function_body(&self, diagnostic: Diagnostic, start: usize) -> Diagnostic {
        let line = self.text[start..].lines().next().unwrap_or_default();
        let value = line.trim();
        if value.is_empty() || value.contains(['{', '}', '/']) {
            return diagnostic.help("the value of a function stands in braces, as in `{ 2 * c }`");
        }
        let place = self.place(self.at..start + line.trim_end().len());
        let text = format!("{{ {value} }}");
        diagnostic.edit("the value of a function stands in braces", place, text)
    }

    /// Whether the place is within a word with minus signs that a colon ends.
    fn is_label(&self) -> bool {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')));
        self.bracket == Some('{') && end.is_some_and(|end| rest[end..].starts_with(':'))
    }

    /// Braces behind a word that joins nothing.
    fn no_combinator(&self, diagnostic: Diagnostic) -> Diagnostic {
        let before = self.before();
        let meant = COMBINATORS
            .iter()
            .find(|(_, names)| names.contains(&before))
            .map(|(word, _)| *word)
            .or_else(|| suggest(before, COMBINATORS.iter().map(|(word, _)| *word)));
        match meant {
            Some(word) => diagnostic.edit(
                format!("branches are joined by `{word}` here"),
                self.place(self.before.clone()),
                word,
            ),
            None => diagnostic.help(
                "`add`, `concat`, `mul` and `max` join branches; what a `block` declares is used without braces",
            ),
        }
    }

    fn hints(&self, tried: &[Rule], diagnostic: Diagnostic) -> Diagnostic {
        let (before, token) = (self.before(), self.token);
        let place = self.place(self.at..self.at + token.len());
        let word = token.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        match token {
            "=" if self.text[self.at..].starts_with("=>") => {
                let place = self.place(self.at..self.at + 2);
                diagnostic.edit("an arrow is written `->`", place, "->")
            }
            "=" | ":" if tried.contains(&Rule::entry_values) => {
                let has_blank = self.text[self.at + 1..].starts_with([' ', '\t']);
                diagnostic.edit(
                    "key and value are separated by a blank, as in `batch 64`",
                    place,
                    if has_blank { "" } else { " " },
                )
            }
            "=" if tried.contains(&Rule::fn_body) => self.function_body(diagnostic, self.at + 1),
            _ if tried.contains(&Rule::fn_body) && token != "\n" && before == ")" => {
                self.function_body(diagnostic, self.at)
            }
            ":" if word_like(before) && matches!(self.bracket, Some('(')) => {
                diagnostic.edit("a named argument is written with `=`", place, " =")
            }
            _ if word && before == "return" => {
                let place = self.place(self.before.start..self.at);
                diagnostic.edit("the last expression of a function is its value", place, "")
            }
            _ if word && self.loose_argument() => {
                let end = self.at
                    + self.text[self.at..]
                        .find(['\n', ';', '}', '/'])
                        .unwrap_or(0);
                let args = self.text[self.at..end].trim_end();
                let place = self.place(self.before.end..self.at + args.len());
                let text = format!("({args})");
                diagnostic.edit("arguments stand in parentheses", place, text)
            }
            _ if word && self.bracket.is_none() && self.word_before_last() == "preset" => {
                diagnostic.edit("a preset is what stands behind `=`", place.before(), "= ")
            }
            "=" if tried.contains(&Rule::infix) => diagnostic.edit("`==` compares", place, "=="),
            "{" if self.bracket == Some('{')
                && word_like(before)
                && !RESERVED.contains(&before) =>
            {
                self.no_combinator(diagnostic)
            }
            "\n" if self.text[self.at..].trim_start().starts_with('{') => {
                let blanks = self.text[self.at..].find('{').unwrap_or_default();
                let place = self.place(self.before.end..self.at + blanks);
                diagnostic.edit("put the `{` on the same line", place, " ")
            }
            "\n" if is_operator(before) => {
                diagnostic.help("a value goes on in the next line only inside of parentheses")
            }
            "." if self.text[self.at + 1..].starts_with(|c: char| c.is_ascii_digit()) => {
                diagnostic.edit("a number starts with a digit: `0.5`", place.before(), "0")
            }
            _ if word
                && self.bracket.is_some()
                && (ITEM_WORDS.contains(&token) || ITEM_WORDS.contains(&before)) =>
            {
                diagnostic.help("items stand outside of all braces")
            }
            _ if self.bracket.is_none()
                && ITEM_WORDS.contains(&token)
                && self.expected(tried) == self.expected_end() =>
            {
                diagnostic.edit(
                    "each item starts on a line of its own",
                    place.before(),
                    "\n",
                )
            }
            _ if (word || token.starts_with(|c: char| c.is_ascii_digit()))
                && self.binds_nothing() =>
            {
                diagnostic.edit("a value is bound with `=`", place.before(), "= ")
            }
            _ if word
                && word_like(before)
                && self.bracket == Some('{')
                && !RESERVED.contains(&before) =>
            {
                diagnostic.edit(
                    "join the elements of a chain with `->`",
                    place.before(),
                    "-> ",
                )
            }
            "-" if word_like(before) && self.is_label() => diagnostic.edit(
                "a label is made of letters, digits, `_` and dots",
                place,
                "_",
            ),
            _ if matches!(before, "}" | ")") && word && self.bracket == Some('{') => diagnostic
                .edit(
                    "join the elements of a chain with `->`, or start a new line",
                    place.before(),
                    "-> ",
                ),
            _ if word_like(token) && RESERVED.contains(&token) => {
                diagnostic.note(format!("`{token}` is a reserved word"))
            }
            _ => diagnostic,
        }
    }
}

/// What joins branches, and what other tools call it.
const COMBINATORS: [(&str, &[&str]); 4] = [
    ("add", &["sum", "plus", "residual", "eltwise"]),
    ("concat", &["cat", "stack", "route"]),
    ("mul", &["product", "prod", "multiply", "times"]),
    ("max", &["maximum"]),
];

fn blank(c: char, newline_matters: bool) -> bool {
    matches!(c, ' ' | '\t' | '\r') || (c == '\n' && !newline_matters)
}

pub(super) fn word_like(token: &str) -> bool {
    token.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
}

fn is_operator(token: &str) -> bool {
    matches!(
        token,
        "+" | "-"
            | "*"
            | "/"
            | "^"
            | "="
            | "=="
            | "!="
            | "<"
            | "<="
            | ">"
            | ">="
            | "and"
            | "or"
            | "not"
    )
}

/// The token that starts at `at`.
pub(super) fn token_at(text: &str, at: usize) -> &str {
    let rest = &text[at..];
    let len = match rest.chars().next() {
        None => 0,
        Some('"') => rest[1..].find('"').map_or(rest.len(), |end| end + 2),
        Some(c) if c.is_ascii_alphanumeric() || c == '_' => word_len(rest),
        Some(_)
            if ["->", "==", "!=", "<=", ">=", ".."]
                .iter()
                .any(|token| rest.starts_with(token)) =>
        {
            2
        }
        Some(c) => c.len_utf8(),
    };
    &rest[..len]
}

fn word_len(rest: &str) -> usize {
    rest.bytes()
        .take_while(|b| b.is_ascii_alphanumeric() || *b == b'_')
        .count()
}

/// The end of the last code in front of `at`.
fn last_code(text: &str, at: usize, scan: &Scan) -> usize {
    let mut end = text[..at].trim_end().len();
    while let Some(comment) =
        scan.comments[..scan.comments.partition_point(|comment| comment.start < end)].last()
    {
        if comment.end < end {
            break;
        }
        end = text[..comment.start].trim_end().len();
    }
    end
}

/// The token that ends at `end`.
fn token_before(text: &str, end: usize) -> Range<usize> {
    let bytes = text.as_bytes();
    let word = bytes[..end]
        .iter()
        .rev()
        .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
        .count();
    let pairs = ["->", "==", "!=", "<=", ">=", ".."];
    let len = match word {
        0 if pairs.iter().any(|token| text[..end].ends_with(token)) => 2,
        0 => text[..end].chars().next_back().map_or(0, char::len_utf8),
        len => len,
    };
    end - len..end
}
