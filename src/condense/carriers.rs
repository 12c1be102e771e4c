//! Which elements of a source lead to learned group convolutions, and the tree of lists that hands each its channels.
//!
//! In a body, the elements that lead to such a layer stand in order of the source; what they are handed is a list with
//! an item for each, or the item alone where there is one. A layer is handed its channels, a block what its body is, and
//! a loop a list with an item for each round. So every layer finds its own list by where it stands, whatever blocks and
//! loops are around it.

use std::collections::{BTreeMap, BTreeSet};

use crate::diag::Span;
use crate::sema::{Frame, Learned, LoopRounds};
use crate::syntax::ast::{Block, Body, Call, Element, ElementKind, ForHead, Stmt};

/// An element that leads to learned group convolutions.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carrier<'a> {
    /// One itself.
    Layer(&'a Element, &'a Call),
    /// A use of a block.
    Use(&'a Call),
    /// `repeat`, with its element and its body.
    Repeat(&'a Element, &'a Body),
    /// `for`, alone or in a combinator, with its head and its body.
    For(&'a ForHead, &'a Body),
    /// A shared body.
    Shared(&'a Body),
}

/// What is known of a net's learned group convolutions and their places.
#[derive(Debug)]
pub(super) struct Carriers<'a> {
    learned: &'a Learned,
    /// The channels of each layer, by its place in the expansion.
    channels: BTreeMap<(&'a [Frame], Span), &'a [usize]>,
    places: BTreeSet<Span>,
    /// Blocks by their names in their declarations.
    blocks: BTreeMap<Span, &'a Block>,
}

impl<'a> Carriers<'a> {
    /// `channels` are those of each layer, in order.
    pub(super) fn new(
        learned: &'a Learned,
        channels: &'a [Vec<usize>],
        blocks: impl Iterator<Item = &'a Block>,
    ) -> Carriers<'a> {
        let layers = || learned.layers.iter();
        let frames = layers().flat_map(|layer| layer.frames.iter().map(|frame| frame.place));
        let key = |(layer, channels): (&'a crate::sema::LearnedLayer, &'a Vec<usize>)| {
            ((layer.frames.as_slice(), layer.call), channels.as_slice())
        };
        Carriers {
            learned,
            channels: layers().zip(channels).map(key).collect(),
            places: frames.chain(layers().map(|layer| layer.call)).collect(),
            blocks: blocks.map(|block| (block.name.span, block)).collect(),
        }
    }

    /// The blocks that lead to a learned group convolution.
    pub(super) fn blocks(&self) -> Vec<&'a Block> {
        let frames = self.learned.layers.iter().flat_map(|layer| &layer.frames);
        let names: BTreeSet<Span> = frames.filter_map(|frame| frame.block).collect();
        let found = names.iter().filter_map(|name| self.blocks.get(name));
        found.copied().collect()
    }

    /// The rounds of all expansions of a loop.
    pub(super) fn rounds(&self, body: &Body) -> impl Iterator<Item = &'a LoopRounds> + use<'a> {
        let place = body.span;
        let loops = self.learned.loops.iter();
        loops.filter(move |rounds| rounds.place == place)
    }

    /// The elements of a body that lead to learned group convolutions, in order.
    pub(super) fn of(&self, body: &'a Body) -> Vec<Carrier<'a>> {
        let mut found = Vec::new();
        self.walk(body, &mut found);
        found
    }

    fn walk(&self, body: &'a Body, found: &mut Vec<Carrier<'a>>) {
        for stmt in &body.stmts {
            match stmt {
                Stmt::Flow(flow) => {
                    for element in &flow.chain {
                        self.element(element, found);
                    }
                }
                Stmt::Shared(shared) if self.places.contains(&shared.body.span) => {
                    found.push(Carrier::Shared(&shared.body));
                }
                Stmt::Shared(_)
                | Stmt::Input(_)
                | Stmt::Output(_)
                | Stmt::Let(_)
                | Stmt::Broken(_) => {}
            }
        }
    }

    fn element(&self, element: &'a Element, found: &mut Vec<Carrier<'a>>) {
        let leads = |place: Span| self.places.contains(&place);
        match &element.kind {
            ElementKind::Call(call) if self.is_layer(call) => {
                found.push(Carrier::Layer(element, call));
            }
            ElementKind::Call(call) if leads(call.span) => found.push(Carrier::Use(call)),
            ElementKind::Join(join) => match &join.each {
                Some(head) if leads(join.body.span) => {
                    found.push(Carrier::For(head, &join.body));
                }
                Some(_) => {}
                None => self.walk(&join.body, found),
            },
            ElementKind::If(item) => {
                for (_, body) in &item.arms {
                    self.walk(body, found);
                }
                if let Some(body) = &item.otherwise {
                    self.walk(body, found);
                }
            }
            ElementKind::Repeat(_, body) if leads(body.span) => {
                found.push(Carrier::Repeat(element, body));
            }
            ElementKind::For(head, body) if leads(body.span) => {
                found.push(Carrier::For(head, body));
            }
            ElementKind::Body(body) => self.walk(body, found),
            // A head that exists only in training keeps its masks.
            ElementKind::Aux(..)
            | ElementKind::Call(_)
            | ElementKind::In
            | ElementKind::Id
            | ElementKind::Repeat(..)
            | ElementKind::For(..) => {}
        }
    }

    fn is_layer(&self, call: &Call) -> bool {
        let mut layers = self.learned.layers.iter();
        layers.any(|layer| layer.call == call.span)
    }

    /// What a body is handed where expansion is at `at`; `[]` for what is not expanded there.
    pub(super) fn lists(&self, at: &[Frame], body: &'a Body) -> String {
        let items: Vec<String> = self
            .of(body)
            .into_iter()
            .map(|carrier| self.list(at, carrier))
            .collect();
        match items.as_slice() {
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        }
    }

    fn list(&self, at: &[Frame], carrier: Carrier<'a>) -> String {
        let inside = |place: Span, round: usize, block: Option<Span>, body: &'a Body| {
            let mut inner = at.to_vec();
            inner.push(Frame {
                place,
                round,
                block,
            });
            self.lists(&inner, body)
        };
        match carrier {
            Carrier::Layer(_, call) => {
                let channels = self.channels.get(&(at, call.span));
                format!("{:?}", channels.copied().unwrap_or_default())
            }
            Carrier::Use(call) => {
                let mut frames = self.learned.layers.iter().filter_map(|layer| {
                    let next = layer.frames.get(at.len())?;
                    (layer.frames.starts_with(at) && next.place == call.span).then_some(next)
                });
                let block = frames.next().and_then(|frame| frame.block);
                match block.and_then(|block| self.blocks.get(&block)) {
                    Some(used) => inside(call.span, 0, block, &used.body),
                    None => "[]".to_owned(),
                }
            }
            Carrier::Repeat(_, body) | Carrier::For(_, body) => {
                let mut here = self.rounds(body).filter(|rounds| rounds.frames == at);
                let rounds = here.next().map_or(0, |rounds| rounds.items.len());
                let lists: Vec<String> = (0..rounds)
                    .map(|round| inside(body.span, round, None, body))
                    .collect();
                format!("[{}]", lists.join(", "))
            }
            Carrier::Shared(body) => inside(body.span, 0, None, body),
        }
    }
}
