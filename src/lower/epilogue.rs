//! The element-wise part of a group: what is computed at one place of the iteration space, in
//! registers, by whatever loop brings the place.

use rustc_hash::FxHashMap;

use super::access::{Access, Space};
use super::{Args, Buffer, Cx, ELEMENT};
use crate::ir::{Graph, NodeId, ValueId};
use crate::kernel::BodyBuilder;
use crate::kernel::{Address, Index, Int, Lanes, Ptr, Reg};
use crate::ops::{Op, dropout, pointwise};

/// The bytes of a cache line.
pub const LINE_BYTES: i64 = 64;

/// The element-wise nodes of a group over a space.
#[derive(Debug)]
pub struct Epilogue<'a> {
    graph: &'a Graph,
    nodes: &'a [NodeId],
    /// The anchor's results, which arrive in registers.
    starts: Vec<ValueId>,
    /// What is iterated over.
    pub space: Space,
    /// What is read from memory, then what is written to it.
    accesses: Vec<(ValueId, Access)>,
    /// How many of the accesses are reads.
    reads: usize,
    /// Whether a node needs to know the logical number of each element.
    pub counts_elements: bool,
    /// Whether what lies beyond the last channel, up to a whole vector, is written too: as what becomes of zeros.
    pub pads: bool,
    /// Whether what is written goes past the caches.
    streams: bool,
}

/// A place, relative to where the pointers stand.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Images, rows, pixels and channels from there.
    pub delta: [i64; 4],
    /// The lanes in use.
    pub lanes: Lanes,
    /// The logical number of the element in each lane, where the epilogue counts elements.
    pub element: Option<Reg>,
}

/// Registers that hold an operand already: the same one for a value and a channel offset.
pub type Held = FxHashMap<(ValueId, i64), Reg>;

