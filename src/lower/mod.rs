//! From groups of graph nodes to kernels: the tools that the families' `lower` modules share.
//!
//! A group becomes one or more [`Step`]s: a kernel, the buffers it gets, and the domain that the
//! runtime may split over threads. Loops over images, pixels and channels are emitted here and
//! nowhere else; a family says what happens inside them. Nothing here knows an instruction set:
//! the number of lanes and registers comes from the target.
//!
//! A lowering decides first (tiles, buffers, how the domain is split), then emits: where only the
//! buffers are asked for, it stops before ([`Cx::emit`]).

pub mod access;
pub mod contract;
pub mod depthwise;
pub mod dots;
pub mod elementwise;
pub mod epilogue;
pub mod fed;
pub mod fold;
pub mod group;
pub mod halo;
pub mod moments;
pub mod once;
pub mod partial;
pub mod planes;
pub mod rows;
pub mod runs;
pub mod shares;
pub mod strided;
pub mod windows;
pub mod winograd;

use crate::codegen::Target;
use crate::id_type;
use crate::ir::arena::Id;
use crate::ir::{Graph, IdVec, NodeId, ValueId};
use crate::kernel::{Arg, Cond, Index, Kernel, Lanes, NestBuilder};

pub use access::{Access, Space, vectors};
pub use epilogue::Epilogue;

id_type! {
    /// A buffer that lives within a group: partial sums.
    ScratchId, "s"
}

/// What a kernel argument points to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Buffer {
    /// A value of the graph.
    Value(ValueId),
    /// A buffer of the step's group.
    Scratch(ScratchId),
}

/// How many independent units of work a batch of `n` images gives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Units {
    /// So many, whatever the batch.
    Fixed(usize),
    /// `units` for each started block of `images` images.
    Images {
        /// Units of a block.
        units: usize,
        /// Images in a block.
        images: usize,
    },
    /// One for each started block of `block` elements, an image having `elements`.
    Elements {
        /// Elements of an image.
        elements: usize,
        /// Elements of a unit.
        block: usize,
    },
}

impl Units {
    /// So many times as many.
    pub fn times(self, count: usize) -> Units {
        match self {
            Units::Fixed(units) => Units::Fixed(units * count),
            Units::Images { units, images } => Units::Images {
                units: units * count,
                images,
            },
            Units::Elements { .. } => panic!("elements are no rows of a matrix"),
        }
    }

    /// The number of units for a batch.
    pub fn count(self, batch: usize) -> usize {
        match self {
            Units::Fixed(units) => units,
            Units::Images { units, images } => batch.div_ceil(images) * units,
            Units::Elements { elements, block } => (batch * elements).div_ceil(block),
        }
    }
}

/// The domain of a step: units, and how many of them one task takes. Both follow from shapes alone,
/// so results do not depend on the number of threads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Domain {
    /// The units.
    pub units: Units,
    /// Units of a task.
    pub chunk: usize,
}

/// A kernel with what it works on.
#[derive(Clone, PartialEq, Debug)]
pub struct Step {
    /// The kernel.
    pub kernel: Kernel,
    /// Its buffers.
    pub args: Vec<Buffer>,
    /// How it may be split.
    pub domain: Domain,
}

id_type! {
    /// A group of nodes that become kernels together.
    GroupId, "g"
}

/// Nodes that become kernels together: at most one that is not element-wise, and what is computed
/// from its result while that is in registers; or, where it adds up, what it adds up. Cheap nodes may be in several groups.
#[derive(Clone, PartialEq, Debug)]
pub struct Group {
    /// The node that is not element-wise.
    pub anchor: Option<NodeId>,
    /// The element-wise nodes, in an order in which they can run.
    pub nodes: Vec<NodeId>,
    /// What the group makes that others read.
    pub stores: Vec<ValueId>,
}

/// What lowering a group gives.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Lowered {
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The sizes of the group's own buffers, in elements.
    pub scratch: IdVec<ScratchId, usize>,
}

impl Lowered {
    /// What it touches.
    pub fn footprint(&self) -> Footprint {
        Footprint {
            steps: self.steps.iter().map(|step| step.args.clone()).collect(),
            scratch: self.scratch.clone(),
        }
    }
}

/// What a lowered group touches: all that is to be known of it to place buffers, without its kernels.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Footprint {
    /// The buffers of each step.
    pub steps: Vec<Vec<Buffer>>,
    /// The sizes of the group's own buffers, in elements.
    pub scratch: IdVec<ScratchId, usize>,
}

/// What lowering has at hand.
#[derive(Debug)]
pub struct Cx<'a> {
    /// The graph, with layouts.
    pub graph: &'a Graph,
    /// The machine.
    pub target: &'a Target,
    /// The largest batch.
    pub batch: usize,
    /// The group being lowered.
    pub group: &'a Group,
    /// A name for its kernels.
    pub name: String,
    /// Whether kernels are wanted, or only what they touch.
    emits: bool,
    steps: Vec<(Option<Kernel>, Args, Domain)>,
    scratch: IdVec<ScratchId, usize>,
}

