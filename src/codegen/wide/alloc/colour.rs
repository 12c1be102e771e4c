//! Which register each web gets.

use super::{Allocation, Allocator, Operands, Place, Reload, live};
use crate::codegen::wide::inst::Src;
use crate::codegen::wide::live::WebId;

impl Allocator<'_> {
    /// Hands out registers in order of starts.
    pub(super) fn colour(&self) -> Allocation {
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
