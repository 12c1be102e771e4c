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

use super::inst::{Addr, ConstId, Inst, Kind, Program, RegionId, Src};
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
        match inst.kind {
            Kind::Select { .. } => able,
            // A factor in memory leaves the sum in a register, as accumulation wants it. The addend
            // may stay in memory only if a factor's register can be overwritten.
            Kind::Fma(_) => [0b010, 0b001]
                .into_iter()
                .find(|bit| able & bit != 0)
                .or_else(|| (able & 0b100 != 0 && self.ends_factor(index)).then_some(0b100))
                .unwrap_or(0),
            _ if able != 0 => able,
            _ if inst.commutes => homeless & 1,
            _ => 0,
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
        // Spilling frees a register all the way, but an instruction that reads the value twice may
        // then need two where it needed one; so what has been passed is looked at again.
        while let Some(first) = self.crowded(0) {
            let mut next = Some(first);
            while let Some(point) = next {
                self.spill_across(point);
                next = self.crowded(point);
            }
        }
    }

    /// The first point from some point on where more registers are taken than there are.
    fn crowded(&self, from: usize) -> Option<usize> {
        let taken = &self.pressure[from..];
        let found = taken.iter().position(|taken| *taken > self.registers);
        found.map(|distance| from + distance)
    }

    fn spill_across(&mut self, point: usize) {
        let victim = self.victim(point);
        let Web { start, end, .. } = self.web(victim);
        self.update(start, end, |this| {
            this.slots[victim.0 as usize] = Some(this.slot_count);
            this.slot_count += 1;
            for point in start..=end {
                this.pressure[point as usize] -= 1;
            }
        });
    }

    /// The web across a point that is touched least for its length, but not there.
    fn victim(&self, point: usize) -> WebId {
        let here = &self.touched[point / 2];
        let touched_here = |id: WebId| {
            if point % 2 == 0 {
                here.srcs.contains(&Some(id))
            } else {
                here.dst == Some(id)
            }
        };
        let cost = |web: &Web| web.weight / (web.end - web.start + 1) as f32;
        let mut best: Option<(f32, WebId)> = None;
        for (web, id) in self.webs.iter().zip((0..).map(WebId)) {
            let across = web.start as usize <= point && point <= web.end as usize;
            if !across || self.slot(id).is_some() || touched_here(id) {
                continue;
            }
            if best.is_none_or(|(least, _)| cost(web) < least) {
                best = Some((cost(web), id));
            }
        }
        let (_, id) = best.expect("no instruction needs as many registers as there are");
        id
    }

    /// Gives constants registers, those first that are used most.
    fn pin_constants(&mut self) {
        let mut uses: Vec<(f32, Vec<u32>)> = vec![(0.0, Vec::new()); self.program.consts.len()];
        for (index, inst) in self.program.insts.iter().enumerate() {
            if !self.touched[index].live {
                continue;
            }
            for src in inst.srcs.iter() {
                if let Src::Const(id) = src {
                    let (weight, list) = &mut uses[id.0 as usize];
                    *weight += live::frequency(self.program, inst);
                    list.push(index as u32);
                }
            }
        }
        let mut order: Vec<usize> = (0..uses.len()).collect();
        order.sort_by(|a, b| uses[*b].0.total_cmp(&uses[*a].0));
        for id in order {
            let list = std::mem::take(&mut uses[id].1);
            self.pin(ConstId(id as u32), None, &list);
        }
    }

    /// Gives a constant registers over stretches of a region that are as long as possible, and tries
    /// again within those inner regions that have none to spare throughout.
    fn pin(&mut self, id: ConstId, scope: Option<RegionId>, uses: &[u32]) {
        let mut clusters: Vec<Cluster> = Vec::new();
        let mut crowded: Vec<RegionId> = Vec::new();
        for index in uses {
            let span = self.span(scope, *index);
            let last = clusters.last_mut();
            let extended = last.filter(|cluster| self.fits(cluster.end, span.end));
            if let Some(cluster) = extended {
                cluster.end = cluster.end.max(span.end);
                cluster.worthwhile = true;
                cluster.uses.push(*index);
            } else if self.fits(span.start, span.end) {
                clusters.push(Cluster {
                    start: span.start,
                    end: span.end,
                    worthwhile: span.region.is_some_and(|id| self.is_loop(id)),
                    uses: vec![*index],
                });
            } else if let Some(region) = span.region
                && crowded.last() != Some(&region)
            {
                crowded.push(region);
            }
        }
        for cluster in clusters.into_iter().filter(|cluster| cluster.worthwhile) {
            self.take(id, cluster.start, cluster.end, &cluster.uses);
        }
        for region in crowded {
            let around = &self.program.regions[usize::from(region.0)];
            let inside = around.begin..around.end;
            let within = uses.iter().copied().filter(|index| inside.contains(index));
            let within: Vec<u32> = within.collect();
            self.pin(id, Some(region), &within);
        }
    }

    fn is_loop(&self, region: RegionId) -> bool {
        self.program.regions[usize::from(region.0)].count.is_some()
    }

    fn fits(&self, first: u32, last: u32) -> bool {
        (first..=last).all(|point| self.pressure[point as usize] < self.registers)
    }

    fn take(&mut self, id: ConstId, first: u32, last: u32, uses: &[u32]) {
        let web = WebId(self.webs.len() as u32);
        self.webs.push(Web {
            start: first,
            end: last,
            weight: 0.0,
        });
        self.slots.push(None);
        self.pinned.push(Some(id));
        self.update(first, last, |this| {
            for point in first..=last {
                this.pressure[point as usize] += 1;
            }
            for index in uses {
                let inst = &this.program.insts[*index as usize];
                let touched = &mut this.touched[*index as usize];
                for (src, place) in inst.srcs.iter().zip(&mut touched.srcs) {
                    if *src == Src::Const(id) {
                        *place = Some(web);
                    }
                }
            }
        });
    }

    /// What a use in a region needs a register for: a whole inner region, or one point.
    fn span(&self, scope: Option<RegionId>, index: u32) -> Span {
        let mut inner = None;
        let mut region = self.program.insts[index as usize].region;
        while region != scope {
            inner = region;
            region = region.and_then(|id| self.program.regions[usize::from(id.0)].parent);
        }
        match inner {
            Some(id) => {
                let region = &self.program.regions[usize::from(id.0)];
                Span {
                    start: 2 * region.begin,
                    end: 2 * region.end + 1,
                    region: Some(id),
                }
            }
            None => Span {
                start: 2 * index,
                end: 2 * index,
                region: None,
            },
        }
    }

    fn slot(&self, web: WebId) -> Option<u32> {
        self.slots[web.0 as usize]
    }

    fn web(&self, web: WebId) -> Web {
        self.webs[web.0 as usize]
    }

    /// Hands out registers in order of starts.
    fn colour(&self) -> Allocation {
        let mut pins: Vec<WebId> = (0..self.webs.len() as u32)
            .map(WebId)
            .filter(|web| self.pinned[web.0 as usize].is_some())
            .collect();
        pins.sort_by_key(|web| self.web(*web).start);
        let mut colouring = Colouring {
            allocator: self,
            reg: vec![None; self.webs.len()],
            free_from: vec![0; usize::from(self.registers)],
            reloads: Vec::new(),
        };
        let mut pins = pins.into_iter().peekable();
        let mut operands = Vec::with_capacity(self.program.insts.len());
        for index in 0..self.program.insts.len() {
            while let Some(web) = pins.next_if(|web| self.web(*web).start <= 2 * index as u32) {
                colouring.load_pin(index, web);
            }
            operands.push(colouring.inst(index));
        }
        Allocation {
            operands,
            reloads: colouring.reloads,
            slots: self.slot_count,
        }
    }
}

