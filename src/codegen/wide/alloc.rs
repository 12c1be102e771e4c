//! Vector registers for the webs of a program.
//!
//! The number of registers taken at a point is known beforehand: one for each web across it, one for
//! each value that the instruction there must have in a register and that has none of its own. While
//! that exceeds the machine's registers somewhere, the cheapest web across the point is *spilled*:
//! it lives in a stack slot, and instructions read it there or through a register taken for that
//! one instruction. Afterwards constants get registers where some are left over all the way, loaded
//! before the outermost loop that this is true of; elsewhere they are read from the pool.
//!
//! Intervals never having more overlaps than there are registers, handing these out in order of
//! starts cannot fail.

mod colour;
mod pin;

use super::inst::{Addr, ConstId, Inst, Kind, Program, Src};
use super::live::{self, Liveness, Touched, Web, WebId};

/// Where a source is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Place {
    Reg(u8),
    /// A stack slot of one vector.
    Slot(u32),
    /// In the pool.
    Const(ConstId),
    Mem(Addr),
}

/// A value to be loaded into a register before an instruction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reload {
    /// The instruction.
    pub(super) index: u32,
    pub(super) reg: u8,
    /// A slot or a constant.
    pub(super) from: Place,
}

/// What an instruction's operands have become.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operands {
    /// Whether the instruction is needed at all.
    pub(super) live: bool,
    pub(super) dst: u8,
    /// The slot to store the destination to afterwards.
    pub(super) spill: Option<u32>,
    pub(super) srcs: [Place; 4],
}

/// Operands for all instructions.
pub(super) struct Allocation {
    pub(super) operands: Vec<Operands>,
    /// In the order of instructions.
    pub(super) reloads: Vec<Reload>,
    /// How many stack slots there are.
    pub(super) slots: u32,
}

/// Allocates so many registers.
pub(super) fn allocate(program: &Program, registers: usize) -> Allocation {
    let Liveness { webs, touched } = live::analyse(program);
    let mut allocator = Allocator {
        program,
        registers: u16::try_from(registers).expect("machines have few registers"),
        slots: vec![None; webs.len()],
        pinned: vec![None; webs.len()],
        slot_count: 0,
        pressure: vec![0; 2 * program.insts.len()],
        webs,
        touched,
    };
    allocator.measure();
    allocator.spill();
    allocator.pin_constants();
    allocator.colour()
}

struct Allocator<'a> {
    program: &'a Program,
    registers: u16,
    webs: Vec<Web>,
    touched: Vec<Touched>,
    /// The stack slot of each spilled web.
    slots: Vec<Option<u32>>,
    /// The constant that a web holds, if it is one made by pinning.
    pinned: Vec<Option<ConstId>>,
    slot_count: u32,
    /// How many registers are taken at each point.
    pressure: Vec<u16>,
}

