//! Registers for constants, out of what webs have left over.

use super::{Allocator, live};
use crate::codegen::wide::inst::{ConstId, RegionId, Src};
use crate::codegen::wide::live::{Web, WebId};

impl Allocator<'_> {
    /// Gives constants registers, those first that are used most.
    pub(super) fn pin_constants(&mut self) {
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
