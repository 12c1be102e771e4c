//! Which values are alive where.
//!
//! A *web* is a maximal stretch of code over which a virtual register holds a value somebody still
//! reads. Instruction `i` reads its sources at point `2 i` and writes its destination at point
//! `2 i + 1`, so that a destination can take the register of a source that ends there. Code being
//! structured, a web is one interval of points: what is read in a loop before it is written there
//! lives through the whole loop, and so does what is read after a loop that may not run at all.

use super::inst::{Inst, Kind, Program, Region, Src, Virt};
use crate::kernel::Count;

/// A web, by its index.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct WebId(pub(super) u32);

/// An interval in which a register is taken.
#[derive(Clone, Copy, Debug)]
pub(super) struct Web {
    pub(super) start: u32,
    /// Inclusive.
    pub(super) end: u32,
    /// How often it is read or written, loops weighted.
    pub(super) weight: f32,
}

/// The webs that an instruction touches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Touched {
    /// Whether anything reads what it writes, or it has another effect.
    pub(super) live: bool,
    pub(super) dst: Option<WebId>,
    pub(super) srcs: [Option<WebId>; 4],
}

/// All webs of a program.
pub(super) struct Liveness {
    pub(super) webs: Vec<Web>,
    pub(super) touched: Vec<Touched>,
}

/// The point at which an instruction writes.
pub(super) fn write_point(index: usize, inst: &Inst) -> u32 {
    let point = 2 * index as u32;
    if inst.early { point } else { point + 1 }
}

/// How much an access inside so many loops counts.
pub(super) fn frequency(program: &Program, inst: &Inst) -> f32 {
    let depth = inst
        .region
        .map_or(0, |id| program.regions[usize::from(id.0)].depth);
    8f32.powi(depth.min(8) as i32)
}

/// Finds the webs, walking backwards, and the instructions whose result nobody reads.
pub(super) fn analyse(program: &Program) -> Liveness {
    let exposed = exposed(program);
    let virts = program.virts as usize;
    let mut walk = Walk {
        webs: Vec::with_capacity(program.insts.len()),
        open: vec![None; virts],
        held_from: vec![u32::MAX; virts],
    };
    let mut touched = vec![Touched::default(); program.insts.len()];
    for (index, inst) in program.insts.iter().enumerate().rev() {
        if let Kind::LoopEnd(id) = inst.kind {
            let id = usize::from(id.0);
            walk.end_loop(index, &program.regions[id], &exposed[id]);
        }
        let weight = frequency(program, inst);
        let touched = &mut touched[index];
        if let Some(dst) = inst.dst {
            let Some(web) = walk.write(index, inst, dst, weight) else {
                continue;
            };
            touched.dst = Some(web);
        }
        touched.live = true;
        for (web, src) in touched.srcs.iter_mut().zip(inst.srcs.iter()) {
            if let Src::Virt(virt) = src {
                *web = Some(walk.read(index, *virt, weight));
            }
        }
    }
    Liveness {
        webs: walk.webs,
        touched,
    }
}

struct Walk {
    webs: Vec<Web>,
    /// The web of each register that is alive here.
    open: Vec<Option<WebId>>,
    /// The instruction from which on a loop needs the register alive throughout.
    held_from: Vec<u32>,
}

impl Walk {
    fn end_loop(&mut self, index: usize, region: &Region, exposed: &[Virt]) {
        let point = 2 * index as u32 + 1;
        for virt in exposed {
            self.open(*virt, point);
            let held = &mut self.held_from[virt.0 as usize];
            *held = (*held).min(region.begin);
        }
        if matches!(region.count, Some(Count::Arg(_))) {
            for (open, held) in self.open.iter().zip(&mut self.held_from) {
                if open.is_some() {
                    *held = (*held).min(region.begin);
                }
            }
        }
    }

    fn read(&mut self, index: usize, virt: Virt, weight: f32) -> WebId {
        let id = self.open(virt, 2 * index as u32);
        let web = &mut self.webs[id.0 as usize];
        web.weight += weight;
        id
    }

    fn write(&mut self, index: usize, inst: &Inst, virt: Virt, weight: f32) -> Option<WebId> {
        let open = &mut self.open[virt.0 as usize];
        let id = (*open)?;
        let web = &mut self.webs[id.0 as usize];
        web.start = write_point(index, inst);
        web.weight += weight;
        if self.held_from[virt.0 as usize] > index as u32 {
            *open = None;
        }
        Some(id)
    }

    fn open(&mut self, virt: Virt, end: u32) -> WebId {
        let webs = &mut self.webs;
        *self.open[virt.0 as usize].get_or_insert_with(|| {
            webs.push(Web {
                start: 0,
                end,
                weight: 0.0,
            });
            WebId(webs.len() as u32 - 1)
        })
    }
}

/// For each region, the registers that an iteration may read before it writes them.
fn exposed(program: &Program) -> Vec<Vec<Virt>> {
    let mut exposed: Vec<Vec<Virt>> = vec![Vec::new(); program.regions.len()];
    // One past the last instruction that is sure to have written a register.
    let mut written = vec![0u32; program.virts as usize];
    // Writes in a region that may be skipped, with what stood before: undone at its end.
    let mut undo: Vec<(Virt, u32)> = Vec::new();
    let mut marks: Vec<usize> = Vec::new();
    for (index, inst) in program.insts.iter().enumerate() {
        if let Kind::LoopBegin(_) | Kind::TailBegin(..) = inst.kind {
            marks.push(undo.len());
        }
        if let Kind::LoopEnd(id) | Kind::TailEnd(id) = inst.kind {
            let mark = marks.pop().expect("regions are closed in order");
            let region = &program.regions[usize::from(id.0)];
            // What an inner region surely wrote, an outer one that may be skipped must undo.
            if !matches!(region.count, Some(Count::Imm(_))) {
                for (virt, before) in undo.drain(mark..).rev() {
                    written[virt.0 as usize] = before;
                }
            }
        }
        for src in inst.srcs.iter() {
            let Src::Virt(virt) = src else { continue };
            let mut region = inst.region;
            while let Some(id) = region {
                let around = &program.regions[usize::from(id.0)];
                let list = &mut exposed[usize::from(id.0)];
                if written[virt.0 as usize] > around.begin {
                    break;
                }
                if list.last() != Some(virt) {
                    list.push(*virt);
                }
                region = around.parent;
            }
        }
        if let Some(dst) = inst.dst {
            undo.push((dst, written[dst.0 as usize]));
            written[dst.0 as usize] = index as u32 + 1;
        }
    }
    for list in &mut exposed {
        list.sort_unstable();
        list.dedup();
    }
    exposed
}
