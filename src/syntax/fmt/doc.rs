//! Text whose line breaks are still open, and the choice of them.
//!
//! The algebra is Wadler's ("A prettier printer", 2003) with three additions: runs that are filled line by line, comments
//! that end a line, and columns that neighbouring lines share. The layout knows nothing of the language; what a part
//! may break into is decided by the module that builds the documents.

/// Characters of a line, where the language lets a line end before.
pub(super) const WIDTH: usize = 100;

/// Blanks of one level of indentation.
pub(super) const INDENT: usize = 4;

/// The most blanks that are put in front of a column that lines share.
const MAX_PADDING: usize = 40;

/// Text with its possible line breaks.
#[derive(Debug)]
pub(super) struct Doc<'a> {
    node: Node<'a>,
    /// It cannot stand on one line.
    pub(super) forced: bool,
    /// It ends with a comment behind which a line must end.
    open_end: bool,
}

#[derive(Debug)]
enum Node<'a> {
    /// Text without a line break, but for comments over several lines.
    Text(&'a str),
    /// A separator, which stands in front of a comment that ends the line.
    Separator(&'static str),
    /// A separator that depends on whether the group around it is on one line or broken.
    Choice {
        flat: &'static str,
        broken: &'static str,
    },
    /// A blank where the group stands on one line, otherwise a new line.
    Line { flat: &'static str },
    /// An empty line, where the group is broken.
    Blank,
    /// Parts in order.
    Concat(Vec<Doc<'a>>),
    /// One level further in.
    Indent(Box<Doc<'a>>),
    /// On one line if it fits, otherwise broken at each of its own lines.
    Group(Box<Doc<'a>>),
    /// Items of which each line takes as many as fit, and how much further in new lines begin.
    Fill(Vec<Item<'a>>, usize),
    /// A comment at the end of a line.
    Trailing(&'a str),
    /// A comment on a line of its own.
    Own(&'a str),
    /// The column that neighbouring lines share.
    Column,
}

/// An item of a run that is filled.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) doc: Doc<'a>,
    /// A new line begins here, whether or not the item fits.
    pub(super) breaks: bool,
}

impl<'a> Doc<'a> {
    fn plain(node: Node<'a>) -> Self {
        Self {
            node,
            forced: false,
            open_end: false,
        }
    }

    pub(super) fn text(text: &'a str) -> Self {
        Self::plain(Node::Text(text))
    }

    pub(super) fn separator(text: &'static str) -> Self {
        Self::plain(Node::Separator(text))
    }

    /// A separator of groups on one line, and another one of broken groups.
    pub(super) fn choice(flat: &'static str, broken: &'static str) -> Self {
        Self::plain(Node::Choice { flat, broken })
    }

    /// A blank on one line, or a line break.
    pub(super) fn line() -> Self {
        Self::plain(Node::Line { flat: " " })
    }

    /// Nothing on one line, or a line break.
    pub(super) fn soft_line() -> Self {
        Self::plain(Node::Line { flat: "" })
    }

    pub(super) fn blank() -> Self {
        Self::plain(Node::Blank)
    }

    pub(super) fn column() -> Self {
        Self::plain(Node::Column)
    }

    pub(super) fn trailing(text: &'a str) -> Self {
        Self {
            open_end: true,
            ..Self::plain(Node::Trailing(text))
        }
    }

    pub(super) fn own(text: &'a str) -> Self {
        Self {
            forced: true,
            open_end: true,
            ..Self::plain(Node::Own(text))
        }
    }

    pub(super) fn empty() -> Self {
        Self::concat(Vec::new())
    }

    pub(super) fn concat(parts: Vec<Doc<'a>>) -> Self {
        let mut forced = false;
        let mut open_end = false;
        for part in &parts {
            forced |= part.forced || (open_end && !part.is_separator());
            open_end = part.open_end || (open_end && part.is_separator());
        }
        Self {
            node: Node::Concat(parts),
            forced,
            open_end,
        }
    }

    pub(super) fn indent(inner: Doc<'a>) -> Self {
        Self {
            forced: inner.forced,
            open_end: inner.open_end,
            node: Node::Indent(Box::new(inner)),
        }
    }

    /// A group; `broken` where it must not stand on one line.
    pub(super) fn group(inner: Doc<'a>, broken: bool) -> Self {
        Self {
            forced: inner.forced || broken,
            open_end: inner.open_end,
            node: Node::Group(Box::new(inner)),
        }
    }

    /// Items of which each line takes as many as fit; new lines begin `further` blanks further in.
    pub(super) fn fill(items: Vec<Item<'a>>, further: usize) -> Self {
        let mut forced = false;
        let mut open_end = false;
        for item in &items {
            forced |= item.doc.forced || item.breaks || open_end;
            open_end = item.doc.open_end;
        }
        Self {
            node: Node::Fill(items, further),
            forced,
            open_end,
        }
    }

    fn is_separator(&self) -> bool {
        match &self.node {
            Node::Separator(_) | Node::Choice { .. } => true,
            Node::Concat(parts) => parts.iter().all(Self::is_separator),
            _ => false,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Flat,
    Broken,
}

/// What is still to be written: a document, or the rest of a run from an item on.
#[derive(Clone, Copy, Debug)]
enum Task<'d, 'a> {
    Doc(&'d Doc<'a>),
    Rest(&'d [Item<'a>], usize),
}

type Tasks<'d, 'a> = Vec<(usize, Mode, Task<'d, 'a>)>;

/// A line of the result.
#[derive(Debug, Default)]
struct Line {
    text: String,
    indent: usize,
    /// Where the shared column begins, in bytes.
    column: Option<usize>,
    /// Where the comment at the end begins, in bytes.
    comment: Option<usize>,
}

/// The text with its line breaks chosen; it ends with one, unless it is empty.
pub(super) fn layout(doc: &Doc<'_>) -> String {
    let mut layout = Layout::default();
    layout.run(doc);
    layout.finish()
}

#[derive(Debug, Default)]
struct Layout<'a> {
    lines: Vec<Line>,
    line: Line,
    /// Characters of the line so far.
    width: usize,
    /// The indentation of the next text, where the line is still empty.
    indent: usize,
    /// Comments that end the line.
    trailing: Vec<&'a str>,
    /// The line ends with a comment that nothing may follow.
    closed: bool,
}

impl<'a> Layout<'a> {
    fn run<'d>(&mut self, doc: &'d Doc<'a>) {
        let mut tasks: Tasks<'d, 'a> = vec![(0, Mode::Broken, Task::Doc(doc))];
        while let Some((indent, mode, task)) = tasks.pop() {
            match task {
                Task::Doc(doc) => self.doc(doc, indent, mode, &mut tasks),
                Task::Rest(items, further) => self.rest(items, further, indent, mode, &mut tasks),
            }
        }
    }

    fn doc<'d>(&mut self, doc: &'d Doc<'a>, indent: usize, mode: Mode, tasks: &mut Tasks<'d, 'a>) {
        match &doc.node {
            Node::Text(" ") => self.blank(" "),
            Node::Text(text) => self.text(text, indent),
            Node::Separator(text) => self.push(text),
            Node::Choice { flat, broken } => {
                self.push(if mode == Mode::Flat { flat } else { broken });
            }
            Node::Line { flat } if mode == Mode::Flat => self.blank(flat),
            Node::Line { .. } => self.new_line(indent),
            Node::Blank if mode == Mode::Broken => self.empty_line(),
            Node::Blank => {}
            Node::Concat(parts) => {
                tasks.extend(
                    parts
                        .iter()
                        .rev()
                        .map(|part| (indent, mode, Task::Doc(part))),
                );
            }
            Node::Indent(inner) => tasks.push((indent + INDENT, mode, Task::Doc(inner))),
            Node::Group(inner) => {
                let flat = mode == Mode::Flat
                    || (!doc.forced && self.fits(self.width, inner, indent, tasks));
                let mode = if flat { Mode::Flat } else { Mode::Broken };
                tasks.push((indent, mode, Task::Doc(inner)));
            }
            Node::Fill(items, further) => {
                if let Some((first, rest)) = items.split_first() {
                    tasks.push((indent, mode, Task::Rest(rest, *further)));
                    tasks.push((indent, mode, Task::Doc(&first.doc)));
                }
            }
            Node::Trailing(text) => self.trailing.push(text),
            Node::Own(text) => {
                self.end_line_if_begun();
                self.indent = indent;
                self.push(text);
                self.closed = true;
            }
            Node::Column => {
                if mode == Mode::Broken {
                    self.line.column = Some(self.line.text.len());
                }
            }
        }
    }

    /// Writes the first of the items behind another one, in the same line or in a new one.
    fn rest<'d>(
        &mut self,
        items: &'d [Item<'a>],
        further: usize,
        indent: usize,
        mode: Mode,
        tasks: &mut Tasks<'d, 'a>,
    ) {
        let Some((item, rest)) = items.split_first() else {
            return;
        };
        tasks.push((indent, mode, Task::Rest(rest, further)));
        let inner = indent + further;
        let stays = mode == Mode::Flat
            || (!item.breaks && !self.line_must_end() && {
                // What must be broken anywhere may begin in this line; anything else moves to the next if that helps.
                self.fits(self.width + 1, &item.doc, inner, tasks)
                    || (!self.fits(inner, &item.doc, inner, tasks)
                        && self.begins(self.width + 1, &item.doc, inner, tasks))
            });
        if stays {
            self.blank(" ");
            tasks.push((indent, mode, Task::Doc(&item.doc)));
        } else {
            self.new_line(inner);
            tasks.push((inner, mode, Task::Doc(&item.doc)));
        }
    }

    /// Whether a document fits into the line on one line, with what must stand behind it.
    fn fits(&self, width: usize, doc: &Doc<'a>, indent: usize, after: &Tasks<'_, 'a>) -> bool {
        !doc.forced && self.measure(width, Mode::Flat, doc, indent, after)
    }

    /// Whether a document fits into the line up to its first line break.
    fn begins(&self, width: usize, doc: &Doc<'a>, indent: usize, after: &Tasks<'_, 'a>) -> bool {
        self.measure(width, Mode::Broken, doc, indent, after)
    }

    fn measure(
        &self,
        width: usize,
        mode: Mode,
        doc: &Doc<'a>,
        indent: usize,
        after: &Tasks<'_, 'a>,
    ) -> bool {
        let mut width = width;
        let mut tasks: Tasks<'_, 'a> = vec![(indent, mode, Task::Doc(doc))];
        let mut after = after.iter().rev();
        while width <= WIDTH {
            let Some((indent, mode, task)) = tasks.pop().or_else(|| after.next().copied()) else {
                return true;
            };
            let Task::Doc(doc) = task else {
                let Task::Rest(items, further) = task else {
                    continue;
                };
                match (mode, items.split_first()) {
                    (_, None) => {}
                    (Mode::Broken, Some(_)) => return true,
                    (Mode::Flat, Some((first, rest))) => {
                        width += 1;
                        tasks.push((indent, mode, Task::Rest(rest, further)));
                        tasks.push((indent, mode, Task::Doc(&first.doc)));
                    }
                }
                continue;
            };
            match &doc.node {
                Node::Text(text) => {
                    if let Some((first, _)) = text.split_once('\n') {
                        return width + first.chars().count() <= WIDTH;
                    }
                    width += text.chars().count();
                }
                Node::Separator(text) => width += text.len(),
                Node::Choice { flat, .. } if mode == Mode::Flat => width += flat.len(),
                Node::Choice { broken, .. } => width += broken.len(),
                Node::Line { flat } if mode == Mode::Flat => width += flat.len(),
                Node::Line { .. } | Node::Trailing(_) | Node::Own(_) => return true,
                Node::Blank | Node::Column => {}
                Node::Concat(parts) => {
                    tasks.extend(
                        parts
                            .iter()
                            .rev()
                            .map(|part| (indent, mode, Task::Doc(part))),
                    );
                }
                Node::Indent(inner) => tasks.push((indent, mode, Task::Doc(inner))),
                Node::Group(inner) => tasks.push((indent, mode, Task::Doc(inner))),
                Node::Fill(items, further) => {
                    if let Some((first, rest)) = items.split_first() {
                        tasks.push((indent, mode, Task::Rest(rest, *further)));
                        tasks.push((indent, mode, Task::Doc(&first.doc)));
                    }
                }
            }
        }
        false
    }

    fn line_must_end(&self) -> bool {
        self.closed || !self.trailing.is_empty()
    }

    fn text(&mut self, text: &str, indent: usize) {
        if self.line_must_end() {
            self.new_line(indent);
        }
        self.push(text);
    }

    fn blank(&mut self, text: &str) {
        if !self.line_must_end() && !self.line.text.is_empty() {
            self.push(text);
        }
    }

    fn push(&mut self, text: &str) {
        if self.line.text.is_empty() && !text.is_empty() {
            self.line.indent = self.indent;
            self.line.text = " ".repeat(self.indent);
            self.width = self.indent;
        }
        self.line.text.push_str(text);
        let last = text.rsplit('\n').next().unwrap_or(text);
        let before = if last.len() < text.len() {
            0
        } else {
            self.width
        };
        self.width = before + last.chars().count();
    }

    fn new_line(&mut self, indent: usize) {
        self.end_line();
        self.indent = indent;
        self.width = indent;
    }

    fn end_line_if_begun(&mut self) {
        if !self.line.text.is_empty() || !self.trailing.is_empty() {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        let mut line = std::mem::take(&mut self.line);
        line.text.truncate(line.text.trim_end_matches(' ').len());
        for (at, comment) in std::mem::take(&mut self.trailing).into_iter().enumerate() {
            // What is said of a whole body is no column.
            let code = line.text.trim_start();
            let brackets = code.ends_with(['{', '(', '[']) || code.starts_with(['}', ')', ']']);
            if at == 0 && !code.is_empty() && !brackets {
                line.comment = Some(line.text.len());
            }
            if !line.text.is_empty() {
                line.text.push(' ');
            }
            line.text.push_str(comment);
        }
        // Nothing begins with an empty line.
        if !self.lines.is_empty() || !line.text.is_empty() {
            self.lines.push(line);
        }
        self.width = 0;
        self.closed = false;
    }

    /// Leaves a line empty, where there is something above.
    fn empty_line(&mut self) {
        self.end_line_if_begun();
        if self.lines.last().is_some_and(|line| !line.text.is_empty()) {
            self.lines.push(Line::default());
        }
        self.width = self.indent;
    }

    fn finish(mut self) -> String {
        self.end_line_if_begun();
        while self.lines.last().is_some_and(|line| line.text.is_empty()) {
            self.lines.pop();
        }
        align(&mut self.lines, |line| &mut line.column);
        align(&mut self.lines, |line| &mut line.comment);
        let mut text = String::new();
        for line in self.lines {
            text.push_str(&line.text);
            text.push('\n');
        }
        text
    }
}

/// Brings the columns of neighbouring lines under one another.
fn align(lines: &mut [Line], column: impl Fn(&mut Line) -> &mut Option<usize>) {
    let mut start = 0;
    while start < lines.len() {
        let mut widths = Vec::new();
        for line in &mut lines[start..] {
            let indent = line.indent;
            let Some(at) = *column(line) else { break };
            let width = line.text[..at].chars().count();
            let (least, most) = widths
                .iter()
                .fold((width, width), |(a, b): (usize, usize), &(w, _)| {
                    (a.min(w), b.max(w))
                });
            let first_indent = widths.first().map_or(indent, |&(_, indent)| indent);
            if most - least > MAX_PADDING || indent != first_indent || line.text.contains('\n') {
                break;
            }
            widths.push((width, indent));
        }
        let most = widths.iter().map(|&(width, _)| width).max().unwrap_or(0);
        for (line, &(width, _)) in lines[start..].iter_mut().zip(&widths) {
            let padding = most - width;
            if let Some(at) = *column(line) {
                line.text.insert_str(at, &" ".repeat(padding));
                // A comment stands behind the column.
                line.comment = line.comment.map(|comment| {
                    if comment > at {
                        comment + padding
                    } else {
                        comment
                    }
                });
            }
        }
        start += widths.len().max(1);
    }
}
