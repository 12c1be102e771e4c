//! General registers for pointers, integers and loop counters.
//!
//! Arguments stay in the registers they come in. The others get what is left, those first that inner
//! loops use most; what finds no room lives in a stack slot, and instructions reach it through
//! [`SCRATCH`], which nothing else has.

use iced_x86::Register;

use super::inst::{Inst, Kind, Program, RegionId, Src};
use super::live;
use crate::kernel::{Body, Count, Int, Ptr};

/// Holds no scalar, only values within one step.
pub(super) const SCRATCH: Register = Register::RAX;

/// The registers that arguments come in, in order; further ones come on the stack.
pub(super) const ARGUMENTS: [Register; 6] = [
    Register::RDI,
    Register::RSI,
    Register::RDX,
    Register::RCX,
    Register::R8,
    Register::R9,
];

/// Registers that the caller wants back unchanged.
pub(super) const SAVED: [Register; 6] = [
    Register::RBX,
    Register::RBP,
    Register::R14,
    Register::R15,
    Register::R12,
    Register::R13,
];

/// All, cheapest first: those that need no saving, and among the saved ones last those that need a
/// longer encoding as a base.
const ORDER: [Register; 14] = [
    Register::R10,
    Register::R11,
    Register::R9,
    Register::R8,
    Register::RCX,
    Register::RDX,
    Register::RSI,
    Register::RDI,
    Register::RBX,
    Register::RBP,
    Register::R14,
    Register::R15,
    Register::R12,
    Register::R13,
];

/// Where a scalar lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Home {
    Reg(Register),
    /// A stack slot of eight bytes.
    Slot(u32),
}

/// The homes of all scalars.
pub(super) struct Scalars {
    ptrs: usize,
    ptr_args: usize,
    int_args: usize,
    /// Pointers, integers, counters; none for those that are never used.
    homes: Vec<Option<Home>>,
    /// How many stack slots there are.
    pub(super) slots: u32,
}

impl Scalars {
    pub(super) fn ptr(&self, ptr: Ptr) -> Home {
        self.home(usize::from(ptr.0))
    }

    pub(super) fn int(&self, int: Int) -> Home {
        self.home(self.ptrs + usize::from(int.0))
    }

    pub(super) fn counter(&self, region: RegionId) -> Home {
        self.home(self.ptrs + self.int_args + usize::from(region.0))
    }

    /// The homes of the arguments, in the order they are passed.
    pub(super) fn arguments(&self) -> impl Iterator<Item = Option<Home>> {
        let ptrs = &self.homes[..self.ptr_args];
        let ints = &self.homes[self.ptrs..self.ptrs + self.int_args];
        ptrs.iter().chain(ints).copied()
    }

    /// Whether a register has been handed out.
    pub(super) fn uses(&self, register: Register) -> bool {
        self.homes.contains(&Some(Home::Reg(register)))
    }

    fn home(&self, index: usize) -> Home {
        self.homes[index].expect("a scalar that is used has a home")
    }
}

/// When a scalar is needed.
#[derive(Clone, Copy)]
struct Need {
    first: u32,
    last: u32,
    weight: f32,
}

/// Finds homes for the scalars of a body; `live` tells which instructions are needed.
pub(super) fn allocate(body: &Body, program: &Program, live: impl Fn(usize) -> bool) -> Scalars {
    let ptrs = usize::from(body.ptrs);
    let int_args = usize::from(body.int_args);
    let count = ptrs + int_args + program.regions.len();
    let mut needs: Vec<Option<Need>> = vec![None; count];
    for (index, inst) in program.insts.iter().enumerate() {
        if live(index) {
            for_each(inst, program, ptrs, int_args, |scalar, counter| {
                need(&mut needs[scalar], program, index, inst, counter);
            });
        }
    }
    let ptr_args = usize::from(body.ptr_args);
    let arguments: Vec<usize> = (0..ptr_args).chain(ptrs..ptrs + int_args).collect();
    // Arguments are there from the beginning.
    for scalar in &arguments {
        if let Some(need) = &mut needs[*scalar] {
            need.first = 0;
        }
    }
    let mut homes = Homes {
        homes: vec![None; count],
        needs,
        slots: 0,
    };
    for (scalar, register) in arguments.into_iter().zip(ARGUMENTS) {
        if homes.needs[scalar].is_some() {
            homes.homes[scalar] = Some(Home::Reg(register));
        }
    }
    homes.place_rest();
    Scalars {
        ptrs,
        ptr_args,
        int_args,
        homes: homes.homes,
        slots: homes.slots,
    }
}

