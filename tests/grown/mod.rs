//! Texts of the language grown from a list of choices: every one parses, with any tree, blanks and comments anywhere.

/// A file that follows from the choices; where they end, the shortest way out is taken.
pub(crate) fn file(choices: &[u8]) -> String {
    let mut grower = Grower {
        choices: choices.iter(),
        out: String::new(),
        inside: false,
        comments: 0,
        depth: 0,
    };
    grower.file();
    grower.out
}

struct Grower<'c> {
    choices: std::slice::Iter<'c, u8>,
    out: String,
    /// In round or square brackets, where a new line is a blank.
    inside: bool,
    comments: usize,
    depth: usize,
}

const NAMES: [&str; 8] = [
    "a",
    "b2",
    "_c",
    "conv",
    "width",
    "inception",
    "a_name_of_some_length_that_fills_lines",
    "same",
];
const NUMBERS: [&str; 8] = ["0", "1", "28", "0.5", "1e-4", "8M", "1.5k", "224"];
const OPERATORS: [&str; 8] = [" + ", "-", " * ", "/ ", "^", " and ", " or ", " ^ "];

impl Grower<'_> {
    /// One of `count` ways; 0 when there are no more choices or the tree is deep.
    fn pick(&mut self, count: usize) -> usize {
        let choice = self.choices.next().map_or(0, |&byte| usize::from(byte));
        if self.depth > 12 { 0 } else { choice % count }
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
    }

    fn comment(&mut self, open: &str, close: &str) {
        self.comments += 1;
        self.out
            .push_str(&format!("{open} {}é{close}", self.comments));
    }

    /// What may stand between two tokens of a statement.
    fn gap(&mut self) {
        match self.pick(if self.inside { 12 } else { 8 }) {
            1 => self.put("\t "),
            2 => self.comment(" /*", " */ "),
            3 => self.comment(" /*", "\n\n*/"),
            8 => self.put("\n\n\n"),
            9 => self.comment("//", "\n"),
            10 => self.comment("\n\n/*", " */\n"),
            11 => self.comment(" ///", "\n// more\n"),
            _ => self.put(" "),
        }
    }

    /// What may stand where a new line is a blank whatever the bracket is.
    fn newline_gap(&mut self) {
        let outside = std::mem::replace(&mut self.inside, true);
        self.gap();
        self.inside = outside;
    }

    /// What ends a statement.
    fn separator(&mut self) {
        match self.pick(8) {
            1 => self.put("; "),
            2 => self.put(";\n\n\n;"),
            3 => self.comment(" //", "\n"),
            4 => self.comment("\n\n//", "\n"),
            5 => self.comment("\n/*", " */ "),
            6 => self.comment(" /*", " */;"),
            7 => self.comment("; //", "\n\n"),
            _ => self.put("\n"),
        }
    }

    fn bracketed(&mut self, brackets: [&str; 2], items: usize, item: impl Fn(&mut Self, usize)) {
        self.put(brackets[0]);
        let outside = std::mem::replace(&mut self.inside, true);
        self.depth += 1;
        for at in 0..items {
            self.gap();
            item(self, at);
            self.gap();
            if at + 1 < items || self.pick(3) == 1 {
                self.put(",");
            }
        }
        if items > 0 {
            self.gap();
        }
        self.depth -= 1;
        self.inside = outside;
        self.put(brackets[1]);
    }

    fn name(&mut self) {
        let name = NAMES[self.pick(NAMES.len())];
        self.put(name);
    }

    fn expr(&mut self) {
        self.operand();
        for _ in 0..self.pick(4) {
            let operator = OPERATORS[self.pick(OPERATORS.len())];
            self.put(operator);
            self.gap();
            self.operand();
        }
    }

    fn operand(&mut self) {
        self.depth += 1;
        match self.pick(14) {
            1 => self.name(),
            2 => self.put("in.channels"),
            3 => {
                self.name();
                self.put("[");
                let outside = std::mem::replace(&mut self.inside, true);
                self.gap();
                self.operand();
                self.gap();
                self.inside = outside;
                self.put("]");
            }
            4 => self.put("\"text // no comment \\\" }\""),
            5 => {
                let items = self.pick(8);
                self.bracketed(["[", "]"], items, |grower, _| grower.expr());
            }
            6 => {
                let items = 2 + self.pick(3);
                self.bracketed(["(", ")"], items, |grower, _| grower.expr());
            }
            7 => {
                self.name();
                self.args();
            }
            8 => {
                self.put("- ");
                self.operand();
            }
            9 => self.if_expr(),
            10 => {
                self.put("(");
                self.expr();
                self.put(")");
            }
            11 => self.put("(not true)"),
            12 => self.put("(1,)"),
            _ => {
                let number = NUMBERS[self.pick(NUMBERS.len())];
                self.put(number);
            }
        }
        self.depth -= 1;
    }

    fn if_expr(&mut self) {
        for _ in 0..=self.pick(2) {
            self.put("if ");
            self.operand();
            self.gap();
            self.expr_body();
            self.newline_gap();
            self.put("else ");
        }
        self.expr_body();
    }

    fn expr_body(&mut self) {
        self.put("{");
        self.newline_gap();
        let outside = std::mem::replace(&mut self.inside, false);
        self.expr();
        self.inside = outside;
        self.newline_gap();
        self.put("}");
    }

    fn args(&mut self) {
        let items = self.pick(6);
        let named = self.pick(items + 1);
        self.bracketed(["(", ")"], items, |grower, at| {
            if at >= named {
                grower.name();
                grower.gap();
                grower.put("=");
                grower.gap();
            }
            grower.expr();
        });
    }

    fn params(&mut self) {
        let items = self.pick(5);
        self.bracketed(["(", ")"], items, |grower, _| {
            grower.name();
            if grower.pick(2) == 1 {
                grower.gap();
                grower.put("=");
                grower.gap();
                grower.expr();
            }
        });
    }

    fn pattern(&mut self) {
        if self.pick(3) == 1 {
            let items = 1 + self.pick(3);
            self.bracketed(["(", ")"], items, |grower, _| grower.pattern());
        } else {
            self.name();
        }
    }

    fn items(&mut self) {
        self.operand();
        if self.pick(3) == 1 {
            self.put(" ..");
            self.operand();
            if self.pick(2) == 1 {
                self.gap();
                self.put("step ");
                self.operand();
            }
        }
    }

    /// Statements in braces.
    fn braces(&mut self, at_least: usize, stmt: impl Fn(&mut Self)) {
        let outside = std::mem::replace(&mut self.inside, false);
        self.put("{");
        self.depth += 1;
        self.newline_gap();
        for at in 0..at_least + self.pick(4) {
            if at > 0 {
                self.separator();
            }
            stmt(self);
        }
        self.newline_gap();
        self.depth -= 1;
        self.put("}");
        self.inside = outside;
    }

    fn body(&mut self) {
        self.braces(0, Self::stmt);
    }

    fn stmt(&mut self) {
        match self.pick(8) {
            1 => {
                self.put("let");
                self.gap();
                self.put(" ");
                self.pattern();
                self.put(" =");
                self.gap();
                self.expr();
            }
            2 => {
                self.put("shared ");
                self.name();
                self.gap();
                self.body();
            }
            _ => self.flow(),
        }
    }

    fn flow(&mut self) {
        self.element();
        for _ in 0..self.pick(6) {
            self.newline_gap();
            self.put("->");
            self.newline_gap();
            self.element();
        }
        if self.pick(3) == 1 {
            self.gap();
            self.put(": ");
            let items = 1 + self.pick(3);
            self.bracketed(["[", "]"], items, |grower, _| grower.expr());
        }
        if self.pick(4) == 1 {
            self.put(" as ");
            self.name();
        }
    }

    fn element(&mut self) {
        match self.pick(8) {
            1 => self.put("stage1.0.b:"),
            2 => {
                self.put("l{ ");
                self.expr();
                self.put("}.x:");
            }
            _ => {}
        }
        self.depth += 1;
        match self.pick(10) {
            1 => {
                let word = ["add ", "concat", "mul ", "max "][self.pick(4)];
                self.put(word);
                self.braces(1, Self::flow);
            }
            2 => {
                for _ in 0..=self.pick(2) {
                    self.put("if ");
                    self.operand();
                    self.gap();
                    self.body();
                    self.newline_gap();
                    self.put("else ");
                }
                self.body();
            }
            3 => {
                self.put("repeat ");
                self.operand();
                self.gap();
                self.body();
            }
            4 => {
                self.put("for ");
                self.pattern();
                self.put(" in ");
                self.items();
                self.gap();
                self.body();
            }
            5 => self.body(),
            6 => {
                self.put("concat for ");
                self.pattern();
                self.put(" in ");
                self.items();
                self.braces(1, Self::flow);
            }
            7 => self.put("id"),
            8 => self.name(),
            _ => {
                self.name();
                self.args();
            }
        }
        self.depth -= 1;
    }

    fn entry(&mut self) {
        self.put("key");
        match self.pick(4) {
            1 => self.args(),
            2 => {
                self.put(" name = ");
                self.operand();
            }
            _ => {
                self.put(" ");
                self.operand();
                for _ in 0..self.pick(5) {
                    if self.pick(2) == 1 {
                        self.newline_gap();
                        self.put("->");
                    } else {
                        self.put(" ,");
                    }
                    self.newline_gap();
                    self.operand();
                }
            }
        }
    }

    fn file(&mut self) {
        if self.pick(4) == 1 {
            self.put("\u{FEFF}");
        }
        self.separator();
        if self.pick(4) == 1 {
            self.put("edition 1");
            self.separator();
        }
        for _ in 0..=self.pick(4) {
            self.item();
            self.separator();
        }
    }

    fn item(&mut self) {
        match self.pick(6) {
            1 => {
                self.put("fn f");
                self.params();
                self.braces(0, |grower| {
                    grower.put("let x = ");
                    grower.expr();
                });
                // The value of the function goes in front of the brace that was just written.
                self.out.pop();
                self.separator();
                self.expr();
                self.put("}");
            }
            2 => {
                self.put("preset P =");
                self.gap();
                self.put("Net");
                self.args();
            }
            3 => {
                self.put("train T");
                self.gap();
                self.braces(0, Self::entry);
            }
            4 => {
                self.put("search S { vary a in ");
                self.items();
                for _ in 0..self.pick(4) {
                    self.put(",");
                    self.newline_gap();
                    self.name();
                    self.put(" in ");
                    self.items();
                }
                self.separator();
                self.put("subject to a < 1 , b > 2; maximize ");
                self.expr();
                self.put("}");
            }
            kind => {
                let word = if kind == 5 { "block B" } else { "net N" };
                self.put(word);
                self.params();
                self.gap();
                self.body();
            }
        }
    }
}
