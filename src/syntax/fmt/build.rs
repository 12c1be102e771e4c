//! Where the text of each rule may break.

use super::doc::{Doc, INDENT, Item};
use super::tree::{Node, Token, Tree};
use crate::syntax::parse::Rule;

/// The most characters of a value that shares its line with its neighbours in a long list.
const SHORT_ITEM: usize = 12;

/// The document of a file.
pub(super) fn build(tree: Tree<'_>) -> Doc<'_> {
    let Tree { root, tokens } = tree;
    let mut builder = Builder {
        tokens,
        inside: false,
    };
    builder.file(&root)
}

struct Builder<'a> {
    tokens: Vec<Token<'a>>,
    /// The innermost bracket is round or square: a line may end everywhere.
    inside: bool,
}

impl<'a> Builder<'a> {
    fn file(&mut self, root: &Node) -> Doc<'a> {
        let mut parts = Vec::new();
        if let Some(source) = parts_of(root).first() {
            for (at, item) in parts_of(source).iter().enumerate() {
                if at > 0 {
                    parts.push(Doc::line());
                }
                let item = self.statement(item, at == 0);
                parts.push(item);
            }
        }
        let end = self.tokens.len() - 1;
        if !parts.is_empty() && !self.tokens[end].leading.is_empty() {
            parts.push(Doc::line());
        }
        let comments = self.own_comments(end, parts.is_empty());
        parts.extend(comments);
        Doc::concat(parts)
    }

    /// An item or a statement, with the comments and at most one empty line in front of it.
    fn statement(&mut self, node: &Node, is_first: bool) -> Doc<'a> {
        let Some(first) = node.first() else {
            return Doc::empty();
        };
        let has_comments = self.tokens[first].leading.iter().any(|c| c.own_line);
        let mut parts = self.own_comments(first, is_first);
        if self.tokens[first].blank_before && (has_comments || !is_first) {
            parts.push(Doc::blank());
        }
        parts.push(self.node(node));
        Doc::concat(parts)
    }

    /// Takes the comments that stand on lines of their own in front of a token.
    fn own_comments(&mut self, token: usize, is_first: bool) -> Vec<Doc<'a>> {
        let leading = &mut self.tokens[token].leading;
        let count = leading
            .iter()
            .rposition(|c| c.own_line)
            .map_or(0, |at| at + 1);
        let mut parts = Vec::new();
        for (at, comment) in leading.drain(..count).enumerate() {
            if comment.blank_before && (at > 0 || !is_first) {
                parts.push(Doc::blank());
            }
            parts.push(Doc::own(comment.text));
        }
        parts
    }

    /// A token with its comments.
    fn token(&mut self, index: usize) -> Doc<'a> {
        let token = &mut self.tokens[index];
        let text = token.text;
        let (leading, trailing) = (
            std::mem::take(&mut token.leading),
            std::mem::take(&mut token.trailing),
        );
        if leading.is_empty() && trailing.is_empty() {
            return Doc::text(text);
        }
        let mut parts = Vec::new();
        for comment in leading {
            if comment.own_line {
                parts.push(Doc::own(comment.text));
            } else {
                parts.push(Doc::text(comment.text));
                parts.push(Doc::text(" "));
            }
        }
        parts.push(Doc::text(text));
        parts.extend(trailing.into_iter().map(Doc::trailing));
        Doc::concat(parts)
    }

    fn node(&mut self, node: &Node) -> Doc<'a> {
        let (rule, parts) = match node {
            Node::Token(index) => return self.token(*index),
            Node::Separator(text) => return Doc::separator(text),
            Node::Tree(rule, parts) => (*rule, parts.as_slice()),
        };
        match rule {
            Rule::body | Rule::entries | Rule::search_body | Rule::fn_body => self.braces(parts),
            Rule::args | Rule::params | Rule::list | Rule::paren => self.brackets(rule, parts),
            Rule::pattern if parts.len() > 1 => self.brackets(rule, parts),
            Rule::postfix if parts.len() == 3 => self.index(parts),
            Rule::label_expr => self.within(false, |builder| builder.words(rule, parts)),
            Rule::flow => self.flow(parts),
            Rule::if_element | Rule::if_expr => self.arms(parts),
            Rule::entry_values | Rule::vary | Rule::set | Rule::subject => self.listed(parts),
            Rule::sum if self.inside && parts.len() > 1 => self.long_sum(parts),
            _ => self.words(rule, parts),
        }
    }

    /// Builds what stands in a bracket that is round or square, or else in braces.
    fn within<T>(&mut self, inside: bool, build: impl FnOnce(&mut Self) -> T) -> T {
        let outside = std::mem::replace(&mut self.inside, inside);
        let built = build(self);
        self.inside = outside;
        built
    }

    /// Parts one after another, with blanks between those that are words of their own.
    fn words(&mut self, rule: Rule, parts: &[Node]) -> Doc<'a> {
        let mut docs = Vec::new();
        let mut before: Option<&Node> = None;
        for part in parts {
            if let Some(before) = before
                && !self.is_glued(rule, before, part)
            {
                docs.push(Doc::text(" "));
            }
            docs.push(self.node(part));
            before = Some(part);
        }
        Doc::concat(docs)
    }

    /// Whether two parts of a rule stand side by side without a blank.
    fn is_glued(&self, rule: Rule, before: &Node, part: &Node) -> bool {
        let text = |node: &Node| match node {
            Node::Token(index) => self.tokens[*index].text,
            _ => "",
        };
        match rule {
            Rule::label | Rule::label_expr | Rule::path | Rule::postfix => true,
            Rule::expr => text(before) == ".." || text(part) == "..",
            // `-x`, but `not x`
            Rule::operand => {
                part.rule() == Some(Rule::postfix)
                    || (before.rule() == Some(Rule::prefix)
                        && before.first().is_some_and(|at| self.tokens[at].text == "-"))
            }
            Rule::input_stmt => text(part) == ":",
            _ => matches!(part.rule(), Some(Rule::args | Rule::params)),
        }
    }

    /// Statements in braces: on one line if they were written so and fit, otherwise one a line.
    fn braces(&mut self, parts: &[Node]) -> Doc<'a> {
        let (doc, broken) = self.broken_braces(parts);
        Doc::group(doc, broken)
    }

    /// Statements in braces, and whether the first of them begins a line.
    fn broken_braces(&mut self, parts: &[Node]) -> (Doc<'a>, bool) {
        let [open, inner @ .., close] = parts else {
            return (Doc::empty(), false);
        };
        let begin = inner.first().unwrap_or(close).first();
        let broken = begin.is_some_and(|at| self.tokens[at].starts_line) && !inner.is_empty();
        let open = self.node(open);
        let inner = self.within(false, |builder| builder.statements(inner, close));
        let close = self.node(close);
        let doc = if inner.is_empty() {
            Doc::concat(vec![open, close])
        } else {
            let mut indented = vec![Doc::line()];
            indented.extend(inner);
            Doc::concat(vec![
                open,
                Doc::indent(Doc::concat(indented)),
                Doc::line(),
                close,
            ])
        };
        (doc, broken)
    }

    /// Statements, and the comments in front of the brace that closes them.
    fn statements(&mut self, stmts: &[Node], close: &Node) -> Vec<Doc<'a>> {
        let mut docs = Vec::new();
        for (at, stmt) in stmts.iter().enumerate() {
            if at > 0 {
                docs.push(Doc::choice(";", ""));
                docs.push(Doc::line());
            }
            docs.push(self.statement(stmt, at == 0));
        }
        let comments = close
            .first()
            .map_or_else(Vec::new, |at| self.own_comments(at, stmts.is_empty()));
        if !comments.is_empty() && !stmts.is_empty() {
            docs.push(Doc::line());
        }
        docs.extend(comments);
        docs
    }

    /// Items between round or square brackets: on one line if they fit, otherwise one a line, many short ones filled.
    fn brackets(&mut self, rule: Rule, parts: &[Node]) -> Doc<'a> {
        let [open, inner @ .., close] = parts else {
            return Doc::empty();
        };
        let items: Vec<&Node> = inner
            .iter()
            .filter(|part| !matches!(part, Node::Separator(_)))
            .collect();
        let has_comma = items.len() < inner.len();
        // A comma makes a tuple of one item, and parentheses without one only group.
        let last_comma = match (rule, items.len()) {
            (Rule::paren, 1) if has_comma => Doc::separator(","),
            (Rule::paren, 1) => Doc::empty(),
            _ => Doc::choice("", ","),
        };
        let are_short = items.len() > 1 && items.iter().all(|item| self.is_short(item));
        let open = self.node(open);
        let (mut docs, comments) = self.within(true, |builder| {
            let docs: Vec<Doc<'a>> = items.iter().map(|item| builder.node(item)).collect();
            let comments = close
                .first()
                .map_or_else(Vec::new, |at| builder.own_comments(at, true));
            (docs, comments)
        });
        let close = self.node(close);
        let Some(last) = docs.pop() else {
            if comments.is_empty() {
                return Doc::concat(vec![open, close]);
            }
            let comments = Doc::indent(Doc::concat(comments));
            return Doc::concat(vec![open, comments, Doc::soft_line(), close]);
        };
        let mut separated: Vec<Doc<'a>> = docs
            .into_iter()
            .map(|doc| Doc::concat(vec![doc, Doc::separator(",")]))
            .collect();
        separated.push(Doc::concat(vec![last, last_comma]));
        let mut indented = vec![Doc::soft_line()];
        if are_short {
            let run = separated.into_iter().map(|doc| Item { doc, breaks: false });
            indented.push(Doc::fill(run.collect(), 0));
        } else {
            for (at, doc) in separated.into_iter().enumerate() {
                if at > 0 {
                    indented.push(Doc::line());
                }
                indented.push(doc);
            }
        }
        indented.extend(comments);
        let indented = Doc::indent(Doc::concat(indented));
        Doc::group(
            Doc::concat(vec![open, indented, Doc::soft_line(), close]),
            false,
        )
    }

    /// A number or a name of a few characters, without comments.
    fn is_short(&self, node: &Node) -> bool {
        let (Some(first), Some(last)) = (node.first(), node.last()) else {
            return false;
        };
        let tokens = &self.tokens[first..=last];
        let len: usize = tokens.iter().map(|token| token.text.len()).sum();
        let has_comments =
            |token: &Token<'_>| !token.leading.is_empty() || !token.trailing.is_empty();
        tokens.len() <= 2 && len <= SHORT_ITEM && !tokens.iter().any(has_comments)
    }

    /// `[index]`
    fn index(&mut self, parts: &[Node]) -> Doc<'a> {
        let [open, inner, close] = parts else {
            return Doc::empty();
        };
        let open = self.node(open);
        let inner = self.within(true, |builder| builder.node(inner));
        let indented = Doc::indent(Doc::concat(vec![Doc::soft_line(), inner]));
        let close = self.node(close);
        Doc::group(
            Doc::concat(vec![open, indented, Doc::soft_line(), close]),
            false,
        )
    }

    /// A chain, with what may stand behind it. Lines that its author began with an arrow stay, unless they follow the
    /// brace of a body.
    fn flow(&mut self, parts: &[Node]) -> Doc<'a> {
        let mut items: Vec<Item<'a>> = Vec::new();
        let mut after = Vec::new();
        let mut behind_brace = false;
        for part in parts {
            match part.rule() {
                None => {}
                Some(Rule::element) => {
                    let begun = part.first().is_some_and(|at| self.tokens[at].starts_line);
                    let arrow = if items.is_empty() { "" } else { "->" };
                    let mut item = self.item(arrow, part);
                    item.breaks |= begun && !behind_brace;
                    let last = part.last().map(|at| self.tokens[at].text);
                    behind_brace = last == Some("}");
                    items.push(item);
                }
                Some(rule) => {
                    if rule == Rule::shape {
                        after.push(Doc::column());
                    }
                    after.push(Doc::text(" "));
                    after.push(self.node(part));
                }
            }
        }
        if let Some(first) = items.first_mut() {
            first.breaks = false;
        }
        let mut docs = vec![Doc::fill(items, INDENT)];
        docs.extend(after);
        Doc::concat(docs)
    }

    /// A part of a run with the word in front of it; comments on lines of their own stand in front of both.
    fn item(&mut self, word: &'static str, node: &Node) -> Item<'a> {
        let comments = node
            .first()
            .map_or_else(Vec::new, |at| self.own_comments(at, true));
        let breaks = !comments.is_empty();
        let mut docs = comments;
        if !word.is_empty() {
            docs.push(Doc::text(word));
            docs.push(Doc::text(" "));
        }
        docs.push(self.node(node));
        let doc = Doc::concat(docs);
        Item { doc, breaks }
    }

    /// Words, and values with commas or arrows between them.
    fn listed(&mut self, parts: &[Node]) -> Doc<'a> {
        let mut items: Vec<Item<'a>> = Vec::new();
        // The words stand in the line of the first value.
        let mut words = Vec::new();
        let mut arrow = "";
        for (at, part) in parts.iter().enumerate() {
            let rule = part.rule();
            if let Node::Separator(text) = part {
                arrow = if *text == "->" { "->" } else { "" };
            } else if at + 1 < parts.len() && items.is_empty() && rule_is_word(rule) {
                words.push(self.node(part));
                words.push(Doc::text(" "));
            } else {
                let mut item = self.item(arrow, part);
                if matches!(parts.get(at + 1), Some(Node::Separator(","))) {
                    item.doc = Doc::concat(vec![item.doc, Doc::separator(",")]);
                }
                items.push(item);
            }
        }
        words.push(Doc::fill(items, INDENT));
        Doc::concat(words)
    }

    /// Operands and operators inside of a bracket, where a line may end in front of each operator.
    fn long_sum(&mut self, parts: &[Node]) -> Doc<'a> {
        let mut items = Vec::new();
        let mut parts = parts.iter();
        if let Some(first) = parts.next() {
            items.push(Item {
                doc: self.node(first),
                breaks: false,
            });
        }
        while let (Some(operator), Some(operand)) = (parts.next(), parts.next()) {
            let mut item = self.item("", operator);
            item.doc = Doc::concat(vec![item.doc, Doc::text(" "), self.node(operand)]);
            items.push(item);
        }
        Doc::fill(items, INDENT)
    }

    /// `if c { … } else { … }`: all of its bodies stand on one line, or none does.
    fn arms(&mut self, parts: &[Node]) -> Doc<'a> {
        let mut docs = Vec::new();
        let mut broken = false;
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                docs.push(Doc::text(" "));
            }
            match part {
                Node::Tree(Rule::body | Rule::expr_body, inner) => {
                    let (doc, begun) = self.broken_braces(inner);
                    docs.push(doc);
                    broken |= begun;
                }
                _ => docs.push(self.node(part)),
            }
        }
        Doc::group(Doc::concat(docs), broken)
    }
}

/// Whether a part of a list is one of the words in front of it.
fn rule_is_word(rule: Option<Rule>) -> bool {
    use Rule::*;
    matches!(
        rule,
        Some(entry_name | kw_vary | kw_set | kw_subject | kw_to)
    )
}

/// The parts of a tree.
fn parts_of(node: &Node) -> &[Node] {
    match node {
        Node::Tree(_, parts) => parts,
        Node::Token(_) | Node::Separator(_) => &[],
    }
}