impl Allocator<'_> {
    /// Which sources an instruction reads through registers of its own: those without one that it
    /// cannot read from memory either. One bit each.
    fn through_registers(&self, index: usize) -> u8 {
        let inst = &self.program.insts[index];
        let touched = &self.touched[index];
        let mut homeless = 0u8;
        let mut folded = false;
        for (k, src) in inst.srcs.iter().enumerate() {
            let has_register = match src {
                Src::Virt(_) => touched.srcs[k].is_none_or(|web| self.slot(web).is_none()),
                Src::Const(_) => touched.srcs[k].is_some(),
                Src::Mem(_) => {
                    folded = true;
                    true
                }
            };
            homeless |= u8::from(!has_register) << k;
        }
        if homeless == 0 || folded {
            return homeless;
        }
        homeless & !self.memory_sources(index, inst, homeless)
    }

    fn memory_sources(&self, index: usize, inst: &Inst, homeless: u8) -> u8 {
        let able = homeless & inst.mems;
        if let Kind::Fma(_) = inst.kind {
            // A factor in memory leaves the sum in a register, as accumulation wants it. The addend
            // may stay in memory only if a factor's register can be overwritten.
            let factor = [0b010, 0b001].into_iter().find(|bit| able & bit != 0);
            let addend = able & 0b100 != 0 && self.ends_factor(index);
            factor.unwrap_or(if addend { 0b100 } else { 0 })
        } else if able == 0 && inst.commutes {
            homeless & 1
        } else {
            able
        }
    }

    /// Whether one of the first two sources is read here for the last time.
    fn ends_factor(&self, index: usize) -> bool {
        self.touched[index].srcs[..2].iter().flatten().any(|web| {
            self.slot(*web).is_none()
                && self.pinned[web.0 as usize].is_none()
                && self.web(*web).end == 2 * index as u32
        })
    }

    /// How many registers an instruction takes only for itself, where it reads and where it writes.
    fn temps(&self, index: usize) -> (u16, u16) {
        let touched = &self.touched[index];
        if !touched.live {
            return (0, 0);
        }
        let temps = self.through_registers(index);
        let mut reads = 0;
        for k in bits(temps) {
            reads += u16::from(self.same_temp(index, temps, k).is_none());
        }
        let spilled = touched.dst.is_some_and(|web| self.slot(web).is_some());
        let early = spilled && self.program.insts[index].early;
        (reads + u16::from(early), u16::from(spilled))
    }

    /// An earlier source that is the same and gets a register of its own too.
    fn same_temp(&self, index: usize, temps: u8, k: usize) -> Option<usize> {
        let srcs = &self.program.insts[index].srcs;
        let webs = &self.touched[index].srcs;
        bits(temps).find(|j| *j < k && srcs[*j] == srcs[k] && webs[*j] == webs[k])
    }

    fn measure(&mut self) {
        for web in &self.webs {
            for point in web.start..=web.end {
                self.pressure[point as usize] += 1;
            }
        }
        for index in 0..self.program.insts.len() {
            let (reads, writes) = self.temps(index);
            self.pressure[2 * index] += reads;
            self.pressure[2 * index + 1] += writes;
        }
    }

    /// Changes something about a web's place and keeps the pressure right.
    fn update(&mut self, first: u32, last: u32, change: impl FnOnce(&mut Self)) {
        let range = (first / 2) as usize..=(last / 2) as usize;
        for index in range.clone() {
            let (reads, writes) = self.temps(index);
            self.pressure[2 * index] -= reads;
            self.pressure[2 * index + 1] -= writes;
        }
        change(self);
        for index in range {
            let (reads, writes) = self.temps(index);
            self.pressure[2 * index] += reads;
            self.pressure[2 * index + 1] += writes;
        }
    }

    fn spill(&mut self) {
        let mut order: Vec<WebId> = (0..self.webs.len() as u32).map(WebId).collect();
        order.sort_by_key(|web| self.web(*web).start);
        // Spilling frees a register all the way, but an instruction that reads the value twice may
        // then need two where it needed one; so what has been passed is looked at again.
        while self.pressure.iter().any(|taken| *taken > self.registers) {
            self.sweep(&order);
        }
        self.number_slots(&order);
    }

    /// Gives spilled webs that are never alive at once the same slot.
    fn number_slots(&mut self, order: &[WebId]) {
        // The first point at which each slot is free.
        let mut free_from: Vec<u32> = Vec::new();
        for web in order {
            let Web { start, end, .. } = self.web(*web);
            if self.slot(*web).is_none() {
                continue;
            }
            let free = free_from.iter().position(|point| *point <= start);
            let slot = free.unwrap_or(free_from.len());
            free_from.resize(free_from.len().max(slot + 1), 0);
            free_from[slot] = end + 1;
            self.slots[web.0 as usize] = Some(slot as u32);
        }
        self.slot_count = free_from.len() as u32;
    }

    /// Spills, from the first point to the last, what is too much; `order` has all webs by their
    /// starts.
    fn sweep(&mut self, order: &[WebId]) {
        let mut coming = order.iter().copied().peekable();
        let mut across: Vec<WebId> = Vec::new();
        for point in 0..self.pressure.len() {
            let started = |web: &WebId| self.web(*web).start as usize <= point;
            while let Some(web) = coming.next_if(started) {
                if self.slot(web).is_none() {
                    across.push(web);
                }
            }
            while self.pressure[point] > self.registers {
                across.retain(|web| self.web(*web).end as usize >= point);
                let victim = across.swap_remove(self.victim(point, &across));
                self.spill_web(victim);
            }
        }
    }

    /// The place, among the webs across a point, of the one that is touched least for its length,
    /// but not there.
    fn victim(&self, point: usize, across: &[WebId]) -> usize {
        let here = &self.touched[point / 2];
        let touched_here = |id: WebId| {
            if point.is_multiple_of(2) {
                here.srcs.contains(&Some(id))
            } else {
                here.dst == Some(id)
            }
        };
        let cost = |id: WebId| {
            let web = self.web(id);
            web.weight / (web.end - web.start + 1) as f32
        };
        (0..across.len())
            .filter(|place| !touched_here(across[*place]))
            .min_by(|a, b| cost(across[*a]).total_cmp(&cost(across[*b])))
            .expect("no instruction needs as many registers as there are")
    }

    fn spill_web(&mut self, web: WebId) {
        let Web { start, end, .. } = self.web(web);
        self.update(start, end, |this| {
            // Which one is settled when all spills are known.
            this.slots[web.0 as usize] = Some(0);
            for point in start..=end {
                this.pressure[point as usize] -= 1;
            }
        });
    }

    fn slot(&self, web: WebId) -> Option<u32> {
        self.slots[web.0 as usize]
    }

    fn web(&self, web: WebId) -> Web {
        self.webs[web.0 as usize]
    }
}

fn bits(mask: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |k| mask & (1 << k) != 0)
}