impl<'a> Epilogue<'a> {
    /// The epilogue of the group being lowered.
    pub fn new(cx: &Cx<'a>, starts: &[ValueId], space: Space) -> Epilogue<'a> {
        let graph = cx.graph;
        let made = |value: ValueId| {
            starts.contains(&value)
                || cx
                    .group
                    .nodes
                    .iter()
                    .any(|&node| graph.nodes[node].outputs.contains(&value))
        };
        let mut accesses: Vec<(ValueId, Access)> = Vec::new();
        for &node in &cx.group.nodes {
            for &input in &graph.nodes[node].inputs {
                let known = accesses.iter().any(|(value, _)| *value == input);
                if !known && !made(input) {
                    accesses.push((input, Access::new(graph, input, &space)));
                }
            }
        }
        let reads = accesses.len();
        for &value in &cx.group.stores {
            accesses.push((value, Access::new(graph, value, &space)));
        }
        let counts_elements = cx
            .group
            .nodes
            .iter()
            .any(|&node| matches!(graph.nodes[node].op, Op::Dropout(_)));
        let starts = starts.to_vec();
        Epilogue {
            graph,
            nodes: &cx.group.nodes,
            starts,
            space,
            accesses,
            reads,
            counts_elements,
            pads: false,
            streams: false,
        }
    }

    /// Lets what is written go past the caches, if it is too much for them and whole lines are written: by one vector each,
    /// or by vectors that follow each other in the order of memory. Reading it again takes no longer, for it would be gone;
    /// what it would push out may still be of use, and lines that are written whole need not be fetched before.
    pub fn stream(mut self, cx: &Cx<'_>, in_order: bool) -> Epilogue<'a> {
        let vector = cx.lanes() as i64 * ELEMENT;
        if vector != LINE_BYTES && !in_order {
            return self;
        }
        let stores = &self.accesses[self.reads..];
        self.streams = self.space.map[0].is_multiple_of(cx.lanes())
            && stores.iter().all(|&(value, access)| {
                let steps = [access.origin, access.image, access.row, access.pixel];
                cx.exceeds_caches(value)
                    && access.channel == ELEMENT
                    && steps.iter().all(|step| step % vector == 0)
            });
        self
    }

    /// The epilogue of a group that starts with a matrix or filter, of which images, rows and pixels of positions are so many
    /// bytes apart. Its operands are matrices that lie alike, or numbers.
    pub fn of_matrix(cx: &Cx<'a>, start: ValueId, [image, row, pixel]: [i64; 3]) -> Epilogue<'a> {
        let mut epilogue = Epilogue::new(cx, &[start], Space::of(cx.graph, start));
        assert!(
            !epilogue.counts_elements,
            "{}: the elements of a matrix have no number",
            cx.name
        );
        for (value, access) in &mut epilogue.accesses {
            let is_number = access.channel == 0;
            let is_alike = *cx.layout(*value) == *cx.layout(start);
            assert!(is_number || is_alike, "{}: {value} lies otherwise", cx.name);
            (access.image, access.row, access.pixel) = match is_number {
                true => (0, 0, 0),
                false => (image, row, pixel),
            };
        }
        epilogue.pads = true;
        epilogue
    }

    /// How each buffer is reached, in the order of the pointers.
    pub fn accesses(&self) -> impl Iterator<Item = &Access> {
        self.accesses.iter().map(|(_, access)| access)
    }

    /// How each buffer that is read is reached; their pointers come first.
    pub fn reads(&self) -> impl Iterator<Item = &Access> {
        self.accesses[..self.reads].iter().map(|(_, access)| access)
    }

    /// How many of the buffers pass through the caches: all, or those that are read.
    pub fn touched(&self) -> usize {
        match self.streams {
            true => self.reads,
            false => self.accesses.len(),
        }
    }

    /// Elementary operations at one place.
    pub fn work(&self) -> usize {
        self.accesses.len() + self.nodes.len()
    }

    /// Declares a pointer for each buffer.
    pub fn declare(&self, b: &mut BodyBuilder) -> Vec<Ptr> {
        self.accesses.iter().map(|_| b.ptr_arg()).collect()
    }

    /// The buffers, in the order of the pointers.
    pub fn buffers(&self) -> impl Iterator<Item = Buffer> {
        self.accesses.iter().map(|(value, _)| Buffer::Value(*value))
    }

    /// Where the pointers stand for a position.
    pub fn addresses(&self, args: &mut Args, position: [&Index; 4]) -> Vec<Address> {
        let [image, row, pixel, channel] = position.map(Index::clone);
        self.accesses
            .iter()
            .map(|(value, access)| Address {
                arg: args.value(*value),
                offset: access.at(image.clone(), row.clone(), pixel.clone(), channel.clone()),
            })
            .collect()
    }

    /// The logical number of the element at a position, wrapped to 32 bits by its reader.
    pub fn element(&self, position: [&Index; 4]) -> Index {
        let [image, row, pixel, channel] = position.map(Index::clone);
        let [_, h, w] = self.space.map.map(|size| size as i64);
        image * self.space.elements() as i64 + channel * (h * w) + row * w + pixel
    }

    /// The integers that a body takes for a position: the number of its element, where elements are counted.
    pub fn ints(&self, position: [&Index; 4]) -> Vec<Index> {
        match self.counts_elements {
            true => vec![self.element(position)],
            false => Vec::new(),
        }
    }

    /// Steps of the logical number from one lane, pixel and row to the next.
    pub fn element_steps(&self) -> [i64; 3] {
        let [_, h, w] = self.space.map.map(|size| size as i64);
        [h * w, 1, w]
    }

    /// The logical numbers of the lanes at the place that an integer argument counts for.
    pub fn element_lanes(&self, b: &mut BodyBuilder, first: Int) -> Reg {
        let base = b.splat(first);
        let iota = b.iota();
        let step = b.const_i(self.element_steps()[0] as i32);
        let lanes = b.imul(iota, step);
        b.iadd(base, lanes)
    }

    /// The logical numbers of the elements at a place, given those where the pointers stand.
    pub fn element_at(&self, b: &mut BodyBuilder, first: Reg, delta: [i64; 4]) -> Reg {
        let [image, row, pixel, channel] = delta;
        let [lane_step, pixel_step, row_step] = self.element_steps();
        let ahead = image * self.space.elements() as i64
            + row * row_step
            + pixel * pixel_step
            + channel * lane_step;
        if ahead == 0 {
            return first;
        }
        let step = b.const_i(ahead as i32);
        b.iadd(first, step)
    }

    /// Loads operands that a loop over pixels does not change: every one that is the same for all
    /// channels, and the per-channel ones of `vectors` vectors if there are at most `limit` of them.
    pub fn hold(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        places: &[(i64, Lanes)],
        limit: usize,
    ) -> Held {
        let mut held = Held::default();
        let fixed = |access: &Access| access.image == 0 && access.row == 0 && access.pixel == 0;
        let reads = self.accesses[..self.reads].iter().zip(ptrs);
        let by_channel = reads
            .clone()
            .filter(|((_, access), _)| fixed(access) && access.channel != 0)
            .count();
        for ((value, access), &ptr) in reads {
            if !fixed(access) {
                continue;
            }
            if access.channel == 0 {
                let reg = b.broadcast_as(ptr, 0, self.lane_type(*value));
                held.insert((*value, 0), reg);
            } else if by_channel * places.len() <= limit {
                for &(channel, lanes) in places {
                    let reg = b.load_as(
                        ptr,
                        access.delta(0, 0, 0, channel),
                        lanes,
                        self.lane_type(*value),
                    );
                    held.insert((*value, channel), reg);
                }
            }
        }
        held
    }

    fn lane_type(&self, value: ValueId) -> crate::kernel::LaneType {
        match self.graph.ty(value).dtype {
            crate::ir::DType::F32 => crate::kernel::LaneType::F32,
            crate::ir::DType::I32 => crate::kernel::LaneType::I32,
        }
    }

    /// Computes the nodes at a place and stores what leaves the group. `starts` are the anchor's
    /// results there.
    pub fn emit(
        &self,
        b: &mut BodyBuilder,
        ptrs: &[Ptr],
        place: Place,
        starts: &[Reg],
        held: &Held,
    ) {
        let [image, row, pixel, channel] = place.delta;
        let mut regs: FxHashMap<ValueId, Reg> = self
            .starts
            .iter()
            .copied()
            .zip(starts.iter().copied())
            .collect();
        for &node in self.nodes {
            let node = &self.graph.nodes[node];
            let mut operands = Vec::with_capacity(node.inputs.len());
            for &input in &node.inputs {
                let reg = regs.get(&input).copied();
                let reg = reg.or_else(|| {
                    let by_channel = held.get(&(input, channel)).copied();
                    by_channel.or_else(|| {
                        held.get(&(input, 0)).copied().filter(|_| {
                            self.access(input)
                                .is_some_and(|(_, access)| access.channel == 0)
                        })
                    })
                });
                let reg = reg.unwrap_or_else(|| {
                    let (position, access) =
                        self.access(input).expect("an operand is made here or read");
                    let delta = access.delta(image, row, pixel, channel);
                    let reg = if access.channel == 0 {
                        b.broadcast_as(ptrs[position], delta, self.lane_type(input))
                    } else {
                        b.load_as(ptrs[position], delta, place.lanes, self.lane_type(input))
                    };
                    regs.insert(input, reg);
                    reg
                });
                operands.push(reg);
            }
            let result = compute(b, &node.op, &operands, place.element);
            regs.insert(node.outputs[0], result);
        }
        for (position, (value, access)) in self.accesses.iter().enumerate().skip(self.reads) {
            let delta = access.delta(image, row, pixel, channel);
            match self.streams && place.lanes == Lanes::All {
                true => b.stream(ptrs[position], delta, regs[value]),
                false => b.store(ptrs[position], delta, regs[value], place.lanes),
            }
        }
    }

    fn access(&self, value: ValueId) -> Option<(usize, &Access)> {
        self.accesses[..self.reads]
            .iter()
            .position(|(known, _)| *known == value)
            .map(|position| (position, &self.accesses[position].1))
    }
}

/// One element-wise node at a place; `element` is the logical number of the element there, where elements are counted.
pub(super) fn compute(b: &mut BodyBuilder, op: &Op, operands: &[Reg], element: Option<Reg>) -> Reg {
    match op {
        Op::Constant(value) => b.const_f(*value),
        Op::Expand(_) => operands[0],
        Op::Dropout(op) => {
            let element = element.expect("the loop counts elements");
            dropout::lower::emit(op, b, operands[0], operands[1], element)
        }
        Op::Pointwise(op) => pointwise::lower::emit(op, b, operands),
        other => panic!("{other:?} is not element-wise"),
    }
}