/// Uses of a constant that share a register.
struct Cluster {
    start: u32,
    end: u32,
    /// Whether that saves anything over loading it at each use.
    worthwhile: bool,
    uses: Vec<u32>,
}

/// See [`Allocator::span`].
struct Span {
    start: u32,
    end: u32,
    region: Option<RegionId>,
}

struct Colouring<'a> {
    allocator: &'a Allocator<'a>,
    /// The register of each web that has started.
    reg: Vec<Option<u8>>,
    /// The first point at which each register is free.
    free_from: Vec<u32>,
    reloads: Vec<Reload>,
}

impl Colouring<'_> {
    fn load_pin(&mut self, index: usize, web: WebId) {
        let constant = self.allocator.pinned[web.0 as usize].expect("only pins are loaded here");
        let reg = self.start(web, 2 * index as u32, &[]);
        self.reload(index, reg, Place::Const(constant));
    }

    fn inst(&mut self, index: usize) -> Operands {
        let allocator = self.allocator;
        let inst = &allocator.program.insts[index];
        let touched = &allocator.touched[index];
        let mut operands = Operands {
            live: touched.live,
            dst: 0,
            spill: None,
            srcs: [Place::Reg(0); 4],
        };
        if !touched.live {
            return operands;
        }
        let read = 2 * index as u32;
        let write = live::write_point(index, inst);
        if inst.early {
            self.write(index, write, &mut operands);
        }
        let temps = allocator.through_registers(index);
        for (k, src) in inst.srcs.iter().enumerate() {
            let home = match (src, touched.srcs[k]) {
                (Src::Mem(addr), _) => Place::Mem(*addr),
                (_, Some(web)) => match allocator.slot(web) {
                    Some(slot) => Place::Slot(slot),
                    None => Place::Reg(self.reg_of(web, read)),
                },
                (Src::Const(id), None) => Place::Const(*id),
                (Src::Virt(_), None) => unreachable!("a register that is read has a web"),
            };
            operands.srcs[k] = if temps & (1 << k) == 0 {
                home
            } else if let Some(same) = allocator.same_temp(index, temps, k) {
                operands.srcs[same]
            } else {
                let reg = self.take(read, read, &[]);
                self.reload(index, reg, home);
                Place::Reg(reg)
            };
        }
        if !inst.early {
            self.write(index, write, &mut operands);
        }
        operands
    }

    /// Finds the destination's register, that of a source if possible: the addend's first, so that
    /// multiply-adds need no move.
    fn write(&mut self, index: usize, point: u32, operands: &mut Operands) {
        let Some(web) = self.allocator.touched[index].dst else {
            return;
        };
        let inst = &self.allocator.program.insts[index];
        let wanted: Vec<u8> = [2, 0, 1, 3]
            .into_iter()
            .filter(|k| *k < inst.srcs.len() && !inst.early)
            .filter_map(|k| match operands.srcs[k] {
                Place::Reg(reg) => Some(reg),
                Place::Slot(_) | Place::Const(_) | Place::Mem(_) => None,
            })
            .collect();
        operands.spill = self.allocator.slot(web);
        operands.dst = match (operands.spill, self.reg[web.0 as usize]) {
            (Some(_), _) => self.take(point, 2 * index as u32 + 1, &wanted),
            (None, Some(reg)) => reg,
            (None, None) => self.start(web, point, &wanted),
        };
    }

    fn reload(&mut self, index: usize, reg: u8, from: Place) {
        self.reloads.push(Reload {
            index: index as u32,
            reg,
            from,
        });
    }

    fn reg_of(&mut self, web: WebId, point: u32) -> u8 {
        match self.reg[web.0 as usize] {
            Some(reg) => reg,
            // Only a body that reads what it has not written comes here.
            None => self.start(web, point, &[]),
        }
    }

    fn start(&mut self, web: WebId, point: u32, wanted: &[u8]) -> u8 {
        let end = self.allocator.web(web).end;
        let reg = self.take(point, end, wanted);
        self.reg[web.0 as usize] = Some(reg);
        reg
    }

    /// A register that is free at a point, taken up to another.
    fn take(&mut self, point: u32, end: u32, wanted: &[u8]) -> u8 {
        let free = |reg: &u8| self.free_from[usize::from(*reg)] <= point;
        let all = 0..u8::try_from(self.free_from.len()).expect("machines have few registers");
        let reg = wanted
            .iter()
            .copied()
            .find(free)
            .or_else(|| all.into_iter().find(free))
            .expect("no more registers are taken than there are");
        self.free_from[usize::from(reg)] = end + 1;
        reg
    }
}

fn bits(mask: u8) -> impl Iterator<Item = usize> {
    (0..8).filter(move |k| mask & (1 << k) != 0)
}