impl<'a> Cx<'a> {
    /// Starts on a group. Without a name for its kernels, none are made.
    pub fn new(
        graph: &'a Graph,
        target: &'a Target,
        batch: usize,
        group: &'a Group,
        name: Option<&str>,
    ) -> Cx<'a> {
        Cx {
            graph,
            target,
            batch,
            group,
            name: name.unwrap_or_default().to_owned(),
            emits: name.is_some(),
            steps: Vec::new(),
            scratch: IdVec::new(),
        }
    }

    /// Lanes of a vector.
    pub fn lanes(&self) -> usize {
        self.target.lanes
    }

    /// A buffer of so many elements that lives within the group.
    pub fn scratch(&mut self, elements: usize) -> Buffer {
        Buffer::Scratch(self.scratch.push(elements))
    }

    /// The kernel of a step that touches these buffers, or none where only they are asked for. So a lowering says first
    /// what a step touches: where buffers go follows from that alone, without loop nests and bodies.
    ///
    /// # Panics
    ///
    /// The kernel touches others too.
    pub fn emit(
        &self,
        name: &str,
        args: &mut Args,
        fill: impl FnOnce(&mut NestBuilder, &mut Args),
    ) -> Option<Kernel> {
        self.emits.then(|| {
            let said = args.len();
            let mut nest = NestBuilder::new();
            fill(&mut nest, args);
            assert_eq!(
                args.len(),
                said,
                "{name} touches what its lowering has not said"
            );
            nest.finish(name, said)
        })
    }

    /// Appends a step.
    pub fn step(&mut self, kernel: impl Into<Option<Kernel>>, args: Args, domain: Domain) {
        let kernel = kernel.into();
        if let Some(kernel) = &kernel {
            debug_assert_eq!(kernel.args as usize, args.buffers.len(), "{}", kernel.name);
        }
        self.steps.push((kernel, args, domain));
    }

    /// Ends the lowering of a group whose kernels were wanted.
    pub fn lowered(self) -> Lowered {
        let steps = self.steps.into_iter().map(|(kernel, args, domain)| Step {
            kernel: kernel.expect("kernels were wanted"),
            args: args.buffers,
            domain,
        });
        Lowered {
            steps: steps.collect(),
            scratch: self.scratch,
        }
    }

    /// Ends the lowering of a group of which only that is asked what it touches.
    pub fn footprint(self) -> Footprint {
        Footprint {
            steps: self
                .steps
                .into_iter()
                .map(|(_, args, _)| args.buffers)
                .collect(),
            scratch: self.scratch,
        }
    }

    /// The value's layout.
    pub fn layout(&self, value: ValueId) -> &'a crate::ir::Layout {
        &self.graph.values[value].layout
    }

    /// Whether what the next rows of a map need is to be called for while these are made, for images of so many bytes. A body
    /// that takes one vector of channels of each pixel steps over the others, and what processors guess from such steps
    /// comes too late where the map lies beyond the second cache.
    pub fn calls_ahead(&self, image: i64) -> bool {
        image > self.target.caches[1] as i64 / 2
    }

    /// Whether little of a value that has been written is still in the caches when it is read again from its beginning: it
    /// is larger than the last.
    pub fn exceeds_caches(&self, value: ValueId) -> bool {
        let shape = &self.graph.ty(value).shape;
        let images = if shape.batched { self.batch } else { 1 };
        let bytes = images * shape.elements() * ELEMENT as usize;
        bytes > self.target.caches[2]
    }
}

/// The buffers of a kernel, each once.
#[derive(Clone, Debug, Default)]
pub struct Args {
    buffers: Vec<Buffer>,
}

impl Args {
    /// Those of a kernel that touches these buffers.
    pub fn touching(buffers: impl IntoIterator<Item = Buffer>) -> Args {
        let mut args = Args::default();
        args.touch(buffers);
        args
    }

    /// The kernel touches these too.
    pub fn touch(&mut self, buffers: impl IntoIterator<Item = Buffer>) {
        for buffer in buffers {
            self.of(buffer);
        }
    }

    /// The argument that a buffer is passed as.
    pub fn of(&mut self, buffer: Buffer) -> Arg {
        let position = self.buffers.iter().position(|&known| known == buffer);
        let position = position.unwrap_or_else(|| {
            self.buffers.push(buffer);
            self.buffers.len() - 1
        });
        Arg(u16::try_from(position).expect("a kernel has few arguments"))
    }

    /// The argument that a value is passed as.
    pub fn value(&mut self, value: ValueId) -> Arg {
        self.of(Buffer::Value(value))
    }

    /// How many there are.
    pub fn len(&self) -> u16 {
        u16::try_from(self.buffers.len()).expect("a kernel has few arguments")
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.buffers.is_empty()
    }
}

/// Bytes of an element.
pub const ELEMENT: i64 = 4;

