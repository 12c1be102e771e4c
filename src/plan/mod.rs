//! What runs, in which order, and where everything lies: one arena for all buffers.
//!
//! A plan knows kernels only as things with buffers and a domain, and nothing of threads. Offsets are
//! fixed here, so a step allocates nothing.

pub mod memory;
pub mod parts;
pub mod print;

use std::collections::HashMap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::codegen::Target;
use crate::ir::arena::Id;
use crate::ir::{Graph, IdVec, StepScalar, ValueId, ValueKind, Within};
use crate::kernel::Kernel;
use crate::lower::once::{Footprints, Measure, Once};
use crate::lower::{Buffer, Domain, Group, GroupId, ScratchId};
use crate::passes::fuse::Groups;

use memory::{Lifetime, Placed};

/// A kernel with the places of its buffers.
#[derive(Clone, PartialEq, Debug)]
pub struct PlanStep {
    /// Which of the plan's kernels.
    pub kernel: usize,
    /// The offset of each buffer in the arena, in bytes.
    pub args: Vec<usize>,
    /// How it may be split.
    pub domain: Domain,
    /// The step's own name; equal kernels are shared under the name of the first.
    pub name: String,
    /// The group that it belongs to.
    pub group: GroupId,
}

/// A value that outlives a run or is given or asked for, and its place.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// The value.
    pub value: ValueId,
    /// Its offset in the arena, in bytes.
    pub offset: usize,
    /// Bytes that it takes, the slack behind it left out.
    pub bytes: usize,
}

/// A program's kernels and memory.
#[derive(Clone, PartialEq, Debug)]
pub struct Plan {
    /// The largest batch.
    pub batch: usize,
    /// The distinct kernels.
    pub kernels: Vec<Kernel>,
    /// The steps, in order.
    pub steps: Vec<PlanStep>,
    /// How many of the first steps depend on parameters alone: they run again only when one is set.
    pub fixed_steps: usize,
    /// The size of the arena in bytes.
    pub arena_bytes: usize,
    /// Bytes of it that are kept from run to run: parameters, optimiser state, step scalars.
    pub kept_bytes: usize,
    /// Parameters, states, inputs and outputs.
    pub slots: HashMap<ValueId, Slot>,
    /// Where each step scalar lies, if the graph reads it.
    pub scalars: Vec<(StepScalar, usize)>,
    /// What could not be done in place, and why.
    pub remarks: Vec<String>,
}

/// Alignment of buffers: a cache line, and a whole vector of every tier.
pub const ALIGN: usize = 64;

/// Makes the plan of a graph whose layouts and groups are decided.
pub fn make(graph: &Graph, groups: &Groups, target: &Target, batch: usize) -> Plan {
    let mut once = Once::new(graph, target, batch);
    let mut lowered = Vec::new();
    let mut maker = Maker::new(graph, groups, target, batch);
    let (ordered, fixed_groups) = maker.ordered();
    for (id, group) in ordered {
        let name = name(graph, id, group.anchor.or(group.nodes.last().copied()));
        lowered.push((id, once.lower(group, &name), name));
    }
    let mut steps = Vec::new();
    let mut kernels = Kernels::default();
    let mut fixed_steps = 0;
    for (number, (id, alike, name)) in lowered.into_iter().enumerate() {
        let group = once.lowered(alike.first);
        let args = group.steps.iter().map(|step| step.args.as_slice());
        maker.group(args, &group.scratch, &alike.values);
        for (number, step) in group.steps.iter().enumerate() {
            steps.push(PlanStep {
                kernel: kernels.number((alike.first, number), &step.kernel),
                args: Vec::new(),
                domain: step.domain,
                name: once.renamed(alike.first, &step.kernel.name, &name),
                group: id,
            });
        }
        if number < fixed_groups {
            fixed_steps = steps.len();
        }
    }
    maker.finish(steps, fixed_steps, kernels.all)
}

/// The bytes of the arena of the plan that [`make`] makes for the footprints' machine, without its kernels.
pub fn arena_bytes(graph: &Graph, groups: &Groups, batch: usize, footprints: &Footprints) -> usize {
    let mut measure = Measure::new(graph, footprints, batch);
    let mut maker = Maker::new(graph, groups, footprints.target(), batch);
    for (_, group) in maker.ordered().0 {
        let (footprint, values) = measure.of(group);
        let steps = footprint.steps.iter().map(Vec::as_slice);
        maker.group(steps, &footprint.scratch, values);
    }
    maker.placed().1.bytes
}