/// Calls back with every scalar that an instruction touches, and whether it is that loop's counter.
fn for_each(
    inst: &Inst,
    program: &Program,
    ptrs: usize,
    int_args: usize,
    mut found: impl FnMut(usize, bool),
) {
    let int = |int: Int| ptrs + usize::from(int.0);
    let counter = |id: RegionId| ptrs + int_args + usize::from(id.0);
    for src in inst.srcs.iter() {
        if let Src::Mem(addr) = src {
            found(usize::from(addr.ptr.0), false);
        }
    }
    match inst.kind {
        Kind::Store { addr, .. } | Kind::Gather { addr, .. } | Kind::Prefetch(addr) => {
            found(usize::from(addr.ptr.0), false);
        }
        Kind::Advance { ptr, .. } => found(usize::from(ptr.0), false),
        Kind::SetPtr { dst, src, .. } => {
            found(usize::from(src.0), false);
            found(usize::from(dst.0), false);
        }
        Kind::Int { int: value, .. } | Kind::TailBegin(_, value) => found(int(value), false),
        Kind::LoopBegin(id) => {
            if let Some(Count::Arg(count)) = program.regions[usize::from(id.0)].count {
                found(int(count), false);
            }
            found(counter(id), true);
        }
        Kind::LoopEnd(id) => found(counter(id), true),
        Kind::Op { .. }
        | Kind::Fma(_)
        | Kind::Select { .. }
        | Kind::Const(_)
        | Kind::TailEnd(_) => {}
    }
}

/// Extends a need to an instruction: to the whole outermost loop around it, unless it is a counter,
/// which lives exactly from the beginning to the end of its loop.
fn need(slot: &mut Option<Need>, program: &Program, index: usize, inst: &Inst, counter: bool) {
    let mut first = index as u32;
    let mut last = index as u32;
    let mut region = inst.region.filter(|_| !counter);
    while let Some(id) = region {
        let around = &program.regions[usize::from(id.0)];
        first = first.min(around.begin);
        last = last.max(around.end);
        region = around.parent;
    }
    let weight = live::frequency(program, inst);
    let need = slot.get_or_insert(Need {
        first,
        last,
        weight: 0.0,
    });
    need.first = need.first.min(first);
    need.last = need.last.max(last);
    need.weight += weight;
}

struct Homes {
    homes: Vec<Option<Home>>,
    needs: Vec<Option<Need>>,
    slots: u32,
}

impl Homes {
    fn place_rest(&mut self) {
        let mut rest: Vec<(usize, Need)> = self
            .needs
            .iter()
            .enumerate()
            .filter(|(scalar, _)| self.homes[*scalar].is_none())
            .filter_map(|(scalar, need)| Some((scalar, (*need)?)))
            .collect();
        rest.sort_by(|a, b| b.1.weight.total_cmp(&a.1.weight));
        for (scalar, need) in rest {
            let home = match ORDER
                .into_iter()
                .find(|reg| self.rivals(*reg, need).is_empty())
            {
                Some(register) => Home::Reg(register),
                None => self.evict_for(need),
            };
            self.homes[scalar] = Some(home);
        }
    }

    /// Takes a register from a single scalar that needs it less, or else makes a slot.
    fn evict_for(&mut self, need: Need) -> Home {
        let weight = |homes: &Homes, scalar: usize| {
            homes.needs[scalar].map_or(f32::INFINITY, |need| need.weight)
        };
        let lightest = ORDER
            .into_iter()
            .filter_map(|register| match self.rivals(register, need)[..] {
                [rival] => Some((weight(self, rival), rival, register)),
                _ => None,
            })
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let slot = Home::Slot(self.slots);
        self.slots += 1;
        match lightest {
            Some((weight, rival, register)) if weight < need.weight => {
                self.homes[rival] = Some(slot);
                Home::Reg(register)
            }
            _ => slot,
        }
    }

    /// The scalars in a register that are needed at the same time.
    fn rivals(&self, register: Register, need: Need) -> Vec<usize> {
        let overlaps = |other: Need| other.first <= need.last && need.first <= other.last;
        self.homes
            .iter()
            .enumerate()
            .filter(|(_, home)| **home == Some(Home::Reg(register)))
            .map(|(scalar, _)| scalar)
            .filter(|scalar| self.needs[*scalar].is_some_and(overlaps))
            .collect()
    }
}
