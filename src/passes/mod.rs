//! Graph to graph. A pass is a function: deterministic, without globals, and it says what it did and
//! what it left alone and why.
//!
//! Order and what each establishes: [`fold`] numbers are computed where they can be; [`simplify`]
//! nothing is stretched, summed or reshaped to what it is; [`cse`] nothing is computed twice; [`dce`]
//! nothing is computed in vain; [`norm`] what is the same for
//! all pixels of a channel is computed once; [`winograd`] convolutions are done the way that takes least; [`layout`] every value has the layout that its producer writes and
//! its readers want, conversions standing where they differ (required by everything after it);
//! [`fuse`] nodes are in groups, each of which becomes kernels.

pub mod cse;
pub mod dce;
pub mod fold;
pub mod fuse;
pub mod layout;
pub mod norm;
pub mod print;
pub mod recompute;
pub mod rewrite;
pub mod simplify;
pub mod winograd;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::ir::{Graph, NodeId, ValueId};

/// What a pass did or left alone at a node, and why. It is put into words only when somebody reads it: a deep net's
/// training step gives thousands, and most commands show none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// The pass.
    pub pass: &'static str,
    /// The node, as numbered in the graph that the pass was given.
    pub node: NodeId,
    /// The operator's name.
    pub op: &'static str,
    /// The layer that the node belongs to; empty if to none.
    pub origin: Arc<str>,
    /// Whether it was changed.
    pub fired: bool,
    /// What was done, or why nothing was.
    pub text: Text,
}

/// What a remark says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Text {
    /// As it stands.
    Words(Cow<'static, str>),
    /// The node goes into the group that starts with another one, whose operator is named.
    Joins(&'static str, NodeId),
    /// The node does not go into the group that makes an operand, and why.
    NotWith(ValueId, &'static str),
}

impl From<&'static str> for Text {
    fn from(words: &'static str) -> Text {
        Text::Words(Cow::Borrowed(words))
    }
}

impl From<String> for Text {
    fn from(words: String) -> Text {
        Text::Words(Cow::Owned(words))
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Words(words) => f.write_str(words),
            Text::Joins(op, head) => write!(f, "joins {op} of {head}"),
            Text::NotWith(operand, reason) => write!(f, "not with {operand}: {reason}"),
        }
    }
}

impl Remark {
    pub(crate) fn new(
        pass: &'static str,
        graph: &Graph,
        node: NodeId,
        fired: bool,
        text: impl Into<Text>,
    ) -> Remark {
        use crate::ops::OpRules;
        let entry = &graph.nodes[node];
        Remark {
            pass,
            node,
            op: entry.op.name(),
            origin: Arc::clone(&entry.origin),
            fired,
            text: text.into(),
        }
    }
}

impl Remark {
    /// Whether the pass changed the node, in a word.
    pub fn verb(&self) -> &'static str {
        if self.fired { "did" } else { "left" }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = self.verb();
        write!(f, "{} {verb} {} ({}", self.pass, self.node, self.op)?;
        if !self.origin.is_empty() {
            write!(f, " of {}", self.origin)?;
        }
        write!(f, "): {}", self.text)
    }
}