fn name(graph: &Graph, id: GroupId, node: Option<crate::ir::NodeId>) -> String {
    use crate::ops::OpRules;
    let Some(node) = node else {
        return format!("k{}", id.index());
    };
    let node = &graph.nodes[node];
    let origin: String = node
        .origin
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let separator = if origin.is_empty() { "" } else { "_" };
    format!("k{}{separator}{origin}_{}", id.index(), node.op.name())
}

struct Maker<'a> {
    graph: &'a Graph,
    groups: &'a Groups,
    batch: usize,
    slack: usize,
    /// Size and lifetime of each buffer; none for what is kept.
    buffers: Vec<(usize, Option<Lifetime>)>,
    of_value: IdVec<ValueId, Option<usize>>,
    /// Whether a value follows from parameters alone.
    fixed: IdVec<ValueId, bool>,
    /// What is written over which other value.
    in_place: FxHashMap<ValueId, ValueId>,
    /// In which buffer, and where there, each argument of each step lies.
    places: Vec<Vec<(usize, usize)>>,
    /// Steps so far; a group without any counts for one.
    steps: usize,
    remarks: Vec<String>,
}

impl<'a> Maker<'a> {
    fn new(graph: &'a Graph, groups: &'a Groups, target: &Target, batch: usize) -> Maker<'a> {
        let mut maker = Maker {
            graph,
            groups,
            batch,
            // Kernels read whole vectors past a row's end and write whole vectors of padded rows.
            slack: target.vector_bytes(),
            buffers: Vec::new(),
            of_value: IdVec::filled(graph.values.len(), None),
            fixed: graph.fixed(),
            in_place: FxHashMap::default(),
            places: Vec::new(),
            steps: 0,
            remarks: Vec::new(),
        };
        maker.kept();
        maker.lasting();
        maker.in_place = maker.in_place();
        maker
    }

    /// The groups in the order in which they run, and how many of the first follow from parameters alone. Groups stand in
    /// an order in which they can run, and still do when those come first.
    fn ordered(&self) -> (Vec<(GroupId, &'a Group)>, usize) {
        let is_fixed = |group: &Group| group.stores.iter().all(|&value| self.fixed[value]);
        let all = self.groups.groups.iter();
        let (mut first, rest): (Vec<_>, Vec<_>) = all.partition(|(_, group)| is_fixed(group));
        let count = first.len();
        first.extend(rest);
        (first, count)
    }

    /// The buffers of the steps of one more group, whose values have numbers of their own.
    fn group<'s>(
        &mut self,
        steps: impl ExactSizeIterator<Item = &'s [Buffer]>,
        scratch: &IdVec<ScratchId, usize>,
        values: &[ValueId],
    ) {
        let first = self.steps;
        let last = first + steps.len().max(1) - 1;
        // The group's own buffers stand one after the other.
        let own = self.buffers.len();
        for (_, &elements) in scratch.iter() {
            self.buffer(elements * size_of::<f32>(), Lifetime { first, last });
        }
        for args in steps {
            let place = |&arg: &Buffer| match arg {
                Buffer::Value(value) => self.value(values[value.index()], first, last),
                Buffer::Scratch(id) => (own + id.index(), 0),
            };
            let places = args.iter().map(place).collect();
            self.places.push(places);
        }
        self.steps = last + 1;
    }

    fn bytes(&self, value: ValueId) -> usize {
        let entry = &self.graph.values[value];
        let images = if entry.ty.shape.batched {
            self.batch
        } else {
            1
        };
        images * entry.layout.image_stride() * size_of::<f32>()
    }

    fn buffer(&mut self, bytes: usize, lifetime: Lifetime) -> usize {
        self.buffers.push((bytes, Some(lifetime)));
        self.buffers.len() - 1
    }

    /// The buffers of parameters, states and step scalars.
    fn kept(&mut self) {
        for (id, value) in self.graph.values.iter() {
            let is_kept = match value.kind {
                ValueKind::Param(_) | ValueKind::State(_) | ValueKind::Step(_) => true,
                ValueKind::Input(_) | ValueKind::Result { .. } => false,
            };
            if is_kept {
                let bytes = self.bytes(id);
                self.of_value[id] = Some(self.buffers.len());
                self.buffers.push((bytes, None));
            } else if matches!(value.kind, ValueKind::Input(_)) {
                let bytes = self.bytes(id);
                let buffer = self.buffer(bytes, Lifetime { first: 0, last: 0 });
                self.of_value[id] = Some(buffer);
            }
        }
    }

    /// The buffers of what follows from parameters and is read by what does not.
    fn lasting(&mut self) {
        let groups = &self.groups.groups;
        let rest = groups.iter().filter(|(_, group)| {
            let mut stores = group.stores.iter();
            stores.any(|&value| !self.fixed[value])
        });
        let mut read: Vec<ValueId> = rest
            .flat_map(|(_, group)| self.reads(group))
            .chain(self.graph.outputs.iter().map(|output| output.value))
            .map(|value| self.root(value).0)
            .filter(|&root| self.fixed[root])
            .collect();
        read.sort_unstable();
        read.dedup();
        for value in read {
            if self.of_value[value].is_none() {
                let bytes = self.bytes(value);
                self.of_value[value] = Some(self.buffers.len());
                self.buffers.push((bytes, None));
            }
        }
    }

    /// The values that are written straight over another that nobody reads later: what is kept for the next step over
    /// what was kept for this one, and results of element-wise groups over an operand.
    fn in_place(&mut self) -> FxHashMap<ValueId, ValueId> {
        let groups = &self.groups.groups;
        let mut writers: IdVec<ValueId, Option<GroupId>> =
            IdVec::filled(self.graph.values.len(), None);
        // The last group that reads something in a value's memory.
        let mut readers = writers.clone();
        for (id, group) in groups.iter() {
            for &value in &group.stores {
                writers[value] = Some(id);
            }
            for value in self.reads(group) {
                readers[self.root(value).0] = Some(id);
            }
        }
        let mut in_place = FxHashMap::default();
        for update in &self.graph.updates {
            let (value, _) = self.root(update.value);
            let Some(writer) = writers[value] else {
                self.remarks
                    .push(format!("{} is no result of a kernel", update.value));
                continue;
            };
            let late = readers[update.target].is_some_and(|reader| reader > writer);
            let whole = groups[writer].anchor.is_some_and(|anchor| {
                let mut inputs = self.graph.nodes[anchor].inputs.iter();
                inputs.any(|&input| self.root(input).0 == update.target)
            });
            if late || whole || in_place.contains_key(&value) {
                self.remarks.push(format!(
                    "{} cannot take the place of {} while that is still read",
                    update.value, update.target
                ));
                continue;
            }
            in_place.insert(value, update.target);
        }
        let mut taken = self.asked();
        for (id, group) in groups.iter().filter(|(_, group)| group.anchor.is_none()) {
            for &value in &group.stores {
                let is_placed = self.fixed[value] || in_place.contains_key(&value);
                if self.root(value) != (value, 0) || is_placed {
                    continue;
                }
                let operand = self.reads(group).find(|&operand| {
                    let is_before = writers[operand].is_some_and(|writer| writer < id);
                    is_before
                        && !self.fixed[operand]
                        && self.alike(operand, value)
                        && readers[operand] == Some(id)
                        && !taken.contains(&operand)
                        && self.reads_as_it_lies(group, operand)
                });
                if let Some(operand) = operand {
                    taken.insert(operand);
                    in_place.insert(value, operand);
                }
            }
        }
        in_place
    }

    /// What the nodes of a group read.
    fn reads(&self, group: &'_ Group) -> impl Iterator<Item = ValueId> {
        let nodes = group.anchor.iter().chain(&group.nodes);
        nodes.flat_map(|&node| self.graph.nodes[node].inputs.iter().copied())
    }

    /// Whether two values have every element at the same place of their buffers.
    fn alike(&self, a: ValueId, b: ValueId) -> bool {
        let [a, b] = [a, b].map(|value| &self.graph.values[value]);
        a.ty.shape == b.ty.shape && a.layout == b.layout
    }

    /// Whether the group reads the value's memory under its own shape only, and the value lies in no other.
    fn reads_as_it_lies(&self, group: &Group, value: ValueId) -> bool {
        self.root(value) == (value, 0)
            && self
                .reads(group)
                .all(|other| other == value || self.root(other).0 != value)
    }

    /// The values whose memory these are read from.
    fn asked(&self) -> FxHashSet<ValueId> {
        self.graph
            .leaves()
            .map(|value| self.root(value).0)
            .collect()
    }

    /// The value whose buffer a value lies in, and how many bytes into each image.
    fn root(&self, value: ValueId) -> (ValueId, usize) {
        let Within { whole, channel } = self.graph.place(value);
        let root = self.groups.views[whole].unwrap_or(whole);
        (root, channel * size_of::<f32>())
    }

    /// The buffer of a value that steps `first..=last` touch, and its place there in bytes.
    fn value(&mut self, value: ValueId, first: usize, last: usize) -> (usize, usize) {
        let (value, offset) = self.root(value);
        let buffer = match self.of_value[value] {
            Some(buffer) => buffer,
            None => {
                let buffer = match self.in_place.get(&value) {
                    Some(&target) => {
                        self.of_value[target].expect("what is written over has a buffer")
                    }
                    None => {
                        let bytes = self.bytes(value);
                        self.buffer(bytes, Lifetime { first, last })
                    }
                };
                self.of_value[value] = Some(buffer);
                buffer
            }
        };
        if let Some(lifetime) = &mut self.buffers[buffer].1 {
            lifetime.last = lifetime.last.max(last);
        }
        (buffer, offset)
    }

    /// The size and lifetime of each buffer, slack counted, and its place.
    fn placed(&mut self) -> (Vec<(usize, Option<Lifetime>)>, Placed) {
        for value in self.graph.leaves() {
            let (root, _) = self.root(value);
            if let Some(buffer) = self.of_value[root]
                && let Some(lifetime) = &mut self.buffers[buffer].1
            {
                lifetime.last = self.steps;
            }
        }
        let sized: Vec<(usize, Option<Lifetime>)> = self
            .buffers
            .iter()
            .map(|&(bytes, life)| ((bytes + self.slack).next_multiple_of(ALIGN), life))
            .collect();
        let placed = memory::place(&sized);
        (sized, placed)
    }

    /// Places the buffers of all steps.
    fn finish(
        mut self,
        mut steps: Vec<PlanStep>,
        fixed_steps: usize,
        kernels: Vec<Kernel>,
    ) -> Plan {
        let (sized, placed) = self.placed();
        let kept_bytes = sized
            .iter()
            .filter(|(_, life)| life.is_none())
            .map(|(size, _)| size)
            .sum();
        let mut slots = HashMap::new();
        let mut scalars = Vec::new();
        let given = self.graph.values.iter().filter_map(|(id, value)| {
            let lasts = !matches!(value.kind, ValueKind::Result { .. } | ValueKind::Step(_));
            lasts.then_some(id)
        });
        for value in given.chain(self.graph.leaves()) {
            let (root, into) = self.root(value);
            if let Some(buffer) = self.of_value[root] {
                let slot = Slot {
                    value,
                    offset: placed.offsets[buffer] + into,
                    bytes: self.bytes(value) - into,
                };
                slots.insert(value, slot);
            }
        }
        for (id, value) in self.graph.values.iter() {
            if let (ValueKind::Step(scalar), Some(buffer)) = (&value.kind, self.of_value[id]) {
                scalars.push((*scalar, placed.offsets[buffer]));
            }
        }
        scalars.sort_unstable();
        for (step, places) in steps.iter_mut().zip(&self.places) {
            let offsets = places
                .iter()
                .map(|&(buffer, into)| placed.offsets[buffer] + into);
            step.args = offsets.collect();
        }
        Plan {
            batch: self.batch,
            kernels,
            steps,
            fixed_steps,
            arena_bytes: placed.bytes,
            kept_bytes,
            slots,
            scalars,
            remarks: self.remarks,
        }
    }
}

/// The distinct kernels: layers of one shape share code.
#[derive(Debug, Default)]
struct Kernels {
    all: Vec<Kernel>,
    /// Their numbers, by what they do, names left out.
    known: FxHashMap<Kernel, usize>,
    /// Their numbers, by the group that was lowered and the step of it.
    of_step: FxHashMap<(usize, usize), usize>,
}

impl Kernels {
    /// The number of the kernel that does what this one does.
    fn number(&mut self, step: (usize, usize), kernel: &Kernel) -> usize {
        if let Some(&number) = self.of_step.get(&step) {
            return number;
        }
        let mut nameless = kernel.clone();
        nameless.name.clear();
        for body in &mut nameless.bodies {
            body.name.clear();
        }
        let number = *self.known.entry(nameless).or_insert_with(|| {
            self.all.push(kernel.clone());
            self.all.len() - 1
        });
        self.of_step.insert(step, number);
        number
    }
}