/// The work of a task, in elementary operations (a multiply-add, or an element moved, of a vector), that pays for handing it
/// to another thread: 4 µs at a core's peak. When each task was handed over by itself, a net of depthwise convolutions took
/// 4.6 ms for an image on two threads with tasks of 200,000, 3.8 with 80,000, 3.5 with 30,000 and with 15,000.
const TASK_WORK: usize = 30_000;

/// Tasks of a step at most: enough to balance any machine of this class, few enough that a task
/// stays long on large layers.
const MAX_TASKS: usize = 64;

/// Tasks of a step at most where each has scratch memory of its own.
const MOST_SCRATCHES: usize = 16;

/// Tasks that a step should have, so that threads have like shares.
pub const LEAST_TASKS: usize = 4;

/// How many units a task takes when a unit is worth `work` and `total` units are expected.
pub fn chunk(total: usize, work: usize) -> usize {
    let by_work = TASK_WORK.div_ceil(work.max(1));
    let units = by_work
        .max(total.div_ceil(MAX_TASKS))
        .clamp(1, total.max(1));
    match total.div_ceil(units) {
        0..=2 => units,
        _ => even(total, units),
    }
}

/// The same where each task has scratch memory of its own, so that there are few.
pub fn chunk_with_scratch(total: usize, work: usize) -> usize {
    chunk(total, work).max(total.div_ceil(MOST_SCRATCHES))
}

/// Units of a task, at most so many, with which two threads and four have the most even shares: of three tasks, one of two
/// threads would have two. Not much fewer than may be, as far as that will do.
pub fn even(total: usize, most: usize) -> usize {
    let longest = |units: usize, threads: usize| {
        let tasks = total.div_ceil(units);
        let end = |thread: usize| (tasks * thread / threads * units).min(total);
        let shares = (0..threads).map(|thread| end(thread + 1) - end(thread));
        threads * shares.max().unwrap_or(0)
    };
    let candidates = (most.div_ceil(4)..=most).rev();
    let best = candidates.min_by_key(|&units| longest(units, 2) + longest(units, 4));
    best.unwrap_or(most)
}

/// The quotient and remainder of a unit number by a static count; no arithmetic if the count is 1.
pub fn split(unit: Index, count: usize) -> (Index, Index) {
    if count == 1 {
        return (unit, Index::Const(0));
    }
    (unit.clone() / count as i64, unit % count as i64)
}

/// Calls for the whole block that starts at a place of an axis, or for what is left of the axis.
pub fn sized(
    nest: &mut NestBuilder,
    first: &Index,
    count: usize,
    block: usize,
    call: impl Fn(&mut NestBuilder, usize),
) {
    let rest = count % block;
    if rest == 0 {
        call(nest, block);
    } else if count < block {
        call(nest, rest);
    } else {
        let end = Index::Const((count - rest) as i64);
        nest.if_else(
            Cond::Lt(first.clone(), end),
            |nest| call(nest, block),
            |nest| call(nest, rest),
        );
    }
}

/// Visits the vectors that hold some channels, each with its first channel and the lanes in use: the whole ones in a loop,
/// then the last if it is not whole.
pub fn over_channels(
    nest: &mut NestBuilder,
    channels: usize,
    lanes: usize,
    mut visit: impl FnMut(&mut NestBuilder, Index, Lanes),
) {
    over_channels_abreast(nest, channels, lanes, 1, |nest, channel, _, lanes| {
        visit(nest, channel, lanes);
    });
}

/// The same for some vectors at a time, at most so many: whole ones in runs of one length, then those that are left.
pub fn over_channels_abreast(
    nest: &mut NestBuilder,
    channels: usize,
    lanes: usize,
    most: usize,
    mut visit: impl FnMut(&mut NestBuilder, Index, usize, Lanes),
) {
    let (count, last) = vectors(channels, lanes);
    let whole = count - usize::from(last != Lanes::All);
    let at_once = whole.div_ceil(whole.div_ceil(most).max(1)).max(1);
    let (runs, rest) = (whole / at_once, whole % at_once);
    let step = (at_once * lanes) as i64;
    let end = runs as i64 * step;
    match runs {
        0 => {}
        1 => visit(nest, Index::Const(0), at_once, Lanes::All),
        _ => nest.for_(0, end, step, |nest, channel| {
            visit(nest, channel, at_once, Lanes::All);
        }),
    }
    if rest > 0 {
        visit(nest, Index::Const(end), rest, Lanes::All);
    }
    if last != Lanes::All {
        visit(nest, Index::Const((whole * lanes) as i64), 1, last);
    }
}

/// A value's id as a small number, for names.
pub fn number(value: ValueId) -> usize {
    value.index()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_shared_evenly() {
        // Three tasks of three would give one of two threads six of nine.
        assert_eq!(even(9, 3), 2);
        // Two of five would leave two of four threads with nothing.
        assert_eq!(even(10, 5), 3);
        assert_eq!(even(16, 4), 4);
        assert_eq!(even(1, 1), 1);
    }
}
