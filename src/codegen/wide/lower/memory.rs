//! Loads, stores and gathers.

use iced_x86::Code;

use super::{Lowering, addr};
use crate::codegen::wide::inst::{Addr, Const, Kind, Mask, Src, Virt, Width};
use crate::codegen::wide::table::{self, Pair};
use crate::codegen::{CodegenError, Isa};
use crate::kernel::{Lanes, Ptr, Reg};

impl Lowering<'_> {
    pub(super) fn load(&mut self, dst: Virt, addr: Addr, lanes: Lanes) {
        let mem = Src::Mem(addr);
        match (lanes, self.tail_mask) {
            (Lanes::First(count), _) => self.load_first(dst, mem, count),
            (Lanes::All, Some(mask)) => {
                let code = table::LOAD_MASKED.of(self.isa);
                self.op(code, None, dst, &[Src::Virt(mask), mem], 0);
            }
            (Lanes::All, None) => {
                let mask = self.mask();
                self.masked(table::LOAD.of(self.isa), mask, dst, &[mem]);
            }
        }
    }

    /// Loads into the low part of a register clear the rest of it; other counts take a mask.
    fn load_first(&mut self, dst: Virt, mem: Src, count: u8) {
        let wide = self.isa == Isa::Avx512;
        let narrow = match (count, wide) {
            (1, false) => (Code::VEX_Vmovss_xmm_m32, Width::X),
            (1, true) => (Code::EVEX_Vmovss_xmm_k1z_m32, Width::X),
            (2, false) => (Code::VEX_Vmovsd_xmm_m64, Width::X),
            (2, true) => (Code::EVEX_Vmovsd_xmm_k1z_m64, Width::X),
            (4, false) => (Code::VEX_Vmovups_xmm_xmmm128, Width::X),
            (4, true) => (Code::EVEX_Vmovups_xmm_k1z_xmmm128, Width::X),
            (8, true) => (Code::EVEX_Vmovups_ymm_k1z_ymmm256, Width::Y),
            (_, true) => {
                let code = table::LOAD_MASKED.of(self.isa);
                return self.masked(code, Mask::First(count), dst, &[mem]);
            }
            (_, false) => {
                let mask = self.first_lanes(count);
                let code = table::LOAD_MASKED.of(self.isa);
                return self.op(code, None, dst, &[mask, mem], 0);
            }
        };
        self.op(narrow.0, None, dst, &[mem], 0);
        self.narrow(narrow.1);
    }

    pub(super) fn store(&mut self, ptr: Ptr, off: i32, src: Reg, lanes: Lanes, streams: bool) {
        let addr = addr(ptr, off);
        let src = self.src(src);
        let full = match streams && !self.in_tail() {
            true => table::STREAM.of(self.isa),
            false => table::STORE.of(self.isa),
        };
        let masked = table::STORE_MASKED.of(self.isa);
        let wide = self.isa == Isa::Avx512;
        let (code, mask, width) = match (lanes, self.tail_mask) {
            (Lanes::All, None) => (full, self.mask(), self.width),
            (Lanes::All, Some(mask)) => {
                let mask = Src::Virt(mask);
                return self.push_store(masked, addr, Mask::None, &[mask, src], self.width);
            }
            (Lanes::First(count), _) => match (count, wide) {
                (1, false) => (Code::VEX_Vmovss_m32_xmm, Mask::None, Width::X),
                (1, true) => (Code::EVEX_Vmovss_m32_k1_xmm, Mask::None, Width::X),
                (2, false) => (Code::VEX_Vmovsd_m64_xmm, Mask::None, Width::X),
                (2, true) => (Code::EVEX_Vmovsd_m64_k1_xmm, Mask::None, Width::X),
                (4, false) => (Code::VEX_Vmovups_xmmm128_xmm, Mask::None, Width::X),
                (4, true) => (Code::EVEX_Vmovups_xmmm128_k1z_xmm, Mask::None, Width::X),
                (8, true) => (Code::EVEX_Vmovups_ymmm256_k1z_ymm, Mask::None, Width::Y),
                (_, true) => (masked, Mask::First(count), Width::Z),
                (_, false) => {
                    let mask = self.first_lanes(count);
                    return self.push_store(masked, addr, Mask::None, &[mask, src], self.width);
                }
            },
        };
        self.push_store(code, addr, mask, &[src], width);
    }

    fn push_store(&mut self, code: Code, addr: Addr, mask: Mask, srcs: &[Src], width: Width) {
        self.push(Kind::Store { code, addr, mask }, None, srcs, 0);
        self.narrow(width);
    }

    pub(super) fn gather(
        &mut self,
        dst: Virt,
        addr: Addr,
        stride: i32,
        lanes: Lanes,
    ) -> Result<(), CodegenError> {
        match (lanes, self.in_tail()) {
            (Lanes::All, true) => return self.gather_tail(dst, addr, stride),
            (Lanes::All, false) => self.gather_static(dst, addr, stride, self.lanes),
            (Lanes::First(count), _) => self.gather_static(dst, addr, stride, count),
        }
        Ok(())
    }

    /// In a tail, by the gather instruction, which leaves inactive lanes alone.
    fn gather_tail(&mut self, dst: Virt, addr: Addr, stride: i32) -> Result<(), CodegenError> {
        let last = i64::from(self.lanes) - 1;
        let fits = |scale: i64| {
            let stride = i64::from(stride);
            stride % scale == 0 && i32::try_from(stride / scale * last).is_ok()
        };
        let Some(scale) = [1, 2, 4, 8].into_iter().find(|scale| fits(*scale)) else {
            let body = self.name.to_owned();
            return Err(CodegenError::Stride { body, stride });
        };
        let step = i64::from(stride) / scale;
        let distances = (0..=last)
            .map(|lane| i32::try_from(lane * step).expect("the last one fits"))
            .map(i32::cast_unsigned)
            .collect();
        let index = Src::Const(self.const_id(Const::Lanes(distances)));
        let code = Pair(
            Code::VEX_Vgatherdps_ymm_vm32y_ymm,
            Code::EVEX_Vgatherdps_zmm_k1_vm32z,
        );
        let kind = Kind::Gather {
            code: code.of(self.isa),
            addr,
            scale: u8::try_from(scale).expect("a scale is at most 8"),
        };
        if let Some(mask) = self.tail_mask {
            let copy = self.temp();
            let code = table::MOVE.of(self.isa);
            self.op(code, None, copy, &[Src::Virt(mask)], 0);
            self.push(kind, Some(dst), &[index, Src::Virt(copy)], 0);
        } else {
            self.push(kind, Some(dst), &[index], 0);
        }
        self.last().early = true;
        Ok(())
    }

    /// Lane by lane into quarters or halves of a vector, which are then put together.
    fn gather_static(&mut self, dst: Virt, addr: Addr, stride: i32, count: u8) {
        let mut parts: Vec<Virt> = (0..count)
            .step_by(4)
            .map(|first| self.gather_four(addr, stride, first, count.min(first + 4)))
            .collect();
        let joins = [
            (
                Pair(
                    Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
                    Code::EVEX_Vinsertf32x4_ymm_k1z_ymm_xmmm128_imm8,
                ),
                Width::Y,
                Width::X,
            ),
            (
                Pair(
                    Code::VEX_Vinsertf128_ymm_ymm_xmmm128_imm8,
                    Code::EVEX_Vinsertf32x8_zmm_k1z_zmm_ymmm256_imm8,
                ),
                Width::Z,
                Width::Y,
            ),
        ];
        for (pair, width, last_width) in joins {
            let joined = parts
                .chunks(2)
                .map(|chunk| match *chunk {
                    [low, high] => {
                        let both = self.temp();
                        let srcs = [Src::Virt(low), Src::Virt(high)];
                        self.op(pair.of(self.isa), Some(1), both, &srcs, 0);
                        self.narrow(width);
                        self.last().last_width = last_width;
                        both
                    }
                    _ => chunk[0],
                })
                .collect();
            parts = joined;
        }
        self.last().dst = Some(dst);
    }

    /// Up to four lanes in the low quarter of a register, the rest zero.
    fn gather_four(&mut self, addr: Addr, stride: i32, first: u8, end: u8) -> Virt {
        let element = |lane: u8| {
            let off = addr.off + i64::from(lane) * i64::from(stride);
            Src::Mem(Addr { off, ..addr })
        };
        let load = Pair(Code::VEX_Vmovss_xmm_m32, Code::EVEX_Vmovss_xmm_k1z_m32);
        let insert = Pair(
            Code::VEX_Vinsertps_xmm_xmm_xmmm32_imm8,
            Code::EVEX_Vinsertps_xmm_xmm_xmmm32_imm8,
        );
        let mut part = self.temp();
        self.op(load.of(self.isa), None, part, &[element(first)], 0);
        self.narrow(Width::X);
        for lane in first + 1..end {
            let more = self.temp();
            let place = (lane - first) << 4;
            let srcs = [Src::Virt(part), element(lane)];
            self.op(insert.of(self.isa), Some(place), more, &srcs, 0);
            self.narrow(Width::X);
            part = more;
        }
        part
    }
}
