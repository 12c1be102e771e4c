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

use std::fmt;

use crate::ir::{Graph, NodeId};

/// What a pass did or left alone at a node, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Remark {
    /// The pass.
    pub pass: &'static str,
    /// The node, as numbered in the graph that the pass was given.
    pub node: NodeId,
    /// The operator's name.
    pub op: &'static str,
    /// The layer it belongs to, empty if to none.
    pub layer: String,
    /// Whether it was changed.
    pub fired: bool,
    /// What was done, or why nothing was.
    pub text: String,
}

impl Remark {
    pub(crate) fn new(
        pass: &'static str,
        graph: &Graph,
        node: NodeId,
        fired: bool,
        text: impl Into<String>,
    ) -> Remark {
        use crate::ops::OpRules;
        let entry = &graph.nodes[node];
        Remark {
            pass,
            node,
            op: entry.op.name(),
            layer: entry.origin.to_string(),
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
        let of = if self.layer.is_empty() { "" } else { " of " };
        let (verb, op, layer) = (self.verb(), self.op, &self.layer);
        write!(
            f,
            "{} {verb} {} ({op}{of}{layer}): {}",
            self.pass, self.node, self.text
        )
    }
}
